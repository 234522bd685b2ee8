"""Whether a server, and each of its services, takes calls: what `rpcnet.health/check` and `/watch` answer.

A service is SERVING where it and the whole server are. The whole server, whose name is empty, is until it stops or is
told otherwise. Knows no connection and no method; docs/protocol.md, "Built-in methods".

Tests: tests/rpcnet/test_health.py.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Literal

from rpcnet.errors import NotFound

__all__ = ["CHECK", "WATCH", "Health", "ServiceHealth"]

CHECK: Final = "rpcnet.health/check"
WATCH: Final = "rpcnet.health/watch"


@dataclass(frozen=True)
class ServiceHealth:
    """What is said of one service."""

    service: str
    """Empty for the whole server."""
    status: Literal["SERVING", "NOT_SERVING"]


class Health:
    """The health of one server."""

    def __init__(self) -> None:
        self._serving = {"": True}
        self._stopping = False
        self._watchers: set[asyncio.Event] = set()

    def add(self, service: str) -> None:
        """Know a service; one that was told of before stays as it is."""
        self._serving.setdefault(service, True)

    def set(self, service: str, serving: bool) -> None:
        self._serving[service] = serving
        self._changed()

    def begin(self) -> None:
        """The server starts; what each service was told to be stays."""
        self._stopping = False

    def stop(self) -> None:
        """The server stops: nothing is served any more, and whoever watches is told and let go."""
        self._stopping = True
        self._changed()

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher.set()

    async def check(self, service: str = "") -> ServiceHealth:
        """Whether the server, or one of its services, takes calls."""
        return self._of(service)

    async def watch(self, service: str = "") -> AsyncIterator[ServiceHealth]:
        """The same now and at each change, until the server stops."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        told: ServiceHealth | None = None
        try:
            while True:
                changed.clear()
                current = self._of(service)
                if current != told:
                    told = current
                    yield current  # what changes meanwhile sets the event again
                elif self._stopping:
                    return
                else:
                    await changed.wait()
        finally:
            self._watchers.discard(changed)

    def _of(self, service: str) -> ServiceHealth:
        own = self._serving.get(service)
        if own is None:
            raise NotFound(f"this server knows no service {service[:100]!r}")
        serving = own and self._serving[""] and not self._stopping
        return ServiceHealth(service, "SERVING" if serving else "NOT_SERVING")
