"""Each number of a session is taken once, in nearly any order, and what is kept is bounded."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.seal.window import WINDOW, Windows

NUMBERS = st.one_of(st.integers(0, 3 * WINDOW), st.integers(0, 2**32 - 1))


@given(st.lists(NUMBERS))
def test_no_number_is_taken_twice_and_late_ones_only_within_the_window(numbers: list[int]) -> None:
    windows, taken, top = Windows(1), set(), -1
    for number in numbers:
        found = windows.after(b"a", number)
        if number in taken or number <= top - WINDOW:
            assert found is None
        else:
            assert found is not None, "new, and not too late"
            assert found < 2 ** (32 + WINDOW)
            windows.keep(b"a", found)
            taken.add(number)
            top = max(top, number)


@given(st.integers(0, 2**32))
def test_any_order_within_the_window_is_taken_whole(seed: int) -> None:
    numbers = list(range(WINDOW))
    Random(seed).shuffle(numbers)
    windows = Windows(1)
    for number in numbers:
        found = windows.after(b"a", number)
        assert found is not None
        windows.keep(b"a", found)
    assert all(windows.after(b"a", number) is None for number in numbers)


def test_a_jump_of_any_size_costs_nothing() -> None:
    windows = Windows(1)
    first = windows.after(b"a", 0)
    assert first is not None
    windows.keep(b"a", first)
    assert windows.after(b"a", 2**32 - 1) == windows.after(b"b", 2**32 - 1)


def test_sessions_that_were_silent_longest_are_forgotten() -> None:
    windows = Windows(3)
    for number in range(100):
        for session in (number.to_bytes(2, "big"), b"often"):
            window = windows.after(session, number)
            assert window is not None
            windows.keep(session, window)
        assert len(windows) <= 6
    assert windows.after(b"often", 99) is None
    assert windows.after((99).to_bytes(2, "big"), 99) is None
    assert windows.after((50).to_bytes(2, "big"), 50) is not None, "forgotten"
