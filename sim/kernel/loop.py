"""The event loop of one simulated node: asyncio's own selector loop over simulated sockets, in virtual time.

One arrival is one SimPy event, which runs the loop turn by turn until nothing is ready. As on Linux, a turn is what the
sockets have (one datagram or one read each), then due timers, then the callbacks. The loop holds at most one live
wake-up, for its earliest timer; SimPy cannot cancel, so a stale one is ignored.

Private names of asyncio that this file relies on, on 3.11 to 3.13: BaseEventLoop._ready, _scheduled,
_timer_cancelled_count, _thread_id, _stopping, _asyncgens, _connect_sock, _ensure_resolved;
BaseSelectorEventLoop._selector, _make_self_pipe, _close_self_pipe, _write_to_self. tests/sim/kernel/test_loop.py
notices a change.
"""

import asyncio
import heapq
import math
import os
import signal
import socket
from asyncio import base_events, events, selector_events
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any

from sim.kernel.errors import Livelock, NodeDown, NotSimulated
from sim.kernel.sockets import Selector, SimulatedSocket
from sim.kernel.transports import DatagramTransport, StreamTransport

if TYPE_CHECKING:
    from sim.kernel.node import Node

__all__ = ["NodeLoop", "where"]

MAX_TURNS = 100_000
"""Turns without time advancing after which a node is taken to spin."""
_NO_WAKE = math.inf
MANY_CANCELLED = 100  # asyncio's _MIN_SCHEDULED_TIMER_HANDLES


class NodeFuture(asyncio.Future[Any]):
    """A future whose hash is a number of its loop: sets of futures are walked in the same order in every run.

    It gets the number when it is first put into a set or dictionary, which most futures never are.
    """

    def __hash__(self) -> int:
        try:
            return self._number  # type: ignore[no-any-return,has-type]
        except AttributeError:
            number: int = self.get_loop().next_number()  # type: ignore[attr-defined]
            self._number = number
            return number


class NodeTask(asyncio.Task[Any]):
    """As NodeFuture. Task's constructor already puts the task into a set, so its number is that of its creation."""

    def __hash__(self) -> int:
        try:
            return self._number  # type: ignore[no-any-return,has-type]
        except AttributeError:
            number: int = self.get_loop().next_number()  # type: ignore[attr-defined]
            self._number = number
            return number


class NodeLoop(selector_events.BaseSelectorEventLoop):
    """A node's event loop. Made by the node; `asyncio` finds it as the running loop."""

    _selector: Selector
    # asyncio's own, which its stubs do not show.
    _ready: Any
    _scheduled: Any
    _asyncgens: Any
    _transports: Any
    _task_factory: Any
    _thread_id: Any
    _stopping: bool
    _closed: bool
    _debug: bool
    _timer_cancelled_count: int
    _check_closed: Callable[[], None]
    _check_running: Callable[[], None]
    _create_connection_transport: Callable[..., Any]
    _set_coroutine_origin_tracking: Callable[[bool], None]

    # asyncio's constructor asks already.
    _turning = False
    _dead = False

    def __init__(self, node: "Node") -> None:
        super().__init__(Selector(self))  # type: ignore[arg-type]
        self.node = node
        self._environment = node.simulation.environment
        self._schedule = node.simulation.schedule
        self._host = node.host
        self._simulation = node.simulation
        self._wake_at = _NO_WAKE
        self.idle = True
        """Whether it could run now: it is neither running nor stalled, dead or closed."""
        self._signals: dict[int, events.Handle] = {}
        self.next_number = count(1).__next__
        self.next_task = count(1).__next__

    # -- time ------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the simulation began, as this node's monotonic clock shows them."""
        now: float = self._environment._now + self._host.ahead
        return now

    def is_running(self) -> bool:
        return self._turning

    def run_ready(self) -> None:
        """Run turns until nothing is ready, then wait for the next arrival or timer."""
        if not self.idle:
            return
        self._begin()
        try:
            self._turns()
        finally:
            self._end()

    def arrived(self, watched: SimulatedSocket) -> None:
        """Something came for a socket: run its reader straight away where nothing else is ready, else in its turn."""
        reader, scheduled = watched.reader, self._scheduled
        if (
            reader is None
            or not self.idle
            or self._ready
            or self._selector.marked
            or reader._cancelled
            or (scheduled and scheduled[0]._when <= self._environment._now)
            or watched.more()
        ):
            self._selector.marked[watched.fileno()] = watched
            self.run_ready()
            return
        self._begin()
        try:
            try:
                reader._context.run(reader._callback, *reader._args)  # type: ignore[attr-defined]
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                _report(reader, error)
            if not (self._host.ahead or self._dead):
                self._turns()
        finally:
            self._end()

    def _begin(self) -> None:
        simulation = self._simulation
        if simulation.entered is not self:
            simulation.enter(self)
        self.idle = False
        self._turning = True

    def _end(self) -> None:
        self._turning = False
        if not self._simulation.driving:
            self._simulation.leave()  # somebody steps SimPy's environment by hand
        if not (self._dead or self._closed):
            node = self.node
            self.idle = not node.stalled
            if self._host.ahead and not node.stalled:
                node.fall_behind()
            scheduled = self._scheduled
            if scheduled and (scheduled[0]._when < self._wake_at or self._timer_cancelled_count > MANY_CANCELLED):
                self._arm()

    def _turns(self) -> None:
        ready, marked, host = self._ready, self._selector.marked, self._host
        now = self._environment._now
        turns = 0
        while True:
            if marked:
                self._poll(marked)
            scheduled = self._scheduled
            # Exactly now, not a clock's resolution early as in asyncio: time does not advance meanwhile, so whoever
            # finds that its deadline has not come and sets the timer again would do so for ever.
            while scheduled and (scheduled[0]._when <= now or scheduled[0]._cancelled):
                handle = heapq.heappop(scheduled)
                handle._scheduled = False
                if handle._cancelled:
                    self._timer_cancelled_count -= 1
                else:
                    ready.append(handle)
            if not ready:
                return
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:
                    # Handle._run without its frame.
                    try:
                        handle._context.run(handle._callback, *handle._args)
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as error:
                        _report(handle, error)
                    if host.ahead or self._dead:
                        return
            if self._stopping:
                return
            turns += 1
            if turns > MAX_TURNS:
                raise Livelock(
                    f"{self.node.name} has run {MAX_TURNS} turns without time advancing; the last was {_shown(handle)}"
                )

    def _poll(self, marked: dict[int, SimulatedSocket]) -> None:
        """Put the callbacks of sockets that have something behind what is ready, as asyncio's _process_events."""
        ready = self._ready
        for descriptor, watched in list(marked.items()):
            state = watched.poll()
            reader = watched.reader if state & EVENT_READ else None
            writer = watched.writer if state & EVENT_WRITE else None
            if reader is None and writer is None:
                # Looked at again when something comes or somebody wants to know.
                del marked[descriptor]
            if reader is not None and not reader._cancelled:
                ready.append(reader)
            if writer is not None and not writer._cancelled:
                ready.append(writer)

    def _arm(self) -> None:
        """See that there is a wake-up for the earliest timer. Cancelled ones are thrown out as asyncio does."""
        scheduled = self._scheduled
        if len(scheduled) > MANY_CANCELLED and self._timer_cancelled_count > len(scheduled) / 2:
            kept = []
            for handle in scheduled:
                if handle._cancelled:
                    handle._scheduled = False
                else:
                    kept.append(handle)
            heapq.heapify(kept)
            self._scheduled = scheduled = kept
            self._timer_cancelled_count = 0
        self._drop_cancelled()
        if scheduled:
            when = scheduled[0]._when
            if when < self._wake_at:
                self._wake_at = when
                self._schedule.at(max(when, self._environment._now), self._on_wake, when)

    def _on_wake(self, when: float) -> None:
        if when == self._wake_at:
            self._wake_at = _NO_WAKE
            if not (self._ready or self._selector.marked):
                # What it was for may have been cancelled since.
                self._drop_cancelled()
                scheduled = self._scheduled
                if not scheduled or scheduled[0]._when > self._environment._now:
                    self._arm()
                    return
            self.run_ready()

    def _drop_cancelled(self) -> None:
        """Take cancelled timers off the head of the heap."""
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
            self._timer_cancelled_count -= 1

    def __del__(self) -> None:
        if not self._dead:
            super().__del__()

    def kick_if_needed(self) -> None:
        """As `kick`, where something was put in from outside of the loop since it ran."""
        if self._ready or (self._scheduled and self._wake_at == _NO_WAKE):
            self.kick()

    def kick(self) -> None:
        """Run soon, for what was put in from outside of the loop."""
        self._schedule.after(0.0, self._kicked, None)

    def _kicked(self, _: None) -> None:
        self.run_ready()

    # -- running it alone ------------------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run the whole simulation until stop() is called on this loop."""
        self._check_closed()
        self._check_running()
        simulation = self.node.simulation
        self._set_coroutine_origin_tracking(self._debug)
        try:
            if not simulation.drive(lambda: self._stopping):
                raise simulation.deadlock("nothing is scheduled any more")
        finally:
            self._stopping = False
            self._set_coroutine_origin_tracking(False)

    def close(self) -> None:
        super().close()
        self.idle = False
        self.node.loop_closed()

    # -- tasks -----------------------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return NodeFuture(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        if self._task_factory is not None:
            return super().create_task(coro, **options)
        self._check_closed()
        if options.get("name") is None:
            options["name"] = f"Task-{self.next_task()}"
        return NodeTask(coro, loop=self, **options)

    def call_exception_handler(self, context: Any) -> None:
        if self._dead:
            return
        error = context.get("exception")
        text = "" if error is None else f"{type(error).__name__}: {error}"
        self.node.record("unhandled", message=str(context.get("message", "")), error=text)
        super().call_exception_handler(context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Runs `func` inline, in its turn: a thread would not be the same in every run."""
        future = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                result = func(*args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.call_soon(run)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    # -- the end of a process --------------------------------------------------------------------------------------

    def die(self) -> list[Any]:
        """Nothing that runs here has an effect from now on. Returns what must be kept, so that nothing runs on."""
        kept: list[Any] = [*asyncio.all_tasks(self), *self._asyncgens, *self._ready, *self._scheduled]
        kept.append(dict(self._selector.keys))
        for transport in list(self._transports.values()):
            # Else it, and the stream that holds it, warns that nobody closed it.
            transport._sock, transport._closing = None, True
            kept.append(transport)
        kept.extend(self._selector.sockets.values())
        self._dead = True
        self.idle = False
        self._ready = deque(maxlen=0)  # takes what a muted program puts in, and keeps nothing
        self._scheduled.clear()
        self._selector.close()
        return kept

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> events.Handle:  # type: ignore[override]
        """As asyncio's, without its detours where debug mode is off."""
        if self._debug:
            return super().call_soon(callback, *args, context=context)
        if self._closed:
            self._check_closed()
        handle = events.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    # -- signals ---------------------------------------------------------------------------------------------------

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """Called when the simulation delivers the signal: node.stop() is SIGTERM."""
        self._signals[signal.Signals(sig)] = events.Handle(callback, args, self, None)

    def remove_signal_handler(self, sig: int) -> bool:
        return self._signals.pop(sig, None) is not None

    def deliver(self, sig: int) -> bool:
        """Run the handler of a signal in the next turn; False where there is none."""
        handle = self._signals.get(sig)
        if handle is None:
            return False
        self._ready.append(handle)
        self.kick()
        return True

    # -- names -----------------------------------------------------------------------------------------------------

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        """Node names and addresses of the simulation. Raises socket.gaierror for any other name."""
        if isinstance(host, bytes):
            host = host.decode("idna")
        if host in (None, ""):
            ip: str | None = "0.0.0.0" if flags & socket.AI_PASSIVE else "127.0.0.1"
        else:
            ip = self.node.simulation.network.resolve(host, self._host) or _literal(host)
        if ip is None:
            known = ", ".join(list(self.node.simulation.nodes)[:10])
            raise socket.gaierror(socket.EAI_NONAME, f"no node is called {host!r}; there are: {known}")
        found = socket.AF_INET6 if ":" in ip else socket.AF_INET
        if family not in (0, found):
            raise socket.gaierror(socket.EAI_FAMILY, f"{host} has no address of that family")
        number = int(port or 0)
        address: Any = (ip, number, 0, 0) if found == socket.AF_INET6 else (ip, number)
        kinds = [(socket.SOCK_STREAM, socket.IPPROTO_TCP), (socket.SOCK_DGRAM, socket.IPPROTO_UDP)]
        return [(found, kind, protocol, "", address) for kind, protocol in kinds if type in (0, kind)]

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        host = self.node.simulation.network.host_of(sockaddr[0], self._host)
        return (sockaddr[0] if host is None or flags & socket.NI_NUMERICHOST else host.name), str(sockaddr[1])

    def _make_socket_transport(
        self, sock: Any, protocol: Any, waiter: Any = None, *, extra: Any = None, server: Any = None
    ) -> StreamTransport:
        return StreamTransport(self, sock, protocol, waiter, extra, server)

    def _make_datagram_transport(
        self, sock: Any, protocol: Any, address: Any = None, waiter: Any = None, extra: Any = None
    ) -> DatagramTransport:
        return DatagramTransport(self, sock, protocol, address, waiter, extra)

    # -- sockets ---------------------------------------------------------------------------------------------------

    def _socket(self, family: int, kind: int) -> SimulatedSocket:
        if self._dead:
            raise NodeDown(f"{self.node.name} is down; its event loop cannot be used any more")
        return SimulatedSocket(self.node.simulation.network, self._host, self._selector, family, kind)

    async def _connect_sock(self, exceptions: list[Any], addr_info: Any, local_addr_infos: Any = None) -> Any:
        """As BaseEventLoop's, with a simulated socket."""
        mine: list[Any] = []
        exceptions.append(mine)
        family, _, _, _, address = addr_info
        made = self._socket(family, socket.SOCK_STREAM)
        try:
            if local_addr_infos is not None:
                made.bind(local_addr_infos[0][4])
            await self.sock_connect(made, address)  # type: ignore[arg-type]
        except OSError as error:
            mine.append(error)
            made.close()
            raise
        except BaseException:
            made.close()
            raise
        return made

    async def create_server(
        self,
        protocol_factory: Callable[[], Any],
        host: Any = None,
        port: Any = None,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = socket.AI_PASSIVE,
        sock: Any = None,
        backlog: int = 100,
        ssl: Any = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        **_: Any,
    ) -> asyncio.Server:
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            sockets = [self._simulated(sock)]
        elif host is None and port is None:
            raise ValueError("Neither host/port nor sock were specified")
        else:
            hosts: Sequence[Any] = [host] if isinstance(host, str | bytes) or host is None else list(host)
            sockets = await self._listening(hosts, port, family, backlog)
        return await self._serve(
            start_serving, sockets, protocol_factory, ssl, backlog, ssl_handshake_timeout, ssl_shutdown_timeout
        )

    async def _listening(self, hosts: Sequence[Any], port: Any, family: int, backlog: int) -> list[SimulatedSocket]:
        made: list[SimulatedSocket] = []
        try:
            for host in dict.fromkeys(hosts):
                for info in await self.getaddrinfo(
                    host or None, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
                ):
                    listening = self._socket(info[0], socket.SOCK_STREAM)
                    made.append(listening)
                    listening.bind(info[4])
                    listening.listen(backlog)
        except OSError as error:
            for each in made:
                each.close()
            address = f"{hosts[-1]}:{port}"
            raise OSError(error.errno, f"error while attempting to bind on address {address}: {error}") from None
        return made

    async def _serve(self, start_serving: bool, *arguments: Any) -> asyncio.Server:
        """`arguments` are Server's: sockets, factory, TLS context, backlog, time-outs of handshake and shutdown."""
        server: Any = base_events.Server(self, *arguments)
        if start_serving:
            server._start_serving()
            await asyncio.sleep(0)
        return server  # type: ignore[no-any-return]

    async def create_datagram_endpoint(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], Any],
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: Any = None,
    ) -> Any:
        if sock is not None:
            made = self._simulated(sock)
        elif local_addr is None and remote_addr is None:
            if family == 0:
                raise ValueError("unexpected address family")
            made = self._socket(family, socket.SOCK_DGRAM)
        else:
            made = await self._datagram_socket(local_addr, remote_addr, family)
        protocol = protocol_factory()
        waiter = self.create_future()
        # Where the socket is connected the transport finds the peer's name itself.
        transport = self._make_datagram_transport(made, protocol, None, waiter)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def _datagram_socket(self, local: Any, remote: Any, family: int) -> SimulatedSocket:
        found = {}
        for name, address in (("local", local), ("remote", remote)):
            if address is not None:
                infos = await self.getaddrinfo(address[0], address[1], family=family, type=socket.SOCK_DGRAM)
                found[name] = infos[0]
        made = self._socket(next(iter(found.values()))[0], socket.SOCK_DGRAM)
        try:
            if "local" in found:
                made.bind(found["local"][4] if local[0] else ("0.0.0.0", local[1]))
            if "remote" in found:
                made.connect(found["remote"][4])
        except OSError:
            made.close()
            raise
        return made

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], Any],
        path: Any = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        if ssl and server_hostname is None:
            raise ValueError("you have to pass server_hostname when using ssl")
        made = self._socket(socket.AF_UNIX, socket.SOCK_STREAM) if sock is None else self._simulated(sock)
        try:
            if sock is None:
                if os.fspath(path) not in self._host.listeners:
                    raise FileNotFoundError(2, os.strerror(2))
                await self.sock_connect(made, path)  # type: ignore[arg-type]
        except BaseException:
            made.close()
            raise
        return await self._create_connection_transport(
            made,
            protocol_factory,
            ssl,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )

    async def create_unix_server(
        self,
        protocol_factory: Callable[[], Any],
        path: Any = None,
        *,
        sock: Any = None,
        backlog: int = 100,
        ssl: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        cleanup_socket: bool = True,
    ) -> asyncio.Server:
        """A path lives in the simulation, on this node: it makes no file."""
        if sock is None:
            listening = self._socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listening.bind(path)
            try:
                listening.listen(backlog)
            except OSError:
                listening.close()
                raise
        else:
            listening = self._simulated(sock)
        return await self._serve(
            start_serving, [listening], protocol_factory, ssl, backlog, ssl_handshake_timeout, ssl_shutdown_timeout
        )

    def _simulated(self, sock: Any) -> SimulatedSocket:
        if isinstance(sock, SimulatedSocket):
            return sock
        raise NotSimulated(f"{sock!r} is a real socket; on a simulated node let the loop make it (host and port)")

    # -- what a simulated machine does not have --------------------------------------------------------------------

    def _make_self_pipe(self) -> None:
        """Nobody wakes this loop from a thread: see _write_to_self."""

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        self.kick()

    async def subprocess_shell(self, *_: Any, **__: Any) -> Any:
        raise NotSimulated("a simulated node has no subprocesses; start the program as a node of its own")

    subprocess_exec = subprocess_shell

    async def connect_read_pipe(self, *_: Any) -> Any:
        raise NotSimulated("a simulated node has no pipes; use a socket between two nodes or a queue within one")

    connect_write_pipe = connect_read_pipe  # type: ignore[assignment]


def _report(handle: Any, error: BaseException) -> None:
    """Tell the loop's exception handler what a callback raised, as Handle._run does."""
    context = {"message": f"Exception in callback {_shown(handle)}", "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(context)


def _shown(handle: events.Handle) -> str:
    """A handle as a reader wants it: a step of a task is that task."""
    task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
    return f"{task.get_name()} in {where(task)}" if isinstance(task, asyncio.Task) else repr(handle)


def where(task: asyncio.Task[Any]) -> str:
    """The line at which a task waits: its own innermost one, and what of asyncio it waits in."""
    waits: Any = task.get_coro()
    own, inner = None, None
    while waits is not None:
        frame = next((f for f in (getattr(waits, name, None) for name in _FRAMES) if f is not None), None)
        if frame is not None:
            inner = frame
            if not frame.f_code.co_filename.startswith(_LIBRARIES):
                own = frame
        waits = (
            getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None) or getattr(waits, "ag_await", None)
        )
    if inner is None:
        return "an unknown place"
    shown = own or inner
    text = f"{shown.f_code.co_name} ({shown.f_code.co_filename}:{shown.f_lineno})"
    return text if own in (None, inner) else f"{text}, in asyncio's {inner.f_code.co_name}"


_FRAMES = ("cr_frame", "gi_frame", "ag_frame")
_LIBRARIES = (os.path.dirname(asyncio.__file__), os.path.dirname(__file__))


def _literal(host: str) -> str | None:
    """An address that is nobody's: connecting to it is silence, as in a real network."""
    import ipaddress

    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None
