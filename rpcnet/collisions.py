"""Whether the keys of a payload's maps and sets were made to collide, judged before a dict is built from them.

Python salts the hashes of text and bytes, not those of numbers, UUIDs, tuples and what is made of them. A peer that
chooses 200,000 such keys well lets one dict take minutes. So wide maps of these types are looked at first: their keys'
hashes are put into a model of CPython's tables, and too many steps refuse the payload. Narrow maps cannot cost much.

Knows no method and no call. What types of keys a type holds: rpcnet/kinds.py. The model follows Objects/dictobject.c
(lookdict, insertion_resize) and Objects/setobject.c (set_add_entry) of CPython 3.11 to 3.13.

Tests: tests/rpcnet/test_collisions.py and test_hostile_payloads.py.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import eq
from typing import Any, Final

import msgspec

from rpcnet.depth import COUNTED, STEP

__all__ = ["guard", "steps_into_dict", "steps_into_set"]

MOST_STEPS_INTO_DICT: Final = 64
"""Taken places that a key may meet on average. Random keys meet one or two; keys that differ only in their high bits,
as `number / 1024`, share their first 13 places in each of the sizes that a growing table has, and meet up to 30."""
MOST_STEPS_INTO_SET: Final = 256
"""The same for a set, which looks at ten places in a row: up to 165."""
MOST_EQUAL: Final = 64
"""Keys of equal hashes that a key may meet on average: each is compared, by Python code for some types."""
_TEXT: Final = frozenset([*range(0xA0, 0xC0), *range(0xC4, 0xC7), *range(0xD9, 0xDC)])
"""Heads of text and bytes, whose hashes are salted."""
_HASH_BITS: Final = 2**64 - 1
_PERTURB_SHIFT: Final = 5
_LINEAR_PROBES: Final = 9
_LARGE_SET: Final = 50_000


def guard(keys: Iterable[Any], items: Iterable[Any], least: int) -> Callable[[bytes], bool]:
    """A function that says whether a payload's keys collide. `keys` are types of dicts' keys, `items` of sets' items.

    Maps and sets of less than `least` (16 to 65535) are not looked at.
    """
    wide_maps, wide_arrays = [_reader(kind) for kind in keys], [_reader(kind) for kind in items]
    heads = [rb"\xde%s|\xdf"] if wide_maps else []
    if wide_arrays:
        heads.append(rb"\xdc%s|\xdd")
    high, low = divmod(least, 256)
    count = b"(?:[%s-\xff]|%s[%s-\xff])" % tuple(re.escape(bytes([part])) for part in (min(high + 1, 255), high, low))
    may_be_wide = re.compile(b"|".join(head % count for head in heads), re.DOTALL).search
    never = 2**64

    def collide(payload: bytes) -> bool:
        if len(payload) <= least or may_be_wide(payload) is None:
            return False
        for packed, in_map in _wide(payload, least if wide_maps else never, least if wide_arrays else never):
            for read in wide_maps if in_map else wide_arrays:
                order, hashes = read(packed)
                if len(order) >= least and _is_slow(order, hashes, in_map):
                    return True
        return False

    return collide


def _is_slow(order: Sequence[int], hashes: list[int], in_map: bool) -> bool:
    if _equal(hashes) > MOST_EQUAL * len(order):
        return True
    most = (MOST_STEPS_INTO_DICT if in_map else MOST_STEPS_INTO_SET) * len(order)
    return (steps_into_dict if in_map else steps_into_set)(order, hashes, most) > most


def _equal(hashes: list[int]) -> int:
    """Pairs of keys with equal hashes, or 0 where there are few. Sorts: a dict of hashes could be made slow itself."""
    ordered = sorted(hashes)
    if not any(map(eq, ordered, ordered[MOST_EQUAL:])):
        return 0
    return sum(math.comb(len(list(group)), 2) for _, group in groupby(ordered))


def _reader(kind: Any) -> Callable[[list[bytes]], tuple[Sequence[int], list[int]]]:
    """Which key comes when, by number, and the hash of each, for packed keys of this type.

    What is none of the type has no number: the payload will be refused when it is reached.
    """
    decode_all = msgspec.msgpack.Decoder(list[kind]).decode
    decode_key = msgspec.msgpack.Decoder(dict[kind, None]).decode
    text_is_salted = not _reads_text(kind)

    def read(packed: list[bytes]) -> tuple[Sequence[int], list[int]]:
        if text_is_salted and all(one[0] in _TEXT for one in packed):
            return (), []
        numbers = {one: number for number, one in enumerate(dict.fromkeys(packed))}
        try:
            # All at once is some times faster, but a list in Any is no tuple here, as it is in a key.
            hashes = list(map(hash, decode_all(b"\xdd" + len(numbers).to_bytes(4, "big") + b"".join(numbers))))
        except Exception:
            return one_by_one(packed)
        return range(len(packed)) if len(numbers) == len(packed) else [numbers[one] for one in packed], hashes

    def one_by_one(packed: list[bytes]) -> tuple[list[int], list[int]]:
        numbers: dict[bytes, int] = {}
        order: list[int] = []
        hashes: list[int] = []
        for one in packed:
            if one not in numbers:
                try:
                    hashes.append(hash(next(iter(decode_key(b"\x81" + one + b"\xc0")))))
                except Exception:  # of msgspec, of a user's constructor or of its hash
                    continue
                numbers[one] = len(numbers)
            order.append(numbers[one])
        return order, hashes

    return read


def _reads_text(kind: Any) -> bool:
    """Whether text becomes something else that is a number to its hash: a UUID, a Decimal, a time."""
    known = msgspec.inspect.type_info(kind)
    parts = known.types if isinstance(known, msgspec.inspect.UnionType) else (known,)
    return any(
        isinstance(
            part,
            msgspec.inspect.UUIDType
            | msgspec.inspect.DecimalType
            | msgspec.inspect.DateTimeType
            | msgspec.inspect.TimeDeltaType,
        )
        for part in parts
    )


def _wide(payload: bytes, least_map: int, least_array: int) -> Iterator[tuple[list[bytes], bool]]:
    """The packed keys of each wide map, the packed items of each wide array, and whether it is a map."""
    size = len(payload)
    position = 0
    left, in_map, found = 1, False, None
    around: list[tuple[int, bool, list[bytes] | None, int]] = []
    while position < size or not left:
        if not left:
            if found is not None:
                yield found, in_map
            if not around:
                return
            left, in_map, found, start = around.pop()
            if found is not None and start >= 0:
                found.append(payload[start:position])
            continue
        start = position if found is not None and not (in_map and left & 1) else -1
        left -= 1
        head = payload[position]
        if head in COUNTED:
            width, before = COUNTED[head]
            position += before + int.from_bytes(payload[position + 1 : position + 1 + width], "big")
        elif STEP[head]:
            position += STEP[head]
        else:
            around.append((left, in_map, found, start))
            in_map = head < 0x90 or head > 0xDD
            width = 0 if head < 0xA0 else 2 if head in (0xDC, 0xDE) else 4
            left = int.from_bytes(payload[position + 1 : position + 1 + width], "big") if width else head & 15
            found = [] if left >= (least_map if in_map else least_array) else None
            left *= 1 + in_map
            position += 1 + width
            continue
        if start >= 0 and found is not None:
            found.append(payload[start:position])
    # It is cut short, and will be refused; but only where the cut is reached.
    for _, is_map, begun, _ in [*around, (left, in_map, found, 0)]:
        if begun is not None:
            yield begun, is_map


def steps_into_dict(order: Iterable[int], hashes: list[int], most: int) -> int:
    """Places taken by other keys that are met while a dict is filled; stops above `most`.

    `order` says which key comes when: numbers from 0 upwards in the order of their first coming, by which `hashes` are
    listed. A key that comes again is looked up again.
    """
    return _steps(order, hashes, most, _place_in_dict, _dict_mask)


def steps_into_set(order: Iterable[int], hashes: list[int], most: int) -> int:
    """The same for a set."""
    return _steps(order, hashes, most, _place_in_set, _set_mask)


def _steps(
    order: Iterable[int],
    hashes: list[int],
    most: int,
    place: Callable[[bytearray, int, int], int],
    mask_for: Callable[[int, int], int],
) -> int:
    steps = filled = 0
    mask = 7
    taken = bytearray(mask + 1)
    steps_of = [0] * len(hashes)
    for number in order:
        if number < filled:
            steps += steps_of[number]  # it is looked for where it was put
            if steps > most:
                return steps
            continue
        filled += 1
        grown = mask_for(number, mask)
        moved: Iterable[int] = (number,)
        if grown != mask:
            mask = grown
            taken = bytearray(mask + 1)
            moved = range(filled)
        for one in moved:
            home = hashes[one] & mask
            if not taken[home]:
                taken[home] = 1  # where most keys go: not worth a call
                steps_of[one] = 0
                continue
            steps_of[one] = place(taken, mask, hashes[one])
            steps += steps_of[one]
            if steps > most:
                return steps
    return steps


def _dict_mask(filled: int, mask: int) -> int:
    """A table is two thirds full at most; then comes one of three times what it holds, rounded up to a power of two."""
    return mask if filled < (mask + 1) * 2 // 3 else (1 << (3 * filled - 1).bit_length()) - 1


def _set_mask(filled: int, mask: int) -> int:
    """A table is three fifths full at most; then comes one of four times what it holds, or twice where that is much."""
    if filled * 5 < mask * 3:
        return mask
    return (1 << (filled * (2 if filled > _LARGE_SET else 4)).bit_length()) - 1


def _place_in_dict(taken: bytearray, mask: int, value: int) -> int:
    steps = 0
    perturb = value & _HASH_BITS
    place = perturb & mask
    while taken[place]:
        steps += 1
        perturb >>= _PERTURB_SHIFT
        place = (place * 5 + perturb + 1) & mask
    taken[place] = 1
    return steps


def _place_in_set(taken: bytearray, mask: int, value: int) -> int:
    steps = 0
    perturb = value & _HASH_BITS
    place = perturb & mask
    while True:
        beyond = place + 1 + (_LINEAR_PROBES if place + _LINEAR_PROBES <= mask else 0)
        free = taken.find(0, place, beyond)
        if free >= 0:
            taken[free] = 1
            return steps + free - place
        steps += beyond - place
        perturb >>= _PERTURB_SHIFT
        place = (place * 5 + perturb + 1) & mask
