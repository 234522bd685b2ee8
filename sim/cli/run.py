"""`rpcnet-sim run`: run scenario files, judge them, show what happened.

What a run is, is in sim.scenario.

Tests: tests/sim/cli/test_run_and_check.py.
"""

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from sim.cli import output, terminal
from sim.cli.arguments import (
    RESULT,
    TRACE,
    Defects,
    Flag,
    Interleaving,
    Seeds,
    Settings,
    WallLimit,
    Whole,
    demand_files,
    loaded,
    seeds_of,
    wall_seconds,
)
from sim.cli.exits import CODES, INTERNAL, INTERRUPTED, UsageError, worst
from sim.cli.pages import writable_page, write_page
from sim.paths import writable_directory, writable_file

if TYPE_CHECKING:
    from sim.backends.program import World
    from sim.scenario.run import Run
    from sim.scenario.schema import Scenario
    from sim.study import Crash

    Runs = Generator[Run | Crash, None, None]

__all__ = ["run"]


def run(
    *files: Path,
    seed: Annotated[int | None, Whole, Parameter(help="Instead of the file's.")] = None,
    seeds: Seeds = None,
    jobs: Annotated[int, Whole, Parameter(help="Processes that share the seeds; what programs print is lost.")] = 1,
    backend: Annotated[Literal["sim", "sockets"], Parameter(help="Virtual time, or real processes.")] = "sim",
    slack: Annotated[
        float | None, Parameter(help="Widens within and max on sockets: machines are noisy. [default: 3]")
    ] = None,
    report: Annotated[Path | None, Parameter(help="Directory for the page, result.json and the trace.")] = None,
    trace: Annotated[Path | None, Parameter(help="File for the trace of a single run.")] = None,
    settings: Settings = [],  # noqa: B006 - cyclopts wants a list, nobody changes it
    defects: Defects = [],  # noqa: B006
    interleaving: Interleaving = None,
    wall_limit: WallLimit = None,
    json: Annotated[bool, Flag, Parameter(help="One object a run, one a line.")] = False,
) -> int:
    """Run scenario files and say whether what they expect holds.

    Parameters
    ----------
    files:
        Scenario files (TOML).
    """
    from rpcnet.app import add_working_directory
    from sim.defects import UnknownDefect, find
    from sim.scenario import run as running
    from sim.trace.layout import FORMAT

    demand_files("run", files)
    if seed is not None and seeds is not None:
        raise UsageError("give --seed or --seeds, not both")
    if jobs != 1 and (seeds is None or backend != "sim"):
        raise UsageError("--jobs is for --seeds in virtual time: there alone runs side by side change nothing")
    if jobs != 1:
        from sim.study.pool import processes
        from sim.study.refusal import Refused

        try:
            processes(jobs)
        except Refused as error:
            raise UsageError(str(error)) from None
    if slack is not None and backend == "sim":
        raise UsageError(
            "--slack is for --backend sockets: in virtual time within and max are meant as they are written"
        )
    if slack is not None and not slack > 0:
        raise UsageError(f"--slack must be above 0, not {slack:g}")
    if interleaving is not None:
        if backend != "sim":
            raise UsageError("--interleaving is for virtual time; on sockets the machine decides which task goes next")
        settings = [*settings, f"interleaving={interleaving}"]
    limit = wall_seconds(wall_limit)
    if limit is not None and backend != "sim":
        raise UsageError("--wall-limit is for virtual time; on sockets a run takes the time that its file says")
    if trace is not None and (len(files) > 1 or seeds is not None):
        raise UsageError("--trace is for a single run; --report keeps the trace of each of many")
    add_working_directory()
    for name in defects:
        try:
            find(name)
        except UnknownDefect as error:
            raise UsageError(str(error)) from error
    several = None if seeds is None else seeds_of(seeds)
    codes: list[int] = []
    scenarios = [scenario for _, scenario in loaded(files, settings, codes)]
    names = [scenario.name for scenario in scenarios]
    if report is not None and (twice := next((name for name in names if names.count(name) > 1), None)):
        raise UsageError(f"--report: two of the files are called {twice}, and so would their reports; run them apart")

    if trace is not None:
        writable_file("--trace", trace, FORMAT)
    if report is not None:
        writable_page("--report", report, beside=RESULT)

    def trace_of(scenario: "Scenario", seed: int) -> Path | None:
        if report is None:
            return trace
        directory = directory_of(scenario)
        return writable_directory("--report", directory / f"seed-{seed}" if several is not None else directory) / TRACE

    def directory_of(scenario: "Scenario") -> Path:
        """One file: the directory itself; several: one in it for each."""
        assert report is not None
        return report / scenario.name if len(files) > 1 else report

    def one_by_one(
        scenario: "Scenario", seeds: Sequence[int], follow: "Callable[[World], object] | None" = None
    ) -> "Runs":
        for each in seeds:
            yield running.run(
                scenario,
                seed=each,
                backend=backend,
                trace=trace_of(scenario, each),
                defects=defects,
                slack=slack or running.SLACK,
                wall_limit=limit,
                follow=follow,
            )

    def side_by_side(scenario: "Scenario", seeds: Sequence[int], scratch: Path) -> "Runs":
        from sim.study.pool import runs

        traces = scratch if report is None else writable_directory("--report", directory_of(scenario))
        for found in runs(scenario, seeds, jobs, traces, defects=defects, wall_limit=limit):
            if report is None and isinstance(found, running.Run):
                found = found.owning_its_trace()
            yield found

    try:
        for scenario in scenarios:
            chosen = [scenario.seed if seed is None else seed] if several is None else several
            title = f"{scenario.name} ({backend})"
            with ExitStack() as stack:
                if several is None:
                    follow = stack.enter_context(terminal.clock(title, scenario.duration))
                    runs, advance = one_by_one(scenario, chosen, follow), _nothing
                else:
                    advance = stack.enter_context(terminal.progress(title, len(chosen)))
                    if jobs == 1:
                        runs = one_by_one(scenario, chosen)
                    else:
                        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="rpcnet-run-"))
                        runs = side_by_side(scenario, chosen, Path(scratch))
                stack.enter_context(closing(runs))
                many = several is not None
                _tell(scenario, chosen, runs, advance, codes, many=many, pages=report is not None, json=json)
    except BrokenPipeError:
        terminal.unread()
    except KeyboardInterrupt as error:
        output.stopped(error)
        codes.append(INTERRUPTED)
    return worst(codes)


def _tell(
    scenario: "Scenario",
    seeds: Sequence[int],
    runs: "Runs",
    advance: Callable[[], None],
    codes: list[int],
    *,
    many: bool,
    pages: bool,
    json: bool,
) -> None:
    """Show each run as it comes; adds the code of each to `codes` as soon as it is known. `pages`: each gets one."""
    from sim.kernel.interrupt import noticed
    from sim.scenario.run import Run

    results: list[output.Result] = []
    pair = _Pair()
    try:
        with noticed() as check_interrupt:
            for found in runs:
                check_interrupt()
                if not isinstance(found, Run):  # it took its process with it
                    output.wrong(str(found))
                    codes.append(INTERNAL)
                    continue
                for warning in found.warnings:
                    output.note(f"{scenario.name}: {warning}")
                page = _page_of(found) if pages else None
                results.append(output.Result(found.seed, found.verdict, found.wall_seconds))
                codes.append(CODES[found.verdict])
                pair.add(found)
                if json:
                    terminal.object_(found.to_json() | {"report": page and str(page)})
                elif not many or found.verdict != "holds":
                    output.run(found, page)
                advance()
            check_interrupt()
    except KeyboardInterrupt:
        if many and json:
            output.interrupted(scenario.name, len(results), len(seeds))
        raise
    finally:
        # Also of a long work that was interrupted: what is done is done.
        if many and not json:
            output.summary(scenario.name, results, len(seeds) - len(results))
            if pair.complete:
                output.apart(*pair.complete)


def _nothing() -> None:
    """A run that is the only one has a clock, and no count."""


def _page_of(found: "Run") -> Path:
    """Beside its trace."""
    return write_page(found.trace.path.parent, found.result() | {"report": "index.html"}, found.trace.path)


class _Pair:
    """The first run that failed and the one that held whose seed is nearest: what a person wants to compare."""

    def __init__(self) -> None:
        self._fails: Run | None = None
        self._holds: Run | None = None

    def add(self, found: "Run") -> None:
        """Runs in the order of their seeds; the trace of one that is not kept goes."""
        if found.verdict == "fails" and self._fails is None:
            self._fails = found
        elif found.verdict == "holds" and (self._fails is None or self._is_nearer(found)):
            self._holds = found

    def _is_nearer(self, found: "Run") -> bool:
        if self._holds is None or self._fails is None:
            return True
        return abs(found.seed - self._fails.seed) < abs(self._holds.seed - self._fails.seed)

    @property
    def complete(self) -> "tuple[Run, Run] | None":
        return (self._fails, self._holds) if self._fails and self._holds else None
