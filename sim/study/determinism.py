"""Is a run the same every time? Each seed is run in two processes that differ in what must not matter.

They have different hash seeds, heaps of another shape, directories listed in another order, and another order of the
seeds. Where the traces part the first event that differs is told, with what led to it in each; then the seed is run
again with one thing changed at a time, which says what kind of thing escaped; calls that reach outside say where.
Knows processes and traces; nothing of expectations.

Tests: tests/sim/study/test_determinism.py.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sim.kernel.real_threads import REAL_THREAD
from sim.scenario.run import RunTrace
from sim.study.rows import how_it_ended
from sim.study.twin import ESCAPES, Answer, Escape, Order
from sim.trace import Event, read
from sim.trace.cause import chain
from sim.trace.diff import Difference, first_difference

__all__ = ["HASH_SEEDS", "Twin", "TwinError", "check_determinism"]

HASH_SEEDS = ("1", "2")
CAUSES = 3
"""Events that are shown of what led to the one that differs, itself included."""
NAMED = 5
"""Calls that are named."""
LISTING = "listing"
GUESSES = {
    "hash seed": "a set (or hash()) of text or bytes is walked in hash order: sort it"
    " (it differs when PYTHONHASHSEED alone does)",
    "heap": "a set or dictionary of plain objects is walked by address: sort it, or give them a __hash__ of their own"
    " (it differs when memory alone is laid out otherwise)",
    LISTING: "a directory is taken in the order in which it is listed (os.listdir, os.scandir, glob): sort it"
    " (it differs when that order alone does)",
    "nothing": "time, a thread, a socket, an address in memory or another process of the real world"
    " (it differs although nothing was changed)",
    "addresses": "a set or dictionary of plain objects is walked by address, or a text holds one (repr): sort it,"
    " or give them a __hash__ and __repr__ of their own; else a clock or a generator of C's own (numpy.random,"
    " os.times), a number or a path that the system gave out, a file of the machine"
    " (it differs although nothing was changed, and no call was seen that reaches outside)",
    "history": "something of a module is kept from run to run (it differs only after other seeds have run before)",
}


class TwinError(Exception):
    """A process that runs seeds ended before it was done; its text is what it said last."""


@dataclass(slots=True, kw_only=True)
class Twin:
    """One seed, run twice."""

    seed: int
    digests: tuple[str, str]
    difference: Difference | None = None
    causes: tuple[list[Event], list[Event]] = field(default_factory=lambda: ([], []))
    """What led to the events that differ, each in its own run, themselves at the end."""
    suspects: list[str] = field(default_factory=list)
    """What probably escaped, the surest first; only of the first seed that differs."""
    thread: str | None = None
    """What ended a run: a thread of the real world that had to do with a node, which can come at any time."""

    @property
    def same(self) -> bool:
        return self.digests[0] == self.digests[1] and self.thread is None


def check_determinism(file: str, seeds: Sequence[int], settings: Sequence[str] = ()) -> Iterator[Twin]:
    """Run each seed twice, and yield what came of it as it comes. Raises TwinError."""
    explained = False
    with tempfile.TemporaryDirectory(prefix="rpcnet-twins-") as folder:
        one, other = Path(folder) / "1", Path(folder) / "2"
        for path in (one, other):
            path.mkdir()
        plain = Order(file=file, settings=list(settings), seeds=list(seeds), folder=str(one))
        odd = msgspec.structs.replace(
            plain, seeds=_swapped(seeds), folder=str(other), other_heap=True, other_listing=True
        )
        for answers in _pairs(_Process(plain, HASH_SEEDS[0]), _Process(odd, HASH_SEEDS[1])):
            found = Twin(seed=answers[0].seed, digests=(answers[0].digest, answers[1].digest))
            ended_by = [each.error for each in answers if each.error and REAL_THREAD in each.error]
            found.thread = ended_by[0] if ended_by else None
            if not found.same:
                _compare(found, answers)
                if not explained and found.thread is None:
                    explained = True
                    found.suspects = _explain(plain, found, [*answers[0].escapes, *answers[1].escapes])
            for answer in answers:
                Path(answer.trace).unlink()
            yield found


def _swapped(seeds: Sequence[int]) -> list[int]:
    """2, 1, 4, 3, …: what a run leaves behind in its process meets another one."""
    swapped: list[int] = []
    for place in range(0, len(seeds), 2):
        swapped += reversed(seeds[place : place + 2])
    return swapped


class _Process:
    """One that runs seeds."""

    def __init__(self, order: Order, hash_seed: str) -> None:
        self._seeds = iter(order.seeds)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it goes with the process
        self._popen = subprocess.Popen(
            [sys.executable, *_flags(), "-m", "sim.study.twin"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        assert self._popen.stdin is not None, "it is a pipe"
        with self._popen.stdin as order_pipe:
            order_pipe.write(msgspec.json.encode(order))

    def answers(self) -> Iterator[Answer]:
        assert self._popen.stdout is not None, "it is a pipe"
        for line in self._popen.stdout:
            next(self._seeds)
            yield msgspec.json.decode(line, type=Answer)
        if (code := self._popen.wait()) != 0:
            self._said.seek(0)
            text = self._said.read().decode(errors="backslashreplace").strip()
            if code != 1 or not text:  # 1 = it says itself what is wrong
                seed = next(self._seeds, None)
                when = "after the last seed" if seed is None else f"seed {seed}"
                text = f"{when}: the process {how_it_ended(code)}" + (f"\n{text}" if text else "")
            raise TwinError(text)

    def end(self) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        self._said.close()


def _flags() -> list[str]:
    """What changes how Python runs goes on to the processes: -O."""
    return ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []


def _pairs(*processes: _Process) -> Iterator[tuple[Answer, Answer]]:
    """The answers of two processes, seed by seed; their orders may differ."""
    waiting: list[dict[int, Answer]] = [{}, {}]
    try:
        for together in zip(*(process.answers() for process in processes), strict=True):
            for answers, answer in zip(waiting, together, strict=True):
                answers[answer.seed] = answer
            for seed in sorted(waiting[0].keys() & waiting[1].keys()):
                yield waiting[0].pop(seed), waiting[1].pop(seed)
    finally:
        for process in processes:
            process.end()


def _compare(found: Twin, answers: tuple[Answer, Answer]) -> None:
    traces = [answer.trace for answer in answers]
    found.difference = first_difference(*map(read, traces))
    if found.difference is not None:
        one, other = (chain(RunTrace(Path(trace)), found.difference.line, CAUSES) for trace in traces)
        found.causes = (one, other)


# --- what escaped -----------------------------------------------------------------------------------------------------


def _explain(plain: Order, found: Twin, escapes: Sequence[Escape]) -> list[str]:
    """Run the seed again, one thing changed at a time."""
    alone = msgspec.structs.replace(plain, seeds=[found.seed])
    variations: Mapping[str, tuple[Order, str]] = {
        "hash seed": (alone, HASH_SEEDS[1]),
        "heap": (msgspec.structs.replace(alone, other_heap=True), HASH_SEEDS[0]),
        LISTING: (msgspec.structs.replace(alone, other_listing=True), HASH_SEEDS[0]),
    }
    with ThreadPoolExecutor(2) as pool:
        again = pool.submit(_digest, alone, HASH_SEEDS[0])
        # The first seed had nothing run before it already.
        usual = found.digests[0] if found.seed == plain.seeds[0] else _digest(alone, HASH_SEEDS[0])
        if again.result() != usual:
            kinds = ["nothing"]  # what differs by itself differs with everything
        else:
            digests = pool.map(_digest, *zip(*variations.values(), strict=True))
            kinds = [name for name, digest in zip(variations, digests, strict=True) if digest != usual] or ["history"]
    if kinds == ["nothing"] and not escapes:
        kinds = ["addresses"]
    said = [GUESSES[kind] for kind in kinds]
    listing = ESCAPES["os.listdir"]
    places = [f"{escape.what}: {escape.place}" for escape in escapes if escape.what != listing]
    listed = [f"{escape.what}: {escape.place}" for escape in escapes if escape.what == listing]
    called = list(dict.fromkeys(places if kinds == ["nothing"] else listed if LISTING in kinds else []))
    return called[:NAMED] + said


def _digest(order: Order, hash_seed: str) -> str:
    with tempfile.TemporaryDirectory(prefix="rpcnet-twin-") as folder:
        process = _Process(msgspec.structs.replace(order, folder=folder), hash_seed)
        try:
            return next(iter(process.answers())).digest
        finally:
            process.end()
