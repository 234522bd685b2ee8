"""Whether what a scenario says makes sense together: names that exist, times within the run, applications that import.

Checks apart from running: it works on structs, calls `blame` for each mistake with the path of the element, and
changes nothing. Applications are imported, to see whether they take the arguments that they are given.

Tests: tests/sim/scenario/test_load.py.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from rpcnet.app import App, AppError, check_arguments, cluster_config, keyring_of, load_app
from sim import defects
from sim.kernel import patches
from sim.network.latency import parse_latency
from sim.scenario.check_network import check_edge, check_network
from sim.scenario.declare import Declared, declare_one, ending, names_of
from sim.scenario.expect.timed import END_OF
from sim.scenario.faults import FAULTS, Fault
from sim.scenario.locate import Path
from sim.scenario.mistake import Blame, Mistake, ScenarioError, nearest
from sim.scenario.places import Nodes, Places, stands_for
from sim.scenario.schema import Cluster, Network, Node, Scenario, Selector, Sweep
from sim.scenario.seeds import parse_seeds, whole
from sim.scenario.select import SelectError, draws, labels_of, select
from sim.scenario.times import LEAST_EVERY, extent
from sim.scenario.verdict import DeclaredFault, Expectation

__all__ = ["Draft", "check", "demand", "mistake_of_values"]

RESERVED = frozenset({"all", "start", "quiet"})
"""Words that mean something else where a name could stand."""

MAX_COUNT = 100_000
"""Nodes of one table; ten times as many as a simulation has been tried with."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?")

_FILE_NAME = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A scenario as far as it could be read; elements by their place in the file."""

    duration: float
    seed: int
    catches: tuple[str, ...]
    network: Network
    cluster: Cluster
    nodes: Mapping[int, Node]
    faults: Mapping[int, Fault]
    expectations: Mapping[int, Expectation]
    names_are_known: bool = True
    """The names of all nodes could be read, so that a name which is not among them is wrong."""
    labels_are_known: bool = True
    unread_faults: Sequence[str | None] = ()
    """The names of faults that could not be read, as far as they have one."""
    is_unread: Callable[[Path], bool] = lambda path: False
    """Whether what stands there could not be read, so that nothing can be said about it."""
    sweep: Sweep | None = None
    name: str = "x"
    """It has its own mistake where it is missing."""


def check(draft: Draft, blame: Blame) -> None:
    """Call `blame` for everything that is wrong."""
    _Check(draft, blame).everything()


def mistake_of_values(key: str, values: Sequence[Any]) -> str | None:
    """Why a matrix cannot have that key with these values, whatever they mean."""
    if key == "seed":
        return "seed is set by `seeds`, not by the matrix"
    if not values:
        return f"{key} has no values; leave it out, or give at least one"
    twice = next((value for index, value in enumerate(values) if value in values[:index]), None)
    return None if twice is None else f"{key} has the value {twice!r} twice"


def demand(scenario: Scenario) -> None:
    """Raises ScenarioError where a scenario that was built in Python makes no sense; one from a file was checked."""
    mistakes: list[Mistake] = []

    def blame(path: Path, message: str, *, key: bool = False) -> None:
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
        mistakes.append(Mistake(f"scenario {scenario.name}{where}", 0, 0, message))

    draft = Draft(
        duration=scenario.duration,
        seed=scenario.seed,
        catches=scenario.catches,
        network=scenario.network,
        cluster=scenario.cluster,
        nodes=dict(enumerate(scenario.node)),
        faults=dict(enumerate(scenario.fault)),
        expectations=dict(enumerate(scenario.expect)),
        sweep=scenario.sweep_,
        name=scenario.name,
    )
    check(draft, blame)
    if mistakes:
        raise ScenarioError(mistakes)


class _Check:
    def __init__(self, draft: Draft, blame: Blame) -> None:
        self.draft, self.blame = draft, blame
        counted = {index for index, node in draft.nodes.items() if _countable(node)}
        self.nodes = Nodes(labels_of(node for index, node in draft.nodes.items() if index in counted))
        self.places_are_known = False
        self.names_are_known = draft.names_are_known and len(counted) == len(draft.nodes)
        self.apps: dict[str, App | None] = {}

    def everything(self) -> None:
        if not _FILE_NAME.fullmatch(self.draft.name):
            rule = "it is part of file names: 1 to 100 characters, no slash, no control character, no dot in front"
            self.blame(("name",), f"{self.draft.name!r:.120} cannot name a scenario; {rule}")
        if self.draft.duration <= 0:
            self.blame(("duration",), "duration must be above 0")
        try:
            whole(self.draft.seed)
        except ValueError as error:
            self.blame(("seed",), str(error))
        self._catches()
        self._sweep()
        self._network()
        self._cluster()
        self._node_names()
        for index, node in self.draft.nodes.items():
            self._node(node, ("node", index))
        declared = self._faults()
        for index, expectation in self.draft.expectations.items():
            self._expectation(expectation, declared, ("expect", index))

    def _sweep(self) -> None:
        """The keys of the matrix are tried when each of its cells is loaded, by who sweeps."""
        sweep = self.draft.sweep
        if sweep is None:
            return
        if sweep.seeds is not None:
            try:
                parse_seeds(sweep.seeds)
            except ValueError as error:
                self.blame(("sweep", "seeds"), str(error))
        for key, values in sweep.matrix.items():
            if mistake := mistake_of_values(key, values):
                self.blame(("sweep", "matrix", key), mistake)

    def _catches(self) -> None:
        for index, name in enumerate(self.draft.catches):
            try:
                defects.find(name)
            except defects.UnknownDefect as error:
                self.blame(("catches", index), str(error))

    def _cluster(self) -> None:
        cluster = self.draft.cluster
        for key, value in cluster.settings.items():
            try:
                cluster_config({"preset": cluster.preset, key: value})
            except AppError as error:
                self.blame(("cluster", key), str(error))
        if cluster.join is not None:
            self.selector(cluster.join, ("cluster", "join"))
        try:
            keyring_of(cluster.keys)
        except AppError as error:
            self.blame(("cluster", "keys"), str(error))

    def _network(self) -> None:
        """From here on the names of zones and routers are known."""
        draft, readable = self.draft, self.names_are_known and self.draft.labels_are_known
        labels = self.nodes if readable else None
        found = check_network(draft.network, labels, draft.seed, RESERVED, draft.is_unread, self.blame)
        self.nodes, self.places_are_known = found or Nodes(self.nodes), found is not None

    # --- nodes --------------------------------------------------------------------------------------------------------

    def _node_names(self) -> None:
        taken: dict[str, int] = {}
        for index, node in self.draft.nodes.items():
            names = node.names() if _countable(node) else []
            for name in names:
                if name in taken:
                    other = self.draft.nodes[taken[name]]
                    by = f' by "{other.name}" with count = {other.count}' if other.name != name else ""
                    self.blame(("node", index, "name"), f'two nodes of one name: "{name}" is taken{by}')
                    break
            taken.update(dict.fromkeys(names, index))

    def _node(self, node: Node, path: Path) -> None:
        if not _NAME.fullmatch(node.name) or node.name in RESERVED:
            rule = "letters, digits, - and _, a letter or digit at both ends"
            taken = f"; taken: {', '.join(sorted(RESERVED))}"
            self.blame((*path, "name"), f'"{node.name}" cannot name a node; allowed: {rule}{taken}')
        if not _countable(node):
            self.blame((*path, "count"), f"count must be from 1 to {MAX_COUNT}, not {node.count}")
        if node.start >= self.draft.duration:
            self.blame((*path, "start"), f"starts at {_s(node.start)}, when all is over ({_s(self.draft.duration)})")
        if node.cpu is not None:
            try:
                parse_latency(node.cpu)
            except ValueError as error:
                self.blame((*path, "cpu"), f"cpu: {error}")
        app = None if self.draft.is_unread((*path, "app")) else self._app(node.app, path)
        for problem in check_arguments(app, node.args) if app and not self.draft.is_unread((*path, "args")) else ():
            place = path if problem.missing else (*path, "args", problem.argument)
            self.blame(place, f"{node.app}: {problem}", key=problem.missing or "unknown" in str(problem))

    def _app(self, name: str, path: Path) -> App | None:
        if name in self.apps:
            return self.apps[name]
        self.apps[name] = None
        patches.install()  # what the module captures is to be what answers on a node
        try:
            self.apps[name] = load_app(name)
        except AppError as error:
            self.blame((*path, "app"), str(error))
        except SystemExit as error:
            self.blame((*path, "app"), f"cannot import {name}: it ends the program (exit {error.code})")
        return self.apps[name]

    def selector(self, selector: Selector, path: Path) -> list[str] | None:
        if not self.names_are_known:
            return None
        try:
            return select(selector, self.nodes, draws(self.draft.seed, "check"))
        except SelectError as error:
            self._blame_selector(selector, path, error)
            return None

    def _blame_selector(self, selector: Any, path: Path, error: SelectError) -> None:
        if not self.draft.labels_are_known and _by_label(selector):
            return
        network = self.draft.network
        if self.places_are_known or (network.zones is None and network.graph is None):
            self.blame(path, self.nodes.places.taken_for_nodes(selector) or str(error))

    # --- faults -------------------------------------------------------------------------------------------------------

    def _faults(self) -> "_Known":
        """The faults as far as they are in order."""
        names = dict(zip(self.draft.faults, names_of(list(self.draft.faults.values())), strict=True))
        seen: set[str] = set()
        declared: list[Declared] = []
        for index, fault in self.draft.faults.items():
            path: Path = ("fault", index)
            name = names[index]
            if fault.name is not None and (name in RESERVED or name.startswith(END_OF) or not name):
                taken = ", ".join([*sorted(RESERVED), f"{END_OF}…"])
                self.blame((*path, "name"), f'"{name}" cannot name a fault; taken: {taken}')
            elif name in seen:
                self.blame((*path, "name"), f'two faults of one name: "{name}"', key=True)
            seen.add(name)
            self._times(fault, path)
            if fault.check(_Checking(self, (*path, fault.verb), names)) and self.names_are_known:
                try:
                    declared.append(declare_one(fault, index, name, self.nodes, self.draft.seed))
                    if fault.nobody and not declared[-1].targets:
                        self.blame((*path, fault.verb), fault.nobody)
                except SelectError as error:
                    self._blame_selector(fault.value, (*path, fault.verb), error)
        unread = [*(name for name in names.values() if name not in {fault.name for fault in declared})]
        unnamed = None in self.draft.unread_faults or any(
            self.draft.is_unread(("fault", index, "name")) for index in self.draft.faults
        )
        whole = not unnamed and not self.draft.unread_faults and len(declared) == len(self.draft.faults)
        others = [_Named(name) for name in (*unread, *self.draft.unread_faults) if name is not None]
        return _Known(faults=[*ending(declared, self.draft.duration), *others], whole=whole, named=not unnamed)

    def _times(self, fault: Fault, path: Path) -> None:
        end, at = self.draft.duration, extent(fault.at)
        if at.least >= end or (at.most < math.inf and at.most >= end):
            self.blame((*path, "at"), f"a fault at {_s(at.most)} is after the end (duration = {_s(end)})")
        elif at.middle >= end:
            self.blame((*path, "at"), f"more than half of these times are after the end (duration = {_s(end)})")
        if fault.needs_end and fault.for_ is None:
            self.blame((*path, fault.verb), f'{fault.verb} needs for, like for = "2s"', key=True)
        if fault.for_ is not None and not fault.undoable:
            self.blame((*path, "for"), f"{fault.verb} is not undone, and takes no for", key=True)
        lasts = 0.0 if fault.for_ is None else extent(fault.for_).middle
        if fault.for_ is not None and fault.undoable and lasts <= 0:
            self.blame((*path, "for"), "for must be above 0")
        every = math.inf if fault.every is None else extent(fault.every).middle
        if every < LEAST_EVERY:
            self.blame((*path, "every"), f"every must be at least {_s(LEAST_EVERY)}, not {_s(every)}")
        elif every <= lasts:
            self.blame((*path, "every"), f"every must be above for ({_s(lasts)}), not {_s(every)}")

    # --- expectations -------------------------------------------------------------------------------------------------

    def _expectation(self, expectation: Expectation, known: "_Known", path: Path) -> None:
        chosen = [
            self.selector(getattr(expectation, key), (*path, key))
            for key in expectation.SELECTORS
            if getattr(expectation, key) is not None
        ]
        if not known.whole or None in chosen:
            # Which fault it means cannot be told, only whether there is one of the name that it gives.
            unknown = {"within"} if known.named else {"within", "after"}
            fields = {key: None for key in unknown if key in expectation.__struct_fields__}
            expectation = replace(expectation, **fields)

        def resolve(selector: Selector) -> list[str]:
            return select(selector, self.nodes, draws(self.draft.seed, "check"))

        for mistake in expectation.mistakes(known.faults, resolve):
            within = () if mistake.inside is None else (mistake.inside,)
            self.blame((*path, mistake.key, *within), str(mistake), key=bool(within))


@dataclass(frozen=True, slots=True)
class _Named:
    """A fault of which only the name is known."""

    name: str
    verb: str = ""
    targets: tuple[str, ...] = ()
    undone: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The faults, as expectations are checked against them."""

    faults: Sequence[DeclaredFault]
    whole: bool
    """Of all of them it is known whom they strike."""
    named: bool
    """All their names are known."""


class _Checking:
    """What a fault is given to check itself with: mistakes are told at what stands behind its verb."""

    def __init__(self, whole: _Check, place: Path, names: Mapping[int, str]) -> None:
        self._whole, self._place, self._names = whole, place, names

    def blame(self, message: str, *steps: str | int, key: bool = False) -> None:
        self._whole.blame((*self._place, *steps), message, key=key)

    @property
    def places(self) -> Places:
        return self._whole.nodes.places

    def selector(self, selector: Selector, *steps: str | int) -> list[str] | None:
        try:
            selector = stands_for(selector, self._whole.nodes)
        except SelectError as error:
            self.blame(str(error), *steps)
            return None
        return self._whole.selector(selector, (*self._place, *steps))

    def read(self, read: Callable[[str], object], text: str, *steps: str | int) -> None:
        try:
            read(text)
        except (ValueError, OSError) as error:
            self.blame(f"{steps[-1]}: {error}", *steps)

    def edge(self, settings: Mapping[str, Any]) -> None:
        check_edge(settings, self._place, self._whole.blame)

    def healed(self, name: str) -> None:
        draft = self._whole.draft
        healable = {name for index, name in self._names.items() if draft.faults[index].healable} | {"all"}
        if name not in healable and not draft.unread_faults:
            verbs = ", ".join(verb for verb, kind in FAULTS.items() if kind.healable)
            self.blame(f'nothing that can be healed ({verbs}) is called "{name}"{nearest(name, healable)}')


def _by_label(selector: Any) -> bool:
    """Whether labels are spoken of, anywhere in it."""
    if isinstance(selector, str):
        return "=" in selector
    if isinstance(selector, Struct):
        selector = asdict(selector)
    if isinstance(selector, Mapping):
        selector = list(selector.values())
    return isinstance(selector, list | tuple) and any(map(_by_label, selector))


def _countable(node: Node) -> bool:
    return node.count is None or 1 <= node.count <= MAX_COUNT


def _s(seconds: float | None) -> str:
    return f"{seconds:g} s"
