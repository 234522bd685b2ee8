"""Why a server cannot be reached, in words: the reason, and which addresses were tried.

Knows what asyncio raises where it connects and shakes hands. Knows no attempt and no pause between two.

Tests: tests/rpcnet/client/test_unreachable.py.
"""

import errno
import os
import re
import socket
import ssl
import stat
from typing import Final

from rpcnet.address import Address, join_host_port
from rpcnet.handshake import handshake_failure

__all__ = ["unreachable"]

# Up to 3.13 asyncio puts the errors of several addresses into the text of one, and tells them in no other way.
TRIED: Final = re.compile(r"\[Errno (\d+)\] Connect call failed \('([^']+)', (\d+)")

REASONS: Final = {
    errno.ECONNREFUSED: "connection refused, nobody listens there",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "no route to its network",
    errno.ETIMEDOUT: "no answer from the host",
    errno.EMFILE: "this process has too many open files",
    errno.ENFILE: "this machine has too many open files",
}
REASONS_OF_A_PATH: Final = {
    errno.ENOENT: "there is no such socket",
    errno.ECONNREFUSED: "connection refused, nobody listens there: its server has ended without removing it",
}


def unreachable(error: OSError, address: Address, has_tls: bool) -> str:
    """The reason for which connecting to `address` failed with `error`."""
    if isinstance(error, ssl.SSLError) or (has_tls and _in_handshake(error)):
        return handshake_failure(error, "client")
    if isinstance(error, socket.gaierror):
        return f"the name {address.host!r} was not found: {error.strerror or error}"
    tried = TRIED.findall(str(error))
    if not tried:
        return _reason(error.errno, address) or str(error) or type(error).__name__
    reasons = dict.fromkeys(_reason(int(number), address) for number, _, _ in tried)
    addresses = dict.fromkeys(join_host_port(host, int(port)) for _, host, port in tried)
    text = "; ".join(reasons)
    return text if list(addresses) == [str(address)] else f"{text} (tried {' and '.join(addresses)})"


def _in_handshake(error: OSError) -> bool:
    """asyncio raises these without a number, or a text of its own, where the other end ends a handshake."""
    return isinstance(error, ConnectionError) and "Connect call failed" not in str(error)


def _reason(number: int | None, address: Address) -> str:
    if number is None:
        return ""
    if address.path:
        if number == errno.ECONNREFUSED and _is_other_file(address.path):
            return "what is there is no socket"
        if number in REASONS_OF_A_PATH:
            return REASONS_OF_A_PATH[number]
    return REASONS.get(number) or os.strerror(number).lower()


def _is_other_file(path: str) -> bool:
    """Whether a file that is no socket lies there: Linux refuses the connection as at a dead server's socket."""
    try:
        return not stat.S_ISSOCK(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False  # an abstract name, or a simulated path, has no file
