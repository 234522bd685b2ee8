"""Where an address is: its endpoints, looked up again and again where it is a name.

A literal is itself. A name may stand for several addresses, and it may move: all are kept, families in turns (RFC 8305,
section 4), the one that answered last first. What is known is used while it is looked up again. Literals are read once
for all members of the process, which all send to the same. Knows no socket and no message.

Tests: tests/rpcnet/cluster/test_resolver.py.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rpcnet.address import is_literal, is_loopback, split_host_port
from rpcnet.client.race import hosts_in_turns

__all__ = ["Endpoint", "Resolver"]

FIRST_BELIEF, LONGEST_BELIEF = 1.0, 30.0
"""Seconds until a name is looked up again. They double with each look-up and begin anew when the answer is doubted."""

LITERALS = 16_384
"""So many literals are remembered, some 5 MB."""

Endpoint = tuple[str, int]
log = logging.getLogger("rpcnet.cluster")


@dataclass(slots=True)
class _Place:
    endpoints: list[Endpoint] = field(default_factory=list)
    """Where it is, best first; empty where the name could not be looked up."""
    until: float = 0.0
    """When it is looked up again."""
    belief: float = FIRST_BELIEF
    looked_up_at: float = float("-inf")


class Resolver:
    """`limit`: more addresses than this are not remembered. `only_loopback`: what is elsewhere is not found, and is
    logged, since nothing may be sent there."""

    def __init__(self, limit: int, *, only_loopback: bool = False) -> None:
        self._limit, self._only_loopback = limit, only_loopback
        self._loop = asyncio.get_running_loop()
        self._places: dict[str, _Place] = {}
        self._lookups: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def known(self, address: str) -> Sequence[Endpoint]:
        """What is known by now, best first; a look-up is begun where one is due."""
        literal = _literal(address)
        if literal is not None and not self._only_loopback:
            return literal
        place = self._place(address)
        if place.until <= self._loop.time() and address not in self._lookups and not self._closed:
            task = self._loop.create_task(self._look_up(address, place), name=f"cluster look-up {address}")
            self._lookups[address] = task
        return place.endpoints

    async def find(self, address: str) -> Sequence[Endpoint]:
        """The same, but waits for a look-up that is due. Raises OSError where nothing is found."""
        endpoints = self.known(address)
        if address in self._lookups and (not endpoints or self._place(address).until <= self._loop.time()):
            await asyncio.wait([self._lookups[address]])
            endpoints = self._place(address).endpoints
        if not endpoints:
            raise OSError(f"{address} has no address")
        return endpoints

    def answered(self, address: str, endpoint: Endpoint) -> None:
        """This one answered: it is the first from now on."""
        endpoints = self._place(address).endpoints
        if endpoint in endpoints:
            endpoints.remove(endpoint)
            endpoints.insert(0, endpoint)

    def doubt(self, address: str) -> None:
        """What is known may be wrong: look a name up again soon, and let its next endpoint have its turn."""
        place = self._places.get(address)
        if place is None or place.until == float("inf"):
            return
        place.endpoints = [*place.endpoints[1:], *place.endpoints[:1]]
        place.belief = FIRST_BELIEF
        place.until = min(place.until, place.looked_up_at + FIRST_BELIEF)
        self.known(address)

    async def close(self) -> None:
        """End what is under way."""
        self._closed = True
        lookups, self._lookups = list(self._lookups.values()), {}
        for task in lookups:
            task.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)

    def _place(self, address: str) -> _Place:
        place = self._places.get(address)
        if place is None:
            if len(self._places) >= self._limit:
                self._places.clear()
            place = self._places[address] = _Place()
            literal = _literal(address)
            if literal is not None:
                place.endpoints, place.until = self._permitted(address, list(literal)), float("inf")
        return place

    async def _look_up(self, address: str, place: _Place) -> None:
        host, port = split_host_port(address)
        try:
            hosts = hosts_in_turns(await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            log.debug("cannot look up %s: %s", address, error)
            hosts = []
        finally:
            self._lookups.pop(address, None)
        now = self._loop.time()
        place.looked_up_at, place.until = now, now + place.belief
        place.belief = min(2 * place.belief, LONGEST_BELIEF)
        found = self._permitted(address, [(each, port) for each in hosts])
        if found:
            # Their old order stays, as far as they are still there: it says which of them answered.
            kept = [endpoint for endpoint in place.endpoints if endpoint in found]
            place.endpoints = [*kept, *(endpoint for endpoint in found if endpoint not in kept)]

    def _permitted(self, address: str, endpoints: list[Endpoint]) -> list[Endpoint]:
        if not self._only_loopback:
            return endpoints
        here = [endpoint for endpoint in endpoints if is_loopback(endpoint[0])]
        if endpoints and not here:
            log.warning("nothing is sent to %s: it is not loopback, and there is neither key nor `insecure`", address)
        return here


@lru_cache(LITERALS)
def _literal(address: str) -> tuple[Endpoint, ...] | None:
    """Where that is, if it is no name; nowhere, if it is no address at all."""
    try:
        host, port = split_host_port(address)
    except ValueError:
        return ()
    return ((host, port),) if is_literal(host) else None
