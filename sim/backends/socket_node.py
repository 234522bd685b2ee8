"""One node of a run on real sockets: which of its processes lives, and what is still to be done to it.

Knows no world and no fault. Tests: tests/sim/backends/test_sockets.py.
"""

import asyncio

from sim.backends import control
from sim.backends.process import Process
from sim.backends.program import NodeProgram

__all__ = ["SocketNode"]


class SocketNode:
    """One machine of the run, over all its processes."""

    def __init__(self, number: int, program: NodeProgram, host: str) -> None:
        self.number = number
        """Its files are called by it: a name may hold anything."""
        self.program = program
        self.name = program.name
        self.host = host
        self.runs = 0
        self.process: Process | None = None
        self.powered = True
        self.is_ready = asyncio.Event()
        self.is_over = asyncio.Event()
        """Its main has ended, or its process."""
        self.starting = False
        """A restart waits for the end of what ran before."""
        self.stopping = False
        self.doomed = False
        """Its end is ours: crashed or killed."""
        self.ended: control.Ended | None = None
        self.resumption: asyncio.TimerHandle | None = None
        self.blocked_until = 0.0
        self.work: asyncio.Task[None] | None = None
        """What a verb still has to do; the next one waits for it."""

    @property
    def up(self) -> bool:
        return self.process is not None and self.process.alive and not self.doomed
