"""Keys that were made to collide are found; keys that nobody chose are not, and the model is CPython's table."""

import random
import sys
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpcnet.collisions import _dict_mask, _place_in_set, _set_mask, guard, steps_into_dict, steps_into_set

PRIME = sys.hash_info.modulus
LEAST = 64


def packed_map(keys: list[Any]) -> bytes:
    return b"\xdf" + len(keys).to_bytes(4, "big") + b"".join(msgspec.msgpack.encode(key) + b"\xc0" for key in keys)


def packed_set(items: list[Any]) -> bytes:
    return b"\xdd" + len(items).to_bytes(4, "big") + b"".join(map(msgspec.msgpack.encode, items))


def in_a_map(kind: Any, keys: list[Any], least: int = LEAST) -> bool:
    return guard([kind], [], least)(packed_map(keys))


def in_a_set(kind: Any, items: list[Any], least: int = LEAST) -> bool:
    return guard([], [kind], least)(packed_set(items))


UUIDS = [uuid.UUID(int=number * PRIME) for number in range(2000)]
TUPLES = list(product((-1, -2), repeat=11))
DECIMALS = [Decimal(number * PRIME) for number in range(2000)]
TIMES = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number) for number in range(2000)]


def long_walk(count: int, mask: int) -> list[int]:
    """Numbers that lie on the way of one number through a dict's table, and then that number, again and again."""
    traveller = 2**60 + 12345
    perturb, place, way = traveller, traveller & mask, []
    while len(way) < count:
        way.append(place)
        perturb >>= 5
        place = (place * 5 + perturb + 1) & mask
    return [*dict.fromkeys(way)] + [traveller] * count


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (uuid.UUID, UUIDS),
        (Decimal, DECIMALS),
        (Any, TUPLES),
        (tuple[int, ...], TUPLES),
        (int | tuple[int, ...], TUPLES),
        (int, long_walk(5000, 2**13 - 1)),
    ],
)
def test_keys_that_were_made_to_collide_are_found(kind: Any, keys: list[Any]) -> None:
    assert in_a_map(kind, keys)
    if kind is not int:
        assert in_a_set(kind, keys)


HONEST: list[tuple[Any, list[Any]]] = [
    (int, list(range(3000))),
    (int, [-number for number in range(3000)]),
    *[(int, [number << shift for number in range(2**min(62 - shift, 12))]) for shift in range(1, 56, 6)],
    (int, [number * 1000 for number in range(3000)]),
    (int, [(number % 100) + (number // 100) * PRIME for number in range(800)]),
    (float, [number / 1024 for number in range(3000)]),
    (float, [number / 1000 for number in range(3000)]),
    (float, [number * 1e15 for number in range(3000)]),
    (Any, [(x, y) for x in range(60) for y in range(60)]),
    (Any, [(x, y) for x in (-1, -2) for y in range(600)]),
    (tuple[float, float], [(x / 8, y / 8) for x in range(60) for y in range(60)]),
    (uuid.UUID, [uuid.UUID(int=number) for number in range(3000)]),
    (uuid.UUID, [uuid.UUID(int=number << 64) for number in range(3000)]),
    (datetime, TIMES),
    (Decimal, [Decimal(number) / 100 for number in range(3000)]),
    (Any, [f"key{number}" for number in range(3000)]),
    (Any, [*range(500), *map(str, range(500))]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "keys"), HONEST)
def test_keys_that_nobody_chose_pass(kind: Any, keys: list[Any]) -> None:
    assert not in_a_map(kind, keys)
    assert not in_a_set(kind, keys)


@settings(max_examples=30)
@given(st.lists(st.integers(-(2**63), 2**64 - 1), unique=True, min_size=64, max_size=200))
def test_random_numbers_pass(keys: list[int]) -> None:
    assert not in_a_map(int, keys)
    assert not in_a_set(int, keys)


def test_narrow_maps_are_not_looked_at() -> None:
    assert not in_a_map(uuid.UUID, UUIDS[:1000], least=1024)
    assert in_a_map(uuid.UUID, UUIDS[:1024], least=1024)
    assert not in_a_set(uuid.UUID, UUIDS[:1000], least=1024)
    assert in_a_set(uuid.UUID, UUIDS[:1024], least=1024)


@pytest.mark.parametrize("least", [64, 255, 256, 257, 1024])
@pytest.mark.parametrize("large", [False, True])
def test_a_count_of_two_or_four_bytes_is_read(least: int, large: bool) -> None:
    for count, found in ((least - 1, False), (least, True), (least + 1, True), (600 + least, True)):
        size = b"\xdf" + count.to_bytes(4, "big") if large else b"\xde" + count.to_bytes(2, "big")
        keys = b"".join(msgspec.msgpack.encode(one) + b"\xc0" for one in UUIDS[:count])
        assert guard([uuid.UUID], [], least)(size + keys) is (found and count > 128)


WRAPS = {
    "in a list": lambda inner: b"\x93\xc4\x02ab\xa3abc" + inner,
    "in a map's value": lambda inner: b"\x82\x01\x02\xa1k" + inner,
    "in a wide array": lambda inner: b"\xdd\0\0\x01\0" + b"\x90" * 255 + inner,
    "after an extension": lambda inner: b"\x93\xc7\x03\x05abc\xd6\x05abcd" + inner,
    "as a key": lambda inner: b"\x81" + inner + b"\xc0",
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_wide_map_is_found_wherever_it_lies(wrap: str) -> None:
    assert guard([Any], [], LEAST)(WRAPS[wrap](packed_map(TUPLES)))
    assert not guard([Any], [], LEAST)(WRAPS[wrap](packed_map(list(range(2000)))))


def test_values_are_no_keys_and_lists_no_sets() -> None:
    values = (
        b"\xdf"
        + len(UUIDS).to_bytes(4, "big")
        + b"".join(
            msgspec.msgpack.encode(f"k{number}") + msgspec.msgpack.encode(one) for number, one in enumerate(UUIDS)
        )
    )
    assert not guard([uuid.UUID], [], LEAST)(values)
    assert not guard([Any], [], LEAST)(packed_set(TUPLES))
    assert not guard([], [Any], LEAST)(packed_map(TUPLES))


def test_a_payload_that_is_cut_short_is_judged_as_far_as_it_goes() -> None:
    whole = packed_map(TUPLES)
    assert guard([Any], [], LEAST)(whole[:-5])
    assert guard([Any], [], LEAST)(b"\xdf\xff\xff\xff\xff" + whole[5:])
    assert not guard([Any], [], LEAST)(whole[:100])


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_any_bytes_give_an_answer(start: bytes, end: bytes) -> None:
    judge = guard([Any, uuid.UUID], [Any], LEAST)
    assert judge(start + packed_map(TUPLES[:70]) + end) in (True, False)
    assert judge(b"\xdf\xff\xff\xff\xff" + start) in (True, False)


def test_keys_of_another_type_are_passed_over() -> None:
    mixed = [*["text", None, 1.5], *TUPLES, *[b"bytes", True]]
    assert in_a_map(tuple[int, ...], mixed)
    assert not in_a_map(int, TUPLES)


def test_text_is_looked_at_where_it_becomes_something_else() -> None:
    texts = [str(one) for one in UUIDS]
    assert in_a_map(uuid.UUID, texts)
    assert in_a_map(uuid.UUID | int, texts)
    assert not in_a_map(Any, texts)


# The model.


def test_tables_grow_when_those_of_python_do() -> None:
    for made, add, mask_for in (
        ({}, lambda table, key: table.__setitem__(key, None), _dict_mask),
        (set(), lambda table, key: table.add(key), _set_mask),
    ):
        mask, sizes, grown, real = 7, set(), [], []
        for number in range(100_000):
            if number:
                wider = mask_for(number, mask)
                if wider != mask:
                    mask = wider
                    grown.append(number)
            before = sys.getsizeof(made)
            add(made, number)
            if number and sys.getsizeof(made) != before:
                real.append(number)
            sizes.add(sys.getsizeof(made))
        # A set grows after the key that fills it, the model before the next one.
        assert grown == real if isinstance(made, dict) else [one - 1 for one in grown] == real
        assert len(real) > 7


@given(st.lists(st.integers(-(2**63), 2**64 - 1), unique=True, min_size=1, max_size=120))
def test_keys_lie_in_a_set_where_the_model_says(keys: list[int]) -> None:
    """A set is walked in the order of its table."""
    mask = 7
    places: dict[int, int] = {}
    real: set[int] = set()

    def put(key: int) -> None:
        taken = bytearray(one in places for one in range(mask + 1))
        before = bytes(taken)
        _place_in_set(taken, mask, hash(key))
        (place,) = [one for one in range(mask + 1) if taken[one] != before[one]]
        places[place] = key

    for number, key in enumerate(keys):
        wider = _set_mask(number, mask)
        if wider != mask:
            mask, moved = wider, [places[one] for one in sorted(places)]  # which is the order in which they are moved
            places.clear()
            for one in moved:
                put(one)
        put(key)
        real.add(key)
        if _set_mask(number + 1, mask) == mask:
            assert [places[one] for one in sorted(places)] == list(real)


def test_steps_are_those_of_a_table_walked_by_hand() -> None:
    # Eight places: 0, 8 and 16 begin at place 0; then 5 * 0 + (8 >> 5) + 1 = 1, then 6.
    assert steps_into_dict(range(3), [0, 8, 16], 100) == 0 + 1 + 2
    assert steps_into_dict([0, 1, 2, 2, 1, 0], [0, 8, 16], 100) == 0 + 1 + 2 + 2 + 1 + 0
    # The next nine places do not fit into eight: one place, then the jump.
    assert steps_into_set(range(3), [0, 8, 16], 100) == 0 + 1 + 2
    # In a table of 32: place 0 and the nine behind it.
    numbers = list(range(5)) + [32 * number for number in range(1, 6)]
    assert steps_into_set(range(10), numbers, 100) == 5 + 6 + 7 + 8 + 9


def test_counting_stops_above_the_most() -> None:
    for count in (steps_into_dict, steps_into_set):
        assert 1000 < count(range(5000), [7] * 5000, 1000) < 10_000


def test_equal_hashes_are_counted_beside_steps() -> None:
    """In a set ten equal hashes lie side by side and are few jumps; each is compared all the same."""
    groups = [uuid.UUID(int=base + number * PRIME) for base in range(1, 9) for number in range(250)]
    random.Random(1).shuffle(groups)
    assert in_a_set(uuid.UUID, groups)
    few = [uuid.UUID(int=base + number * PRIME) for base in range(1, 200) for number in range(10)]
    assert not in_a_set(uuid.UUID, few)


def test_what_the_msgpack_package_writes_is_read() -> None:
    assert guard([Any], [], LEAST)(msgpack.packb(dict.fromkeys(TUPLES, 1)))
