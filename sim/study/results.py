"""The file that keeps a study: one JSON object a line, each written whole, as soon as its run is done.

The first line says what the runs belong to, so that results of another scenario, matrix or code are not taken for
these. A line that was cut short (a kill, a full disk) is cut off when the file is opened again. Knows no process.

Tests: tests/sim/study/test_results.py.
"""

import fcntl
import hashlib
import os
import platform
import stat
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from sim.scenario.run import VERSIONS_OF
from sim.study.plan import Plan
from sim.study.refusal import Refused, SweepError
from sim.study.rows import Row
from sim.study.sources import sources

__all__ = ["Header", "Results", "header_of", "key_of"]

FORMAT, VERSION = "rpcnet-study", 1
Key = tuple[bytes, int]
"""Parameters, seed."""


class _Kind(msgspec.Struct):
    """What the first line says in every version."""

    format: str
    version: int


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: what all the others belong to."""

    format: str
    version: int
    scenario: str
    file: str | None
    text: str | None
    """The scenario, for whoever reads the file later; None for one that was built in Python."""
    means: str
    """A hash of what the scenario says, and of the lines where, but not of its `[sweep]`."""
    overrides: tuple[str, ...]
    matrix: dict[str, list[Any]]
    defects: tuple[str, ...]
    python: str
    versions: dict[str, str]
    code: str
    """A hash of the sources of rpcnet, sim and the applications, and of the files that the scenario reads."""

    @property
    def short(self) -> str:
        """Eight letters that differ where the results do not belong together."""
        return _hash([msgspec.json.encode(msgspec.structs.replace(self, file=None, text=None))])[:8]


def header_of(plan: Plan) -> Header:
    """What the results of a plan belong to; its seeds aside, so that more of them can be added."""
    scenario, origin = plan.scenario, plan.scenario.origin
    scenarios = [scenario, *(cell.scenario for cell in plan.cells)]
    content = msgspec.structs.replace(scenario, origin=None, sweep_=None)
    means = repr((content, sorted(origin.lines.items()) if origin else ()))
    header = Header(
        format=FORMAT,
        version=VERSION,
        scenario=scenario.name,
        file=str(origin.file) if origin else None,
        text=origin.text if origin else None,
        means=_hash([means.encode()]),
        overrides=origin.overrides if origin else (),
        matrix=dict(plan.matrix),  # type: ignore[arg-type]
        defects=plan.defects,
        python=platform.python_version(),
        versions={name: metadata.version(name) for name in VERSIONS_OF},
        code=_hash(sources(scenarios, plan.defects)),
    )
    return msgspec.json.decode(msgspec.json.encode(header), type=Header)


def key_of(row: Row) -> Key:
    """Which run of the plan it is."""
    return msgspec.json.encode(row.parameters), row.seed


class Results:
    """The open file. One sweep at a time writes to it."""

    def __init__(self, path: Path, header: Header) -> None:
        """Open it, or begin it. Raises Refused where it belongs to something else, SweepError where it is not to be
        had."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}") from error
        try:
            self._file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            self._lock()
            self.rows: list[Row] = list(self._read(header)) if self._file else []
            """What it held when it was opened."""
            if not self._file or os.fstat(self._descriptor).st_size == 0:
                self.append(msgspec.json.encode(header))
        except BaseException:
            self.close()
            raise

    def append(self, line: bytes) -> None:
        """Keep one line. Raises SweepError where the disk is full; what was kept before stays whole."""
        end = os.fstat(self._descriptor).st_size
        data = memoryview(line + b"\n")
        try:
            # A write may take less than asked, on a disk that is nearly full.
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            if self._file:
                os.ftruncate(self._descriptor, end)
            raise SweepError(
                f"{self.path}: {error.strerror}; all results up to here are kept. "
                "Make room and give the same command again: it goes on from there"
            ) from error

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock(self) -> None:
        if not self._file:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{self.path}: another sweep is writing to it; wait for it, or give another --out") from None

    def _read(self, wanted: Header) -> Iterator[Row]:
        """The rows that are there; a last line that is not whole is cut off."""
        good = 0
        with open(self._descriptor, "rb", closefd=False) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n") and (number > 1 or _begins(line)):
                    break
                if number == 1:
                    self._same(line, wanted)
                else:
                    try:
                        yield msgspec.json.decode(line, type=Row)
                    except msgspec.DecodeError as error:
                        raise Refused(f"{self.path}:{number}: this line is no result ({error}); delete it") from error
                good += len(line)
        os.ftruncate(self._descriptor, good)

    def _same(self, line: bytes, wanted: Header) -> None:
        strange = Refused(f"{self.path}: this is no results file of a sweep, and is left alone; give another --out")
        try:
            kind = msgspec.json.decode(line, type=_Kind)
            if kind.format != FORMAT:
                raise strange
            if kind.version != VERSION:
                why = f"its format is version {kind.version}, this rpcnet writes version {VERSION}"
                raise Refused(f"{self.path} holds results of another rpcnet: {why}; give another --out")
            found = msgspec.json.decode(line, type=Header)
        except msgspec.DecodeError:
            raise strange from None
        differences = list(_differences(found, wanted))
        if differences:
            raise Refused(
                f"{self.path} holds results of something else: {'; '.join(differences)}. "
                "Give another --out, or delete the file to begin anew"
            )


def _begins(line: bytes) -> bool:
    """Whether a torn first line is the beginning of ours, and not somebody's file without a newline."""
    ours = f'{{"format":"{FORMAT}"'.encode()
    return line[: len(ours)] == ours[: len(line)]


def _differences(found: Header, wanted: Header) -> Iterator[str]:
    if found.scenario != wanted.scenario:
        yield f"its scenario is {found.scenario}, not {wanted.scenario}"
    elif found.means != wanted.means:
        yield f"the scenario has changed since{_first_change(found.text, wanted.text)}"
    for what in ("overrides", "matrix", "defects"):
        before, now = getattr(found, what), getattr(wanted, what)
        if before != now:
            yield f"{what}: {_words(before)} then, {_words(now)} now"
    before, now = found.versions | {"python": found.python}, wanted.versions | {"python": wanted.python}
    for name in now:
        if before.get(name) != now[name]:
            yield f"{name} was {before.get(name, 'absent')} and is {now[name]}"
    if found.code != wanted.code:
        yield "the code of rpcnet, sim or the applications, or a file that the network is read from, has changed since"


def _first_change(before: str | None, now: str | None) -> str:
    if before is None or now is None:
        return ""
    for number, (a, b) in enumerate(zip(f"{before}\n".split("\n"), f"{now}\n".split("\n"), strict=False), 1):
        if a != b:
            return f' (line {number} was "{a.strip()}" and is "{b.strip()}")'
    return ""


def _words(value: Any) -> str:
    return msgspec.json.encode(value).decode() if value else "none"


def _hash(parts: Iterable[bytes]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()
