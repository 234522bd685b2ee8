"""What a member may announce, and so what the others accept: one set of rules for both ends.

The announcing end raises before anything is sent; the receiving end refuses the record and says so. Lengths are those
of the wire (message.py), so that nothing passes here which does not decode there. What fits into one datagram, and how
much of it tags may take, is the config's. Knows no message, no table and no transport.

Tests: tests/rpcnet/cluster/swim/test_record.py.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from rpcnet.address import MAX_NAME, NAME, is_literal, is_name, split_host_port
from rpcnet.cluster.errors import InvalidRecord
from rpcnet.cluster.swim import tags as tag_rules

__all__ = [
    "MAX_ADDRESS",
    "MAX_KEY",
    "MAX_NAME",
    "MAX_NUMBER",
    "MAX_TEXTS",
    "MAX_VALUE",
    "check",
    "check_address",
    "check_name",
    "check_services",
    "problem",
    "run_at",
]

MAX_ADDRESS: Final = 255
MAX_KEY: Final = tag_rules.MAX_KEY_LENGTH
"""Characters of a tag's key, or of a service's name."""
MAX_VALUE: Final = 65_535
MAX_TEXTS: Final = 32_768
"""Tags, or services. No datagram holds more, nor a longer value: the limits that count are the config's."""
MAX_NUMBER: Final = 2**62
"""Bound of runs, incarnations and versions: below what a MessagePack integer holds, so that one can always be added."""


def check(name: str, address: str, services: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Raises InvalidRecord, for tags InvalidTag, where others could not use or take such a record."""
    check_name(name)
    check_address(address)
    check_services(services)
    tag_rules.check(tags, deletes=False)


def problem(name: str, address: str, services: Mapping[str, str], tags: Mapping[str, str]) -> str:
    """What is wrong with such a record; "" where nothing is."""
    try:
        check(name, address, services, tags)
    except InvalidRecord as error:
        return str(error)
    return ""


def check_name(name: object) -> None:
    if not is_name(name):
        raise InvalidRecord(f"a member's name is {NAME}, not {name!r}")


def check_address(address: object, what: str = "a member's address") -> None:
    """Whether others can send there, as far as the text alone tells."""
    wrong = _wrong_with(address) if isinstance(address, str) else "it is no text"
    if wrong:
        raise InvalidRecord(f"{what} is HOST:PORT as others can reach it, not {address!r}: {wrong}")


def check_services(services: object) -> None:
    if not isinstance(services, Mapping) or len(services) > MAX_TEXTS:
        raise InvalidRecord(f"services are addresses by name, as in {{'rpc': '10.0.0.5:9000'}}, not {services!r}")
    for name, address in services.items():
        if not (isinstance(name, str) and 0 < len(name) <= MAX_KEY and name.isprintable()):
            raise InvalidRecord(f"a service's name is printable text of 1 to {MAX_KEY} characters, not {name!r}")
        if isinstance(address, str) and address.startswith("unix:") and 5 < len(address) <= MAX_ADDRESS:
            continue
        check_address(address, f"the address of service {name!r}")


def run_at(seconds: float) -> int:
    """The run of a process that starts at this wall-clock time: its microseconds since 1970."""
    if not 0 <= seconds * 1_000_000 <= MAX_NUMBER:
        raise InvalidRecord(
            f"the clock of this machine says {seconds!r} s since 1970; set it: a run is told by its start"
        )
    return int(seconds * 1_000_000)


@lru_cache(maxsize=4096)
def _wrong_with(address: str) -> str:
    """Remembered, as each member's address is checked by each other."""
    if len(address) > MAX_ADDRESS or not address.isprintable():
        return f"it must be printable text of at most {MAX_ADDRESS} characters"
    try:
        host, port = split_host_port(address)
    except ValueError as error:
        return str(error)
    if port == 0:
        return "nobody listens at port 0"
    if is_literal(host):
        ip = ip_address(host.partition("%")[0])
        if ip.is_unspecified or ip.is_multicast:
            return f"{host} is no machine's address"
    return ""
