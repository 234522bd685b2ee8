"""A machine's clock may be wrong, and run at another pace: what its program is told, and when its timers fire."""

import asyncio
import math
import time

import pytest

from sim.kernel.clock import EPOCH
from sim.kernel.simulation import Simulation


async def sleeper(seconds):
    await asyncio.sleep(seconds)
    return time.time() - EPOCH, time.monotonic(), asyncio.get_running_loop().time()


def test_an_offset_moves_the_wall_clock_alone():
    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.clock.offset = -3.0
        wall, steady, loop = simulation.run_until_complete(node.start(sleeper, 10.0))
        assert (wall, steady, loop) == (pytest.approx(7), 10, 10)
        assert simulation.now == 10


@pytest.mark.parametrize("drift", [1e-4, -1e-4, 0.5, -0.5])
def test_a_fast_clock_fires_its_timers_early_and_a_slow_one_late(drift):
    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.clock.drift = drift
        wall, steady, loop = simulation.run_until_complete(node.start(sleeper, 10.0))
        assert simulation.now == pytest.approx(10 / (1 + drift), rel=1e-12)
        assert (wall, steady, loop) == (pytest.approx(10), pytest.approx(10), steady)
        assert steady >= 10  # a timer is never early by its own clock


def test_a_drift_that_begins_and_ends_changes_the_timers_that_wait():
    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        task = node.start(sleeper, 10.0)
        simulation.run(until=4)
        node.clock.drift = 1.0
        simulation.run(until=6)  # 8 s have passed there
        node.clock.set_right()
        wall, steady, _ = simulation.run_until_complete(task)
        assert simulation.now == pytest.approx(8)
        assert (wall, steady) == (pytest.approx(8), pytest.approx(10))


@pytest.mark.parametrize("drift", [0.25, -0.25])
def test_a_timer_that_never_fires_leaves_the_others_alone(drift):
    """Infinity times no drift is no number."""
    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.start(sleeper, math.inf)
        task = node.start(sleeper, 1.0)
        simulation.run(until=0.5)
        node.clock.drift = drift
        simulation.run_until_complete(task)
        node.clock.drift = 0.0
        simulation.run_until_complete(node.start(sleeper, 1.0))
        assert simulation.now == pytest.approx(0.5 + 0.5 / (1 + drift) + 1.0)


def test_a_clock_that_is_slowed_does_not_wake_its_program_too_soon():
    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        task = node.start(sleeper, 10.0)
        simulation.run(until=5)
        node.clock.drift = -0.5
        simulation.run_until_complete(task)
        assert simulation.now == pytest.approx(15)


def test_timers_are_answered_by_the_clock_of_their_node_and_keep_their_order():
    async def main():
        loop = asyncio.get_running_loop()
        fired = []
        timers = [loop.call_later(delay, fired.append, delay) for delay in (0.3, 0.1, 0.2, 0.1)]
        assert [timer.when() for timer in timers] == [pytest.approx(t) for t in (0.3, 0.1, 0.2, 0.1)]
        await asyncio.sleep(0.15)
        timers[2].cancel()
        await asyncio.sleep(0.5)
        return fired

    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.clock.drift = 0.3
        assert simulation.run_until_complete(node.start(main)) == [0.1, 0.1, 0.3]


def test_whoever_sets_a_timer_again_until_its_time_has_come_does_not_spin():
    async def main():
        loop = asyncio.get_running_loop()
        turns = 0
        for number in range(200):
            deadline = loop.time() + 0.1 + number / 7
            while loop.time() < deadline:
                done = loop.create_future()
                loop.call_at(deadline, done.set_result, None)
                await done
                turns += 1
        return turns

    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.clock.drift = 1e-4 / 3
        assert simulation.run_until_complete(node.start(main)) == 200


def test_a_machine_keeps_its_clock_over_a_restart():
    async def main():
        await asyncio.sleep(1000)

    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.start(main)
        node.clock.drift, node.clock.offset = 0.5, 5.0
        simulation.run(until=2)
        node.crash()
        (task,) = node.restart()
        assert node.loop.time() == pytest.approx(3)
        simulation.run_until_complete(task)
        assert simulation.now == pytest.approx(2 + 1000 / 1.5)


def test_a_program_that_sleeps_without_yielding_sleeps_by_its_own_clock():
    async def main():
        time.sleep(3)  # noqa: ASYNC251 - the point
        await asyncio.sleep(0)

    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.clock.drift = 0.5
        simulation.run_until_complete(node.start(main))
        assert simulation.now == pytest.approx(2)


@pytest.mark.parametrize("drift", [-1.0, -2.0, float("nan"), float("inf")])
def test_a_clock_cannot_stand_still_or_go_back(drift):
    with Simulation(1) as simulation, pytest.raises(ValueError, match="above -1"):
        simulation.add_node("a").clock.drift = drift


def test_timers_keep_their_order_where_a_drift_brings_them_together():
    fired = []
    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        simulation.run(until=1e6)
        first = 1e6 + 1
        times = [first]
        for _ in range(40):
            times.append(math.nextafter(times[-1], math.inf))
        for when in reversed(times):
            node.loop.call_at(when, fired.append, when)
        node.clock.drift = 9.0
        assert len({when for when, _, _ in node.loop._timers}) < len(times)
        simulation.run(until=1e6 + 2)
    assert fired == times
