"""How a simulated node's loop makes connections, servers and datagram endpoints, resolves names, and what it refuses.

The half of the node's loop that touches sockets: asyncio's own code above simulated ones, with those methods replaced
that would make a real one. When it runs is sim.kernel.loop.run's.

Private names of asyncio's: sim.kernel.cpython. Tests: tests/sim/kernel/loop/test_loop.py, tests/sim/twins.
"""

import asyncio
import errno
import os
import socket
import ssl
import sys
from asyncio import base_events, events, unix_events
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from sim.kernel.errors import NodeDown, NotSimulated
from sim.kernel.loop.adopt import adopt, listening_at, real_one
from sim.kernel.loop.run import Turns
from sim.kernel.loop.sockets import SimulatedSocket
from sim.kernel.loop.transports import DatagramTransport, StreamTransport
from sim.kernel.loop.unix_names import file_at
from sim.kernel.real_threads import real_threads

__all__ = ["ConnectionMethods"]


_OPTIONS_OF_SERVERS = frozenset(asyncio.BaseEventLoop.create_server.__kwdefaults__ or ())


class ConnectionMethods(Turns):
    """Base of NodeLoop: everything of it that makes or names a socket."""

    __slots__ = ()

    # asyncio's own, which its stubs do not show.
    _sock_connect_cb: Callable[..., None]
    _check_closed: Callable[[], None]
    _sock_sendfile_fallback: Callable[..., Any]
    _create_server_getaddrinfo: Callable[..., Any]
    _create_connection_transport: Callable[..., Any]

    # -- names -----------------------------------------------------------------------------------------------------

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        """Node names and addresses of the simulation. Raises socket.gaierror for any other name.

        As asyncio's it asks socket.getaddrinfo, so that whoever puts another in its place, as tests do, is asked.
        """
        if getattr(socket.getaddrinfo, "asks_node", False):
            return self.node.names.getaddrinfo(host, port, family, type, proto, flags)
        found = self.run_in_executor(None, socket.getaddrinfo, host, port, family, type, proto, flags)
        return cast("list[Any]", await found)

    def _asks_node(self) -> bool:
        """Whether nobody has put a look-up of their own in the place of the simulation's."""
        asks = getattr(self.getaddrinfo, "__func__", None) is ConnectionMethods.getaddrinfo
        return asks and getattr(socket.getaddrinfo, "asks_node", False)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        return self.node.names.getnameinfo(sockaddr, flags)

    def _make_socket_transport(
        self, sock: Any, protocol: Any, waiter: Any = None, *, extra: Any = None, server: Any = None
    ) -> StreamTransport:
        return StreamTransport(self, self._simulated(sock), protocol, waiter, extra, server)

    def _make_ssl_transport(self, rawsock: Any, *arguments: Any, **options: Any) -> Any:
        transport: Any = super()._make_ssl_transport(rawsock, *arguments, **options)  # type: ignore[misc]
        self._simulated(rawsock).veil(transport._ssl_protocol)
        return transport

    def _make_datagram_transport(
        self, sock: Any, protocol: Any, address: Any = None, waiter: Any = None, extra: Any = None
    ) -> DatagramTransport:
        return DatagramTransport(self, self._simulated(sock), protocol, address, waiter, extra)

    # -- sockets ---------------------------------------------------------------------------------------------------

    def _socket(self, family: int, kind: int) -> SimulatedSocket:
        if self._dead:
            raise NodeDown(f"{self.node.name} is down; its event loop cannot be used any more")
        if family == socket.AF_UNIX and kind != socket.SOCK_STREAM:
            raise NotSimulated("Unix sockets are streams on a simulated node; for datagrams use UDP on 127.0.0.1")
        return SimulatedSocket(self.node.simulation.network, self._host, self._selector, family, kind)

    async def create_connection(
        self, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **options: Any
    ) -> tuple[Any, Any]:
        """As asyncio's, in the same turns, without its detours where there is one address to try and nothing asked."""
        direct = type(host) is str and host and _is_port(port) and not options and self._asks_node()
        infos = self.node.names.streams_to(host, port) if direct else ()
        if len(infos) != 1:
            return await super().create_connection(protocol_factory, host, port, **options)
        ((family, _, _, _, address),) = infos
        made = self._socket(family, socket.SOCK_STREAM)
        connected = self.create_future()
        try:
            made.connect_for(events.Handle(self._sock_connect_cb, (connected, made, address), self, None), address)
            await connected
            protocol = protocol_factory()
        except BaseException:
            made.close()
            raise
        finally:
            del connected  # else an exception is in a cycle
        ready = self.create_future()
        transport = StreamTransport(self, made, protocol, ready, None, None)
        try:
            await ready
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def create_datagram_endpoint(
        self, protocol_factory: Callable[[], Any], local_addr: Any = None, remote_addr: Any = None, **options: Any
    ) -> tuple[Any, Any]:
        """As asyncio's, in the same turns, without its detours where there is but an address to bind to."""
        plain = type(local_addr) is tuple and len(local_addr) == 2 and not (remote_addr or options)
        direct = plain and _is_port(local_addr[1]) and self._asks_node()
        infos = self.node.names.getaddrinfo(local_addr[0], local_addr[1], type=socket.SOCK_DGRAM) if direct else ()
        if len(infos) != 1:
            made: tuple[Any, Any] = await super().create_datagram_endpoint(
                protocol_factory, local_addr, remote_addr, **options
            )
            return made
        ((family, _, _, _, address),) = infos
        bound = self._socket(family, socket.SOCK_DGRAM)
        try:
            bound.bind(address)
        except OSError:
            bound.close()
            raise
        protocol, ready = protocol_factory(), self.create_future()
        transport = DatagramTransport(self, bound, protocol, None, ready, {"peername": None})
        try:
            await ready
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    def _accept_connection(
        self,
        protocol_factory: Any,
        sock: Any,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        *more: Any,
    ) -> None:
        """As asyncio's, in the same turns, without a task for each connection where no TLS has to be spoken first."""
        if sslcontext is not None:
            super()._accept_connection(protocol_factory, sock, sslcontext, server, backlog, *more)  # type: ignore[misc]
            return
        # One that was shut down raises, as asyncio's own server finds.
        for _ in range(min(backlog, sock.to_accept) if sock.listens else 1):
            accepted, address = sock.accept_for_loop()
            self.call_soon(self._accepted, protocol_factory, accepted, {"peername": address}, server)

    def _accepted(self, protocol_factory: Any, accepted: Any, extra: Any, server: Any) -> None:
        try:
            StreamTransport(self, accepted, protocol_factory(), None, extra, server)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:  # as asyncio, which tells of it in debug mode alone
            accepted.close()

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
        **more: Any,
    ) -> asyncio.Server:
        for name in sorted(more.keys() - _OPTIONS_OF_SERVERS):
            raise TypeError(f"create_server() got an unexpected keyword argument {name!r}")
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        if ssl is None and (ssl_handshake_timeout is not None or ssl_shutdown_timeout is not None):
            raise ValueError("ssl_handshake_timeout and ssl_shutdown_timeout are only meaningful with ssl")
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            if sock.type != socket.SOCK_STREAM:
                raise ValueError(f"A Stream Socket was expected, got {sock!r}")
            sockets = [self._simulated(sock)]
        elif host is None and port is None:
            raise ValueError("Neither host/port nor sock were specified")
        else:
            hosts = list(host) if isinstance(host, Iterable) and not isinstance(host, str) else [host or None]
            wanted = {
                socket.SO_REUSEADDR: reuse_address is None or reuse_address,
                socket.SO_REUSEPORT: reuse_port,
                socket.SO_KEEPALIVE: more.get("keep_alive"),
            }
            sockets = await self._listening(hosts, port, family, flags, [name for name, on in wanted.items() if on])
        return await self._serve(
            start_serving, sockets, protocol_factory, ssl, backlog, ssl_handshake_timeout, ssl_shutdown_timeout
        )

    async def _listening(
        self, hosts: Sequence[Any], port: Any, family: int, flags: int, options: Sequence[int]
    ) -> list[SimulatedSocket]:
        """One for each address. asyncio's own keeps them in a set, whose order is not the same in every run."""
        infos: dict[Any, None] = {}
        for host in hosts:
            infos |= dict.fromkeys(await self._create_server_getaddrinfo(host, port, family=family, flags=flags))
        made: list[SimulatedSocket] = []
        for info in infos:
            listening = self._socket(info[0], socket.SOCK_STREAM)
            for option in options:
                listening.setsockopt(socket.SOL_SOCKET, option, True)
            if info[0] == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, True)
            try:
                listening.bind(info[4])
            except OSError as error:
                listening.close()
                if error.errno == errno.EADDRNOTAVAIL and sys.version_info >= (3, 13):
                    continue  # as asyncio, which takes the family for one that is not enabled
                for each in made:
                    each.close()
                reason = (error.strerror or "").lower()
                if sys.version_info >= (3, 13):
                    reason = f"[errno {error.errno}] {reason}"
                raise OSError(error.errno, f"error while attempting to bind on address {info[4]!r}: {reason}") from None
            made.append(listening)
        if not made and sys.version_info >= (3, 13):
            raise OSError(f"could not bind on any address out of {[info[4] for info in infos]!r}")
        return made

    async def _serve(self, start_serving: bool, *arguments: Any) -> asyncio.Server:
        """`arguments` are Server's: sockets, factory, TLS context, backlog, time-outs of handshake and shutdown."""
        server: Any = base_events.Server(self, *arguments)
        if start_serving:
            server._start_serving()
            await asyncio.sleep(0)
        return server  # type: ignore[no-any-return]

    async def _sock_sendfile_native(self, sock: Any, file: Any, offset: int, count: int | None) -> int:
        """As if the operating system did it: read and sent, where the file is one of its own."""
        try:
            stat = os.fstat(file.fileno())
        except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
            raise asyncio.SendfileNotAvailableError("not a regular file") from None
        if not (count or stat.st_size):
            return 0
        file.seek(offset)
        sent: int = await self._sock_sendfile_fallback(sock, file, offset, count)
        return sent

    create_unix_connection = unix_events._UnixSelectorEventLoop.create_unix_connection

    async def create_unix_server(
        self, protocol_factory: Callable[[], Any], path: Any = None, *, sock: Any = None, **options: Any
    ) -> asyncio.Server:
        """A path is one of this node's machine, and makes no real file (sim.kernel.patches.unix_files)."""
        if path is not None and sock is None:
            # As asyncio does with what an earlier server left; asyncio itself would remove a real socket's file.
            path = os.fspath(path)
            if (left := file_at(self._host, path)) is not None:
                self._host.unlink(left)
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.bind(path)
            except OSError as error:
                sock.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
            except BaseException:
                sock.close()
                raise
            path = None
        cleans_up = False
        if sys.version_info >= (3, 13):
            # asyncio looks at the number of the file.
            cleans_up, options["cleanup_socket"] = options.get("cleanup_socket", True), False
        make: Any = unix_events._UnixSelectorEventLoop.create_unix_server
        server: asyncio.Server = await make(self, protocol_factory, path, sock=sock, **options)
        if cleans_up:
            self._simulated(sock).take_file_along()
        return server

    def _simulated(self, sock: Any) -> SimulatedSocket:
        """The simulated socket that `sock` is or stands for; a real one is adopted."""
        return sock if type(sock) is SimulatedSocket else adopt(sock, self._socket)

    def take_in(self, address: Any) -> None:
        """A real socket of this process that listens there is this machine's from now on, where there is one.

        Raises NotSimulated where a thread of the real world may serve it.
        """
        found = listening_at(address)
        if found is None:
            return
        if others := real_threads(self._simulation.thread):
            raise NotSimulated(
                f"{found!r} is a real server's socket, and may be served by {', '.join(others)}; make the server on "
                "the node, or on another one"
            )
        self._simulated(found)

    def _plain(self, sock: Any) -> SimulatedSocket:
        """That, but of no TLS socket, as asyncio looks."""
        if isinstance(sock, ssl.SSLSocket):
            raise TypeError("Socket cannot be of type SSLSocket")
        return self._simulated(sock)

    async def sock_recv(self, sock: Any, n: int) -> bytes:
        return await super().sock_recv(self._plain(sock), n)  # type: ignore[arg-type]

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        return await super().sock_recv_into(self._plain(sock), buf)  # type: ignore[arg-type]

    async def sock_recvfrom(self, sock: Any, bufsize: int) -> Any:
        return await super().sock_recvfrom(self._plain(sock), bufsize)  # type: ignore[arg-type]

    async def sock_recvfrom_into(self, sock: Any, buf: Any, nbytes: int = 0) -> Any:
        return await super().sock_recvfrom_into(self._plain(sock), buf, nbytes)  # type: ignore[arg-type]

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        await super().sock_sendall(self._plain(sock), data)  # type: ignore[arg-type]

    async def sock_sendto(self, sock: Any, data: Any, address: Any) -> Any:
        return await super().sock_sendto(self._plain(sock), data, address)  # type: ignore[arg-type]

    async def sock_connect(self, sock: Any, address: Any) -> None:
        await super().sock_connect(self._plain(sock), address)  # type: ignore[arg-type]

    async def sock_accept(self, sock: Any) -> Any:
        return await super().sock_accept(self._plain(sock))  # type: ignore[arg-type]

    # -- who is told when a socket has something ---------------------------------------------------------------------

    def _watched(self, fd: Any) -> SimulatedSocket:
        """The socket, given itself, a real one that it stands for, or its descriptor."""
        if not isinstance(fd, int):
            if isinstance(fd, socket.socket) and fd.fileno() >= 0:
                return self._simulated(fd)
            try:
                fd = int(fd.fileno())
            except (AttributeError, TypeError, ValueError):
                raise ValueError(f"Invalid file object: {fd!r}") from None
        if fd < 0:
            raise ValueError(f"Invalid file descriptor: {fd}")
        watched = self._selector.sockets.get(fd)
        if watched is None:
            real = real_one(fd)
            if real is not None:
                return self._simulated(real)
            raise NotSimulated(
                f"file descriptor {fd} is not a simulated socket; on a simulated node use streams, datagram "
                "endpoints or loop.sock_* with sockets of the simulation"
            )
        return watched

    def _descriptor(self, fd: Any) -> Any:
        """As asyncio takes it: nobody is watched by that of a socket that is closed, which is no error."""
        return self._simulated(fd).fileno() if isinstance(fd, socket.socket) else fd

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        super().add_reader(self._watched(fd).fileno(), callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        return super().remove_reader(self._descriptor(fd))

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        super().add_writer(self._watched(fd).fileno(), callback, *args)

    def remove_writer(self, fd: Any) -> bool:
        return super().remove_writer(self._descriptor(fd))

    def _add_reader(self, fd: int, callback: Any, *args: Any) -> events.Handle:
        watched, handle = self._watched(fd), self._handle(callback, args)
        if watched.reader is not None:
            watched.reader.cancel()
        watched.watch(handle, watched.writer)
        return handle

    def _remove_reader(self, fd: int) -> bool:
        watched = None if self._closed else self._selector.sockets.get(fd)
        if watched is None or watched.reader is None:
            return False
        watched.reader.cancel()
        watched.watch(None, watched.writer)
        return True

    def _add_writer(self, fd: int, callback: Any, *args: Any) -> events.Handle:
        watched, handle = self._watched(fd), self._handle(callback, args)
        if watched.writer is not None:
            watched.writer.cancel()
        watched.watch(watched.reader, handle)
        return handle

    def _remove_writer(self, fd: int) -> bool:
        watched = None if self._closed else self._selector.sockets.get(fd)
        if watched is None or watched.writer is None:
            return False
        watched.writer.cancel()
        watched.watch(watched.reader, None)
        return True

    def _handle(self, callback: Any, args: Any) -> events.Handle:
        self._check_closed()
        return events.Handle(callback, args, self, None)

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

    async def connect_read_pipe(self, protocol_factory: Any, pipe: Any) -> Any:
        raise NotSimulated("a simulated node has no pipes; use a socket between two nodes or a queue within one")

    connect_write_pipe = connect_read_pipe


def _is_port(port: Any) -> bool:
    return type(port) is int and 0 <= port <= 65535
