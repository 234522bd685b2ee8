"""Random calls under random faults, in the simulator; and that this player notices a core that is broken.

A failure names the command that plays its seed again: `python -m tests.rpcnet.chaos SEED --shrink`.
"""

from unittest.mock import patch

import pytest

from rpcnet import RpcError, Status
from rpcnet.client.call import ClientCall
from rpcnet.connection import Connection
from tests.rpcnet.chaos.__main__ import check
from tests.rpcnet.chaos.draw import draw

SEEDS_A_TEST = 25
"""So few that two processes share the work evenly."""


@pytest.mark.parametrize("first", range(1, 201, SEEDS_A_TEST))
def test_random_calls_under_faults_end_truthfully(first: int) -> None:
    failures = [text for seed in range(first, first + SEEDS_A_TEST) if (text := check(seed)[1])]
    assert not failures, "\n" + "\n\n".join(failures)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(201, 5001, 300))
def test_more_random_calls_end_truthfully(first: int) -> None:
    failures = [text for seed in range(first, first + 300) if (text := check(seed)[1])]
    assert not failures, "\n" + "\n\n".join(failures)


def test_plan_of_a_seed_is_always_the_same() -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_left_out_operations_keep_the_others_unchanged() -> None:
    plan = draw(7)
    without = plan.without({1, 2})
    assert without.calls == plan.calls[2:]
    assert without.faults == plan.faults


# That the player can find something: the core is broken on purpose, and some seed must turn red.


def _found(seeds: range, expected: str) -> bool:
    return any(expected in check(seed)[1] for seed in seeds)


def test_player_notices_credit_never_given_back() -> None:
    with patch.object(Connection, "release", lambda self, cost: None):
        assert _found(range(1, 30), "bytes of credit")


def test_player_notices_calls_made_twice() -> None:
    """As if a lost connection were taken for the server's word that no handler has seen the call."""

    def cut(call: ClientCall, error: RpcError) -> None:
        call.unheard = call.unheard or []
        call.refused(Status.OK, error.message)

    with patch.object(ClientCall, "cut", cut):
        assert _found(range(1, 100), "its handler ran 2 times")


def test_player_notices_deadlines_that_wake_nobody() -> None:
    with patch.object(ClientCall, "_deadline_due", lambda self: None):
        assert _found(range(1, 100), "(its timeout)")


def test_player_notices_a_stopped_sender_losing_answers() -> None:
    """As the core once did: what has come is thrown away when the sender of a finished call is stopped."""

    def finish_as(call: ClientCall, status: str) -> None:
        original(call, status)
        call.drop_input()

    original = ClientCall.finish_as
    with patch.object(ClientCall, "finish_as", finish_as):
        assert _found(range(1, 30), "it ended in order after")
