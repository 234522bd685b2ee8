"""Why a sweep does not begin, and why it cannot go on.

Tests: tests/sim/study/test_plan.py.
"""

__all__ = ["Refused", "SweepError"]


class Refused(ValueError):
    """What was asked for makes no sense, or the results file belongs to something else; nothing was run."""


class SweepError(Exception):
    """The sweep cannot go on: a full disk, a worker that will not start, a run that broke the simulator.

    What was finished before stays in the results file.
    """
