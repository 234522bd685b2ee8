"""What all connections of a server share: its methods and interceptors, the handlers that run, how errors are told.

Tests: tests/rpcnet/test_server.py.
"""

import asyncio
from collections.abc import Callable
from copy import copy
from random import Random
from typing import TYPE_CHECKING

from rpcnet.config import RpcConfig
from rpcnet.interceptors import Interceptor
from rpcnet.service import Method

if TYPE_CHECKING:
    from rpcnet.server.call import ServedCall

__all__ = ["Handlers"]


class Handlers:
    """What all connections of a server share: its methods, and the handlers that run."""

    __slots__ = ("calls", "draining", "expose_errors", "idle", "interceptors", "methods", "random", "wall_clock")

    def __init__(
        self,
        config: RpcConfig,
        random: Random,
        wall_clock: Callable[[], float] | None,
        interceptors: tuple[Interceptor, ...] = (),
    ) -> None:
        self.methods: dict[str, Method] = {}
        self.interceptors = interceptors
        self.calls: dict[ServedCall, None] = {}
        """Those whose handlers run, those of connections that are gone included."""
        self.draining = False
        self.idle: asyncio.Future[None] | None = None
        """Resolved when no handler runs, where somebody waits for it."""
        self.expose_errors = config.expose_errors
        self.random = random
        self.wall_clock = wall_clock

    def anew(self) -> "Handlers":
        """For a server that is started again: the same methods. A handler that outlived the stop counts with its own
        life, not with this one."""
        handlers = copy(self)
        handlers.calls = {}
        handlers.draining = False
        handlers.idle = None
        return handlers

    def done(self, call: "ServedCall") -> None:
        self.calls.pop(call, None)
        if not self.calls and self.idle is not None and not self.idle.done():
            self.idle.set_result(None)
