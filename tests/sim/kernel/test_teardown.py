"""What is left of simulations that have ended: nothing that grows with their number."""

import asyncio
import contextlib
import gc
import socket
import sys
from weakref import ref

import pytest

from sim import Simulation
from sim.kernel import teardown


def simulate(seed):
    async def main():
        await asyncio.sleep(1)

    with Simulation(seed) as simulation:
        simulation.add_node("a").start(main)
        simulation.run(until=0.5)
        simulation.run(until=2)


def test_objects_do_not_grow_with_the_number_of_simulations(monkeypatch):
    """The run's gc.freeze resets the counts by which Python decides to collect all garbage itself."""
    gc.collect()
    blocks = sys.getallocatedblocks()
    monkeypatch.setattr(teardown, "_kept", blocks)
    monkeypatch.setattr(teardown, "GROWTH", 10_000 - blocks // 2)  # so that few simulations are enough
    before = len(gc.get_objects())
    for seed in range(300):
        simulate(seed)
    assert len(gc.get_objects()) < before + 10_000


def test_tasks_of_an_ended_simulation_stand_in_no_set_of_asyncios():
    """They stay until Python collects them, and have the hashes of the next simulation's, which collide there."""
    registered = getattr(asyncio.tasks, "_scheduled_tasks", getattr(asyncio.tasks, "_all_tasks", None))
    if registered is None:
        pytest.skip("from Python 3.14 on it is a list")
    before = set(registered)

    async def main():
        await asyncio.sleep(1e6)

    simulation = Simulation(1)
    tasks = [simulation.add_node(name).start(main) for name in "abc"]
    simulation.run(until=1)
    assert set(registered) >= set(tasks)
    simulation.nodes["a"].crash()
    simulation.nodes["b"].kill()
    simulation.close()
    assert set(registered) <= before


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_socket_that_is_closed_goes_without_a_collection(family, kind):
    with Simulation(1) as simulation:
        made = simulation.add_node("a").loop._socket(family, kind)
        alive = ref(made)
        gc.disable()
        try:
            made.close()
            del made
            assert alive() is None
        finally:
            gc.enable()


def test_nothing_is_collected_while_little_has_been_made(monkeypatch):
    monkeypatch.setattr(teardown, "_kept", 10**12)
    generations = []

    def note(phase, info):
        generations.append(info["generation"])

    gc.callbacks.append(note)
    try:
        simulate(1)
        before = generations.count(2)
        gc.collect()
    finally:
        gc.callbacks.remove(note)
    assert before == 0
    assert 2 in generations


async def naps():
    await asyncio.sleep(1)


async def waits(event=None):
    await (event or asyncio.Event()).wait()


def keeps_waiting():
    event = asyncio.Event()
    return lambda: waits(event)


@pytest.mark.parametrize("end", ["crash", "kill", "stop", "close"])
@pytest.mark.parametrize("make", [lambda: naps, lambda: waits, keeps_waiting], ids=["sleep", "event", "one event"])
def test_a_program_that_catches_all_and_goes_on_is_let_alone(make, end):
    async def main():
        wait = make()
        while True:
            with contextlib.suppress(BaseException):
                await wait()

    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.start(main)
        simulation.run(until=2)
        if end != "close":
            getattr(node, end)()


def test_a_dead_program_that_spins_is_broken_off(monkeypatch):
    monkeypatch.setattr("sim.kernel.interrupt.GRACE", 0.02)

    def fails():
        raise OSError("nothing is there any more")

    async def main():
        with contextlib.suppress(BaseException):
            await asyncio.sleep(100)
        while True:
            with contextlib.suppress(BaseException):
                fails()

    with Simulation(1) as simulation:
        for name in "abc":
            simulation.add_node(name).start(main)
        simulation.run(until=1)
        for node in simulation.nodes.values():
            node.crash()


def test_a_dead_program_awaits_in_its_finally_without_an_error():
    said = []

    async def main():
        try:
            await asyncio.sleep(100)
        finally:
            try:
                await asyncio.sleep(1)
            except Exception as error:
                said.append(error)

    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.start(main)
        simulation.run(until=1)
        node.crash()
    assert not said
