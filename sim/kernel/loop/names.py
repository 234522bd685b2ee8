"""Names and addresses as a program on a simulated machine looks them up: getaddrinfo, getnameinfo and their like.

Node names resolve to all addresses of that node, in the order in which it was given them. Nothing is asked of the real
machine but its list of services. See getaddrinfo(3); the error numbers are glibc's. Knows the network's machines, no
sockets. Tests: tests/sim/kernel/loop/test_names.py, tests/sim/twins/test_names.py.
"""

import socket
from functools import lru_cache
from operator import index
from typing import Any

from sim.network.fabric import Network
from sim.network.host import Host

__all__ = ["MAPPED", "Names"]

MANY_KEPT = 1000
"""Answers that are kept of one machine."""
MAPPED = "::ffff:"
"""What an address of IPv4 begins with where it is shown as one of IPv6."""
_KINDS = (
    (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    (socket.SOCK_RAW, 0),
)
# Numbers: an operation on an enum's members takes microseconds, and each connection looks its peer up.
_PASSIVE, _NUMERIC_HOST, _CANONICAL_NAME = int(socket.AI_PASSIVE), int(socket.AI_NUMERICHOST), int(socket.AI_CANONNAME)
_MAP_IPV4, _NUMERIC_SERVICE, _ALL_FLAGS = int(socket.AI_V4MAPPED), int(socket.AI_NUMERICSERV), 0x7FF
_KNOWN_FAMILIES = frozenset({0, int(socket.AF_INET), int(socket.AF_INET6)})


class Names:
    """What one machine answers."""

    __slots__ = ("_host", "_network", "_streams")

    def __init__(self, network: Network, host: Host) -> None:
        self._network, self._host = network, host
        self._streams: dict[tuple[str, int], list[Any]] = {}

    def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        """Raises socket.gaierror for a name that no node has."""
        host = _text(host)
        kinds = _kinds(family, type, proto, flags)
        number, protocols = _port(port, flags)
        if protocols is not None:
            kinds = [kind for kind in kinds if kind[0] in protocols]
        if not kinds:
            raise socket.gaierror(socket.EAI_SERVICE, f"there is no service {port!r} of that kind")
        if (host is None and port is None) or host == "":
            raise socket.gaierror(socket.EAI_NONAME, "neither a name nor a service; None is this machine")
        literal = _literal(host) if host and (host not in self._network.hosts or _numeric(host)) else None
        if host is None:
            found = ["0.0.0.0", "::"] if flags & _PASSIVE else ["::1", "127.0.0.1"]
        elif literal is not None:
            found = [literal]
        else:
            if flags & _NUMERIC_HOST:
                raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is not a numeric address")
            found = self._network.addresses(host)
        if not found:
            known = list(self._network.hosts)
            shown = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
            raise socket.gaierror(socket.EAI_NONAME, f"no node is called {host!r}; there are: {shown}")
        wanted = [ip for ip in found if family in (0, _family(ip))]
        if not wanted and flags & _MAP_IPV4 and family == socket.AF_INET6:
            wanted = [MAPPED + ip for ip in found]
        if not wanted:
            code = socket.EAI_ADDRFAMILY if literal else socket.EAI_NODATA
            raise socket.gaierror(code, f"{host} has no address of that family; it has {', '.join(found)}")
        canonical = host if flags & _CANONICAL_NAME and host else ""
        infos = [(_family(ip), kind, protocol, "", _address(ip, number)) for ip in wanted for kind, protocol in kinds]
        if canonical and infos:
            infos[0] = (*infos[0][:3], canonical, infos[0][4])
        return infos

    def streams_to(self, host: str, port: int) -> list[Any]:
        """As `getaddrinfo` for a stream; answers are kept, as a node keeps its addresses."""
        key = host, port
        infos = self._streams.get(key)
        if infos is None:
            if len(self._streams) >= MANY_KEPT:
                self._streams.clear()
            infos = self._streams[key] = self.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return infos

    def of_socket(self, family: int, call: str, address: Any) -> tuple[str, int]:
        """(ip, port) of an address as a socket's calls take it, an IPv4 one where IPv6 maps it (::ffff:10.0.0.1).

        Raises TypeError, OverflowError and socket.gaierror as they do.
        """
        six = family == socket.AF_INET6
        if not isinstance(address, tuple):
            kind = "AF_INET6" if six else "AF_INET"
            raise TypeError(f"{call}(): {kind} address must be tuple, not {type(address).__name__}")
        if len(address) != 2 and not (six and len(address) in (3, 4)):
            raise TypeError(f"{call}(): an address is a pair (host, port), not {address!r}")
        name, port = address[0], index(address[1])
        if isinstance(name, bytes | bytearray):
            name = name.decode("ascii")
        if not isinstance(name, str):
            raise TypeError(f"str, bytes or bytearray expected, not {type(name).__name__}")
        if not 0 <= port <= 65535:
            raise OverflowError(f"{call}(): port must be 0-65535.")
        if six and name.startswith(MAPPED) and "." in name:
            return name.removeprefix(MAPPED), port
        if not name:
            return ("::" if six else "0.0.0.0"), port
        if name in ("<broadcast>", "255.255.255.255") and not six:
            return "255.255.255.255", port
        network = self._network
        if (":" in name) == six and name not in network.hosts and (name in network.directory or _literal(name) == name):
            return name, port
        ip: str = self.getaddrinfo(name, port, family, socket.SOCK_STREAM)[0][4][0]
        return ip, port

    def getnameinfo(self, address: Any, flags: int = 0) -> tuple[str, str]:
        if not isinstance(address, tuple) or not 2 <= len(address) <= 4:
            raise TypeError("getnameinfo() argument 1 must be a tuple of two to four")
        if not isinstance(address[0], str) or not isinstance(address[1], int):
            raise TypeError("an address begins with a text and a number")
        known, port = _literal(address[0]), address[1] & 0xFFFF
        if address[1] < 0:
            raise socket.gaierror(socket.EAI_SERVICE, f"there is no port {address[1]}")
        if known is None:
            raise socket.gaierror(socket.EAI_NONAME, f"{address[0]!r} is not a numeric address")
        ip = known
        host = self._network.host_of(ip, self._host)
        if host is None or flags & socket.NI_NUMERICHOST:
            if host is None and flags & socket.NI_NAMEREQD:
                raise socket.gaierror(socket.EAI_NONAME, f"no node has the address {ip}")
            name = ip
        else:
            name = "localhost" if ip not in self._network.directory else host.name
        if flags & socket.NI_NUMERICSERV:
            return name, str(port)
        try:
            service = socket.getservbyport(port, "udp" if flags & socket.NI_DGRAM else "tcp")
        except OSError:
            service = str(port)
        return name, service

    # -- what programs call of the module `socket`, on a node -------------------------------------------------------

    def gethostname(self) -> str:
        return self._host.name

    def getfqdn(self, name: str = "") -> str:
        return name if name not in ("", "0.0.0.0", "::") else self._host.name

    def gethostbyname(self, name: str) -> str:
        if not name:
            return "0.0.0.0"
        ip: str = self.getaddrinfo(name, 0, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
        return ip

    def gethostbyname_ex(self, name: str) -> tuple[str, list[str], list[str]]:
        infos = self.getaddrinfo(name, 0, socket.AF_INET, socket.SOCK_STREAM)
        return name, [], [info[4][0] for info in infos]

    def gethostbyaddr(self, ip: str) -> tuple[str, list[str], list[str]]:
        name = self.getnameinfo((ip, 0), socket.NI_NAMEREQD | socket.NI_NUMERICSERV)[0]
        return name, [], [ip]


def _text(host: Any) -> str | None:
    """Raises UnicodeError where it could not be asked of a name server."""
    if host is None:
        return None
    if isinstance(host, bytes | bytearray):
        return bytes(host).decode("ascii")
    if not isinstance(host, str):
        raise TypeError("getaddrinfo() argument 1 must be string or None")
    if len(host) > 63 or ".." in host or not host.isascii():
        return host.encode("idna").decode()
    return host


def _kinds(family: int, type: int, proto: int, flags: int) -> list[tuple[int, int]]:
    """What kinds of sockets are asked for, and their protocols."""
    if flags & ~_ALL_FLAGS:
        raise socket.gaierror(socket.EAI_BADFLAGS, "Bad value for ai_flags")
    if family not in _KNOWN_FAMILIES:
        raise socket.gaierror(socket.EAI_FAMILY, "ai_family not supported")
    kinds = [pair for pair in _KINDS if type in (0, pair[0]) and proto in (0, pair[1])]
    if not kinds:
        raise socket.gaierror(socket.EAI_SOCKTYPE if type else socket.EAI_SERVICE, "ai_socktype not supported")
    return kinds  # type: ignore[return-value]


def _port(port: Any, flags: int = 0) -> tuple[int, frozenset[int] | None]:
    """The number, and for which kinds of sockets where it is a service's; None = for all."""
    if port in (None, "", b""):
        return 0, None
    if isinstance(port, bytes):
        port = port.decode()
    if not isinstance(port, int | str):
        raise OSError("Int or String expected")
    try:
        number = int(port)
    except ValueError:
        if flags & _NUMERIC_SERVICE:
            raise socket.gaierror(socket.EAI_NONAME, f"{port!r} is not a number") from None
        numbers = {kind: found for kind, name in _SERVICES.items() if (found := _service(str(port), name)) is not None}
        if not numbers:
            raise socket.gaierror(socket.EAI_SERVICE, f"there is no service {port!r}") from None
        return next(iter(numbers.values())), frozenset(numbers)
    if number < 0:
        raise socket.gaierror(socket.EAI_SERVICE, f"there is no service {port!r}")
    return number & 0xFFFF, None


_SERVICES = {int(socket.SOCK_STREAM): "tcp", int(socket.SOCK_DGRAM): "udp"}


def _service(name: str, protocol: str) -> int | None:
    try:
        return socket.getservbyname(name, protocol)
    except OSError:
        return None


def _numeric(host: str) -> bool:
    """Whether it may be an address, although a node is called so."""
    return ":" in host or host[0].isdecimal()


@lru_cache(1024)  # a thousand nodes bind to one wildcard
def _literal(host: str) -> str | None:
    """An address, whosever: connecting to nobody's is silence, as in a real network."""
    text = host.partition("%")[0]
    try:
        if ":" in text:
            return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))
        # It takes 127.1 and 0x7f.1 as well, as getaddrinfo does, and what stands behind a space, as that does not.
        return None if " " in text else socket.inet_ntoa(socket.inet_aton(text))
    except (OSError, ValueError):
        return None


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def _address(ip: str, port: int) -> tuple[Any, ...]:
    return (ip, port, 0, 0) if ":" in ip else (ip, port)
