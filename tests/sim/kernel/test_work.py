"""Time that passes while a program works: turns and looks at the clock, once there are many at one instant."""

import asyncio
import time

import pytest

import sim
from sim import Livelock, Simulation
from sim.kernel.work import FREE_LOOKS, FREE_TURNS, MAX_SECONDS, SHARE, Work


@pytest.fixture
def few(monkeypatch):
    """Few are free, so that tests are quick."""
    monkeypatch.setattr("sim.kernel.loop.run.FREE_TURNS", 50)
    monkeypatch.setattr("sim.kernel.work.FREE_LOOKS", 50)
    monkeypatch.setattr("sim.kernel.loop.run.FREE_LOOKS", 50)


async def poll(done):
    while not done():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def poll_a_timer():
    fired = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, fired.set)
    await poll(fired.is_set)


async def poll_the_clock():
    loop = asyncio.get_running_loop()
    end = loop.time() + 0.1
    await poll(lambda: loop.time() >= end)


async def spin():
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        pass


async def spin_on_the_loops_clock():
    loop = asyncio.get_running_loop()
    end = loop.time() + 0.1
    while loop.time() < end:
        pass


async def spin_on_the_processor():
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert time.thread_time() >= end


@pytest.mark.parametrize("interleaving", ["fifo", "random"])
@pytest.mark.parametrize("wait", [poll_a_timer, poll_the_clock, spin, spin_on_the_loops_clock, spin_on_the_processor])
def test_whoever_waits_by_working_sees_time_pass(few, wait, interleaving):
    async def main():
        began = time.time()
        await wait()
        return time.time() - began

    assert sim.run(main(), seed=1, interleaving=interleaving) == pytest.approx(0.1, rel=0.01)


def test_a_little_work_takes_no_time():
    async def main():
        for _ in range(FREE_TURNS // 2):
            await asyncio.sleep(0)
        assert all(time.monotonic() == time.monotonic() for _ in range(FREE_LOOKS // 4))
        return time.time(), time.process_time()

    began, worked = sim.run(main(), seed=1)
    assert began == 1_735_689_600.0
    assert worked == 0.0


def test_much_work_takes_as_long_as_on_a_real_machine():
    """100,000 items through a queue are no hour, and no livelock."""

    async def main():
        queue = asyncio.Queue(1)

        async def produce():
            for number in range(50_000):
                await queue.put(number)

        producing = asyncio.create_task(produce())
        for _ in range(50_000):
            await asyncio.wait_for(queue.get(), 30.0)
        await producing
        return time.monotonic()

    assert 0.5 < sim.run(main(), seed=1) < 5.0


def test_a_stamp_on_each_of_many_rows_takes_no_minutes():
    async def main():
        stamps = [time.time() for _ in range(50_000)]
        return stamps[-1] - stamps[0]

    assert sim.run(main(), seed=1) < 0.01


def test_who_waits_in_between_does_not_spin(few):
    async def main():
        for _ in range(5):
            for _ in range(40):
                await asyncio.sleep(0)
            await asyncio.sleep(1.0)
        return time.monotonic()

    assert sim.run(main(), seed=1) == 5.0


def test_others_go_on_while_one_works(few):
    heard = []

    async def tick():
        while True:
            await asyncio.sleep(0.01)
            heard.append(asyncio.get_running_loop().time())

    with Simulation(1) as simulation:
        busy, other = simulation.add_node("busy"), simulation.add_node("other")
        other.start(tick)
        task = busy.start(poll_a_timer)
        simulation.run_until_complete(task)
        assert len(heard) in (9, 10)
        other.kill()


def test_sleep_is_no_work():
    async def main():
        await asyncio.sleep(1.0)
        time.sleep(1.0)  # noqa: ASYNC251
        return time.process_time(), time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)

    assert sim.run(main(), seed=1) == (0.0, 0.0)


def test_who_sleeps_between_looks_does_not_spin(few):
    async def main():
        for _ in range(200):
            time.sleep(30.0)  # noqa: ASYNC251 - it blocks its loop, for more than an hour in all
            time.monotonic()
        return time.monotonic(), time.process_time()

    assert sim.run(main(), seed=1) == (6000.0, 0.0)


def test_whoever_spins_on_the_clock_of_a_loop_that_drifts_sees_time_pass(few):
    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.clock.drift = 0.5
        simulation.run_until_complete(node.start(spin_on_the_loops_clock))
        simulation.run(until=1.0)
        assert node.work.seconds == pytest.approx(0.1 / 1.5, rel=0.01)


def test_many_timers_at_one_instant_from_outside_take_no_time(few):
    with Simulation(1) as simulation:
        loop = simulation.add_node("a").loop
        assert {loop.time() for _ in range(1000)} == {0.0}
        simulation.run(until=1.0)
        assert loop.time() == 1.0


@pytest.mark.parametrize("look", [time.monotonic, lambda: asyncio.get_running_loop().time()])
def test_who_looks_at_the_clock_for_ever_is_named(few, look):
    async def main():
        while True:
            look()

    with pytest.raises(Livelock, match="main has looked at its clock for"):
        sim.run(main(), seed=1)


def test_a_share_of_the_time_since_is_the_cost_of_a_turn():
    work = Work()
    assert [work.turn(now) for now in (5.0, 5.0001, 65.0)] == pytest.approx([10e-6, 10e-6, 60 * SHARE])
    assert work.turn(5.0 + MAX_SECONDS + 1.0) == float("inf")
    work.rest()
    assert work.turn(9000.0) == 10e-6
