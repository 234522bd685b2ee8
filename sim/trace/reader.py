"""Reading traces: a MessagePack stream in, compressed or not, events out; several files merged by time; JSON lines.

The streaming Unpacker of the msgpack package reads a file of any length in constant memory. A file that is cut off (its
process was killed, it was copied in part) ends before the record that is cut short, and `torn_end` tells.

Tests: tests/sim/trace/test_trace.py.
"""

import heapq
import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

import msgpack

from sim.trace.event import Event
from sim.trace.layout import CHUNK, DEFINE_NODE, DEFINE_SHAPE, FORMAT, GZIP, MAGIC, VERSION

if TYPE_CHECKING:
    from sim.trace.record import Trace

__all__ = ["TornEnd", "TraceError", "export", "merge", "read", "read_file", "torn_end"]


class TraceError(Exception):
    """A file that is no trace, or one of another version."""


def read(path: str | os.PathLike[str]) -> Iterator[Event]:
    """The events of a trace file, in order, their times counted from time zero. Raises TraceError, OSError."""
    with open(path, "rb") as file:
        yield from read_file(file)


class TornEnd(NamedTuple):
    """Of a trace that is cut off: the events that can be read, and the time of the last one."""

    events: int
    time: float

    def __str__(self) -> str:
        read = f"read were {self.events:,} events, up to {self.time:.3f} s" if self.events else "no event was read"
        return f"the trace is cut off; {read}"


def torn_end(path: str | os.PathLike[str]) -> TornEnd | None:
    """Whether a trace is cut off; one that is not compressed, in the midst of a record. Raises TraceError, OSError."""
    with open(path, "rb") as file:
        expanded = _Expanded(file)
        unpacker = msgpack.Unpacker(expanded)
        whole = 0
        try:
            while True:
                unpacker.skip()
                whole = unpacker.tell()  # where it ran out of data it also counts what it saw of a record
        except msgpack.OutOfData:
            if expanded.position == whole and not expanded.is_torn:
                return None
        except (msgpack.UnpackException, ValueError, zlib.error):
            return None  # broken in another way, which `read` tells
    events, time = 0, 0.0
    for event in read(path):
        events, time = event.line, event.time
    return TornEnd(events, time)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def seek(self, position: int, /) -> Any: ...


class _Expanded:
    """What a trace file holds, from its beginning: the bytes as they were before they were compressed."""

    def __init__(self, file: _Readable) -> None:
        file.seek(0)
        self._file = file
        self._packed = file.read(len(MAGIC))
        is_gzip = self._packed != b"" and MAGIC.startswith(self._packed)
        self._decompressor = zlib.decompressobj(GZIP) if is_gzip else None
        self.position = 0
        """How many bytes have been read."""

    @property
    def is_torn(self) -> bool:
        """Of a compressed one that was read as far as it goes: whether its end is missing."""
        return self._decompressor is not None and not self._decompressor.eof

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end, or where the rest of the file is missing. Raises zlib.error,
        and ValueError where there is something behind the end."""
        data = self._plain(size) if self._decompressor is None else self._decompressed(self._decompressor, size)
        self.position += len(data)
        return data

    def _plain(self, size: int) -> bytes:
        begun, self._packed = self._packed, b""
        return begun or self._file.read(size)

    def _decompressed(self, decompressor: Any, size: int) -> bytes:
        while not decompressor.eof:
            packed = self._packed or self._file.read(CHUNK)
            data: bytes = decompressor.decompress(packed, size)  # of nothing: what it still has
            self._packed = decompressor.unconsumed_tail
            if data or not packed:
                return data
        if decompressor.unused_data or self._file.read(1):
            raise ValueError("the file goes on behind the end of its trace")
        return b""


def read_file(file: _Readable) -> Iterator[Event]:
    """As `read`, from an open file."""
    yield from _raw(file, next((e.time for e in _raw(file, only="zero")), 0.0))


def merge(paths: Iterable[str | os.PathLike[str]], out: "Trace") -> None:
    """Write the events of several files, merged by raw time, into one trace. Causes, which are lines, are dropped."""

    def one(path: str | os.PathLike[str]) -> Iterator[Event]:
        with open(path, "rb") as file:
            yield from _raw(file)

    for event in heapq.merge(*map(one, paths), key=lambda e: e.time):
        out.record(event.time, event.node, event.name, 0, **event.fields)


def export(events: Iterable[Event], out: IO[str]) -> None:
    """One JSON object a line: line, time, node, event, cause, and the event's own fields under "fields"."""
    for line, time, node, name, cause, fields in events:
        row = {"line": line, "time": round(time, 9), "node": node, "event": name, "cause": cause, "fields": fields}
        try:
            text = json.dumps(row, default=_json_bytes, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError):
            text = json.dumps(_known_to_json(row), default=_json_bytes, ensure_ascii=False)
        out.write(text + "\n")


def _known_to_json(value: Any) -> Any:
    """What is no number is null, and a key that is no text its `repr`."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple):
        return [_known_to_json(each) for each in value]
    if isinstance(value, dict):
        return {key if isinstance(key, str) else repr(key): _known_to_json(each) for key, each in value.items()}
    return value


def _json_bytes(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    raise TypeError(type(value).__name__)


def _raw(file: _Readable, zero: float = 0.0, only: str = "") -> Iterator[Event]:
    """Every event, or those of one name. Half the time of a page is spent here: the loop builds the tuples itself."""
    name = getattr(file, "name", "trace")
    unpacker = msgpack.Unpacker(_Expanded(file), use_list=False, strict_map_key=False)
    shapes: list[tuple[str, tuple[str, ...], int]] = []
    nodes: list[str] = []
    line = 0
    new = tuple.__new__
    try:
        first = next(iter(unpacker), None)
        if first is not None and first != (FORMAT, VERSION):
            if isinstance(first, tuple) and first[:1] == (FORMAT,):
                raise TraceError(f"{name}: a trace of version {first[1]!r:.20}; only version {VERSION} can be read")
            raise TraceError(f"{name}: not a trace; `rpcnet-sim run FILE --trace {name}` writes one")
        for record in unpacker:
            kind = record[0]
            if kind >= 0:
                line += 1
                event, fields, size = shapes[kind]
                if len(record) != size:
                    raise ValueError(f"an event {event!r} has {len(record) - 4} values for {size - 4} fields")
                if not only or event == only:
                    values = dict(zip(fields, record[4:]))  # noqa: B905 - the length was looked at
                    yield new(Event, (line, record[1] - zero, nodes[record[2]], event, record[3], values))
            elif kind == DEFINE_SHAPE:
                shapes.append((record[2], record[3], 4 + len(record[3])))
            elif kind == DEFINE_NODE:
                nodes.append(record[2])
    except (msgpack.UnpackException, zlib.error, ValueError, TypeError, IndexError) as error:
        raise TraceError(f"{name}: broken after event {line}: {error}") from error
