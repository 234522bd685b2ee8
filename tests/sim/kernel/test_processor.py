"""Machines whose every step takes time."""

import asyncio
import time

import pytest

import sim
from sim import Livelock, Simulation
from sim.kernel.interleaving.interleaving import INTERLEAVINGS


def steps_of_two_tasks(simulation):
    """When each step of two tasks ran, in microseconds, as the program's own clock shows it."""
    seen = []

    async def task(name):
        for _ in range(3):
            seen.append((name, round(asyncio.get_running_loop().time() * 1e6)))
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(task("one"), task("other"))

    simulation.run_until_complete(simulation.add_node("a").start(main))
    return seen


def test_each_step_is_later_than_the_one_before():
    with Simulation(cpu="10us") as simulation:
        # main, then the two tasks in turn.
        assert steps_of_two_tasks(simulation) == [
            ("one", 10), ("other", 20), ("one", 30), ("other", 40), ("one", 50), ("other", 60)
        ]  # fmt: skip


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_the_same_seed_is_the_same_run_to_the_byte(interleaving):
    def digest(seed):
        with Simulation(seed, cpu="lognormal(50us, 1)", interleaving=interleaving) as simulation:
            seen = steps_of_two_tasks(simulation)
            simulation.record("a", "seen", steps=seen)
            return simulation.digest()

    assert digest(1) == digest(1) != digest(2)


@pytest.mark.parametrize("interleaving", ["fifo", "random"])
def test_a_datagram_comes_between_two_turns(interleaving):
    """Where turns take no time it waits for the last of them."""

    def order(cpu):
        seen = []

        async def receive():
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(Heard, local_addr=("0.0.0.0", 9))
            await asyncio.sleep(1)
            for number in range(100):
                seen.append(number)
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)
            transport.close()

        class Heard(asyncio.DatagramProtocol):
            def datagram_received(self, data, address):
                seen.append("datagram")

        async def send():
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("10.0.0.1", 9))
            await asyncio.sleep(1.0005)
            transport.sendto(b"x")
            transport.close()

        with Simulation(interleaving=interleaving) as simulation:
            simulation.network.default_link(latency="1ms")
            node = simulation.add_node("receiver", cpu=cpu)
            simulation.add_node("sender").start(send)
            simulation.run_until_complete(node.start(receive))
            simulation.run(until=2.0)
        return seen.index("datagram")

    assert order(None) == 100
    assert 10 < order("50us") < 50


def test_its_clocks_show_what_steps_take_and_sleep_is_no_work():
    async def main():
        began = time.monotonic()
        for _ in range(99):
            await asyncio.sleep(0)
        worked = time.monotonic() - began
        await asyncio.sleep(10)
        return worked, time.process_time()

    worked, processor = sim.run(main(), cpu="1ms")
    assert worked == pytest.approx(0.099)
    assert 0.099 < processor < 0.11


def test_a_slow_machine_without_a_cpu_takes_that_of_a_usual_one():
    async def main():
        began = time.monotonic()
        for _ in range(1000):
            await asyncio.sleep(0)
        return time.monotonic() - began

    with Simulation(seed=1) as simulation:
        node = simulation.add_node("a")
        assert simulation.run_until_complete(node.start(main)) == 0
        node.slowdown = 20
        assert simulation.run_until_complete(node.start(main)) == pytest.approx(1.0 * 1.65, rel=0.2)  # e^(1/2) = 1.65
        node.slowdown = 1
        assert simulation.run_until_complete(node.start(main)) == 0


def test_a_pause_while_it_is_busy_is_a_pause():
    """It is no "stands still already"."""
    ticks = []

    async def main():
        loop = asyncio.get_running_loop()
        while True:
            ticks.append(loop.time())
            await asyncio.sleep(0)

    with Simulation(cpu="10ms") as simulation:
        node = simulation.add_node("a")
        node.start(main)
        simulation.run(until=1.003)
        assert not node.stalled
        assert node.pause(2.0)
        assert node.stalled
        simulation.run(until=4.0)
    assert [tick for tick in ticks if 1.02 < tick < 3.0] == []
    assert ticks == sorted(ticks)


def test_a_crash_in_the_midst_of_a_turn_and_a_restart():
    runs = []

    async def main():
        runs.append(asyncio.get_running_loop().time())
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    with Simulation(cpu="10ms") as simulation:
        node = simulation.add_node("a")
        node.start(main)
        simulation.run(until=0.503)
        node.crash()
        simulation.run(until=1.0)
        node.restart()
        simulation.run(until=1.5)
    assert runs == [0.0, 1.0]
    assert node.cpu is not None


def test_who_polls_for_ever_is_told_there_too(monkeypatch):
    async def main():
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    monkeypatch.setattr("sim.kernel.work.MAX_SECONDS", 1.0)
    with pytest.raises(Livelock, match=r"never waited; the last was Task-\d+ in main \(.*test_processor\.py"):
        sim.run(main(), cpu="1ms")


def test_a_very_slow_machine_is_slow_and_no_livelock():
    async def main():
        await asyncio.gather(*(step() for _ in range(3)))
        return time.monotonic()

    async def step():
        await asyncio.sleep(0)

    assert sim.run(main(), cpu="1h") > 8 * 3600


def test_a_livelock_says_when_the_last_task_has_ended(monkeypatch):
    """It has no line to be named."""

    async def main():
        while True:
            await asyncio.create_task(asyncio.sleep(0))

    monkeypatch.setattr("sim.kernel.work.FREE_TURNS", 10)
    told = []
    for seconds in (20.0, 21.0, 22.0):  # one of the three steps is the last
        monkeypatch.setattr("sim.kernel.work.MAX_SECONDS", seconds)
        with pytest.raises(Livelock) as caught:
            sim.run(main(), cpu="1s")
        told.append(str(caught.value))
    assert any(text.endswith(", which has ended") for text in told)
    assert not any("unknown place" in text for text in told)


@pytest.mark.parametrize("cpu", ["0s", 0, "uniform(0s, 0s)"])
def test_a_cpu_of_nothing_is_none(cpu):
    with Simulation() as simulation:
        assert simulation.add_node("a", cpu=cpu).cpu is None


@pytest.mark.parametrize("cpu", ["fast", "50", -1.0, "lognormal(1)"])
def test_a_cpu_that_is_no_duration_is_refused(cpu):
    with Simulation() as simulation, pytest.raises(ValueError, match=r"duration|number|lognormal"):
        simulation.add_node("a", cpu=cpu)
