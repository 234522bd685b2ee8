"""What is left of simulations that have ended: nothing that grows with their number."""

import asyncio
import gc
import sys

from sim import Simulation
from sim.kernel import burial


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
    monkeypatch.setattr(burial, "_kept", blocks)
    monkeypatch.setattr(burial, "GROWTH", 10_000 - blocks // 2)  # so that few simulations are enough
    before = len(gc.get_objects())
    for seed in range(300):
        simulate(seed)
    assert len(gc.get_objects()) < before + 10_000


def test_nothing_is_collected_while_little_has_been_made(monkeypatch):
    monkeypatch.setattr(burial, "_kept", 10**12)
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
