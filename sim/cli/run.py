"""`rpcnet-sim run`: run scenario files, judge them, show what happened.

What a run is, is in sim.scenario.

Tests: tests/sim/cli/test_run_and_check.py.
"""

from collections.abc import Callable, Sequence
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
from sim.cli.exits import CODES, INTERRUPTED, UsageError, worst
from sim.cli.pages import write_page
from sim.paths import writable_directory, writable_file

if TYPE_CHECKING:
    from sim.scenario.run import Run
    from sim.scenario.schema import Scenario

__all__ = ["run"]

Once = Callable[["Scenario", int], "tuple[Run, Path | None]"]


def run(
    *files: str,
    seed: Annotated[int | None, Whole, Parameter(help="Instead of the file's.")] = None,
    seeds: Seeds = None,
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
        writable_directory("--report", report)
        if (report / "index.html").exists() and not (report / RESULT).exists():
            raise UsageError(
                f"--report {report}: the index.html in it is of no report, and is left alone; name another one"
            )

    def once(scenario: "Scenario", seed: int) -> "tuple[Run, Path | None]":
        directory, path = None, trace
        if report is not None:
            # One run: the directory itself; several: one in it for each.
            parts = [scenario.name] * (len(files) > 1) + [f"seed-{seed}"] * (several is not None)
            directory = report.joinpath(*parts)
        if trace is None and directory is not None:
            path = writable_directory("--report", directory) / TRACE
        found = running.run(
            scenario,
            seed=seed,
            backend=backend,
            trace=path,
            defects=defects,
            slack=slack or running.SLACK,
            wall_limit=limit,
        )
        for warning in found.warnings:
            output.note(f"{scenario.name}: {warning}")
        if directory is None:
            return found, None
        return found, write_page(directory, found.result() | {"report": "index.html"}, found.trace.path)

    try:
        for scenario in scenarios:
            chosen = [scenario.seed if seed is None else seed] if several is None else several
            title = f"{scenario.name} ({backend})"
            _run_seeds(scenario, chosen, once, codes, title=title, many=several is not None, json=json)
    except BrokenPipeError:
        terminal.unread()
    except KeyboardInterrupt as error:
        output.stopped(error)
        codes.append(INTERRUPTED)
    return worst(codes)


def _run_seeds(
    scenario: "Scenario", seeds: Sequence[int], once: Once, codes: list[int], *, title: str, many: bool, json: bool
) -> None:
    """Adds the code of each run to `codes` as soon as it is known."""
    import msgspec

    from sim.kernel.interrupt import noticed

    results: list[output.Result] = []
    pair = _Pair()
    try:
        with noticed() as check_interrupt, terminal.progress(title, len(seeds)) as advance:
            for seed in seeds:
                check_interrupt()
                found, page = once(scenario, seed)
                results.append(output.Result(seed, found.verdict, found.wall_seconds))
                codes.append(CODES[found.verdict])
                pair.add(found)
                if json:
                    # msgspec writes a figure that is no number as null, which JSON knows.
                    row = msgspec.json.encode(found.to_json() | {"report": page and str(page)})
                    terminal.data(row.decode(), plain=True)
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
