"""Nothing that a peer sends takes more time per byte when more of it is sent."""

import gc
import itertools
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from rpcnet.codec import PACKED, PayloadError, decoder

PRIME = 2**61 - 1
NEW_YEAR = datetime(2026, 1, 1)
pack = msgspec.msgpack.encode


class Point(msgspec.Struct):
    x: int = 0


class Tree(msgspec.Struct):
    children: list["Tree"] = []


def array(items: list[bytes]) -> bytes:
    return b"\xdd" + len(items).to_bytes(4, "big") + b"".join(items)


def mapping(keys: list[bytes], value: bytes = b"\xc0") -> bytes:
    return b"\xdf" + len(keys).to_bytes(4, "big") + b"".join(key + value for key in keys)


def tuples(count: int) -> list[bytes]:
    """Tuples of -1 and -2, which all have one hash."""
    width = count.bit_length()
    return [
        bytes([0x90 + width, *one]) for one in itertools.islice(itertools.product((0xFF, 0xFE), repeat=width), count)
    ]


def numbers_on_one_way(count: int) -> list[int]:
    """Numbers on the way of another one through a dict's table, and then that one, as often."""
    mask = (1 << (3 * count // 2).bit_length()) - 1
    traveller = perturb = 2**60 + 12345
    place, way = traveller & mask, {}
    while len(way) < count:
        way[place] = None
        perturb >>= 5
        place = (place * 5 + perturb + 1) & mask
    return [*way] + [traveller] * count


PAYLOADS: dict[str, tuple[Any, Callable[[int], bytes]]] = {
    "numbers of one hash": (dict[int, None], lambda n: mapping([pack(i // 8 + i % 8 * PRIME) for i in range(2 * n)])),
    "numbers of high bits": (dict[int, None], lambda n: mapping([pack(i << 45) for i in range(2 * n)])),
    "a number on a long way": (dict[int, None], lambda n: mapping(list(map(pack, numbers_on_one_way(2 * n))))),
    "a set of numbers of high bits": (set[int], lambda n: array([pack(i << 45) for i in range(2 * n)])),
    "UUIDs of one hash": (dict[uuid.UUID, None], lambda n: mapping([pack(uuid.UUID(int=i * PRIME)) for i in range(n)])),
    "a set of UUIDs of one hash": (set[uuid.UUID], lambda n: array([pack(uuid.UUID(int=i * PRIME)) for i in range(n)])),
    "UUIDs in bytes": (set[uuid.UUID], lambda n: array([pack((i * PRIME).to_bytes(16, "big")) for i in range(n)])),
    "Decimals of one hash": (set[Decimal], lambda n: array([pack(str(i * PRIME)) for i in range(n)])),
    "tuples of one hash": (dict[tuple[int, ...], None], lambda n: mapping(tuples(n))),
    "tuples of one hash in Any": (Any, lambda n: mapping(tuples(n))),
    "a set of tuples in Any": (set[Any], lambda n: array(tuples(n))),
    "the same key again and again": (Any, lambda n: mapping([b"\x01"] * n)),
    "the same text again and again": (dict[str, Any], lambda n: mapping([b"\xa1x"] * n)),
    "a wide map of text": (dict[str, Any], lambda n: mapping([pack(f"key{i}") for i in range(n)])),
    "a wide map of times": (dict[datetime, None], lambda n: mapping([pack(NEW_YEAR + timedelta(i)) for i in range(n)])),
    "timestamps": (Any, lambda n: array([b"\xd6\xff" + i.to_bytes(4, "big") for i in range(n)])),
    "extensions": (Any, lambda n: array([b"\xc7\x03\x05abc"] * n)),
    "a Decimal of many digits": (Decimal, lambda n: pack("9" * n * 8)),
    "a Decimal of a large exponent": (list[Decimal], lambda n: array([pack("1e999999")] * n)),
    "a number of many digits": (int | str, lambda n: pack("9" * n * 8)),
    "empty lists": (Any, lambda n: array([b"\x90"] * n)),
    "lists of one number": (Any, lambda n: array([b"\x91\x00"] * n)),
    "two kinds of numbers in turn": (Any, lambda n: array([b"\xcc\xff\xd0\xff"] * n) + b"\x91" * 65),
    "as deep as allowed": (Any, lambda n: array([b"\x91" * 62 + b"\x90"] * (n // 8))),
    "deeper than allowed": (Any, lambda n: b"\x91" * n * 8),
    "deep in a skipped field": (Point, lambda n: b"\x81\xa1y" + b"\x91" * n * 8),
    "a deep tree": (Tree, lambda n: b"\x81\xa8children\x91" * n),
    "unknown fields": (Point, lambda n: mapping([pack(f"key{i}") for i in range(n)])),
    "text that looks like containers": (Any, lambda n: pack("\u0410\u0411" * n * 4)),
    "a false count of items": (list[Any], lambda n: b"\xdd\xff\xff\xff\xff" + b"\x90" * n * 8),
    "a false count of pairs": (Any, lambda n: b"\xdf\xff\xff\xff\xff" + b"".join(pack(i) + b"\x90" for i in range(n))),
}  # fmt: skip


def seconds(kind: Any, payload: bytes, enough: float) -> float:
    """Of this process, the least of three times; no more of them once it is below `enough`."""
    decode = decoder(kind)
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        try:
            value = decode(payload, PACKED)
        except PayloadError:
            value = None
        best = min(best, time.process_time() - start)
        del value
        if best < enough:
            break
    return best


@pytest.mark.parametrize("name", PAYLOADS)
def test_time_per_byte_does_not_grow_with_length(name: str) -> None:
    kind, make = PAYLOADS[name]
    short, long = make(600), make(6000)
    gc.disable()  # it walks what the test holds, which is more for the longer payload
    try:
        # Ten times as much: a cost that grows with the square takes ten times as long per byte.
        per_byte = max(seconds(kind, short, 0.0) / len(short), 20e-9)
        assert seconds(kind, long, 4 * per_byte * len(long)) < 4 * per_byte * len(long)
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "name", [name for name in PAYLOADS if "one hash" in name or "long way" in name or "tuples" in name]
)
def test_keys_made_to_collide_are_refused_or_harmless(name: str) -> None:
    kind, make = PAYLOADS[name]
    if name == "numbers of one hash":  # 64 bits hold few numbers of one hash
        decoder(kind)(make(4_000), PACKED)
        return
    with pytest.raises(PayloadError, match="collide"):
        decoder(kind)(make(4_000), PACKED)
