"""What the commands of `rpcnet-sim` do: run scenarios, judge them, show what happened. Each returns its exit code.

Data goes to stdout, talk to stderr. Exit codes: 0 all hold, 1 an expectation fails or an application raised, 2 the file
or the usage is wrong, 3 internal error, 4 inconclusive, 130 interrupted; of several the first of 130, 3, 2, 1, 4, 0.
A function is the command of its name in sim.cli, which says what its arguments mean. What the output looks like is in
sim.say; what a run is, in sim.scenario.
"""

import errno
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from cyclopts import CycloptsError

from rpcnet.app import add_working_directory
from sim import defects, say, terminal
from sim.backends.program import ProgramError
from sim.kernel.interrupt import noticed
from sim.scenario import run as running
from sim.scenario.load import load
from sim.scenario.mistake import ScenarioError
from sim.scenario.run import Run, RunTrace
from sim.scenario.schema import Scenario
from sim.scenario.seeds import parse_seeds
from sim.scenario.verdict import Verdict
from sim.trace import Event, TraceError, export, read
from sim.trace.cause import chain
from sim.trace.diff import Kinds, first_difference, first_difference_in_kind
from sim.trace.reader import torn_end

__all__ = [
    "WORST_FIRST",
    "check",
    "check_determinism",
    "diff",
    "failed",
    "list_",
    "report",
    "run",
    "sweep",
    "worst",
]

HOLDS, FAILS, USAGE, INTERNAL, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 4, 130
WORST_FIRST = (INTERRUPTED, INTERNAL, USAGE, FAILS, INCONCLUSIVE, HOLDS)
CODES = {Verdict.HOLDS: HOLDS, Verdict.FAILS: FAILS, Verdict.INCONCLUSIVE: INCONCLUSIVE}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TRACE, RESULT = "trace.msgpack", "result.json"
STARTED = "run_started"
CAUSES = 4
"""Events that lead up to one that differs, itself included."""


class UsageError(Exception):
    """A command line that makes no sense; its text says what would."""


def failed(error: BaseException) -> int:
    """Say what ended a command; returns its exit code."""
    if isinstance(error, KeyboardInterrupt):
        say.note("interrupted")
        return INTERRUPTED
    if isinstance(error, CycloptsError | UsageError | ProgramError | TraceError):
        say.wrong(str(error))
        return USAGE
    if isinstance(error, ScenarioError):
        say.mistakes(error)
        return USAGE
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        say.wrong(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
    else:
        say.wrong("internal error, please report it:\n" + "".join(traceback.format_exception(error)).rstrip())
    return INTERNAL


def worst(codes: Sequence[int]) -> int:
    """The code of several runs."""
    return next((code for code in WORST_FIRST if code in codes), HOLDS)


# --- run --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What `run` was asked for."""

    files: tuple[str, ...]
    seeds: range | None
    seed: int | None
    backend: str
    slack: float
    report: Path | None
    trace: Path | None
    settings: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    json: bool

    def seeds_of(self, scenario: Scenario) -> Sequence[int]:
        if self.seeds is not None:
            return self.seeds
        return [scenario.seed if self.seed is None else self.seed]

    def report_of(self, scenario: Scenario, seed: int) -> Path | None:
        """One run: the directory itself; several: one in it for each."""
        if self.report is None:
            return None
        parts = [scenario.name] * (len(self.files) > 1) + [f"seed-{seed}"] * (self.seeds is not None)
        return self.report.joinpath(*parts)


def run(
    files: tuple[str, ...],
    *,
    seed: int | None,
    seeds: str | None,
    backend: str,
    slack: float,
    report: Path | None,
    trace: Path | None,
    settings: list[str],
    defect: list[str],
    json: bool,
) -> int:
    if not files:
        raise UsageError("name at least one scenario file: rpcnet-sim run scenarios/worker_death.toml")
    if seed is not None and seeds is not None:
        raise UsageError("give --seed or --seeds, not both")
    if not slack > 0:
        raise UsageError(f"--slack must be above 0, not {slack:g}")
    if trace is not None and (len(files) > 1 or seeds is not None):
        raise UsageError("--trace is for a single run; --report keeps the trace of each of many")
    add_working_directory()
    for name in defect:
        try:
            defects.find(name)
        except defects.UnknownDefect as error:
            raise UsageError(str(error)) from error
    order = _Order(
        files=files,
        seeds=None if seeds is None else _range(seeds),
        seed=seed,
        backend=backend,
        slack=slack,
        report=report,
        trace=trace,
        settings=settings,
        defects=defect,
        json=json,
    )
    codes: list[int] = []
    scenarios = _loaded(order.files, order.settings, codes)
    names = [scenario.name for scenario in scenarios]
    if report is not None and (twice := next((name for name in names if names.count(name) > 1), None)):
        raise UsageError(f"--report: two of the files are called {twice}, and so would their reports; run them apart")
    try:
        for scenario in scenarios:
            _run_seeds(scenario, order, codes)
    except BrokenPipeError:
        terminal.unread()
    except KeyboardInterrupt:
        say.note("interrupted")
        codes.append(INTERRUPTED)
    return worst(codes)


def _loaded(files: Sequence[str], settings: Sequence[str], codes: list[int]) -> list[Scenario]:
    """The files that are in order; the mistakes of all others are told before anything runs."""
    add_working_directory()
    scenarios = []
    for file in files:
        try:
            scenarios.append(load(file, settings))
        except ScenarioError as error:
            say.mistakes(error)
            codes.append(USAGE)
    return scenarios


def _named(files: Sequence[str], settings: Sequence[str], codes: list[int]) -> list[tuple[str, Scenario]]:
    """The same, each with its file."""
    return [(file, scenario) for file in files for scenario in _loaded([file], settings, codes)]


def _run_seeds(scenario: Scenario, order: _Order, codes: list[int]) -> None:
    """Adds the code of each run to `codes` as soon as it is known."""
    seeds = order.seeds_of(scenario)
    results: list[say.Result] = []
    pair = _Pair()
    try:
        with (
            noticed() as check_interrupt,
            terminal.progress(f"{scenario.name} ({order.backend})", len(seeds)) as advance,
        ):
            for seed in seeds:
                check_interrupt()
                found, page = _run_once(scenario, seed, order)
                results.append(say.Result(seed, found.verdict, found.wall_seconds))
                codes.append(CODES[found.verdict])
                pair.add(found)
                if order.json:
                    # msgspec writes a figure that is no number as null, which JSON knows.
                    row = msgspec.json.encode(found.to_json() | {"report": page and str(page)})
                    terminal.data(row.decode(), plain=True)
                elif order.seeds is None or found.verdict is not Verdict.HOLDS:
                    say.run(found, page)
                advance()
            check_interrupt()
    finally:
        # Also of a long work that was interrupted: what is done is done.
        if order.seeds is not None and not order.json and results:
            say.summary(scenario.name, results)
            if pair.complete:
                say.apart(*pair.complete)


class _Pair:
    """The first run that failed and the one that held whose seed is nearest: what a person wants to compare."""

    def __init__(self) -> None:
        self._fails: Run | None = None
        self._holds: Run | None = None

    def add(self, found: Run) -> None:
        """Runs in the order of their seeds; the trace of one that is not kept goes."""
        if found.verdict is Verdict.FAILS and self._fails is None:
            self._fails = found
        elif found.verdict is Verdict.HOLDS and (self._fails is None or self._is_nearer(found)):
            self._holds = found

    def _is_nearer(self, found: Run) -> bool:
        if self._holds is None or self._fails is None:
            return True
        return abs(found.seed - self._fails.seed) < abs(self._holds.seed - self._fails.seed)

    @property
    def complete(self) -> tuple[Run, Run] | None:
        return (self._fails, self._holds) if self._fails and self._holds else None


def _run_once(scenario: Scenario, seed: int, order: _Order) -> tuple[Run, Path | None]:
    directory = order.report_of(scenario, seed)
    path = order.trace
    if directory is not None and path is None:
        path = _writable(directory) / TRACE
    elif path is not None:
        try:
            path.open("ab").close()
        except OSError as error:
            raise UsageError(f"--trace {path}: {error.strerror}") from error
    found = running.run(
        scenario, seed=seed, backend=order.backend, trace=path, defects=order.defects, slack=order.slack
    )
    for warning in found.warnings:
        say.note(f"{scenario.name}: {warning}")
    if directory is None:
        return found, None
    return found, _page(directory, found.result() | {"report": "index.html"}, found.trace.path)


def _page(directory: Path, result: dict[str, Any], trace: Path) -> Path:
    from sim.report import write_report  # matplotlib takes its time; only who wants a report pays

    try:
        return write_report(directory, result, trace)
    except OSError as error:
        if error.errno in DISK_FULL:
            why = f"{error.strerror}: the page cannot be written; free some space, or give another directory"
            raise OSError(error.errno, why, str(directory)) from error
        raise


def _writable(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report {directory}: {error.strerror}") from error
    return directory


def _range(text: str) -> range:
    try:
        return parse_seeds(text)
    except ValueError as error:
        raise UsageError(f"--seeds: {error}") from None


def sweep(
    file: str,
    *,
    seeds: str | None,
    plan: bool,
    jobs: int | None,
    out: Path | None,
    settings: list[str],
    defect: list[str],
) -> int:
    from sim import study
    from sim.study import show

    add_working_directory()
    scenario = load(file, settings)
    kept = out
    again = _sweep_command(file, seeds, jobs, out, settings, defect)
    try:
        wanted = study.plan(scenario, seeds=seeds, defects=defect)
        kept = out or study.default_out(wanted)
        if plan:
            show.print_plan(wanted, study.remaining(wanted, kept), str(kept))
            return HOLDS
        with terminal.progress(f"{scenario.name} (sim)", len(wanted)) as advance:
            found = study.carry_out(wanted, jobs=jobs, out=kept, advance=advance)
    except study.Refused as error:
        raise UsageError(str(error)) from error
    except study.SweepError as error:
        say.wrong(str(error))
        say.note(f"run what is missing: {again}")
        return INTERNAL
    except KeyboardInterrupt:
        say.note(
            f"interrupted; what is done is kept in {kept}, the same command goes on from there"
            if kept
            else "interrupted"
        )
        return INTERRUPTED
    try:
        show.print_study(found, again)
    except BrokenPipeError:
        terminal.unread()
    for crash in found.crashes:
        say.wrong(str(crash))
    return INTERNAL if found.crashes else CODES[found.verdict]


def _sweep_command(
    file: str, seeds: str | None, jobs: int | None, out: Path | None, settings: list[str], defect: list[str]
) -> str:
    """The command line that was given: given again it runs what is not in the results yet."""
    options = {"--seeds": seeds, "--jobs": jobs, "--out": out}
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    words += [word for setting in settings for word in ("--set", setting)]
    words += [word for name in defect for word in ("--defect", name)]
    return shlex.join(["rpcnet-sim", "sweep", file, *words])


# --- the other commands -----------------------------------------------------------------------------------------------


def check(files: tuple[str, ...], settings: list[str]) -> int:
    if not files:
        raise UsageError("name at least one scenario file: rpcnet-sim check scenarios/worker_death.toml")
    codes: list[int] = []
    for file in files:
        for scenario in _loaded([file], settings, codes):
            try:
                sweep_in_words = _checked_sweep(scenario)
            except ScenarioError as error:
                say.mistakes(error)
                codes.append(USAGE)
            else:
                say.line(f"{file}: {scenario.name} is in order{sweep_in_words}")
    return worst(codes)


def _checked_sweep(scenario: Scenario) -> str:
    """Every cell of its matrix makes sense. Raises ScenarioError."""
    if scenario.sweep_ is None:
        return ""
    from sim import study

    try:
        runs = len(study.plan(scenario))
        return f"; its sweep is {runs} run{'s' if runs != 1 else ''}"
    except study.Refused as error:
        raise UsageError(str(error)) from error


def report(trace: Path, *, out: Path | None, json: bool) -> int:
    file = trace / TRACE if trace.is_dir() else trace
    if not file.is_file():
        raise UsageError(f"{file}: no such trace")
    if torn := torn_end(file):
        say.note(f"{file}: {torn}")
    if json:
        export(read(file), sys.stdout)
        return HOLDS
    beside = file.parent / RESULT
    result: dict[str, Any] = {}
    if file.name == TRACE and beside.is_file():
        try:
            result = msgspec.json.decode(beside.read_bytes(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise UsageError(f"{beside}: {error}") from error
    next(read(file), None)  # what is no trace is refused before anything is written
    directory = out or (file.parent if file.name == TRACE else file.with_name(f"{file.stem}-report"))
    say.line(str(_page(_writable(directory), result, file)))
    return HOLDS


def list_() -> int:
    add_working_directory()
    say.line("scenarios")
    for file in sorted(Path("scenarios").glob("*.toml")):
        try:
            scenario = load(file)
            say.item(str(file), scenario.summary)
        except ScenarioError as error:
            say.item(str(file), f"cannot be read: {error.message}")
    say.line("defects")
    for name in defects.names():
        say.item(name, defects.summary(name))
    return HOLDS


def diff(one: Path, other: Path) -> int:
    files = [path / TRACE if path.is_dir() else path for path in (one, other)]
    for file in files:
        if not file.is_file():
            raise UsageError(f"{file}: no such trace")
        if torn := torn_end(file):
            say.note(f"{file}: {torn}")
    found = first_difference(*(_nameless(read(file)) for file in files))
    told = [_told_to_be(file) for file in files]
    apart = [key for key in dict.fromkeys((*told[0], *told[1])) if told[0].get(key) != told[1].get(key)]
    if found is None:
        say.line(f"the same, but for what the runs were told to be: {', '.join(apart)}" if apart else "the same")
        return HOLDS
    in_kind = None
    if "seed" in apart or "backend" in apart:
        # From the start their times differ, and the order of their messages; that says nothing.
        in_kind = first_difference_in_kind(*(Kinds(read(file)) for file in files))
    found = in_kind or found
    causes = [
        chain(RunTrace(file), event.line, CAUSES) if event else []
        for file, event in zip(files, (found.one, found.other), strict=True)
    ]
    first, second = (
        f"{path}" + "".join(f" ({key} {own[key]})" for key in apart if key in own)
        for path, own in zip((one, other), told, strict=True)
    )
    show = say.difference_in_kind if in_kind else say.difference
    show(found, first, second, causes)
    return FAILS


def _told_to_be(file: Path) -> dict[str, Any]:
    """What a trace's first event says of its run: scenario, seed, backend."""
    first = next(read(file), None)
    return first.fields if first is not None and first.name == STARTED else {}


def _nameless(events: Iterator[Event]) -> Iterator[Event]:
    """The same without that."""
    return (event._replace(fields={}) if event.name == STARTED else event for event in events)


def check_determinism(files: tuple[str, ...], *, seeds: str | None, settings: list[str]) -> int:
    if not files:
        raise UsageError("name at least one scenario file: rpcnet-sim check-determinism scenarios/worker_death.toml")
    from sim.study import determinism

    wanted = None if seeds is None else _range(seeds)
    codes: list[int] = []
    for file, scenario in _named(files, settings, codes):
        chosen = [scenario.seed] if wanted is None else wanted
        with terminal.progress(f"{scenario.name} (sim)", len(chosen)) as advance:
            try:
                for twin in determinism.check_determinism(file, chosen, settings):
                    say.twin(file, twin)
                    codes.append(HOLDS if twin.same else FAILS)
                    advance()
            except determinism.TwinError as error:
                say.wrong(f"{file}: {error}")
                codes.append(INTERNAL)
    return worst(codes)
