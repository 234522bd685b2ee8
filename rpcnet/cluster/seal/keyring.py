"""The keys of a cluster: many open, one seals.

A key is 16 or 32 random bytes, as bytes or as base64 text. Its id is what others may see of it: the first four bytes of
a hash, which say nothing about the key. Keys are changed while members run; whoever seals or opens looks here each
time. Knows no packet, no socket and no clock.

Tests: tests/rpcnet/cluster/seal/test_keyring.py.
"""

import base64
import binascii
import os
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from rpcnet.cluster.errors import InvalidKey, KeyInUse, UnknownKey

__all__ = ["ID_BYTES", "MAX_KEYS", "Keyring"]

KEY_BYTES: Final = (16, 32)
ID_BYTES: Final = 4
MAX_KEYS: Final = 32
"""A rotation needs two."""


class Keyring:
    """The keys that members of one cluster share. The primary seals; each of them opens.

    A key is named by itself or by its id (8 hexadecimal digits). Several Cluster objects may share one keyring.
    """

    __slots__ = ("_keys", "path", "sealing")

    def __init__(self, primary: bytes | str, *others: bytes | str) -> None:
        """Raises InvalidKey for one that is not 16 or 32 bytes, or base64 text of as many, or for too many."""
        self.path: Path | None = None
        """The file that it was read from."""
        self._keys: dict[bytes, bytes] = {}
        self.sealing = _key(primary)
        """The primary itself: secret."""
        for key in (primary, *others):
            self.add(key)

    @staticmethod
    def generate_key() -> str:
        """A new key, 32 random bytes as base64 text: one for all members of a cluster."""
        return base64.b64encode(os.urandom(32)).decode("ascii")

    @classmethod
    def generate(cls) -> Self:
        """A keyring of one new key."""
        return cls(cls.generate_key())

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Keys as base64 text, one a line, the primary first; empty lines and those that begin with # are skipped.

        Raises OSError, and InvalidKey, which names the line, never what is in it.
        """
        path = Path(path)
        keys = []
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            text = line.strip()
            if text and not text.startswith("#"):
                try:
                    _key(text)
                except InvalidKey as error:
                    raise InvalidKey(f"{path}, line {number}: {error}") from None
                keys.append(text)
        if not keys:
            raise InvalidKey(f"{path} has no key: one a line, base64 text, the primary first")
        found = cls(*keys)
        found.path = path
        return found

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write all keys, the primary first, for `from_file`; readable by the owner alone, replaced in one step.

        path: left out = the file that it was read from; ValueError where there is none. Raises OSError, and then leaves
        the file as it was.
        """
        target = self.path if path is None else Path(path)
        if target is None:
            raise ValueError("this keyring was read from no file: say where to save it")
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.writelines(base64.b64encode(key).decode("ascii") + "\n" for key in self)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def add(self, key: bytes | str) -> str:
        """Open with this key from now on, too; returns its id. A key that is there already changes nothing.

        Raises InvalidKey.
        """
        secret = _key(key)
        name = _id(secret)
        held = self._keys.get(name)
        if held is None and len(self._keys) >= MAX_KEYS:
            raise InvalidKey(f"a keyring holds at most {MAX_KEYS} keys; remove those that nobody uses")
        if held is not None and held != secret:
            raise InvalidKey(f"another key of this keyring has the id {name.hex()} too; generate a new one")
        self._keys[name] = secret
        return name.hex()

    def use(self, key: bytes | str) -> str:
        """Seal with this one from now on; returns its id. Raises UnknownKey where it was not added, InvalidKey."""
        name = self._find(key)
        self.sealing = self._keys[name]
        return name.hex()

    def remove(self, key: bytes | str) -> str:
        """Open nothing with this one any more; returns its id.

        Raises KeyInUse for the primary, UnknownKey, InvalidKey.
        """
        name = self._find(key)
        if self._keys[name] == self.sealing:
            raise KeyInUse(f"key {name.hex()} is the one that seals: use another one first")
        del self._keys[name]
        return name.hex()

    @property
    def primary(self) -> str:
        """The id of the key that seals."""
        return _id(self.sealing).hex()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, the primary first, the others as they were added."""
        return tuple(_id(key).hex() for key in self)

    def find(self, name: bytes) -> bytes | None:
        """The key that has this id, itself: secret. None where there is none."""
        return self._keys.get(name)

    def __iter__(self) -> Iterator[bytes]:
        """The keys themselves, the primary first: secret."""
        yield self.sealing
        yield from [key for key in self._keys.values() if key != self.sealing]

    def __contains__(self, key: object) -> bool:
        try:
            return isinstance(key, bytes | str) and bool(self._find(key))
        except (InvalidKey, UnknownKey):
            return False

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        """Ids only, as it may land in a log."""
        return f"<Keyring {' '.join(self.ids)}>"

    def _find(self, key: bytes | str) -> bytes:
        try:
            name = bytes.fromhex(key) if isinstance(key, str) and len(key) == 2 * ID_BYTES else _id(_key(key))
        except ValueError as error:  # InvalidKey is one
            raise InvalidKey(f"no key and no id of one ({2 * ID_BYTES} hexadecimal digits): {error}") from None
        if name not in self._keys:
            raise UnknownKey(f"no key of this keyring has the id {name.hex()}: it has {', '.join(self.ids)}")
        return name


def _id(key: bytes) -> bytes:
    return sha256(b"rpcnet cluster key id" + key).digest()[:ID_BYTES]


def _key(key: bytes | str) -> bytes:
    """Raises InvalidKey, whose text tells nothing of the key."""
    if isinstance(key, str):
        try:
            secret = base64.b64decode(key.strip().encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise InvalidKey("a key as text is base64, as Keyring.generate_key() makes it") from None
    elif isinstance(key, bytes):
        secret = key
    else:
        raise InvalidKey(f"a key is bytes or base64 text, not {type(key).__name__}")
    if len(secret) not in KEY_BYTES:
        raise InvalidKey(f"a key is 16 or 32 bytes, or base64 text of as many, not {len(secret)} bytes")
    return secret
