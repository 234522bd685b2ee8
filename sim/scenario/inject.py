"""Faults become scripts: generators that wait, let each fault strike, and tell the trace what took effect.

Knows no verb (sim.scenario.faults does), and not which world it is. A fault is recorded as `fault` once it has touched
somebody, as `fault_idle` when it touched nobody, and as `fault_undone` when it is over; `quiet` follows the last of
them (docs/trace.md). Two cuts of the same nodes may overlap: the second has no effect until the first ends. It is told
as `fault` at that moment, and as `fault_idle` where it ends first. What is still in force at the end is undone there,
nodes that are down aside: they are not started only to be stopped.

Tests: tests/sim/scenario/test_inject.py, tests/sim/scenario/test_two_worlds.py.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import chain, count
from random import Random

from msgspec.structs import replace

from sim.backends.program import Ready, Script, World
from sim.network.link import Link
from sim.scenario.cover import does_something
from sim.scenario.declare import Declared, chance_of, declare
from sim.scenario.faults import Fault
from sim.scenario.faults.effect import Effect, Strike
from sim.scenario.faults.of_nodes import parse_next
from sim.scenario.places import Nodes, nodes_of
from sim.scenario.schema import Each, Scenario
from sim.scenario.select import select
from sim.scenario.times import Times

__all__ = ["scripts"]

STOP_PATIENCE = 15.0
"""Seconds that a node may take to end after `stop` before it is started again; above its leave_timeout."""
STOP_POLL = 0.05


def scripts(scenario: Scenario, seed: int) -> Callable[[World], Sequence[Script]]:
    """What a Program takes: called at time zero, it gives the scripts, one a fault and one that ends them all."""

    nodes = nodes_of(scenario, seed)

    def start(world: World) -> Sequence[Script]:
        return _Injector(world, scenario, seed, nodes).scripts()

    return start


class _Injector:
    """The faults of one run."""

    def __init__(self, world: World, scenario: Scenario, seed: int, nodes: Nodes) -> None:
        self.world = world
        self.scenario = scenario
        self.seed = seed
        self.nodes = nodes
        self.active: list[Effect] = []
        self.running = len(scenario.fault)
        self.quiet = False
        self.strikes = count()
        """Give each strike's rules a name of their own, so that each strike is healed alone."""
        self.lost: set[tuple[str, str]] = set()
        """Pairs without a way through the graph, as recorded last."""
        self.downed: dict[str, Effect] = {}
        """Node → the fault that took it down last: only that one may start it again."""

    def scripts(self) -> list[Script]:
        found = [self._script(declared) for declared in declare(self.scenario, self.seed, self.nodes)]
        return [*found, self._until_the_end()]

    def _script(self, declared: Declared) -> Script:
        fault, random = declared.fault, chance_of(self.seed, declared.index)
        times = Times(self.seed, declared.index, at=fault.at, for_=fault.for_, every=fault.every)
        strike = times.first(self.scenario.duration)
        while strike < self.scenario.duration:
            yield max(0.0, strike - self.world.now)
            yield from self._strike(declared, random, times)
            distance = times.next()
            if distance is None:
                break
            strike = max(strike + distance, self.world.now)
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

    def _strike(self, declared: Declared, random: Random, times: Times) -> Script:
        fault = declared.fault
        if not isinstance(each := fault.value, Each):
            yield from self._one(declared, fault, random, times)
            return
        until_ready, pause = parse_next(each.next)
        nodes = select(each.each, self.nodes, random)
        for node in nodes:
            yield from self._one(declared, replace(fault, **{fault.verb: node}), random, times)
            if node == nodes[-1]:
                return  # it is over with the last: nobody follows who would be waited for
            if until_ready:
                yield Ready(node)
            yield pause

    def _one(self, declared: Declared, fault: Fault, random: Random, times: Times) -> Script:
        """One strike, up to its end if it has one. `fault` strikes all whom it means at once."""
        lasts = times.lasts()
        fault = replace(fault, for_=lasts)
        # What comes of it is later than it, however long this process takes until it has written down what it did.
        with self.world.moment():
            effect = self._begin(declared, fault, random, times.drawn)
        if effect is None:
            return
        if lasts is not None:
            yield lasts
            if effect.undo is None:
                yield from self._start_again(effect)
            elif effect in self.active:
                with self.world.moment():
                    self._undo(effect)

    def _begin(self, declared: Declared, fault: Fault, random: Random, drawn: Mapping[str, float]) -> Effect | None:
        """Do it and tell of it; None where it strikes nobody, or undoes others and is over with that."""
        effect = fault.strike(
            Strike(
                world=self.world,
                nodes=self.nodes,
                random=random,
                name=declared.name,
                left=self.scenario.duration - self.world.now,
                routed=self.scenario.network.graph is not None,
                in_force=self.active,
                numbers=self.strikes,
            )
        )
        effect.name, effect.verb = declared.name, declared.verb
        effect.struck, effect.line = self.world.now, self.scenario.line(f"fault[{declared.index}]")
        if fault.downs:
            self.downed |= dict.fromkeys(effect.targets, effect)
        elif fault.starts:
            for node in effect.targets:
                self.downed.pop(node, None)
        effect.detail |= {} if fault.for_ is None else {"seconds": fault.for_}
        effect.detail |= {"drawn": dict(drawn)} if drawn else {}
        if not effect.targets:
            self._tell_idle(effect)
            return None
        if not effect.covered:
            self._tell(effect)
        if effect.heals is not None:
            self._undo(*(other for other in self.active if other.name in effect.heals))
            return None
        if effect.undo is not None:
            self.active.append(effect)
            self._tell_apart()
        return effect

    def _tell(self, effect: Effect) -> None:
        fields = {"targets": effect.targets, "detail": effect.detail, "line": effect.line}
        self.world.record("fault", name=effect.name, verb=effect.verb, **fields)

    def _tell_idle(self, effect: Effect) -> None:
        self.world.record("fault_idle", name=effect.name, why=effect.idle, struck=effect.struck)

    def _undo(self, *effects: Effect) -> None:
        """End these, and record as begun each cut that had no effect as long as one of these was in force."""
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
        """Record which nodes have no way to each other: on a graph that depends on all links that are cut now."""
        if not self.nodes.places.kind:
            return
        dead = [e.change.linked for e in self.active if e.change is not None and e.change.edge.get("loss", 0.0) >= 1]
        lost = self.world.apart(sorted(set(chain.from_iterable(dead)))) if dead else set()
        if lost != self.lost:
            self.lost = lost
            self.world.record("apart", pairs=[list(pair) for pair in sorted(lost)])

    def _does_something(self, effect: Effect) -> bool:
        """Whether it has an effect of its own beside those that are recorded as in force."""
        assert effect.change is not None, "only what lies between nodes is covered"
        index = self.active.index(effect)
        before, after = (
            [one.change for one in part if one.change is not None and not one.covered]
            for part in (self.active[:index], self.active[index + 1 :])
        )
        base = Link.of(self.scenario.network.link())
        return does_something(effect.change, before, after, base, list(self.nodes))

    def _start_again(self, effect: Effect) -> Script:
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
