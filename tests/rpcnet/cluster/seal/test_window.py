"""Each number of a session is taken once, in nearly any order, and what is kept is bounded."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.seal.window import WINDOW, Windows, after

NUMBERS = st.one_of(st.integers(0, 3 * WINDOW), st.integers(0, 2**32 - 1))


@given(st.lists(NUMBERS))
def test_no_number_is_taken_twice_and_late_ones_only_within_the_window(numbers: list[int]) -> None:
    window, taken, top = -1, set(), -1
    for number in numbers:
        found = after(window, number)
        if number in taken or number <= top - WINDOW:
            assert found is None
        else:
            assert found is not None, "new, and not too late"
            window = found
            taken.add(number)
            top = max(top, number)
        assert window < 2 ** (32 + WINDOW)


@given(st.integers(0, 2**32))
def test_any_order_within_the_window_is_taken_whole(seed: int) -> None:
    numbers = list(range(WINDOW))
    Random(seed).shuffle(numbers)
    window = -1
    for number in numbers:
        found = after(window, number)
        assert found is not None
        window = found
    assert all(after(window, number) is None for number in numbers)


def test_a_jump_of_any_size_costs_nothing() -> None:
    one = after(-1, 0)
    assert one is not None
    assert after(one, 2**32 - 1) == after(-1, 2**32 - 1)


def test_sessions_that_were_silent_longest_are_forgotten() -> None:
    windows = Windows(3)
    for number in range(100):
        windows.keep(number.to_bytes(2, "big"), number)
        windows.keep(b"often", number)
        assert len(windows) <= 6
    assert windows.find(b"often") == 99
    assert windows.find((99).to_bytes(2, "big")) == 99
    assert windows.find((50).to_bytes(2, "big")) == -1
