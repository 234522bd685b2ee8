"""Keeping a trace: what a run has written, compressed to a third as a gzip file.

A run writes its trace as it is: compressing it there would make a simulated message a tenth more expensive, and most
traces are thrown away. Layout of the file: docs/trace.md. Reading: sim.trace.reader.

Tests: tests/sim/trace/test_keep.py.
"""

import gzip
import os
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Protocol

from sim.trace.layout import CHUNK, FORMAT, MAGIC

__all__ = ["compress", "keep"]

LEVEL = 1
"""The next ones take twice the time for 3 % less."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def keep(source: Path, target: Path) -> None:
    """Have the trace of one file in another (or the same), compressed; it may be already. Raises OSError.

    The target is there at once or not at all, so that a full disk leaves what was there.
    """
    target = target.resolve()
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.unfinished")
    try:
        with open(source, "rb") as file, open(unfinished, "wb") as out:
            if file.read(len(MAGIC)) == MAGIC:
                file.seek(0)
                copyfileobj(file, out)
            else:
                file.seek(0)
                compress(file, out)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def compress(source: _Readable, out: IO[bytes]) -> None:
    """Write a trace compressed; its format is named in the head of the gzip file too. Raises OSError."""
    with gzip.GzipFile(FORMAT, "wb", LEVEL, out, mtime=0) as packed:
        while data := source.read(CHUNK):
            packed.write(data)
