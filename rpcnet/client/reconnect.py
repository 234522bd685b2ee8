"""The connection of a client: made when it is needed, made again when it was lost, after a pause that grows.

Everybody who needs it waits for the same attempt. Attempts in vain are followed by a pause, in which new calls fail at
once unless they wait for a connection. The pauses are exponential with full jitter: drawn evenly from 0 to
min(cap, base * 2**attempt) (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), so that the
clients of a server that comes back do not all come at once.

Of calls it knows only whether a connection has a place for one more. `Dials` is what a client asks of whoever makes its
connections; rpcnet/balance has another, which connects to several servers.

Tests: tests/rpcnet/client/test_backoff.py, test_reconnect.py and test_dropped_client.py.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from random import Random
from typing import Any, Final, Protocol, TypeAlias
from warnings import warn as _warn

from rpcnet import observe
from rpcnet.address import Address, is_literal
from rpcnet.client.connection import ClientConnection
from rpcnet.client.race import NEXT_ADDRESS, first_of, hosts_in_turns
from rpcnet.client.unreachable import unreachable
from rpcnet.config import RpcConfig
from rpcnet.errors import FailedPrecondition, Metadata, ResourceExhausted, Unavailable

__all__ = ["Dialer", "Dials", "OpenTransport", "Waiting"]

MOST_DOUBLINGS: Final = 30

OpenTransport: TypeAlias = Callable[[Callable[[], ClientConnection]], Coroutine[Any, Any, None]]
"""Makes a connection, given what makes its protocol. OSError where it cannot."""


class Waiting(Protocol):
    """What is asked of a call that wants a connection."""

    method: str
    metadata: Metadata | None
    wait_for_ready: bool


class Dials(Protocol):
    """Makes the connections of a client, and chooses among them."""

    connected_at: float | None
    observer: observe.Observer | None
    refuses: bool

    @property
    def connections(self) -> Collection[ClientConnection]:
        """All that have greeted and have not ended."""
        ...

    def check_open(self) -> None: ...
    def at_once(self, call: Waiting) -> ClientConnection | None: ...
    async def place(self, call: Waiting, wait_a_pause: bool = False) -> ClientConnection: ...
    async def open(self) -> None: ...
    def waits_for(self) -> str: ...
    async def close(self) -> None: ...
    def begin_to_close(self) -> None: ...
    def drop(self) -> None: ...


class Dialer:
    """Keeps one usable connection to an address, and those that a GOAWAY has retired until their calls are done."""

    __slots__ = (
        "_closed",
        "_config",
        "_connecting",
        "_failures",
        "_loop",
        "_made_at",
        "_not_before",
        "_open_transport",
        "_random",
        "_reason",
        "_tls",
        "_wall_clock",
        "address",
        "connected_at",
        "connection",
        "connections",
        "observer",
        "refuses",
    )

    def __init__(
        self,
        address: Address,
        tls: ssl.SSLContext | None,
        config: RpcConfig,
        random: Random | None,
        wall_clock: Callable[[], float] | None,
        open_transport: OpenTransport | None,
    ) -> None:
        self.address = address
        self.connected_at: float | None = None
        self.connection: ClientConnection | None = None
        """The one that new calls go to; look at `is_usable` first."""
        self.connections: dict[ClientConnection, None] = {}
        self.observer = observe.current()
        self._tls = tls
        self._open_transport = open_transport
        self._config = config
        self._random = random
        self._wall_clock = wall_clock
        self._loop = asyncio.get_running_loop()
        self._connecting: asyncio.Task[ClientConnection] | None = None
        self._reason = ""
        self._failures = 0
        self._not_before = 0.0
        self._made_at: float | None = None
        """When the last connection was made, unless it has been judged since."""
        self.refuses = False
        """It is being closed: no new calls, but those that were made go on."""
        self._closed = False

    def check_open(self) -> None:
        """FailedPrecondition where no new calls are taken."""
        if self.refuses or self._closed:
            how = "was closed" if self._closed else "is being closed"
            raise FailedPrecondition(f"this client of {self.address} {how}")

    def at_once(self, call: Waiting) -> ClientConnection | None:
        """A connection that may take this call now; None where it must wait."""
        connection = self.connection
        return connection if connection is not None and connection.has_place else None

    async def place(self, call: Waiting, wait_a_pause: bool = False) -> ClientConnection:
        """A connection that may take one more call; the call takes it before anything else is awaited.

        Unavailable where there is none to be had: where the attempt that is under way, or is made now, fails, and at
        once in the pause after one that failed. `wait_a_pause` waits for the attempt after it, a call with
        `wait_for_ready` for an attempt that succeeds; whoever cannot wait so long cancels.
        """
        wait_for_ready = call.wait_for_ready
        while True:
            if self._closed:
                self.check_open()  # which raises; while it is being closed calls that were made go on
            connection = self.connection
            if connection is None or not connection.is_usable:
                self._judge_last()
                pause = self.pause
                if pause > 0 and not (wait_for_ready or wait_a_pause):
                    raise self.unreachable(f"; the next attempt is {pause:.2g} s away (wait_for_ready waits for it)")
                try:
                    connection = await self.connected()
                except Unavailable:
                    if not wait_for_ready:
                        raise
                    continue
            if not connection.is_full:
                return connection
            if not connection.places:
                raise ResourceExhausted(f"{self.address} takes no calls: its max_streams is 0")
            await connection.place()
            if connection.is_usable:
                return connection

    def waits_for(self) -> str:
        """What those wait for who are not on the wire, for people."""
        connection = self.connection
        if connection is None or not connection.is_usable:
            why = f" ({self._reason})" if self._reason else ""
            return f"a connection to {self.address}{why}"
        unread = f", {connection.unread} of them by calls with unread items" if connection.unread else ""
        return f"one of the {connection.places} places for calls to {self.address} (max_streams); all are taken{unread}"

    async def open(self) -> None:
        """Connect. Unavailable where that cannot be."""
        await self.connected()

    async def connected(self) -> ClientConnection:
        """Connect, together with whoever else waits for it."""
        connection = self.connection
        if connection is not None and connection.is_usable:
            return connection
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._reconnect(), name=f"rpcnet connect {self.address}")
            self._connecting.add_done_callback(self._connect_done)
        await asyncio.wait([self._connecting])
        connection = self.connection
        if connection is None or not connection.is_usable:
            raise self.unreachable()
        return connection

    @property
    def pause(self) -> float:
        """Seconds until the next attempt; none where it is negative."""
        return self._not_before - self._loop.time()

    def unreachable(self, when: str = "") -> Unavailable:
        """The error of the last attempt."""
        return Unavailable(f"{self.address} cannot be reached: {self._reason}{when}")

    def _connect_done(self, task: asyncio.Task[ClientConnection]) -> None:
        self._connecting = None
        if task.cancelled():
            self._reason = "the client was closed"
        elif task.exception() is not None:
            self._reason = str(task.exception()) or type(task.exception()).__name__

    async def _within(self, until: float, waiting: Coroutine[Any, Any, None]) -> bool:
        """Whether it came to its end by then; else it was cancelled.

        Where the loop was blocked, asyncio.timeout would throw away what has been answered long since. So the time that
        the timer is late is given back, once, up to `late_timer_grace`.
        """
        task = self._loop.create_task(waiting, name=f"rpcnet wait for {self.address}")
        timers: list[asyncio.TimerHandle] = []
        timers.append(self._loop.call_at(until, self._expire, task, until, timers))
        try:
            await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return False
        finally:
            for timer in timers:
                timer.cancel()
        return True

    def _expire(self, task: asyncio.Task[None], until: float, timers: list[asyncio.TimerHandle]) -> None:
        back = self._time_back(until)
        if back and len(timers) == 1:
            timers.append(self._loop.call_later(back, self._expire, task, until, timers))
        else:
            task.cancel()

    def _time_back(self, due: float) -> float:
        """Seconds for which we were held up, as far as they count."""
        return min(max(0.0, self._loop.time() - due), self._config.late_timer_grace)

    def _judge_last(self) -> None:
        """Look, once, at how long the connection that was lost had lasted."""
        made_at, self._made_at = self._made_at, None
        if made_at is None:
            return
        if self._loop.time() - made_at < self._config.reconnect_backoff:
            self._back_off()  # a server that greets and closes at once is no better than one that refuses
            if self.connection is not None and self.connection.retired:
                self._reason = self.connection.why_closed  # what its GOAWAY said
        else:
            self._failures = 0
            self._reason = ""

    async def _reconnect(self) -> ClientConnection:
        self._judge_last()
        now = self._loop.time()
        if now < self._not_before:
            await asyncio.sleep(self._not_before - now)
        try:
            connection = await self._dial()
        except BaseException:
            self._back_off()
            raise
        self._made_at = self._loop.time()
        self._reason = "the server closed the connection at once"
        self.connection = connection
        if self._wall_clock is not None:
            self.connected_at = self._wall_clock()
        return connection

    def _randomness(self) -> Random:
        """The one that was given; else one for a single draw, as each holds 2.5 KiB."""
        return Random() if self._random is None else self._random

    def _back_off(self) -> None:
        """One more attempt was in vain: the next one comes later."""
        most = min(self._config.reconnect_backoff * 2**self._failures, self._config.max_reconnect_backoff)
        self._failures = min(self._failures + 1, MOST_DOUBLINGS)
        self._not_before = self._loop.time() + self._randomness().uniform(0.0, most)

    async def _dial(self) -> ClientConnection:
        """Connect and greet, within connect_timeout."""
        name = f"{self._randomness().getrandbits(48):012x}"
        made: list[ClientConnection] = []

        def protocol() -> ClientConnection:
            made.append(ClientConnection(self._config, self.observer, name, self.connections))
            return made[-1]

        seconds = self._config.connect_timeout
        until = self._loop.time() + seconds
        kept: ClientConnection | None = None
        try:
            opening = self._open_socket if self._open_transport is None else self._open_transport
            if not await self._within(until, opening(protocol)):
                what = "no TLS handshake (is there TLS at the server?)" if made and self._tls else "no connection"
                raise Unavailable(f"{what} within connect_timeout ({seconds:g} s)")
            back = self._time_back(until)
            # Of several addresses, the first that was connected to; the others, if any, are closed below.
            opened = next((one for one in made if one.is_connected), None)
            if opened is None:
                opened = next((one for one in made if one.why_closed), made[-1])
            await self._greeted(opened, self._loop.time() + back if back else until)
            if opened.retired:
                raise Unavailable(opened.why_closed)  # it greeted, and in the same breath said that it is full
            kept = opened
        except OSError as error:
            raise Unavailable(unreachable(error, self.address, self._tls is not None)) from None
        finally:
            for connection in made:
                # HELLO may have come in the very turn in which whoever wanted the connection was cancelled.
                if connection is not kept or not connection.is_usable:
                    connection.close("it was given up before HELLO")
        assert kept is not None, "else an error was raised"
        return kept

    async def _greeted(self, connection: ClientConnection, until: float) -> None:
        """Wait for the server's HELLO; one that has arrived when the timer comes late still counts."""

        def give_up() -> None:
            if connection.peer_hello is None:
                connection.close(f"no HELLO within connect_timeout ({self._config.connect_timeout:g} s)")

        timer = self._loop.call_at(until, connection.judge, give_up)
        try:
            await connection.greeting()
        finally:
            timer.cancel()

    async def _open_socket(self, protocol: Callable[[], ClientConnection]) -> None:
        options: dict[str, Any] = {"ssl": self._tls}
        if self.address.path:
            if self._tls is not None:
                options["server_hostname"] = "localhost"
            await self._loop.create_unix_connection(protocol, self.address.path, **options)
        else:
            await self._connect_by_name(protocol, options)

    async def _connect_by_name(self, protocol: Callable[[], ClientConnection], options: dict[str, Any]) -> None:
        """Look the name up, anew each time, as it may have moved, and try all its addresses."""
        host, port = self.address.host, self.address.port
        hosts = [host]
        if not is_literal(host):
            hosts = hosts_in_turns(await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            if self._tls is not None:
                options["server_hostname"] = host
        if len(hosts) == 1:
            await self._loop.create_connection(protocol, hosts[0], port, **options)
            return
        if not hosts:
            raise OSError(f"the name {host!r} has no addresses")
        connect = self._loop.create_connection
        await first_of([partial(connect, protocol, each, port, **options) for each in hosts], NEXT_ADDRESS)

    async def close(self) -> None:
        """Close every connection, and wait until they are gone."""
        self.begin_to_close()
        if self._connecting is not None:
            await asyncio.wait([self._connecting])
            self.begin_to_close()  # also what that attempt has brought at the last moment
        pending = [connection.lost for connection in self.connections]
        if pending:
            await asyncio.wait(pending)

    def begin_to_close(self, reason: str = "the client was closed") -> None:
        """What `close` does before it waits."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in list(self.connections):
            connection.close(reason)

    def retire(self, reason: str) -> None:
        """The connections take no new calls, and close when theirs have ended."""
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in list(self.connections):
            connection.retire(reason)

    def drop(self) -> None:
        """The client was let go: close what it left open, from whatever thread this is, and warn that it did."""
        if self.drop_quietly():
            text = f"unclosed RpcClient of {self.address}; use it in `async with`, or `await client.close()`"
            _warn(text, ResourceWarning, stacklevel=3)

    def drop_quietly(self) -> bool:
        """Close what is open, from whatever thread this is; whether anybody should hear that it was left so."""
        if self._closed or not (self.connections or self._connecting):
            return False
        self._closed = True
        try:
            if asyncio._get_running_loop() is self._loop:
                self._loop.call_soon(self._close_dropped)
            else:
                self._loop.call_soon_threadsafe(self._close_dropped)
        except RuntimeError:
            pass  # the loop was closed, and its transports say themselves that they are left
        # Where its loop has ended, or its simulated machine died, nobody could have closed it any more.
        return self._loop.is_running()

    def _close_dropped(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in list(self.connections):
            connection.close("its client was dropped unclosed")
