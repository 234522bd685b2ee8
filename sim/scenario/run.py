"""A scenario is run once in one of the two worlds, and judged by its trace.

Knows how a scenario becomes a Program and how judgements become a verdict; knows neither how a world runs programs nor
what an expectation looks for. What it gives back can be read long after: events come from the trace file.

Tests: tests/sim/scenario/test_run.py.
"""

import dataclasses
import os
import platform
import shlex
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from msgspec import to_builtins
from msgspec.structs import asdict, replace

from sim import defects as known_defects
from sim.backends import runner, words
from sim.backends.program import NodeProgram, Program, ProgramError, World
from sim.extras import advice
from sim.network.presets import PRESETS
from sim.scenario.check import demand
from sim.scenario.faults import FAULTS
from sim.scenario.inject import scripts
from sim.scenario.load import load_text
from sim.scenario.mistake import Mistake, ScenarioError
from sim.scenario.override import Overrides
from sim.scenario.places import links_of, nodes_of, zones_of
from sim.scenario.schema import Scenario, Selector
from sim.scenario.seeds import whole
from sim.scenario.select import draws, labels_of, select
from sim.scenario.verdict import Context, ExpectationError, Judgement, Verdict
from sim.scenario.warn import idle_faults
from sim.trace import Event, TraceWriteError, read
from sim.trace.cause import brief, chains
from sim.trace.keep import keep

if TYPE_CHECKING:
    import pandas

__all__ = ["SLACK", "VERSIONS_OF", "Run", "RunTrace", "changed", "command_of", "program_of", "run"]

S = TypeVar("S", bound=Scenario)

SLACK = 3.0
"""How many times as long `within` and `max` are on sockets, where nothing else is said."""
UNJUDGED = "the file has no [[expect]], so nothing was judged"
"""Why a run is inconclusive that fell short of nothing."""
INTERLEAVING = "interleaving="
"""How the override begins that `--interleaving` is."""
VERSIONS_OF = ("rpcnet", "msgspec", "cryptography", "simpy", "networkx", "msgpack")
"""Whose versions a result records: another one may give another digest."""


def run(
    scenario: Scenario,
    *,
    seed: int | None = None,
    backend: str = "sim",
    trace: str | Path | None = None,
    defects: Sequence[str] = (),
    slack: float = SLACK,
    overrides: Overrides = (),
    wall_limit: float | None = None,
    follow: Callable[[World], object] | None = None,
) -> "Run":
    """Run it once and judge it; arguments as in `sim.Scenario.run`. Raises ScenarioError, ProgramError, OSError.

    `follow` is called with the world once it stands: whoever shows how far it is reads its `now`, in another thread.
    """
    if overrides:
        scenario = changed(scenario, overrides)
    else:
        # One from a file was checked, but may have been changed since (msgspec.structs.replace).
        demand(scenario)
    try:
        seed = whole(scenario.seed if seed is None else seed)
    except ValueError as error:
        raise ProgramError(str(error)) from None
    if wall_limit is not None and (backend != "sim" or not wall_limit > 0):
        raise ProgramError(f"a wall limit is real seconds above 0, of the sim backend, not {wall_limit!r} of {backend}")
    program = replace(program_of(scenario, seed, defects), wall_limit=wall_limit)
    can = [verb for verb, kind in FAULTS.items() if kind.words() <= words(backend)]
    if missing := sorted({fault.verb for fault in scenario.fault}.difference(can)):
        raise ProgramError(f"the {backend} backend cannot do {', '.join(missing)}; it can: {', '.join(can)}")
    path, temporary = _trace_path(trace)
    try:
        outcome = runner(backend)(program, path, follow)
        context = Context(
            path,
            select=_Selecting(scenario, seed),
            duration=scenario.duration,
            slack=1.0 if backend == "sim" else slack,
            backend=backend,
        )
        judgements = tuple(_judge(expectation, context) for expectation in scenario.expect)
        if not temporary and path.is_file():
            with suppress(OSError):  # A disk that is full: it stays as it was written, which can be read as well.
                keep(path, path)
        return Run(
            scenario=scenario,
            seed=seed,
            backend=backend,
            verdict=_verdict(judgements, outcome.error),
            expectations=judgements,
            trace=RunTrace(path, temporary=temporary),
            digest=outcome.digest,
            error=outcome.error,
            virtual_seconds=outcome.virtual_seconds,
            wall_seconds=outcome.wall_seconds,
            defects=tuple(defects),
            slack=slack,
            wall_limit=wall_limit,
            warnings=tuple(idle_faults(context)),
            waiting=outcome.waiting,
            faults=tuple(_fault_rows(context)),
        )
    except BaseException as error:
        if temporary:
            path.unlink(missing_ok=True)
            if isinstance(error, TraceWriteError):
                why = (
                    f"{os.strerror(error.errno or 0)}: the trace, a temporary file in {path.parent}, cannot be written"
                )
                raise TraceWriteError(error.errno, f"{why}; free some space, or write it elsewhere") from error
        raise


def program_of(scenario: Scenario, seed: int, defects: Sequence[str] = ()) -> Program:
    """What a world is given. Raises ProgramError for a defect that does not exist."""
    nodes = nodes_of(scenario, seed)
    join = next(iter(nodes)) if scenario.cluster.join is None else scenario.cluster.join
    try:
        switched_on = tuple(known_defects.reference(name) for name in defects)
    except known_defects.UnknownDefect as error:
        raise ProgramError(str(error)) from error
    return Program(
        scenario=scenario.name,
        seed=seed,
        duration=float(scenario.duration),
        nodes=tuple(
            NodeProgram(
                name=name,
                app=node.app,
                arguments=node.args,
                environment=node.env,
                labels=node.labels,
                cpu=node.cpu,
                start=float(node.start),
            )
            for node in scenario.node
            for name in node.names()
        ),
        scripts=scripts(scenario, seed),
        link=scenario.network.link(),
        graph=scenario.network.graph,
        machines=scenario.network.machines,
        zones={} if scenario.network.zones is None else zones_of(scenario.network, nodes),
        links=links_of(scenario.network, nodes, seed),
        tie_break=scenario.tie_break,
        interleaving=scenario.interleaving,
        cluster={"preset": scenario.cluster.preset, **scenario.cluster.settings},
        keys=scenario.cluster.keys,
        seeds=tuple(select(join, nodes, draws(seed, "join"))),
        defects=switched_on,
    )


def command_of(
    scenario: Scenario,
    seed: int,
    backend: str = "sim",
    defects: Sequence[str] = (),
    slack: float = SLACK,
    wall_limit: float | None = None,
) -> str | None:
    """The command line of a run; None for a scenario that is in no file."""
    origin = scenario.origin
    if origin is None:
        return None
    words = ["rpcnet-sim", "run", str(origin.file), "--seed", str(seed)]
    words += [] if backend == "sim" else ["--backend", backend]
    words += [] if backend == "sim" or slack == SLACK else ["--slack", _number(slack)]
    chosen = [text for text in origin.overrides if text.startswith(INTERLEAVING)]
    words += ["--interleaving", scenario.interleaving] if chosen else []
    words += [word for text in origin.overrides if text not in chosen for word in ("--set", text)]
    words += [word for name in defects for word in ("--defect", name)]
    words += [] if wall_limit is None else ["--wall-limit", f"{_number(wall_limit)}s"]
    return shlex.join(words)


def _number(value: float) -> str:
    """All its digits, and no more."""
    return repr(float(value)).removesuffix(".0")


class RunTrace:
    """The events of a run: iterate as often as you like, they are read from the file each time.

    The file goes with this object where it is `temporary`.
    """

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        self.path = path
        if temporary:
            weakref.finalize(self, path.unlink, missing_ok=True)

    def __iter__(self) -> Iterator[Event]:
        return read(self.path)

    def to_pandas(self) -> "pandas.DataFrame":
        """A row an event: line, time, node, name, cause, and its fields, each a column.

        Raises ImportError with what to install where there is no pandas.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(f"there is no data frame; {advice(error) or error}") from error
        own = ("line", "time", "node", "name", "cause")
        frame = pandas.DataFrame.from_records(
            [
                dict(zip(own, event, strict=False))
                | {f"field {key}" if key in own else key: value for key, value in event.fields.items()}
                for event in self
            ]
        )
        return frame.convert_dtypes()  # whole numbers stay whole where other events have no such field

    def __repr__(self) -> str:
        return f"<RunTrace {self.path}>"


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One run and its verdict. One that shows itself in a notebook: sim.notebook."""

    scenario: Scenario
    seed: int
    backend: str
    verdict: Verdict
    expectations: tuple[Judgement, ...]
    """One a table of the file, in its order."""
    trace: RunTrace
    digest: str | None
    """Equal digests, equal runs; None on sockets, and of a run that its wall limit ended."""
    error: str | None
    """The first failure of an application, with its node's name and traceback."""
    virtual_seconds: float
    wall_seconds: float
    defects: tuple[str, ...] = ()
    slack: float = SLACK
    wall_limit: float | None = None
    """Real seconds that it might take."""
    warnings: tuple[str, ...] = ()
    """Faults that touched nothing: mistakes in the file, most likely."""
    waiting: tuple[tuple[str, str, str], ...] = ()
    """Where each task waited when the run's end began: node, task, place. Empty on sockets, and of many nodes."""
    faults: tuple[dict[str, Any], ...] = field(default=())
    """What took effect: name, verb, targets, time, undone, trace_line."""

    @property
    def why(self) -> str | None:
        """Why it is inconclusive where no expectation says so."""
        return None if self.expectations or self.error is not None else UNJUDGED

    @cached_property
    def measured(self) -> dict[str, float]:
        """All figures by name; one that several expectations measured is told apart by theirs."""
        count = Counter(name for judgement in self.expectations for name in judgement.measured)
        return {
            name if count[name] == 1 else f"{judgement.name}: {name}": value
            for judgement in self.expectations
            for name, value in judgement.measured.items()
        }

    @cached_property
    def causes(self) -> dict[int, list[Event]]:
        """What led to the evidence of each expectation that does not hold, by its trace line; see sim.trace.cause.

        First of all to the first application that raised.
        """
        lines = [j.line for j in self.expectations if j.verdict is not Verdict.HOLDS and j.line is not None]
        if self.error is not None:
            raised = next((event.line for event in self.trace if event.name == "node_failed"), None)
            lines = [raised, *lines] if raised is not None else lines
        found = chains(self.trace, lines) if lines else {}
        return {line: found[line] for line in lines if line in found}

    @property
    def command(self) -> str | None:
        """The command line that runs the same again; None for a scenario that is in no file."""
        return command_of(self.scenario, self.seed, self.backend, self.defects, self.slack, self.wall_limit)

    def owning_its_trace(self) -> Self:
        """The same, and the file of its trace goes with it."""
        return dataclasses.replace(self, trace=RunTrace(self.trace.path, temporary=True))

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints; its "report" is filled in by who writes one."""
        return {
            "scenario": self.scenario.name,
            "seed": self.seed,
            "backend": self.backend,
            "verdict": str(self.verdict),
            "digest": self.digest,
            "virtual_seconds": self.virtual_seconds,
            "wall_seconds": self.wall_seconds,
            "expectations": [
                {
                    "name": judgement.name,
                    "line": self.scenario.line(f"expect[{index}]") or None,
                    "verdict": str(judgement.verdict),
                    "saw": judgement.saw,
                    "measured": dict(judgement.measured),
                    "time": judgement.time,
                    "trace_line": judgement.line,
                    "looked_at": list(judgement.looked_at),
                    "meaning": self.scenario.expect[index].meaning,
                }
                | self._causes_of(judgement)
                for index, judgement in enumerate(self.expectations)
            ],
            "why": self.why,
            "error": self.error,
            "report": None,
        }

    def _causes_of(self, judgement: Judgement) -> dict[str, Any]:
        """Only of what does not hold, and as far as the evidence is an event."""
        if judgement.verdict is Verdict.HOLDS or judgement.line is None:
            return {}
        return {"causes": [brief(event) for event in self.causes.get(judgement.line, ())]}

    def result(self) -> dict[str, Any]:
        """What `result.json` holds: the above, and what a reader needs to make sense of it later."""
        return self.to_json() | {
            "summary": self.scenario.summary,
            "command": self.command,
            "file": str(self.scenario.origin.file) if self.scenario.origin else None,
            "text": self.scenario.origin.text if self.scenario.origin else None,
            "duration": float(self.scenario.duration),
            "settings": self.settings,
            "interleaving": self.scenario.interleaving,
            "defects": list(self.defects),
            "overrides": list(self.scenario.origin.overrides) if self.scenario.origin else [],
            "measured": self.measured,
            "warnings": list(self.warnings),
            "nodes": labels_of(self.scenario.node),
            "faults": list(self.faults),
            "waiting": [list(each) for each in self.waiting] if self.verdict is not Verdict.HOLDS else [],
            "python": platform.python_version(),
            "versions": {name: metadata.version(name) for name in VERSIONS_OF},
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What it was run with, presets looked up: `network`, `cluster` and `run`, for people to read."""
        scenario, network = self.scenario, to_builtins(self.scenario.network)
        said = {key: value for key, value in network.items() if value not in (None, [], {})}
        preset = PRESETS.get(str(network.get("preset")))
        cluster = to_builtins(scenario.cluster)
        keys = len(cluster.pop("keys", ()))
        of_cluster = cluster | cluster.pop("settings", {}) | ({"keys": keys} if keys else {})
        return {
            "network": dict(preset.settings if preset else {}) | said,
            "cluster": {key: value for key, value in of_cluster.items() if value not in (None, {})},
            "run": {
                "duration": float(scenario.duration),
                "seed": self.seed,
                "tie_break": scenario.tie_break,
                "interleaving": scenario.interleaving,
            },
        }

    def __repr__(self) -> str:
        return f"<Run {self.scenario.name} seed={self.seed} {self.backend}: {self.verdict}>"


class _Selecting:
    """Resolves an expectation's selectors; the same Pick means the same nodes all through a run."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._nodes, self._seed = labels_of(scenario.node), seed

    def __call__(self, selector: Selector) -> list[str]:
        return select(selector, self._nodes, draws(self._seed, "expect"))


def changed(scenario: S, overrides: Overrides) -> S:
    """The scenario of the same file and class, with these overrides on top of its own. Raises ScenarioError."""
    origin = scenario.origin
    if origin is None:
        why = "overrides change a file; build another Scenario with msgspec.structs.replace"
        raise ScenarioError([Mistake(f"scenario {scenario.name}", 0, 0, why)])
    found = load_text(origin.text, origin.file, overrides, before=origin.overrides)
    return type(scenario)(**asdict(found))


def _trace_path(wanted: str | Path | None) -> tuple[Path, bool]:
    """Where the trace goes, and whether it goes with the Run."""
    if wanted is not None:
        path = Path(wanted)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path, False
    with tempfile.NamedTemporaryFile(prefix="rpcnet-", suffix=".trace", delete=False) as file:
        return Path(file.name), True


def _judge(expectation: Any, context: Context) -> Judgement:
    try:
        judgement: Judgement = expectation.judge(context)
    except ExpectationError as error:
        # The file was in order; what the run made of it leaves nothing to judge by.
        return Judgement(name=expectation.title, verdict=Verdict.INCONCLUSIVE, saw=str(error))
    return judgement


def _verdict(judgements: Sequence[Judgement], error: str | None) -> Verdict:
    """An application that raised fails a run, whatever else held; what could not be judged does not hold.

    Where nothing was expected nothing holds either: it would hold whatever the program did.
    """
    found = {judgement.verdict for judgement in judgements}
    if error is not None or Verdict.FAILS in found:
        return Verdict.FAILS
    return Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in found or not found else Verdict.HOLDS


def _fault_rows(context: Context) -> Iterator[dict[str, Any]]:
    for fault in context.faults:
        yield {
            "name": fault.name,
            "verb": fault.verb,
            "targets": list(fault.targets),
            "time": fault.time,
            "undone": fault.undone,
            "trace_line": fault.line,
        }
