"""Random calls under random faults, in the simulator; and that this player notices a core that is broken.

A failure names the command that plays its seed again: `python -m tests.rpcnet.chaos SEED --shrink`.
"""

from unittest.mock import patch

import pytest

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


def test_player_notices_credit_that_is_never_given_back() -> None:
    with patch.object(Connection, "release", lambda self, cost: None):
        texts = [check(seed)[1] for seed in range(1, 6)]
    assert any("bytes of credit" in text for text in texts)
