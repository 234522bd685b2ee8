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
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rpcnet.balance.policy import Policy
from rpcnet.client.connection import ClientConnection
from rpcnet.client.reconnect import Dialer, Waiting
from rpcnet.cluster import Cluster, Member, MemberStatus
from rpcnet.errors import FailedPrecondition, Internal, RpcError, Unavailable
from rpcnet.observe import Observer

__all__ = ["Endpoint", "Endpoints"]

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
        self._changed: list[asyncio.Future[None]] = []
        self._follower: asyncio.Task[None] | None = None
        self._closed = False
        self._without_service: set[str] = set()

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
        if self._follower is not None:
            return
        begun: asyncio.Future[None] = self._loop.create_future()
        self._follower = self._loop.create_task(self._follow(begun), name=f"rpcnet follow {self}")
        try:
            await asyncio.wait([begun, self._follower], return_when=asyncio.FIRST_COMPLETED)
            if self._follower.done() and not begun.done():
                self._follower.result()
        finally:
            begun.cancel()

    async def _follow(self, begun: asyncio.Future[None]) -> None:
        async with self._cluster.watch(**self._tags) as view:
            self._see(view.members)
            if not begun.done():
                begun.set_result(None)
            async for _ in view:
                self._see(view.members)

    def _see(self, members: Iterable[Member]) -> None:
        """These are up now, and have the tags."""
        found = {member.name: (member, address) for member in members if (address := self._address_of(member))}
        for name, endpoint in list(self._live.items()):
            member, address = found.get(name, (None, None))
            if member is not None and member.run == endpoint.member.run and address == endpoint.address:
                endpoint.member = member
            else:
                del self._live[name]
                self._part(endpoint, member)
        for name, (member, address) in found.items():
            if name not in self._live:
                endpoint = self._live[name] = Endpoint(member, address, self._make(address))
                endpoint.keeper = self._loop.create_task(self._keep(endpoint), name=f"rpcnet connect {name}")
        self._live = dict(sorted(self._live.items()))
        self._wake()

    def _address_of(self, member: Member) -> str | None:
        address = member.services.get(self._service)
        if address is None and member.name not in self._without_service:
            self._without_service.add(member.name)
            _log.warning("%s has the tags, but announces no service %r: no calls go there", member.name, self._service)
        return address

    def _part(self, endpoint: Endpoint, now: Member | None) -> None:
        """No new calls go to it. Whether those that run may end there depends on what became of it."""
        endpoint.gone = True
        if endpoint.keeper is not None:
            endpoint.keeper.cancel()
        known = now if now is not None else self._cluster.member(endpoint.name)
        if known is None or known.run != endpoint.member.run or known.status is MemberStatus.FAILED:
            text = "was replaced by a newer run" if known is not None and known.is_up else "has failed"
            endpoint.dialer.begin_to_close(f"member {endpoint.name} {text}")
            return
        self._leaving[endpoint] = None
        task = self._loop.create_task(self._drain(endpoint), name=f"rpcnet drain {endpoint.name}")
        endpoint.keeper = task

    async def _drain(self, endpoint: Endpoint) -> None:
        """Until its last call has ended, or its member has failed."""
        endpoint.dialer.retire("its member takes no more calls")
        while pending := [connection.lost for connection in endpoint.dialer.connections]:
            await asyncio.wait([*pending, change := self._change()], return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            known = self._cluster.member(endpoint.name)
            if known is not None and known.status is MemberStatus.FAILED and known.run == endpoint.member.run:
                endpoint.dialer.begin_to_close(f"member {endpoint.name} has failed")
        self._leaving.pop(endpoint, None)

    async def _keep(self, endpoint: Endpoint) -> None:
        """Keep a connection, so that a call finds one. The dialer pauses between attempts in vain."""
        while True:
            try:
                connection = await endpoint.dialer.connected()
            except Unavailable as error:
                _log.debug("no connection to %s: %s", endpoint.name, error.message)
                continue
            self._wake()
            await asyncio.wait([connection.lost])

    def _change(self) -> asyncio.Future[None]:
        """Resolved at the next change of members or connections."""
        future = self._loop.create_future()
        self._changed.append(future)
        return future

    def _wake(self) -> None:
        changed, self._changed = self._changed, []
        for future in changed:
            if not future.done():
                future.set_result(None)

    # Choosing.

    def check_open(self) -> None:
        if self.refuses or self._closed:
            how = "was closed" if self._closed else "is being closed"
            raise FailedPrecondition(f"this client of {self} {how}")

    def _best(self) -> list[Endpoint]:
        """Those alive, or where there are none the suspects."""
        alive = [one for one in self._live.values() if one.member.status is MemberStatus.ALIVE]
        return alive or list(self._live.values())

    def at_once(self, call: Waiting) -> ClientConnection | None:
        """A connection that may take this call now; None where it must wait."""
        if self._follower is None:
            raise FailedPrecondition(f"this client of {self} was not opened; use it in `async with`")
        best = self._best()
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
            waiting = [one for one in self._best() if one not in in_vain]
            if not waiting:
                waiting = [one for one in self._live.values() if one not in in_vain]  # suspects are better than nobody
            if waiting:
                endpoint = self._pick(waiting, call)
                try:
                    connection = await self._place_at(endpoint)
                except Unavailable as error:
                    in_vain[endpoint] = error
                if connection is not None:
                    return connection
            elif call.wait_for_ready or (wait_a_pause and self._live):
                await self._change()
                in_vain.clear()
            else:
                raise self._nobody(in_vain)

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
                connection = await dialer.connected()
            except Unavailable:
                if endpoint.gone:
                    return None
                raise
        if not connection.places:
            raise Unavailable(f"{dialer.address} takes no calls: its max_streams is 0")
        if connection.is_full:
            await connection.place()
        return connection if connection.is_usable and not endpoint.gone else None

    def _nobody(self, in_vain: Mapping[Endpoint, Unavailable]) -> Unavailable:
        if not in_vain:
            return Unavailable(f"there are no {self} that announce the service {self._service!r}")
        said = "; ".join(f"{endpoint.name}: {error.message}" for endpoint, error in list(in_vain.items())[:3])
        return Unavailable(f"none of {len(in_vain)} {self} can be reached ({said})")

    def waits_for(self) -> str:
        """What those wait for who are not on the wire, for people."""
        return f"a place at one of {len(self._live)} {self}"

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
            endpoint.dialer.drop()
        tasks = self._tasks()
        if tasks and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
