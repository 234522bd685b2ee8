"""Hypothesis plays a cluster: members come, crash, stall, leave, return and are cut off, in any order; datagrams
are lost, come twice, and come after newer ones.

Whatever happened: once all is quiet again, everybody who is up lists exactly those who are up, at their latest run,
with their latest tags; and no batch of tags was ever seen in part.
"""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rpcnet.config import ClusterConfig

SETTLES = 60.0
"""Within so many seconds all agree once all is quiet; who is held down has them from its release on."""
NAMES = [f"m{number}" for number in range(6)]
some = st.sampled_from(NAMES)
groups = st.sets(some, min_size=1, max_size=3).map(sorted)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("crash"), some, st.booleans()),
        st.tuples(st.just("restart"), some),
        st.tuples(st.just("leave"), some),
        st.tuples(st.just("stall"), some, st.floats(0.1, 12)),
        st.tuples(st.just("cut"), groups, st.booleans()),
        st.tuples(st.just("heal")),
        st.tuples(st.just("tags"), some),
        st.tuples(st.just("loss"), st.sampled_from([0.0, 0.05, 0.3])),
        st.tuples(st.just("disorder"), st.sampled_from([0.0, 0.1, 0.5])),
        st.tuples(st.just("run"), st.floats(0.01, 30)),
    ),
    max_size=20,
)


class Game:
    """The network, and what must be true of it."""

    def __init__(self, network, seed):
        self.net = network(seed=seed, config=replace(ClusterConfig.lan(), leave_timeout=2.0))
        self.runs = dict.fromkeys(NAMES, 1)
        self.latest = {}
        self.batch = 0
        self.held_at = 0.0
        """When anybody was held down, for the last time."""
        for name in NAMES:
            self.net.add(name, join=NAMES[:2])
        self.net.run(5)

    def crash(self, name, refuses=False):
        if name in self.net.cores:
            self.net.crash(name, refuses=refuses)
        self.net._stalled.pop(name, None)

    def restart(self, name):
        self.crash(name)
        self.runs[name] += 1
        self.latest.pop(name, None)
        self.net.add(name, join=NAMES[:2], run=self.runs[name])

    def leave(self, name):
        if name in self.net.cores and name not in self.net._stalled:
            self.net.call(name, "leave")
            self.net.until(lambda: name in self.net.flushed or name not in self.net.cores, within=5)
            self.net.flushed.pop(name, None)
            self.crash(name)

    def stall(self, name, seconds):
        if name in self.net.cores and name not in self.net._stalled:
            self.net.stall(name, seconds)

    def cut(self, group, one_way):
        self.net.cut(group, [name for name in NAMES if name not in group], one_way=one_way)

    def heal(self):
        self.net.heal()

    def tags(self, name):
        if name in self.net.cores and name not in self.net._stalled:
            self.batch += 1
            self.latest[name] = dict.fromkeys("abc", str(self.batch))
            self.net.call(name, "set_tags", self.latest[name])

    def loss(self, share):
        self.net.loss = share

    def disorder(self, share):
        self.net.disorder = share

    def run(self, seconds):
        self.net.run(seconds)

    def is_over(self):
        """All agree, or have not for longer than they may."""
        if any(core.is_held_down for core in self.net.cores.values()):
            self.held_at = self.net.now
        return self.is_settled() or self.net.now - self.held_at > SETTLES

    def is_settled(self):
        up = sorted(self.net.cores)
        return all(
            [member.name for member in core.members()] == up
            and all(core.member(name).run == self.net.cores[name].me.run for name in up)
            and all(core.member(name).tags == self.latest.get(name, {}) for name in up)
            for core in self.net.cores.values()
        )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=steps, seed=st.integers(0, 1000))
def test_after_whatever_happened_all_that_are_up_agree(network, steps, seed):
    game = Game(network, seed)
    for verb, *arguments in steps:
        getattr(game, verb)(*arguments)
    game.heal()
    game.loss(0.0)
    game.disorder(0.0)
    for name in NAMES[:2]:  # a cluster whose seeds are all gone may stay in parts: bring the seeds back
        if name not in game.net.cores:
            game.restart(name)
    game.run(15)
    game.held_at = game.net.now
    game.net.until(game.is_over, within=3 * game.net.config.max_hold_down)
    assert game.is_settled(), {
        name: [(m.name, m.run, m.status, dict(m.tags)) for m in core.members(all=True)]
        for name, core in game.net.cores.items()
    }
    assert all(len(set(event.member.tags.values())) <= 1 for _, _, event in game.net.events), "batches are whole"
