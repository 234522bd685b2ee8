"""Setting up a connection: SYN, the accept queue, refusal, silence.

A listener keeps connections until its program accepts them; a connecting side tries again at doubling times. Follows
Linux' defaults (tcp.defaults). What comes after is tcp.endpoint's. Tests: tests/sim/network/tcp/test_endpoint.py,
tests/sim/twins/test_streams.py.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from sim.network.fabric import Network
from sim.network.fate import packet_is_lost
from sim.network.host import ANY, Address, Host, UnixFile
from sim.network.netstat import SocketRow, shown
from sim.network.tcp.defaults import BACKLOG, SYN_TIMEOUTS
from sim.network.tcp.endpoint import ACCEPTED, Endpoint

__all__ = ["Connecting", "Listener"]


class Listener:
    """A listening socket: connections that wait to be accepted. `key` is (ip, port) or a Unix socket's file.

    One of IPv6 that is bound to no address hears IPv4 as well, where it is `dual`.
    """

    def __init__(
        self,
        network: Network,
        host: Host,
        key: tuple[str, int] | UnixFile,
        backlog: int = BACKLOG,
        *,
        dual: bool = False,
    ) -> None:
        self.network, self.host, self.backlog = network, host, max(1, backlog)
        if isinstance(key, UnixFile):
            self.key: tuple[str, int] | UnixFile = key
        else:
            self.key = host.bind(host.listeners, *key)
            if dual:
                host.listeners[host.bind(host.listeners, "0.0.0.0", self.key[1])] = self
        host.listeners[self.key] = self
        self.queue: deque[Endpoint] = deque()
        self.pending = 0
        """Connections that are being set up or wait to be accepted."""
        self.on_readable: Callable[[], None] = _nobody
        self.closed = False

    def row(self) -> SocketRow:
        unix = isinstance(self.key, UnixFile)
        return SocketRow(self.host.name, "unix" if unix else "tcp", _shown(self.key), "*", "LISTEN", len(self.queue), 0)

    def add(self, endpoint: Endpoint) -> None:
        endpoint.listener = None
        if self.closed:
            endpoint.reset()  # it was closed before the handshake's last acknowledgement came
            return
        self.queue.append(endpoint)
        self.on_readable()

    def accept(self) -> Endpoint:
        """The next connection. Raises IndexError when there is none."""
        endpoint = self.queue.popleft()
        self.pending -= 1
        return endpoint

    def close(self) -> None:
        self.closed = True
        self.on_readable = _nobody
        key, host = self.key, self.host
        listeners: dict[Any, Listener] = host.listeners
        for each in (key,) if isinstance(key, UnixFile) else (key, ("0.0.0.0", key[1])):
            if listeners.get(each) is self:
                del listeners[each]
        if isinstance(key, UnixFile) and key.goes_with_listener and host.files.get(key.made_at) is key:
            host.unlink(key.made_at)
        while self.queue:
            self.queue.popleft().reset()


class Connecting:
    """A connection being set up. Calls `done(endpoint)` or `done(OSError)` once, unless cancelled."""

    def __init__(
        self,
        network: Network,
        host: Host,
        key: tuple[str, int] | UnixFile,
        done: Callable[[Endpoint | OSError], None],
        local: Address | UnixFile | None = None,
    ) -> None:
        self.network, self.host, self.key, self.done = network, host, key, done
        self._boot = host.boots
        self._attempt = 0
        if isinstance(key, UnixFile):
            self.target: Host | None = host
            self.local: Address = (local.bound_to if isinstance(local, UnixFile) else "", 0)
        else:
            self.target = network.host_of(key[0], host)
            ip, port = ("", 0) if local is None or isinstance(local, UnixFile) else local
            self.local = (host.source_for(key[0]) if not ip or ip in ANY else ip, port or host.ephemeral_port())
        self._cancelled = False
        host.connecting = host.connecting or {}
        host.connecting[self] = None
        self._syn(None)

    def cancel(self) -> None:
        self._cancelled = True
        self._gone()

    def _gone(self) -> None:
        if self.host.connecting is not None:
            self.host.connecting.pop(self, None)

    def row(self) -> SocketRow:
        unix = isinstance(self.key, UnixFile)
        address = "*" if unix else shown(self.local)
        return SocketRow(self.host.name, "unix" if unix else "tcp", address, _shown(self.key), "SYN_SENT", 0, 0)

    @property
    def finished(self) -> bool:
        return self._attempt < 0

    def _over(self) -> bool:
        return self._cancelled or self.host.boots != self._boot

    def _delay(self, source: Host, target: Host) -> float | None:
        """Seconds to the other host, None where the packet is lost."""
        path = self.network.path(source, target)
        if path is None or packet_is_lost(path.link, self.network.random):
            return None
        return path.delay()

    def _syn(self, _: None) -> None:
        if self._over():
            return
        if self._attempt == len(SYN_TIMEOUTS):
            self._finish(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
            return
        network, target = self.network, self.target
        if target is not None and target is self.host and target.at_once(network.schedule.now):
            listener = self._listener()
            if listener is None or listener.pending < listener.backlog:
                if listener is not None:
                    listener.pending += 1
                self._answer((listener, target.boots))
                return
        network.schedule.after(SYN_TIMEOUTS[self._attempt], self._again, self._attempt)
        delay = None if target is None else self._delay(self.host, target)
        if delay is not None:
            network.schedule.after(self.host.ahead + delay, self._syn_arrives, None)

    def _again(self, attempt: int) -> None:
        if attempt == self._attempt:
            self._attempt += 1
            self._syn(None)

    def _syn_arrives(self, _: None) -> None:
        target = self.target
        assert target is not None, "only sent to a host"
        if target.inbox is not None and target.inbox.keeps(self.host.name, partial(self._syn_arrives, None)):
            return
        if self._over() or not target.up:
            return
        listener = self._listener()
        if listener is not None and listener.pending >= listener.backlog:
            return
        back = self._delay(target, self.host)
        if back is None:
            return
        if listener is not None:
            listener.pending += 1
        self.network.schedule.after(target.ahead + back, self._answer, (listener, target.boots))

    def _listener(self) -> Listener | None:
        assert self.target is not None, "only asked of a host"
        listeners = self.target.listeners
        if isinstance(self.key, UnixFile):
            return listeners.get(self.key)
        found: Listener | None = self.target.lookup(listeners, self.key[0], self.key[1])
        return found

    def _answer(self, answer: tuple[Listener | None, int]) -> None:
        listener, boots = answer
        inbox = self.host.inbox
        answered = partial(self._answer, answer)
        if inbox is not None and self.target is not None and inbox.keeps(self.target.name, answered):
            return
        if self._over() or self._attempt < 0:
            if listener is not None:
                listener.pending -= 1
            return
        if listener is None:
            self._finish(ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
            return
        target = listener.host
        remote = self.key if isinstance(self.key, tuple) else ("", 0)
        client = Endpoint(self.network, self.host, self.local, remote)
        server = Endpoint(self.network, target, remote, self.local)
        server.boot = boots
        server.listener = listener
        client.join(server)
        server.join(client)
        client.transmit(ACCEPTED, 0)
        self._finish(client)

    def _finish(self, result: Endpoint | OSError) -> None:
        self._attempt = -1  # whatever else arrives is stale
        self._gone()
        network, to = self.network, self.target.name if self.target else _shown(self.key)
        name = "tcp_connected" if isinstance(result, Endpoint) else "tcp_refused"
        network.trace.record(network.schedule.now, self.host.name, name, to=to)
        self.done(result)


def _shown(key: tuple[str, int] | UnixFile) -> str:
    return key.bound_to if isinstance(key, UnixFile) else shown(key)


def _nobody() -> None:
    """Nobody waits here."""
