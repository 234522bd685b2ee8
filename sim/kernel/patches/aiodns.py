"""aiodns, where a program has it: on a node its resolver knows the simulation's names.

c-ares asks real name servers by sockets of its own, and answers from a thread of its own. aiohttp looks names up by it
wherever it is installed. Nothing is imported here: who imports aiodns gets it patched. Knows of a node its names.
Tests: tests/sim/kernel/patches/test_aiodns.py.
"""

import asyncio
import functools
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Self

from sim.kernel.errors import NotSimulated
from sim.kernel.patches import rebind
from sim.kernel.patches.imports import when_imported
from sim.kernel.running import running

__all__ = ["install"]

NAME = "aiodns"
NOT_FOUND = 4, "Domain name not found"
"""ARES_ENOTFOUND, and c-ares' text."""
NUMERIC_HOST, NUMERIC_SERVICE = 1 << 1, 1 << 3
"""c-ares' flags of getnameinfo."""
TYPES = {"A": (1, socket.AF_INET), "AAAA": (28, socket.AF_INET6)}
"""Records that simulated machines have: number, family."""


def install() -> None:
    """sim.kernel.patches calls it."""
    when_imported(NAME, _patch)


def _patch(module: Any) -> None:
    resolver = module.DNSResolver
    real = resolver.__init__
    simulated = type(resolver.__name__, (_Resolver, resolver), {"not_found": module.error.DNSError})

    @functools.wraps(real)
    def init(self: Any, *args: Any, **options: Any) -> None:
        if running() is None:
            real(self, *args, **options)
        else:
            self.__class__ = simulated

    rebind.put(resolver, "__init__", init)


class _Resolver:
    """Answers as aiodns.DNSResolver does, at once."""

    not_found: Any
    nameservers: tuple[str, ...] = ()

    def _answer(self, ask: Callable[[Any], Any]) -> "asyncio.Future[Any]":
        node: Any = running()
        future = node.loop.create_future()
        try:
            future.set_result(ask(node.names))
        except OSError:
            future.set_exception(self.not_found(*NOT_FOUND))
        return future  # type: ignore[no-any-return]

    def getaddrinfo(
        self, host: str, family: int = 0, port: Any = None, proto: int = 0, type: int = 0, flags: int = 0
    ) -> "asyncio.Future[Any]":
        def ask(names: Any) -> Any:
            found = names.getaddrinfo(host, port, family, type, proto)
            nodes = [
                SimpleNamespace(
                    family=int(info[0]),
                    socktype=int(info[1]),
                    protocol=info[2],
                    addr=(info[4][0].encode(), *info[4][1:]),
                    ttl=0,
                    flags=0,
                )
                for info in found
            ]
            return SimpleNamespace(cnames=[], nodes=nodes)

        return self._answer(ask)

    def getnameinfo(self, sockaddr: Any, flags: int = 0) -> "asyncio.Future[Any]":
        wanted = (socket.NI_NUMERICHOST if flags & NUMERIC_HOST else 0) | (
            socket.NI_NUMERICSERV if flags & NUMERIC_SERVICE else 0
        )

        def ask(names: Any) -> Any:
            host, service = names.getnameinfo(sockaddr, wanted)
            return SimpleNamespace(node=host, service=service)

        return self._answer(ask)

    def gethostbyname(self, host: str, family: int) -> "asyncio.Future[Any]":
        return self._answer(
            lambda names: SimpleNamespace(name=host, aliases=[], addresses=_addresses(names, host, family))
        )

    def gethostbyaddr(self, name: str) -> "asyncio.Future[Any]":
        def ask(names: Any) -> Any:
            host, aliases, addresses = names.gethostbyaddr(name)
            return SimpleNamespace(name=host, aliases=aliases, addresses=addresses)

        return self._answer(ask)

    def query(self, host: str, qtype: str, qclass: Any = None) -> "asyncio.Future[Any]":
        _, family = _type(qtype)
        return self._answer(lambda names: [SimpleNamespace(host=ip, ttl=0) for ip in _addresses(names, host, family)])

    def query_dns(self, host: str, qtype: str, qclass: Any = None) -> "asyncio.Future[Any]":
        number, family = _type(qtype)

        def ask(names: Any) -> Any:
            answer = [
                SimpleNamespace(name=host, type=number, record_class=1, ttl=0, data=SimpleNamespace(addr=ip))
                for ip in _addresses(names, host, family)
            ]
            return SimpleNamespace(answer=answer, authority=[], additional=[])

        return self._answer(ask)

    def cancel(self) -> None:
        """Every question has been answered."""

    async def close(self) -> None:
        """It has nothing open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def __del__(self) -> None:
        pass


def _type(name: str) -> tuple[int, int]:
    if name not in TYPES:
        raise NotSimulated(f"simulated machines have names and addresses (A, AAAA), and no DNS records of type {name}")
    return TYPES[name]


def _addresses(names: Any, host: str, family: int) -> list[str]:
    found = names.getaddrinfo(host, None, family, socket.SOCK_STREAM)
    return [info[4][0] for info in found]
