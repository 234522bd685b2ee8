"""What all connections of a server share: its methods and interceptors, the handlers that run, how errors are told.

Tests: tests/rpcnet/test_server.py.
"""

import asyncio
from collections.abc import Callable
from copy import copy
from random import Random
from typing import TYPE_CHECKING

from rpcnet.config import RpcConfig
from rpcnet.connection import Connection
from rpcnet.health import CHECK
from rpcnet.interceptors import Interceptor
from rpcnet.server.refusals import Refusals
from rpcnet.service import Method

if TYPE_CHECKING:
    from rpcnet.server.call import ServedCall

__all__ = ["Handlers", "Limit"]


class Limit:
    """How many handlers of one method run, and how many may."""

    __slots__ = ("most", "running")

    def __init__(self, most: int) -> None:
        self.most = most
        self.running = 0


class Handlers:
    """What all connections of a server share: its methods, and the handlers that run."""

    __slots__ = (
        "builtins",
        "calls",
        "draining",
        "expose_errors",
        "idle",
        "interceptors",
        "limits",
        "max_handlers",
        "methods",
        "random",
        "refusals",
        "turned_away",
        "wall_clock",
    )

    def __init__(
        self,
        config: RpcConfig,
        random: Random,
        wall_clock: Callable[[], float] | None,
        interceptors: tuple[Interceptor, ...] = (),
    ) -> None:
        self.builtins: Callable[[str], Method | None] = lambda name: None
        """The built-in method of a name that is none of `methods`; those of the server that serves."""
        self.methods: dict[str, Method] = {}
        self.interceptors = interceptors
        self.calls: dict[ServedCall, None] = {}
        """Those whose handlers run, those of connections that are gone included."""
        self.max_handlers = config.max_handlers
        self.limits: dict[str, Limit] = {}
        """Of the methods that have one of their own."""
        self.refusals = Refusals()
        self.turned_away: dict[Connection, None] = {}
        """Connections beyond max_connections that are open until their peers have read why they are closed."""
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
        handlers.limits = {name: Limit(limit.most) for name, limit in self.limits.items()}
        handlers.refusals = Refusals()
        handlers.turned_away = {}
        return handlers

    def full(self, method: str) -> str | None:
        """Which limit keeps one more handler of this method from being started. A full server tells that it is well."""
        if method == CHECK:
            return None
        if len(self.calls) >= self.max_handlers:
            return f"max_handlers ({self.max_handlers})"
        limit = self.limits.get(method)
        if limit is not None and limit.running >= limit.most:
            return f"max_running ({limit.most}) of {method!r}"
        return None

    def begun(self, method: str) -> None:
        """For the limit of the method; called where there are any."""
        limit = self.limits.get(method)
        if limit is not None:
            limit.running += 1

    def ended(self, method: str) -> None:
        limit = self.limits.get(method)
        if limit is not None:
            limit.running -= 1

    def done(self, call: "ServedCall") -> None:
        self.calls.pop(call, None)
        if not self.calls and self.idle is not None and not self.idle.done():
            self.idle.set_result(None)
