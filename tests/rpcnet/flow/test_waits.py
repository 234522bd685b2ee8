"""Each wait has its own clock; what is sent restarts none; the wait that began first is due first."""

from rpcnet.flow.waits import NEVER, Waits


def test_nobody_who_waits_is_never_due() -> None:
    waits = Waits(3.0)
    assert waits.due == NEVER
    waits.item_came(1.0)
    waits.credit_came(1.0)
    assert waits.due == NEVER, "what comes while nobody waits begins no wait"


def test_an_item_restarts_the_reader_alone() -> None:
    waits = Waits(3.0)
    waits.read_since = 1.0
    waits.begin_writing(2.0)
    assert waits.due == 4.0
    assert waits.reader_is_first
    waits.item_came(5.0)
    assert (waits.read_since, waits.write_since) == (5.0, 2.0)
    assert waits.due == 5.0
    assert not waits.reader_is_first


def test_credit_restarts_the_writer_alone() -> None:
    waits = Waits(3.0)
    waits.read_since = 1.0
    waits.begin_writing(2.0)
    waits.credit_came(9.0)
    assert (waits.read_since, waits.write_since) == (1.0, 9.0)
    assert waits.due == 4.0, "credit keeps no reader waiting"


def test_a_wait_in_several_steps_is_one_wait() -> None:
    waits = Waits(3.0)
    waits.begin_writing(2.0)
    waits.begin_writing(4.0)
    assert waits.due == 5.0


def test_of_two_that_began_together_the_reader_is_told() -> None:
    waits = Waits(3.0)
    waits.read_since = 1.0
    waits.begin_writing(1.0)
    assert waits.reader_is_first
