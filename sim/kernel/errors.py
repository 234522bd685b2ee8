"""What can go wrong with a simulation itself; what goes wrong inside of it is its programs' business.

Names only. Tests: tests/sim/kernel/test_bad_input.py, test_simulation.py.
"""

__all__ = ["Deadlock", "Livelock", "NodeDown", "NotSimulated", "RealThread", "SimulationError", "WallLimitExceeded"]


class SimulationError(RuntimeError):
    """A simulation was used wrongly; the text says what to do instead."""


class Deadlock(SimulationError):
    """Nothing is scheduled any more, and somebody still waits. Names each waiting task and the line it waits at."""


class Livelock(SimulationError):
    """A node goes on and on without time advancing. Names what it runs."""


class NodeDown(SimulationError):
    """A node was used while it was down."""


class NotSimulated(SimulationError, NotImplementedError):
    """Something that a simulated machine does not have: a file descriptor, a subprocess, a real address."""


class WallLimitExceeded(SimulationError):
    """A run has taken more real time than it may. Names the node, the task and the line it was at, and all tasks."""


class RealThread(SimulationError):
    """A thread that no node has begun had to do with one. Names the thread, its library, and what to do instead."""
