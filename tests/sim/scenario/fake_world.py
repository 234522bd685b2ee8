"""A world that only keeps a list of what it was told, and the scripts of faults played against it."""

import heapq
from contextlib import nullcontext
from itertools import count

from sim import Scenario
from sim.backends.program import Ready
from sim.scenario.inject import scripts
from sim.scenario.schema import Node, Pick

SOME = Pick(pick="one")


class FakeWorld:
    """Time, who is up, which cuts are in force; every call and every event in `told`."""

    name = "fake"
    restart_time = 0.5
    stop_time = 0.0

    def __init__(self, scenario):
        self.now = 0.0
        self.told = []
        self.up = {name for node in scenario.node for name in node.names()}
        self.cuts = {}
        self.stopping = {}

    def record(self, event, /, **fields):
        self.told.append((round(self.now, 6), event, fields))

    def moment(self):
        return nullcontext()

    def is_up(self, node):
        return node in self.up or self.stopping.get(node, 0) > self.now

    def _call(self, *call):
        self.told.append((round(self.now, 6), *call))
        return True

    def crash(self, node):
        if node not in self.up:
            return False
        self.up.remove(node)
        return self._call("crash", node)

    kill = crash

    def stop(self, node):
        done = self.crash(node)
        self.stopping[node] = self.now + self.stop_time
        return done

    def restart(self, node):
        if node in self.up:
            return False
        self.up.add(node)
        return self._call("restart", node)

    def pause(self, node, seconds):
        return node in self.up and self._call("pause", node, seconds)

    block = pause

    def _cut(self, name, *what):
        news = what not in self.cuts.values()
        self.cuts[name] = what
        return news

    def partition(self, name, groups, one_way=False):
        return self._cut(name, groups, one_way)

    def isolate(self, name, node):
        return self._cut(name, node)

    def link(self, name, source, target, **edge):
        return self._cut(name, source, target, edge)

    def apart(self, pairs):
        return {pair for pair in pairs if (*pair, {"loss": 1.0}) in self.cuts.values()}

    def hold(self, name, source, target):
        return self._cut(name, "hold", source, target)

    def slow_receive(self, name, node, latency):
        return node in self.up and self._cut(name, "slow_receive", node, latency)

    def slow(self, name, node, factor):
        return node in self.up and self._cut(name, "slow", node, factor)

    def clock(self, name, node, offset, drift):
        return node in self.up and self._cut(name, "clock", node, offset, drift)

    def reset(self, node):
        return node in self.up and self._call("reset", node)

    def heal(self, name):
        return self.cuts.pop(name, None) is not None

    def events(self, *names):
        return [entry for entry in self.told if entry[1] in names]


def play(*faults, duration=60.0, seed=1, world=FakeWorld):
    """Runs the scripts of these faults to the end of the scenario, then closes them in order, as a world does."""
    scenario = Scenario(
        name="x",
        duration=duration,
        node=(Node(name="a", app="m:f"), Node(name="w", app="m:f", count=4, labels={"role": "w"})),
        fault=faults,
    )
    world = world(scenario)
    running = list(scripts(scenario, seed)(world))
    order = count()
    queue = [(0.0, next(order), script) for script in running]
    while queue and queue[0][0] < duration:
        world.now, _, script = heapq.heappop(queue)
        try:
            wanted = next(script)
        except StopIteration:
            continue
        wait = world.restart_time if isinstance(wanted, Ready) else wanted
        heapq.heappush(queue, (world.now + wait, next(order), script))
    world.now = duration
    for script in running:
        script.close()
    return world
