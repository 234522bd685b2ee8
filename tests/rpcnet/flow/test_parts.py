"""Parts are joined in order, with the layout of the first; their credit is given back once."""

from rpcnet.flow.parts import Parts


def test_parts_are_joined_in_order() -> None:
    parts = Parts(8)
    for part in (b"ab", b"", b"c"):
        parts.add(part, len(part) + 64)
    assert parts.joined() == b"abc"
    assert parts.size == 3
    assert parts.layout == 8


def test_held_credit_is_taken_once() -> None:
    parts = Parts(0)
    parts.add(b"ab", 66)
    parts.add(b"c", 65)
    assert parts.held == 131
    assert parts.take_held() == 131
    assert parts.take_held() == 0
    parts.add(b"d", 65)
    assert parts.held == 65
    assert parts.joined() == b"abcd"
