"""A member with keys takes plain packets too: anybody can speak to it, and gets its answers.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.seal.checksummed import Checksummed
from rpcnet.cluster.seal.sealed import Sealed
from rpcnet.cluster.seal.unopened import Reason, Unopened

__all__ = ["plain_is_taken"]


@contextmanager
def plain_is_taken() -> Iterator[None]:
    sealed = Sealed.open

    def either(envelope: Sealed, datagram: bytes) -> bytes:
        try:
            return sealed(envelope, datagram)
        except Unopened as why:
            if why.reason is not Reason.UNSEALED:
                raise
            return Checksummed().open(datagram)

    with patch.object(Sealed, "open", either):
        yield
