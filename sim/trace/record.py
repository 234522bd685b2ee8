"""Writing a trace: events in, a MessagePack stream on disk, its digest.

Memory does not grow with the length of a run: events are encoded a batch at a time and written. Knows nothing of
simulations, loops or sockets; time is given. Layout of the file: docs/trace.md. Reading: sim.trace.reader.

Tests: tests/sim/trace/test_trace.py, tests/sim/trace/test_full_disk.py.
"""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

try:  # What hashlib.blake2b is, without OpenSSL's, which take as long to load as all of sim.network.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

from sim.trace.layout import DEFINE_NODE, DEFINE_SHAPE, FORMAT, VERSION

if TYPE_CHECKING:
    from sim.trace.event import Event

__all__ = ["Trace", "TraceWriteError"]

BATCH = 256

_encode = msgspec.msgpack.Encoder().encode
_SCALARS = frozenset({int, float, str, bool, bytes, type(None)})


class TraceWriteError(OSError):
    """A trace could not be written on; what was written before is kept, and readable."""


def _packable(value: Any) -> Any:
    """What MessagePack has not as text: long numbers, halves of surrogate pairs (a file's name that is no UTF-8)."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case int() if not -(2**63) <= value < 2**64:
            return str(value)
        case list() | tuple():
            return tuple(map(_packable, value))
        case dict():
            return {_packable(key): _packable(each) for key, each in value.items()}
        case _:
            return value


class _Positioned:
    """Reads a file that is being written, from a position of its own."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._position, self.name = descriptor, 0, name

    def read(self, size: int, /) -> bytes:
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data

    def seek(self, position: int) -> None:
        self._position = position


class Trace:
    """A trace that is being written.

    `path` None spools to an unnamed temporary file, which goes with the trace. `batch` is how many events `record`
    keeps in memory before they are written; 1 writes each at once, so that a killed process loses nothing.
    A disk that is full raises TraceWriteError where the batch is written, or tells `on_error` of it; what was written
    before stays readable, what comes after is dropped.

    The hot path records an event by two calls into C, of which neither writes: `next_line()`, then `append` of
    `(shape, time, node, cause, *values)`, numbers from `shape` and `node`, values builtins that nobody changes
    afterwards. Who uses it calls `flush` now and then.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, batch: int = BATCH) -> None:
        self._descriptor = -1
        self.path = Path(path) if path is not None else None
        if path is None:
            import tempfile

            with tempfile.TemporaryFile() as file:
                self._descriptor = os.dup(file.fileno())
        else:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._batch = batch
        self._shapes: dict[tuple[str, ...], int] = {}
        self._nodes: dict[str, int] = {}
        self._hash = blake2b(digest_size=16)
        self._pending: list[tuple[object, ...]] = [(FORMAT, VERSION)]
        self._others = 1
        """How many of those are no events."""
        self._written = 0
        self.next_line: Callable[[], int] = count(1).__next__
        """The line of the event that is appended next."""
        self.append: Callable[[tuple[object, ...]], None] = self._pending.append
        self.error: TraceWriteError | None = None
        self.on_error: Callable[[TraceWriteError], None] | None = None
        """Called in the place of raising, as that would be in the middle of whatever happened to be recorded."""

    @property
    def lines(self) -> int:
        """How many events there are."""
        return self._written + len(self._pending) - self._others

    def shape(self, name: str, *fields: str) -> int:
        """The number under which events of this name with these fields are written by `append`."""
        key = (name, *fields)
        number = self._shapes.get(key)
        if number is None:
            number = self._shapes[key] = len(self._shapes)
            self._define((DEFINE_SHAPE, number, name, fields))
        return number

    def node(self, name: str) -> int:
        """The number under which a node's events are written by `append`."""
        number = self._nodes.get(name)
        if number is None:
            number = self._nodes[name] = len(self._nodes)
            self._define((DEFINE_NODE, number, name))
        return number

    def _define(self, record: tuple[object, ...]) -> None:
        self._pending.append(record)
        self._others += 1

    def record(self, time: float, node: str, name: str, cause: int = 0, /, **fields: object) -> int:
        """Write one event; returns its line. Raises TypeError for a value that MessagePack cannot hold."""
        try:
            values = [
                v if type(v) in _SCALARS else msgspec.to_builtins(v, builtin_types=(bytes,)) for v in fields.values()
            ]
        except TypeError as error:
            raise TypeError(f"a trace cannot hold all fields of the event {name!r}: {error}; record a text") from error
        shape, origin, line = self.shape(name, *fields), self.node(node), self.next_line()
        self.append((shape, time, origin, cause, *values))
        self.relieve()
        return line

    def relieve(self) -> None:
        """Write what is pending, where it fills a batch."""
        if len(self._pending) >= self._batch:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        pending = self._pending
        if not pending:
            return
        self._written, self._others = self.lines, 0
        if self.error is not None:
            pending.clear()
            return
        # A list is its records behind a header of 1, 3 or 5 bytes: one call of the encoder a batch.
        header = 1 if len(pending) < 16 else 3 if len(pending) < 65536 else 5
        try:
            encoded = _encode(pending)
        except (UnicodeEncodeError, OverflowError):
            encoded = _encode(_packable(pending))
        finally:
            pending.clear()
        packed = memoryview(encoded)[header:]
        self._hash.update(packed)
        try:
            # A write may take less than asked, on a disk that is nearly full.
            while packed:
                packed = packed[os.write(self._descriptor, packed) :]
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        where = f"the trace {self.path}" if self.path else "the trace, a temporary file,"
        text = f"{where} cannot be written on; free some space, or write it elsewhere. What was written is kept"
        self.error = TraceWriteError(error.errno, f"{error.strerror}: {text}")
        if self.on_error is None:
            raise self.error from error
        self.on_error(self.error)

    def events(self) -> Iterator["Event"]:
        """What has been recorded so far, lazily; the trace may be written on meanwhile."""
        from sim.trace.reader import read_file

        self.flush()
        yield from read_file(_Positioned(self._descriptor, str(self.path or "trace")))

    def __iter__(self) -> Iterator["Event"]:
        return self.events()

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write what has been recorded so far into another file, compressed. Raises OSError."""
        from sim.trace.keep import compress

        self.flush()
        with open(path, "wb") as file:
            compress(_Positioned(self._descriptor, str(self.path or "trace")), file)

    def digest(self) -> str:
        """A hash over everything recorded so far: equal digests, equal runs."""
        self.flush()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Write what is pending and close the file. Events can no longer be recorded or read from here."""
        if self._descriptor >= 0:
            try:
                self.flush()
            finally:
                descriptor, self._descriptor = self._descriptor, -1
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()
