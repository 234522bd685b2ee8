"""What each strategy is good at, on made-up steps, with the figures that its paper promises."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from sim.kernel.interleaving.pct import PriorityChanges
from sim.kernel.interleaving.steps import Step
from sim.kernel.interleaving.strategy import RandomWalk
from sim.kernel.interleaving.surw import UniformWalk


class Ended:
    """In the place of a task."""

    def __init__(self):
        self.ended = False

    def done(self):
        return self.ended


def walk(strategy, lengths):
    """The order of threads that take so many steps each, always ready; by the letters a, b, …"""
    threads = [strategy.begin(chr(97 + number)) for number in range(len(lengths))]
    left, order = list(lengths), ""
    tasks = [Ended() for _ in lengths]
    ready = [Step(None, task, thread, 0) for task, thread in zip(tasks, threads, strict=True)]
    for step in ready:
        strategy.add(step)
    while ready:
        step = strategy.choose(ready)
        number = threads.index(step.thread)
        order += step.thread.origin
        ready.remove(step)
        left[number] -= 1
        step.thread.steps += 1
        tasks[number].ended = not left[number]
        strategy.ran(step)
        if left[number]:
            ready.append(Step(None, tasks[number], step.thread, 0))
            strategy.add(ready[-1])
    return order


def test_random_walk_chooses_each_step_equally_often():
    first = Counter(walk(RandomWalk(Random(seed)), [1, 1, 1, 1])[0] for seed in range(2000))
    assert all(400 < count < 600 for count in first.values())


def test_pct_runs_one_task_to_its_end_without_change_points():
    orders = [walk(PriorityChanges(Random(seed)), [6, 6]) for seed in range(200)]
    switches = Counter(sum(one != other for one, other in pairwise(order)) for order in orders)
    assert switches[1] > 80  # none of the change points lay among these twelve steps
    assert max(switches) <= 4


def test_pct_finds_a_bug_of_depth_two_as_often_as_promised():
    """b's step between two steps of a: 1 / (n k) of the runs whose drawn depth and length fit."""
    found = sum("aba" in walk(PriorityChanges(Random(seed)), [5, 1]) for seed in range(2000))
    assert found > 100


def test_surw_delays_the_short_task_once_it_knows_the_lengths():
    """With 1 and 19 steps left, a fair coin takes the long one 15 times in a row once in 32,768 runs."""
    late = {"random": 0, "surw": 0}
    for seed in range(1000):
        for name, strategy in (("random", RandomWalk(Random(seed))), ("surw", UniformWalk(Random(seed)))):
            if name == "surw":
                strategy._all = True
                strategy._ended = {"a": (1, 19), "b": (1, 1)}  # of earlier tasks of these origins
            late[name] += walk(strategy, [19, 1]).index("b") >= 15
    assert late["random"] == 0
    assert 150 < late["surw"] < 350  # uniform: 5 of 20


def test_surw_makes_all_interleavings_equally_likely():
    counted = Counter()
    for seed in range(3000):
        strategy = UniformWalk(Random(seed))
        strategy._all, strategy._ended = True, {"a": (1, 2), "b": (1, 3)}
        counted[walk(strategy, [2, 3])] += 1
    assert len(counted) == 10
    assert all(count == pytest.approx(300, rel=0.25) for count in counted.values())
