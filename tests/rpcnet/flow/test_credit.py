"""Credit is conserved, never exceeded, and always comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.errors import ProtocolError
from rpcnet.flow.credit import MAX_CREDIT, STARVED_INTERVAL, ReceiveCredit, granted, of_connection, of_stream


@given(
    st.integers(1024, 100_000), st.lists(st.tuples(st.integers(1, 3000), st.booleans(), st.floats(0, 1)), max_size=200)
)
def test_what_is_granted_is_what_was_read_and_nobody_starves(window, script) -> None:
    """A sender that fills the window and a reader that reads: the sums agree, an empty queue leaves room to send."""
    now = 0.0
    receiving, sending = ReceiveCredit(window, window // 2, lambda: now), window
    queue: list[int] = []
    for cost, reads, pause in script:
        now += pause
        cost = min(cost, sending)
        if cost:
            sending -= cost
            receiving.charge(cost)
            queue.append(cost)
        if reads and queue:
            amount = receiving.release(queue.pop(0))
            if amount:
                sending = granted(sending, amount)
        assert receiving.held == sum(queue)
        assert receiving.allowed == sending
        assert receiving.allowed + receiving.owed + receiving.held == window
    while queue:
        sending += receiving.release(queue.pop(0))
    # With nothing unread the sender has more than half a window: no message waits for ever.
    assert sending * 2 > window
    assert receiving.held == 0


def test_more_than_was_granted_is_an_error() -> None:
    credit = ReceiveCredit(1024, 512, lambda: 0.0)
    credit.charge(1000)
    with pytest.raises(ProtocolError, match="24 bytes of credit left"):
        credit.charge(25)


def test_half_a_window_is_granted_at_a_time() -> None:
    credit = ReceiveCredit(1000, 500, lambda: 0.0)
    credit.charge(600)
    assert credit.release(300) == 0
    assert credit.release(300) == 600


def test_a_starved_sender_hears_of_a_slow_reader_now_and_then() -> None:
    now = 0.0
    credit = ReceiveCredit(1000, 500, lambda: now)
    credit.charge(1000)
    assert credit.release(10) == 10
    now = STARVED_INTERVAL / 2
    assert credit.release(10) == 0
    now = STARVED_INTERVAL * 1.5
    assert credit.release(10) == 20


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_read_that_leaves_just_less_than_what_is_held_back_is_not_told() -> None:
    clock = Clock()
    credit = ReceiveCredit(1000, 500, clock)
    credit.charge(600)
    assert credit.release(499) == 0
    assert (credit.allowed, credit.owed, credit.held) == (400, 499, 101)
    assert credit.release(1) == 500
    assert (credit.allowed, credit.owed, credit.held) == (900, 0, 100)


def test_a_sender_with_an_eighth_of_the_window_left_counts_as_starved() -> None:
    clock = Clock()
    credit = ReceiveCredit(1000, 500, clock)
    credit.charge(874)
    assert credit.release(1) == 0, "126 bytes are more than an eighth of 1000"
    credit.charge(1)
    assert credit.release(1) == 2, "125 are not"


def test_a_starved_sender_hears_again_after_the_interval_exactly() -> None:
    assert STARVED_INTERVAL == 0.1
    clock = Clock()
    credit = ReceiveCredit(10_000, 5000, clock)
    credit.charge(10_000)
    assert credit.release(10) == 10
    clock.now = STARVED_INTERVAL
    assert credit.release(10) == 10
    clock.now = 5.0
    assert credit.release(10) == 10, "the interval begins again with each"
    clock.now = 5.05
    assert credit.release(10) == 0
    clock.now = 5.11
    assert credit.release(10) == 20


def test_all_that_was_granted_may_be_sent_and_no_byte_more() -> None:
    clock = Clock()
    credit = ReceiveCredit(1024, 512, clock)
    credit.charge(1024)
    assert credit.held == 1024
    with pytest.raises(ProtocolError, match="peer sent 1 bytes with 0 bytes of credit left"):
        credit.charge(1)
    assert credit.held == 1024, "what was refused is not counted"


@pytest.mark.parametrize("amount", [0, 2**31 - 1 - 9, 2**32 - 1])
def test_a_grant_of_nothing_or_beyond_the_bound_is_an_error(amount: int) -> None:
    with pytest.raises(ProtocolError, match=f"CREDIT of {amount} on top of 10 is outside 1 to 2147483647"):
        granted(10, amount)


@pytest.mark.parametrize("amount", [1, 5, 2**31 - 1 - 10])
def test_a_grant_up_to_the_bound_is_added(amount: int) -> None:
    assert granted(10, amount) == 10 + amount
    assert MAX_CREDIT == 2**31 - 1


def test_a_connection_holds_back_no_more_than_it_is_told() -> None:
    """However large its window: what is left when all other streams are unread may be needed by the last one."""
    credit = ReceiveCredit(100_000, 500, lambda: 0.0)
    credit.charge(99_000)
    assert credit.release(499) == 499
    assert credit.release(499) == 0
    assert credit.release(1) == 500


@pytest.mark.parametrize(
    ("credit", "held_back"),
    [
        pytest.param(of_stream(800, lambda: 0.0), 400, id="a stream: half of its window"),
        pytest.param(of_connection(80_000, 800, lambda: 0.0), 100, id="a connection: an eighth of a stream's"),
    ],
)
def test_each_end_of_a_window_holds_back_its_part(credit: ReceiveCredit, held_back: int) -> None:
    credit.charge(held_back)
    assert credit.release(held_back - 1) == 0
    assert credit.release(1) == held_back
