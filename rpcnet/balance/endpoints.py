"""The servers behind a client of a cluster: which there are, and which of them takes a call.

Follows the members with certain tags and keeps a connection to each (`Endpoint`). Calls go to those that are alive; to
suspects only where there is nobody else. A member that has failed is cut off: its calls end, and what waits for it goes
elsewhere. One that leaves, or loses its tags, gets no new calls, and its connection closes with the last one.

It is what RpcClient asks of whoever dials (`Dials`), so that everything above it, interceptors and calls that are made
again included, is as with one server. Knows no handle of a call.

Tests: tests/rpcnet/balance/test_endpoints.py, in both worlds.
"""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any
from warnings import warn as _warn

from rpcnet.balance.policy import Policy
from rpcnet.client.call import ClientCall
from rpcnet.client.connection import ClientConnection
from rpcnet.client.reconnect import Dialer, Waiting
from rpcnet.cluster import Cluster, ClusterEvent, Lagged, Member, MemberStatus
from rpcnet.errors import FailedPrecondition, Internal, RpcError, Unavailable
from rpcnet.line import Line
from rpcnet.observe import Observer

__all__ = ["Endpoint", "Endpoints", "MemberCall"]

_log = logging.getLogger("rpcnet.balance")


class Endpoint:
    """One run of a member, and the connection to its service."""

    __slots__ = ("address", "dialer", "gone", "keeper", "member")

    def __init__(self, member: Member, address: str, dialer: Dialer) -> None:
        self.member = member
        self.address = address
        self.dialer = dialer
        self.gone = False
        """It takes no new calls."""
        self.keeper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def outstanding(self) -> int:
        return sum(len(connection.calls) for connection in self.dialer.connections)

    @property
    def ready(self) -> ClientConnection | None:
        """A connection with a place for one more call."""
        connection = self.dialer.connection
        return connection if connection is not None and connection.has_place else None


class MemberCall(ClientCall):
    """A streaming call that knows its member, and those to which it goes only where there are no others."""

    __slots__ = ("avoids", "endpoint")

    def __init__(self, avoids: Sequence[Endpoint], *facts: Any) -> None:
        """`avoids`: the last of them most. `facts` as ClientCall takes them."""
        super().__init__(*facts)
        self.avoids = avoids
        self.endpoint: Endpoint | None = None
        """The one that it goes to; None before one was chosen."""

    @property
    def lost(self) -> list[Endpoint]:
        """What another call in its place should avoid: its own too. Those that are gone get no calls anyhow."""
        before = [one for one in self.avoids if one is not self.endpoint and not one.gone]
        return before if self.endpoint is None else [*before, self.endpoint]


class Endpoints:
    """All of them. `open` begins to follow the cluster, `close` ends it."""

    connected_at: float | None = None

    def __init__(
        self,
        cluster: Cluster,
        tags: Mapping[str, str],
        service: str,
        policy: Policy,
        dialer: Callable[[str], Dialer],
        observer: Observer | None,
    ) -> None:
        """`dialer` makes what connects to an address."""
        self.observer = observer
        self.refuses = False
        self._cluster = cluster
        self._tags = dict(tags)
        self._service = service
        self._policy = policy
        self._make = dialer
        self._loop = asyncio.get_running_loop()
        self._live: dict[str, Endpoint] = {}
        """By name, in the order of the names."""
        self._leaving: dict[Endpoint, None] = {}
        """Those that end their calls."""
        self._changed: asyncio.Future[None] = self._loop.create_future()
        """Resolved at the next change of members or connections. Wait with asyncio.wait, which does not cancel it."""
        self._line = Line()
        """Those who wait for a place at any member, where the policy is not sticky."""
        self._follower: asyncio.Task[None] | None = None
        self._closed = False
        self._begun: asyncio.Future[None] = self._loop.create_future()
        """Resolved once the first members are known."""
        self._useless: dict[str, str] = {}
        """Members with the tags to which no call can go, by name, and why."""

    def __str__(self) -> str:
        tags = " ".join(f"{key}={value}" for key, value in self._tags.items())
        return f"members with {tags}" if tags else "members"

    @property
    def connections(self) -> dict[ClientConnection, None]:
        """Those of all members, also of those that end their calls."""
        every = (*self._live.values(), *self._leaving)
        return {connection: None for endpoint in every for connection in endpoint.dialer.connections}

    @property
    def members(self) -> list[Member]:
        """Those that calls may go to, by name."""
        return [endpoint.member for endpoint in self._live.values()]

    # Following the cluster.

    async def open(self) -> None:
        """Begin to follow the members. ClusterClosed where the cluster does not run."""
        if self._follower is None:
            self._follower = self._loop.create_task(self._follow(), name=f"rpcnet follow {self}")
        await asyncio.wait([self._begun, self._follower], return_when=asyncio.FIRST_COMPLETED)
        if not self._begun.done():
            self.check_open()  # which raises where a close cancelled it
            self._follower.result()

    async def _follow(self) -> None:
        async with self._cluster.watch() as view:  # of all: one that has lost the tags may have calls, and fail
            self._see(view.members)
            self._begun.set_result(None)
            async for event in view:
                if isinstance(event, Lagged) or (isinstance(event, ClusterEvent) and self._concerns(event.member)):
                    self._see(view.members)
        self._wake()  # the cluster was left: nobody comes any more

    def _concerns(self, member: Member) -> bool:
        return (
            member.matches(self._tags)
            or member.name in self._live
            or any(one.name == member.name for one in self._leaving)
        )

    def _see(self, members: Iterable[Member]) -> None:
        """These are up now."""
        found = {member.name: member for member in members if member.matches(self._tags)}
        for endpoint in self._leaving:
            known = self._cluster.member(endpoint.name)
            if known is not None and known.status is MemberStatus.FAILED and known.run == endpoint.member.run:
                endpoint.dialer.begin_to_close(f"member {endpoint.name} has failed")
        for name, endpoint in list(self._live.items()):
            now = found.get(name)
            is_the_same = now is not None and now.run == endpoint.member.run
            if now is not None and is_the_same and now.services.get(self._service) == endpoint.address:
                endpoint.member = now
            else:
                del self._live[name]
                self._part(endpoint, now)
        self._useless = {name: why for name, why in self._useless.items() if name in found}
        for name, member in found.items():
            if name not in self._live:
                self._add(member)
        self._live = dict(sorted(self._live.items()))
        self._wake()

    def _add(self, member: Member) -> None:
        address = member.services.get(self._service)
        try:
            if address is None:
                raise ValueError(f"it announces no service {self._service!r}")
            dialer = self._make(address)
        except ValueError as error:  # it costs this member its calls, and nobody else's
            if self._useless.get(member.name) != str(error):
                self._useless[member.name] = str(error)
                _log.warning("no calls go to %s: %s", member.name, error)
            return
        self._useless.pop(member.name, None)
        endpoint = self._live[member.name] = Endpoint(member, address, dialer)
        endpoint.keeper = self._loop.create_task(self._keep(endpoint), name=f"rpcnet connect {member.name}")

    def _part(self, endpoint: Endpoint, now: Member | None) -> None:
        """No new calls go to it. Whether those that run may end there depends on what became of it."""
        endpoint.gone = True
        if endpoint.keeper is not None:
            endpoint.keeper.cancel()
        known = now if now is not None else self._cluster.member(endpoint.name)
        if known is None or known.run != endpoint.member.run or known.status is MemberStatus.FAILED:
            text = "was replaced by a newer run" if known is not None and known.is_up else "has failed"
            endpoint.dialer.begin_to_close(f"member {endpoint.name} {text}")
        else:
            endpoint.dialer.retire("its member takes no more calls")
        self._leaving[endpoint] = None
        endpoint.keeper = self._loop.create_task(self._drain(endpoint), name=f"rpcnet drain {endpoint.name}")

    async def _drain(self, endpoint: Endpoint) -> None:
        """Until its last connection is gone."""
        if pending := [connection.lost for connection in endpoint.dialer.connections]:
            await asyncio.wait(pending)
        self._leaving.pop(endpoint, None)

    async def _keep(self, endpoint: Endpoint) -> None:
        """Keep a connection, so that a call finds one. The dialer pauses between attempts in vain."""
        while True:
            try:
                connection = await self._connected(endpoint)
            except Unavailable as error:
                _log.debug("no connection to %s: %s", endpoint.name, error.message)
                continue
            self._wake()
            await asyncio.wait([connection.lost])

    async def _connected(self, endpoint: Endpoint) -> ClientConnection:
        connection = await endpoint.dialer.connected()
        if not self._policy.sticky and connection.line is not self._line:
            connection.line = self._line
            self._wake()
        return connection

    def _wake(self) -> None:
        self._line.wake_all()
        self._changed.set_result(None)
        self._changed = self._loop.create_future()

    # Choosing.

    def check_open(self) -> None:
        if self.refuses or self._closed:
            how = "was closed" if self._closed else "is being closed"
            raise FailedPrecondition(f"this client of {self} {how}")

    def _best(self, call: Waiting) -> list[Endpoint]:
        """Those alive, or where there are none the suspects; of the alive those that the call does not avoid."""
        alive = [one for one in self._live.values() if one.member.status is MemberStatus.ALIVE]
        if isinstance(call, MemberCall) and call.avoids:
            for avoided in (call.avoids, call.avoids[-1:]):
                if others := [one for one in alive if one not in avoided]:
                    return others
        return alive or list(self._live.values())

    def at_once(self, call: Waiting) -> ClientConnection | None:
        """A connection that may take this call now; None where it must wait."""
        if self._follower is None:
            raise FailedPrecondition(f"this client of {self} was not opened; use it in `async with`")
        best = self._best(call)
        if not self._policy.sticky:
            best = [endpoint for endpoint in best if endpoint.ready is not None]
        return self._pick(best, call).ready if best else None

    def _pick(self, candidates: list[Endpoint], call: Waiting) -> Endpoint:
        """What the policy says. Whatever else it does than it should is Internal, and so ends the call as any error."""
        policy = type(self._policy).__name__
        try:
            chosen = self._policy.pick(candidates, call)
        except (RpcError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise Internal(f"the policy {policy} raised {type(error).__name__}") from error
        if not isinstance(chosen, Endpoint) or chosen not in candidates:
            raise Internal(f"the policy {policy} picked what is none of its candidates")
        if isinstance(call, MemberCall):
            call.endpoint = chosen
        return chosen

    async def place(self, call: Waiting, wait_a_pause: bool = False) -> ClientConnection:
        """A connection that may take one more call; the call takes it before anything else is awaited.

        Unavailable where no live member can be reached; a call with `wait_for_ready` waits for one that can.
        """
        in_vain: dict[Endpoint, Unavailable] = {}
        while True:
            if self._closed:
                self.check_open()  # which raises
            connection = self.at_once(call)
            if connection is not None:
                return connection
            to_try = self._to_try(call, in_vain)
            if not self._policy.sticky and any(map(_takes_calls, to_try)):
                connection = await self._place_at_any(call, in_vain)
            elif to_try:
                endpoint = self._pick(to_try, call)
                try:
                    connection = await self._place_at(endpoint)
                except Unavailable as error:
                    in_vain[endpoint] = error
            elif (call.wait_for_ready and self._may_come) or (wait_a_pause and self._live):
                await asyncio.wait([self._changed])
                in_vain.clear()
            else:
                raise self._nobody(in_vain)
            if connection is not None:
                return connection

    def _to_try(self, call: Waiting, in_vain: Container[Endpoint]) -> list[Endpoint]:
        best = [one for one in self._best(call) if one not in in_vain]
        return best or [one for one in self._live.values() if one not in in_vain]  # suspects are better than nobody

    async def _place_at_any(self, call: Waiting, in_vain: Container[Endpoint]) -> ClientConnection | None:
        """The first place that any member has, so that nobody waits for one that hangs; as `_place_at`."""

        def with_places() -> list[Endpoint]:
            return [one for one in self._to_try(call, in_vain) if _takes_calls(one, now=True)]

        def given_up() -> bool:
            return self._closed or not any(map(_takes_calls, self._to_try(call, in_vain)))

        is_my_turn = await self._line.wait(lambda: bool(with_places()), given_up, self._loop.create_future)
        return self._pick(with_places(), call).dialer.connection if is_my_turn else None

    @property
    def _may_come(self) -> bool:
        """Whether somebody who takes calls may yet be there."""
        return bool(self._live) or (self._follower is not None and not self._follower.done())

    async def _place_at(self, endpoint: Endpoint) -> ClientConnection | None:
        """A place there, which whoever waited for it takes before it awaits anything else.

        None where the member takes no more calls, or its connection is lost. Unavailable where it cannot be reached.
        """
        dialer = endpoint.dialer
        connection = dialer.connection
        if connection is None or not connection.is_usable:
            if dialer.pause > 0:
                raise dialer.unreachable()
            try:
                connection = await self._connected(endpoint)
            except Unavailable:
                if endpoint.gone:
                    return None
                raise
        if not connection.places:
            raise Unavailable(f"{dialer.address} takes no calls: its max_streams is 0")
        if connection.is_full:
            if not self._policy.sticky:
                return None  # behind those who wait for any
            await connection.place()
        return connection if connection.is_usable and not endpoint.gone else None

    def _nobody(self, in_vain: Mapping[Endpoint, Unavailable]) -> Unavailable:
        if in_vain:
            said = "; ".join(f"{endpoint.name}: {error.message}" for endpoint, error in list(in_vain.items())[:3])
            return Unavailable(f"none of {len(in_vain)} {self} can be reached ({said})")
        if self._useless:
            said = "; ".join(f"{name}: {why}" for name, why in list(self._useless.items())[:3])
            return Unavailable(f"there are no {self} that calls can go to ({said})")
        return Unavailable(f"there are no {self}{'' if self._may_come else ', and this cluster was left'}")

    def waits_for(self) -> str:
        """What those wait for who are not on the wire, for people."""
        return f"a place at one of {len(self._live)} {self}" if self._live else f"{self}, of which there are none"

    # Ending.

    def begin_to_close(self, reason: str = "the client was closed") -> None:
        """What `close` does before it waits."""
        self._closed = True
        for task in self._tasks():
            task.cancel()
        for endpoint in (*self._live.values(), *self._leaving):
            endpoint.dialer.begin_to_close(reason)
        self._wake()

    async def close(self) -> None:
        """Stop following, close every connection, and wait until they are gone."""
        self.begin_to_close()
        tasks: list[asyncio.Task[Any]] = self._tasks()
        tasks += [self._loop.create_task(one.dialer.close()) for one in (*self._live.values(), *self._leaving)]
        if tasks:
            await asyncio.wait(tasks)

    def _tasks(self) -> list[asyncio.Task[None]]:
        keepers = [endpoint.keeper for endpoint in (*self._live.values(), *self._leaving)]
        return [task for task in (self._follower, *keepers) if task is not None]

    def drop(self) -> None:
        """The client was let go: close what it left open, from whatever thread this is, and warn that it did."""
        if self._closed:
            return
        self._closed = True
        for endpoint in (*self._live.values(), *self._leaving):
            endpoint.dialer.drop_quietly()
        tasks = self._tasks()
        if tasks and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
        if tasks and self._loop.is_running():
            text = f"unclosed ClusterClient of {self}; use it in `async with`, or `await client.close()`"
            _warn(text, ResourceWarning, stacklevel=3)


def _takes_calls(endpoint: Endpoint, now: bool = False) -> bool:
    """Whether it is connected and has places, or, with `now`, a free one."""
    connection = endpoint.dialer.connection
    if connection is None or not connection.is_usable:
        return False
    return connection.places > connection.taken_places if now else connection.places > 0
