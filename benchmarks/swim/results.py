"""Results on disk, a line for each seed, so that an interrupted run goes on; and the pool that makes them.

A file holds one cell of a row with one arm. Its first line names the settings and the code that made it: where those
settings are others now, or that code does anything else than ours (fingerprint.py), it is begun anew. Knows no row.

Tests: tests/benchmarks/test_rows.py.
"""

import json
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

from benchmarks.swim.rows import ROWS, Cell, config_of

__all__ = ["Store", "measure"]

ROOT = Path(__file__).parents[2]
CHUNK_SECONDS = 5.0
"""A task of the pool goes on with seeds for about so long."""


def code() -> str:
    """A digest of the source that decides a result beside its settings."""
    digest = blake2b(digest_size=8)
    for path in sorted([*(ROOT / "rpcnet/cluster/swim").glob("*.py"), *Path(__file__).parent.glob("*.py")]):
        if path.name not in ("results.py", "rows.py", "plots.py", "traffic.py", "fingerprint.py"):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


class Store:
    """`behaviours.json` in the directory says what each code does that has measured there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._code = code()
        path = directory / "behaviours.json"
        self._behaviours: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def recognize(self, behaviour: Callable[[], str]) -> None:
        """Take what other code has measured that does the same. Asks what ours does where that is not known."""
        if self._code not in self._behaviours:
            self._behaviours[self._code] = behaviour()
            self._directory.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self._behaviours, indent=1) + "\n"
            (self._directory / "behaviours.json").write_text(text)

    def _is_ours(self, other: str) -> bool:
        ours = self._behaviours.get(self._code)
        return other == self._code or (ours is not None and self._behaviours.get(other) == ours)

    def _path(self, number: int, cell: Cell, arm: str) -> Path:
        name = "".join(letter if letter.isalnum() or letter in "=.-" else "_" for letter in cell.name)
        return self._directory / f"row{number:02}" / f"{name}-{arm}.jsonl"

    @staticmethod
    def _settings(cell: Cell, arm: str) -> dict[str, Any]:
        held: dict[str, Any] = json.loads(json.dumps({"cell": cell.keys, "config": asdict(config_of(arm))}))
        return held

    def read(self, number: int, cell: Cell, arm: str) -> dict[int, dict[str, Any]]:
        """By seed; nothing where other code or settings made it."""
        path = self._path(number, cell, arm)
        if not path.exists():
            return {}
        first, *lines = path.read_text().splitlines() or [""]
        made = json.loads(first) if first else {"code": ""}
        if not self._is_ours(made.pop("code")) or made != self._settings(cell, arm):
            return {}
        held = {}
        for line in lines:
            try:
                run = json.loads(line)
            except ValueError:
                continue  # it was cut off there
            held[run["seed"]] = run
        return held

    def add(self, number: int, cell: Cell, arm: str, runs: Iterable[dict[str, Any]]) -> None:
        path = self._path(number, cell, arm)
        if not self.read(number, cell, arm):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"code": self._code, **self._settings(cell, arm)}) + "\n")
        with path.open("a") as file:
            file.writelines(json.dumps(run) + "\n" for run in runs)


def work(number: int, place: int, arm: str, seeds: Sequence[int]) -> tuple[int, int, str, list[dict[str, Any]]]:
    """Some seeds of a cell, in a process of the pool."""
    cell, config, runs = ROWS[number].cells[place], config_of(arm), []
    for seed in seeds:
        began = time.process_time()
        result = cell.run(config, seed, **cell.keys)
        runs.append({"seed": seed, **result, "cpu": round(time.process_time() - began, 3)})
    return number, place, arm, runs


def measure(store: Store, wanted: Iterable[tuple[int, int, str, Sequence[int]]], processes: int) -> Iterator[str]:
    """Run what the store lacks of (row, place of the cell, arm, seeds). Says what it has done."""
    tasks = []
    for number, place, arm, seeds in wanted:
        cell = ROWS[number].cells[place]
        held = store.read(number, cell, arm)
        missing = [seed for seed in seeds if seed not in held]
        cost = [run["cpu"] for run in held.values()]
        size = (
            max(1, min(50, int(CHUNK_SECONDS / (sum(cost) / len(cost) + 0.001))))
            if cost
            else max(1, len(missing) // 20)
        )
        tasks += [(number, place, arm, missing[at : at + size]) for at in range(0, len(missing), size)]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(work, *task) for task in tasks]):
            number, place, arm, runs = done.result()
            cell = ROWS[number].cells[place]
            store.add(number, cell, arm, runs)
            cpu = sum(run["cpu"] for run in runs)
            yield f"row {number} · {cell.name} · {arm} · {len(runs)} seeds · {cpu:.1f} CPU s"
