"""A member opens only what is sealed with the key that it seals with: in a rotation members lose each other.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.seal.keyring import Keyring

__all__ = ["one_key_opens"]


@contextmanager
def one_key_opens() -> Iterator[None]:
    find = Keyring.find

    def the_primary(keyring: Keyring, name: bytes) -> bytes | None:
        key = find(keyring, name)
        return key if key == keyring.sealing else None

    with patch.object(Keyring, "find", the_primary):
        yield
