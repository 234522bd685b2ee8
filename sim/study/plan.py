"""What a sweep will run, before anything runs: every cell of the matrix, loaded and checked, times every seed.

A cell is the scenario with one value of each matrix key set, as `--set` would. Knows no process and no results.

Tests: tests/sim/study/test_plan.py.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from sim import defects as known_defects
from sim.kernel.interleaving.interleaving import INTERLEAVINGS
from sim.scenario.check import mistake_of_values
from sim.scenario.load import load_text, matrix_of, text_of
from sim.scenario.locate import locate
from sim.scenario.mistake import Mistake, ScenarioError
from sim.scenario.override import OverrideError, parse
from sim.scenario.run import changed
from sim.scenario.schema import Scenario
from sim.scenario.seeds import parse_seeds, whole
from sim.study.refusal import Refused
from sim.study.sources import named

__all__ = ["MAX_RUNS", "Cell", "Plan", "counted", "load_to_sweep", "plan"]

MAX_RUNS = 10_000_000
"""Runs of one sweep: the results of so many are read into memory at the end."""

MAX_MISTAKES = 50
"""Of a matrix: so many are looked for."""

Matrix = Mapping[str, Sequence[Any]]
Task = tuple[int, int]
"""Number of the cell, seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination of the matrix."""

    parameters: Mapping[str, Any]
    scenario: Scenario
    """With the parameters set."""

    def __str__(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.parameters.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that will be run, in order: every seed of the first cell, then of the next."""

    scenario: Scenario
    matrix: Mapping[str, Sequence[Any]]
    cells: tuple[Cell, ...]
    seeds: Sequence[int]
    defects: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.cells) * len(self.seeds)

    def tasks(self) -> Iterator[Task]:
        return itertools.product(range(len(self.cells)), self.seeds)

    def to_json(self) -> dict[str, Any]:
        """What `--plan --json` prints; what is done already is filled in by who knows it."""
        return {
            "scenario": self.scenario.name,
            "runs": len(self),
            "seeds": len(self.seeds),
            "cells": [dict(cell.parameters) for cell in self.cells],
        }

    def __str__(self) -> str:
        cells = f"{counted(len(self.cells), 'cell')} x " if self.matrix else ""
        return f"{self.scenario.name}: {cells}{_chosen_in_words(self.seeds)} = {counted(len(self), 'run')}"


def counted(count: int, noun: str) -> str:
    """So many of them, in words that fit one as well."""
    return f"{count} {noun}{'s' if count != 1 else ''}"


def plan(
    scenario: Scenario,
    *,
    seeds: Iterable[int] | str | None = None,
    matrix: Matrix | None = None,
    defects: Sequence[str] = (),
    interleaving: str | None = None,
) -> Plan:
    """Work it out and check every cell. What is left out is as `[sweep]` of the file says; else the file's one seed.

    Raises ScenarioError for a cell that makes no sense, Refused for seeds or a matrix that does not.
    """
    said = scenario.sweep_
    if seeds is None:
        seeds = said.seeds if said is not None and said.seeds is not None else [scenario.seed]
    try:
        chosen = _chosen(seeds)
        count = len(chosen)
    except ValueError as error:
        raise Refused(str(error)) from None
    if not chosen:
        raise Refused("there are no seeds; give at least one, like range(1, 101) or 1:100")
    if interleaving is None and said is not None:
        interleaving = said.interleaving
    if interleaving is not None:
        scenario = _interleaved(scenario, interleaving)
    # The file's values are spelt as in a file, durations with a unit; those from Python may be numbers.
    spelt = matrix is None
    if matrix is None:
        matrix = said.matrix if said is not None else {}
    matrix = {key: _values(key, values) for key, values in matrix.items()}
    for name in defects:
        try:
            known_defects.find(name)
        except known_defects.UnknownDefect as error:
            raise Refused(str(error)) from error
    for values in matrix.values():
        count *= len(values)
    if count > MAX_RUNS:
        raise Refused(
            f"{count} runs are more than one sweep takes ({MAX_RUNS}); sweep parts of it, each with its --out"
        )
    found = Plan(scenario=scenario, matrix=matrix, cells=(), seeds=chosen, defects=tuple(defects))
    found = replace(found, cells=tuple(_cells(scenario, matrix, spelt)))
    for name in (name for cell in found.cells for name in (*named(cell.scenario), *defects)):
        if name.startswith("__main__:"):
            raise Refused(
                f"{name} is of the script or notebook that sweeps, which the processes that run it do not load; "
                "put it into a module of its own"
            )
    return found


def _interleaved(scenario: Scenario, interleaving: str) -> Scenario:
    """As an override, so that a run of it can be told as a command; where it is from no file, there is none to tell."""
    if scenario.origin is not None:
        return changed(scenario, {"interleaving": interleaving})
    if interleaving not in INTERLEAVINGS:
        raise Refused(f"interleaving is one of {', '.join(INTERLEAVINGS)}, not {interleaving!r}")
    return msgspec.structs.replace(scenario, interleaving=interleaving)


def load_to_sweep(path: str | Path, overrides: Iterable[str] = ()) -> Scenario:
    """As `load`; where a file has mistakes, those of its matrix are told with the others. Raises ScenarioError."""
    text, file = text_of(path), Path(path)
    try:
        return load_text(text, file, overrides)
    except ScenarioError as error:
        known = error.mistakes
    # A cell has the mistakes of the file besides.
    found = dict.fromkeys(known)
    matrix = matrix_of(text, file, overrides)
    for values in itertools.islice(itertools.product(*matrix.values()), MAX_MISTAKES if matrix else 0):
        try:
            written = [override.written for override in parse(dict(zip(matrix, values, strict=True)))]
            load_text(text, file, written, before=overrides)
        except OverrideError as error:
            found[Mistake("the matrix", 0, 0, str(error))] = None
        except ScenarioError as error:
            found |= dict.fromkeys(_of_matrix(file, text, each) for each in error.mistakes if each not in known)
    raise ScenarioError(list(found))


def _cells(scenario: Scenario, matrix: Matrix, spelt: bool) -> Iterator[Cell]:
    """Raises ScenarioError with the mistakes of all cells."""
    origin = scenario.origin
    mistakes: dict[Mistake, None] = {}
    for values in itertools.product(*matrix.values()):
        parameters = dict(zip(matrix, values, strict=True))
        if not parameters:
            yield Cell(parameters={}, scenario=scenario)
            continue
        try:
            overrides: Any = [override.written for override in parse(parameters)] if spelt else parameters
        except OverrideError as error:
            raise ScenarioError([Mistake("the matrix", 0, 0, str(error))]) from error
        try:
            yield Cell(parameters=parameters, scenario=changed(scenario, overrides))
        except ScenarioError as error:
            mistakes |= dict.fromkeys(
                _of_matrix(origin.file, origin.text, mistake) if spelt and origin else mistake
                for mistake in error.mistakes
            )
            if len(mistakes) > MAX_MISTAKES:
                break
    if mistakes:
        raise ScenarioError(list(mistakes))


def _of_matrix(file: Path, text: str, mistake: Mistake) -> Mistake:
    """The mistake of a value that the file's matrix sets, at the place of the matrix."""
    if mistake.line:
        return mistake
    place = locate(text).key(("sweep", "matrix"))
    return Mistake(str(file), *place, f"{mistake.file.removeprefix('--set ')}: {mistake.message}")


def _values(key: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise Refused(f"matrix: {key} needs a list of values, not {values!r}")
    found = list(values)
    if mistake := mistake_of_values(key, found):
        raise Refused(f"matrix: {mistake}")
    return found


def _chosen(seeds: Iterable[int] | str) -> Sequence[int]:
    if isinstance(seeds, str):
        return parse_seeds(seeds)
    if isinstance(seeds, range) and seeds:
        for end in (seeds[0], seeds[-1]):
            whole(end)
        return seeds
    if isinstance(seeds, bytes) or not isinstance(seeds, Iterable):
        raise ValueError(f'seeds are a range, a list, or text like "1:100", not {seeds!r}')
    return list(dict.fromkeys(map(whole, seeds)))


def _chosen_in_words(seeds: Sequence[int]) -> str:
    words = counted(len(seeds), "seed")
    first, last = seeds[0], seeds[-1]
    if first == last:
        return f"{words} ({first})"
    return f"{words} ({first}:{last})" if len(seeds) == last - first + 1 else words
