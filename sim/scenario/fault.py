"""Faults become scripts: generators that wait, call the world's verbs, and tell the trace what took effect.

Knows the verbs of a World (sim.backends.program), not which world it is. A fault is recorded as `fault` once it has
touched somebody, as `fault_idle` when it touched nobody, and as `fault_undone` when it is over; `quiet` follows the
last of them (docs/trace.md). A cut of what is cut already is in force beside the other one all the same: it is `fault`
when that ends before it, and `fault_idle` when it does not. What is still in force at the end is undone there, nodes
that are down aside: they are not started only to be stopped.
"""

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from random import Random
from typing import Any

from sim.backends.program import Ready, Script, World
from sim.network.link import Link as Edge
from sim.network.quantity import parse_drift, parse_offset, parse_probability
from sim.network.rules import Cut
from sim.scenario.cover import Change, does_something
from sim.scenario.schema import (
    Clock,
    Crash,
    Each,
    Fault,
    Heal,
    Held,
    Hold,
    Isolate,
    Kill,
    Link,
    LinkChange,
    Partition,
    Reset,
    Restart,
    Scenario,
    Selector,
    Slowness,
    SlowReceive,
    Split,
    Stop,
    Wrong,
    parse_duration,
)
from sim.scenario.select import Labels, draws, labels_of, select

__all__ = [
    "Declared",
    "declare",
    "declare_one",
    "groups_of",
    "names_of",
    "pairs_of",
    "parse_next",
    "scripts",
    "ways_of",
]

STOP_PATIENCE = 15.0
"""Seconds that a node may take to end after `stop` before it is started again; above its leave_timeout."""
STOP_POLL = 0.05

_STATES = {
    "restart": "running already",
    "reset": "no connections",
    "pause": "not running, or standing still already",
    "block": "not running, or standing still already",
    "stop": "not running, or stopping already",
}
"""What a node is that a verb finds nothing to do at."""

_ALONE = "both ends were drawn as the same node, which has no link to itself"

_NEXT = re.compile(r"\s*ready\s*(?:\+(.+))?")


@dataclass(frozen=True, slots=True)
class Declared:
    """A fault as the file declares it: its name, and whom its first strike means."""

    name: str
    verb: str
    targets: tuple[str, ...]
    fault: Fault
    index: int


def declare(scenario: Scenario, seed: int | None = None) -> list[Declared]:
    """The faults with their names and targets. Raises SelectError."""
    nodes, seed = labels_of(scenario.node), scenario.seed if seed is None else seed
    named = zip(names_of(scenario.fault), scenario.fault, strict=True)
    return [declare_one(fault, index, name, nodes, seed) for index, (name, fault) in enumerate(named)]


def declare_one(fault: Fault, index: int, name: str, nodes: Labels, seed: int) -> Declared:
    """One of them, the `index`th of the file. Raises SelectError."""
    return Declared(name, fault.verb, tuple(_targets(fault, nodes, _chance(seed, index))), fault, index)


def _chance(seed: int, index: int) -> Random:
    return draws(seed, f"fault {index}")


def names_of(faults: Sequence[Fault]) -> list[str]:
    """Given names; unnamed ones are called by their verb, the second of a verb `crash-2`, and so on."""
    seen: dict[str, int] = {}
    names = []
    for fault in faults:
        if fault.name is None:
            seen[fault.verb] = seen.get(fault.verb, 0) + 1
        count = seen.get(fault.verb, 1)
        names.append(fault.name or (fault.verb if count == 1 else f"{fault.verb}-{count}"))
    return names


def groups_of(split: Split, nodes: Labels, random: Random) -> list[list[str]]:
    """A partition's groups. Who is selected twice belongs to the first group: "a minority of the workers, the rest"."""
    taken: set[str] = set()
    groups = []
    for selector in split.groups:
        groups.append([name for name in select(selector, nodes, random) if name not in taken])
        taken.update(groups[-1])
    return groups


def pairs_of(change: LinkChange, nodes: Labels, random: Random) -> list[tuple[str, str]]:
    """Every (from, to) whose link changes."""

    def ways(source: Selector, target: Selector) -> list[tuple[str, str]]:
        sources, targets = select(source, nodes, random), select(target, nodes, random)
        return [(a, b) for a in sources for b in targets if a != b]

    if change.between is not None:
        one, other = change.between
        forth = ways(one, other)
        return list(dict.fromkeys(forth + [(b, a) for a, b in forth]))
    assert change.from_ is not None and change.to is not None, "checked when the file was read"
    return ways(change.from_, change.to)


def ways_of(held: Held, nodes: Labels, random: Random) -> list[tuple[str, str]]:
    """Every (from, to) whose packets are kept."""
    sources, targets = select(held.from_, nodes, random), select(held.to, nodes, random)
    return [(a, b) for a in sources for b in targets if a != b]


def parse_next(text: str) -> tuple[bool, float]:
    """`ready`, `ready + 2s` or `2s` → whether to wait until the node is ready, and seconds. Raises ValueError."""
    match = _NEXT.fullmatch(text)
    if match:
        return True, parse_duration(match[1]) if match[1] else 0.0
    try:
        return False, parse_duration(text)
    except ValueError:
        raise ValueError(f'next is "ready", "ready + 2s" or a duration like "2s", not "{text}"') from None


def scripts(scenario: Scenario, seed: int) -> Callable[[World], Sequence[Script]]:
    """What a Program takes: called at time zero, it gives the scripts, one a fault and one that ends them all."""

    def start(world: World) -> Sequence[Script]:
        return _Injector(world, scenario, seed).scripts()

    return start


def _targets(fault: Fault, nodes: Labels, random: Random) -> list[str]:
    match fault.value:
        case Split() as split:
            return list(chain.from_iterable(groups_of(split, nodes, random)))
        case LinkChange() as change:
            return list(dict.fromkeys(name for pair in pairs_of(change, nodes, random) for name in pair))
        case Held() as held:
            return list(dict.fromkeys(name for way in ways_of(held, nodes, random) for name in way))
        case Each(each=selector) | Slowness(node=selector) | Wrong(node=selector):
            return select(selector, nodes, random)
        case _ if isinstance(fault, Heal):
            return []
        case selector:
            return select(selector, nodes, random)


@dataclass(slots=True, eq=False)
class _Effect:
    """What a strike did, and how it is undone."""

    name: str
    verb: str
    targets: list[str]
    detail: dict[str, Any] = field(default_factory=dict)
    undo: Callable[[], object] | None = None
    """Called once, when it is over; None = it lasts for good."""
    idle: str = ""
    """Why nobody was touched, where it is so."""
    covered: bool = False
    """In force, and without effect as long as another one does the same."""
    change: Change | None = None
    """What it does between nodes, as far as others may do the same."""
    struck: float = 0.0
    line: int = 0


class _Injector:
    """The faults of one run."""

    def __init__(self, world: World, scenario: Scenario, seed: int) -> None:
        self.world = world
        self.scenario = scenario
        self.seed = seed
        self.nodes = labels_of(scenario.node)
        self.active: list[_Effect] = []
        self.running = len(scenario.fault)
        self.quiet = False
        self.strikes = count()
        """Numbers the rules of a fault that strikes again and again: each is healed by its own name."""
        self.lost: set[tuple[str, str]] = set()
        """From whom no way of the graph leads to whom, as it was told last."""
        self.downed: dict[str, _Effect] = {}
        """What took a node down last."""

    def scripts(self) -> list[Script]:
        found = [self._script(declared) for declared in declare(self.scenario, self.seed)]
        return [*found, self._until_the_end()]

    def _script(self, declared: Declared) -> Script:
        fault, random = declared.fault, _chance(self.seed, declared.index)
        strike = fault.at
        while strike < self.scenario.duration:
            yield max(0.0, strike - self.world.now)
            yield from self._strike(declared, random)
            if fault.every is None:
                break
            strike = max(strike + fault.every, self.world.now)
        self.running -= 1
        self._tell_quiet()

    def _until_the_end(self) -> Script:
        self._tell_quiet()
        try:
            while True:
                yield self.scenario.duration
        finally:
            self._undo(*self.active)
            self.running = 0
            self._tell_quiet()

    def _tell_quiet(self) -> None:
        if not (self.quiet or self.running or self.active):
            self.quiet = True
            self.world.record("quiet")

    def _strike(self, declared: Declared, random: Random) -> Script:
        value = declared.fault.value
        if not isinstance(value, Each):
            yield from self._one(declared, value, random)
            return
        until_ready, pause = parse_next(value.next)
        nodes = select(value.each, self.nodes, random)
        for node in nodes:
            yield from self._one(declared, node, random)
            if node == nodes[-1]:
                return  # it is over with the last: nobody follows who would be waited for
            if until_ready:
                yield Ready(node)
            yield pause

    def _one(self, declared: Declared, value: Any, random: Random) -> Script:
        """One strike, up to its end if it has one."""
        fault = declared.fault
        # What comes of it is later than it, however long this process takes until it has written down what it did.
        with self.world.moment():
            effect = self._begin(declared, value, random)
        if effect is None:
            return
        if fault.for_ is not None:
            yield float(fault.for_)
            if effect.undo is None:
                yield from self._start_again(effect)
            elif effect in self.active:
                with self.world.moment():
                    self._undo(effect)

    def _begin(self, declared: Declared, value: Any, random: Random) -> _Effect | None:
        """Do it and tell of it; None where it strikes nobody, or undoes others and is over with that."""
        fault = declared.fault
        effect = self._apply(declared, value, random)
        effect.struck, effect.line = self.world.now, self.scenario.line(f"fault[{declared.index}]")
        effect.detail |= {} if fault.for_ is None else {"seconds": float(fault.for_)}
        if not effect.targets:
            self._tell_idle(effect)
            return None
        if not effect.covered:
            self._tell(effect)
        if isinstance(fault, Heal):
            self._heal(effect)
            return None
        if effect.undo is not None:
            self.active.append(effect)
            self._tell_apart()
        return effect

    def _tell(self, effect: _Effect) -> None:
        fields = {"targets": effect.targets, "detail": effect.detail, "line": effect.line}
        self.world.record("fault", name=effect.name, verb=effect.verb, **fields)

    def _tell_idle(self, effect: _Effect) -> None:
        self.world.record("fault_idle", name=effect.name, why=effect.idle, struck=effect.struck)

    def _undo(self, *effects: _Effect) -> None:
        """End these at once, and tell of those that they have covered: from now on those do it alone."""
        covered = [effect for effect in self.active if effect.covered and not self._does_something(effect)]
        for effect in effects:
            self.active.remove(effect)
            if effect.undo is not None:
                effect.undo()
            if effect.covered:
                self._tell_idle(effect)
            else:
                self.world.record("fault_undone", name=effect.name, verb=effect.verb, targets=effect.targets)
        for effect in covered:
            if effect in self.active and self._does_something(effect):
                effect.covered = False
                self._tell(effect)
        self._tell_apart()

    def _tell_apart(self) -> None:
        """Of links of a graph that are cut at the same time each one's part depends on the others."""
        if self.scenario.network.graph is None:
            return
        dead = [e.change.linked for e in self.active if e.change is not None and e.change.edge.get("loss", 0.0) >= 1]
        lost = self.world.apart(sorted(set(chain.from_iterable(dead)))) if dead else set()
        if lost != self.lost:
            self.lost = lost
            self.world.record("apart", pairs=[list(pair) for pair in sorted(lost)])

    def _does_something(self, effect: _Effect) -> bool:
        """Whether it does what none of those does that are told of as in force."""
        assert effect.change is not None, "only what lies between nodes is covered"
        index = self.active.index(effect)
        before, after = (
            [one.change for one in part if one.change is not None and not one.covered]
            for part in (self.active[:index], self.active[index + 1 :])
        )
        base = Edge.of(self.scenario.network.link())
        return does_something(effect.change, before, after, base, list(self.nodes))

    def _heal(self, healing: _Effect) -> None:
        self._undo(*(e for e in self.active if e.name in healing.detail["healed"]))

    def _start_again(self, effect: _Effect) -> Script:
        started = []
        for node in effect.targets:
            # Another fault may have started it since, or taken it down anew, for longer or for good.
            if self.downed.get(node) is effect:
                yield from self._until_down(node)
            if self.downed.get(node) is effect and self.world.restart(node):
                started.append(node)
        if started:
            self.world.record("fault_undone", name=effect.name, verb=effect.verb, targets=started)

    def _until_down(self, node: str) -> Generator[float, None, None]:
        """A stopped node may take its time to leave; crash and kill are down at once."""
        waited = 0.0
        while self.world.is_up(node) and waited < STOP_PATIENCE:
            yield STOP_POLL
            waited += STOP_POLL

    # --- the verbs ----------------------------------------------------------------------------------------------------

    def _apply(self, declared: Declared, value: Any, random: Random) -> _Effect:
        match declared.fault:
            case Heal(heal=name):
                return self._find_healed(declared, name)
            case Partition(partition=split):
                return self._partition(declared, groups_of(split, self.nodes, random), split.one_way)
            case Link(link=change):
                return self._link(declared, change, pairs_of(change, self.nodes, random))
            case Hold(hold=held):
                return self._hold(declared, ways_of(held, self.nodes, random))
            case SlowReceive(slow_receive=slowness):
                return self._to_machines(declared, select(slowness.node, self.nodes, random), latency=slowness.latency)
            case Clock(clock=wrong):
                return self._to_machines(
                    declared,
                    select(wrong.node, self.nodes, random),
                    offset=parse_offset(wrong.offset or "0s"),
                    drift=parse_drift(wrong.drift or "0ppm"),
                )
        nodes = select(value, self.nodes, random)
        if isinstance(declared.fault, Isolate):
            return self._isolate(declared, nodes)
        return self._to_nodes(declared, nodes)

    def _to_nodes(self, declared: Declared, nodes: list[str]) -> _Effect:
        fault, verb = declared.fault, declared.verb
        strike = getattr(self.world, verb)
        touched: Iterator[str]
        if isinstance(fault, Crash | Kill | Stop | Restart | Reset):
            touched = (node for node in nodes if strike(node))
            undo: Callable[[], object] | None = None
        else:
            assert fault.for_ is not None, "checked when the file was read"
            seconds = min(float(fault.for_), max(0.0, self.scenario.duration - self.world.now))
            touched = (node for node in nodes if strike(node, seconds))
            undo = _by_itself
        idle = f"{', '.join(nodes)}: {_STATES.get(verb, 'not running')} at that time"
        effect = _Effect(declared.name, verb, list(touched), undo=undo, idle=idle)
        if isinstance(fault, Crash | Kill | Stop):
            self.downed |= dict.fromkeys(effect.targets, effect)
        elif isinstance(fault, Restart):
            for node in effect.targets:
                self.downed.pop(node, None)
        return effect

    def _rule(self, declared: Declared) -> str:
        """The name under which the world knows one strike; a fault that strikes again must not replace its first."""
        return f"{declared.name}/{next(self.strikes)}"

    def _isolate(self, declared: Declared, nodes: list[str]) -> _Effect:
        rule = self._rule(declared)
        cuts = {f"{rule}/{node}": node for node in nodes}
        news = [self.world.isolate(cut, node) for cut, node in cuts.items()]
        undo = _Healing(self.world, list(cuts))
        idle = f"{', '.join(nodes)}: isolated already"
        change = Change(cuts=[Cut.around(node) for node in nodes])
        return _Effect(declared.name, "isolate", nodes, {}, undo, idle, covered=not any(news), change=change)

    def _to_machines(self, declared: Declared, nodes: list[str], **detail: Any) -> _Effect:
        """A change of machines that lasts until it is healed."""
        strike, rule = getattr(self.world, declared.verb), self._rule(declared)
        changed = {node: f"{rule}/{node}" for node in nodes}
        targets = [node for node, name in changed.items() if strike(name, node, **detail)]
        undo = _Healing(self.world, [changed[node] for node in targets])
        idle = f"{', '.join(nodes)}: not running at that time"
        return _Effect(declared.name, declared.verb, targets, detail, undo, idle)

    def _hold(self, declared: Declared, ways: list[tuple[str, str]]) -> _Effect:
        rule = self._rule(declared)
        held = {f"{rule}/{number}": way for number, way in enumerate(ways)}
        news = [self.world.hold(name, *way) for name, way in held.items()]
        return _Effect(
            declared.name,
            "hold",
            _ends_of(ways),
            {"pairs": [list(way) for way in ways]},
            _Healing(self.world, list(held)),
            "what these nodes send each other is held already" if ways else _ALONE,
            covered=not any(news),
            change=Change(held=frozenset(ways)),
        )

    def _partition(self, declared: Declared, groups: list[list[str]], one_way: bool) -> _Effect:
        rule = self._rule(declared)
        news = self.world.partition(rule, groups, one_way)
        return _Effect(
            declared.name,
            "partition",
            list(chain.from_iterable(groups)),
            {"groups": groups, "one_way": one_way},
            _Healing(self.world, [rule]),
            "these groups are cut off from each other already",
            covered=not news,
            change=Change(cuts=[Cut.between([frozenset(group) for group in groups], one_way=one_way)]),
        )

    def _link(self, declared: Declared, change: LinkChange, pairs: list[tuple[str, str]]) -> _Effect:
        edge, rule = change.edge(), self._rule(declared)
        if change.loss is not None:
            edge["loss"] = parse_probability(change.loss)  # built in Python it may be text
        cuts = edge.get("loss", 0.0) >= 1
        before = self.world.apart(pairs) if cuts else set()
        # One name for all: the network looks through every name for each way that it finds.
        news = [self.world.link(rule, *pair, **edge) for pair in pairs]
        detail: dict[str, Any] = {} if self.scenario.network.graph is None else {"routed": True}
        if cuts:
            # On a graph there may be another way round, and others may have lost theirs.
            after = self.world.apart(pairs)
            detail["cut"] = [list(pair) for pair in sorted((after - before) | after.intersection(pairs))]
        return _Effect(
            declared.name,
            "link",
            _ends_of(pairs),
            {"pairs": [list(pair) for pair in pairs], **edge, **detail},
            _Healing(self.world, [rule]),
            "nothing lies between these nodes, or it is so already" if pairs else _ALONE,
            covered=not any(news),
            change=Change(linked=frozenset(pairs), edge=edge),
        )

    def _find_healed(self, declared: Declared, name: str) -> _Effect:
        healed = [e for e in self.active if isinstance(e.undo, _Healing) and name in {"all", e.name}]
        return _Effect(
            declared.name,
            "heal",
            list(dict.fromkeys(chain.from_iterable(effect.targets for effect in healed))),
            {"healed": list(dict.fromkeys(effect.name for effect in healed))},
            idle=f'"{name}" was not in force at that time',
        )


@dataclass(frozen=True, slots=True)
class _Healing:
    """Undoes what lasts (cuts, changed links, holds, clocks) by the names under which the world knows it."""

    world: World
    cuts: list[str]

    def __call__(self) -> None:
        for cut in self.cuts:
            self.world.heal(cut)


def _ends_of(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(pairs)))


def _by_itself() -> None:
    """A pause is over when its seconds are."""
