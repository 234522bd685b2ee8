"""The strategies by name: what a seed replays, what it does not touch, and what is refused."""

import asyncio
from collections import Counter

import pytest

import sim
from sim import Simulation
from sim.kernel.interleaving.interleaving import INTERLEAVINGS, STRATEGIES, Interleaving


async def contest(node):
    """Five tasks of four steps each; the trace says which went when."""

    async def worker(number):
        for step in range(4):
            node.record("step", worker=number, step=step)
            await asyncio.sleep(0)

    await asyncio.gather(*(worker(number) for number in range(5)))


def digest(seed, interleaving, names=("a", "b")):
    with Simulation(seed, interleaving=interleaving) as simulation:
        for name in names:
            node = simulation.add_node(name)
            node.start(contest, node)
        simulation.run()
        return simulation.digest()


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_the_same_seed_and_interleaving_replay_a_run(interleaving):
    assert digest(5, interleaving) == digest(5, interleaving)


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_another_seed_is_another_order_unless_fifo(interleaving):
    found = {digest(seed, interleaving) for seed in range(10)}
    assert len(found) == 1 if interleaving == "fifo" else len(found) > 5


def test_one_nodes_choices_leave_the_others_as_they_are():
    def steps_of_b(names):
        with Simulation(7, interleaving="random") as simulation:
            for name in names:
                node = simulation.add_node(name)
                node.start(contest, node)
            simulation.run()
            return [event.fields for event in simulation.trace.events() if (event.node, event.name) == ("b", "step")]

    assert steps_of_b("ab") == steps_of_b("bc")


def test_a_restarted_node_makes_other_choices_than_before():
    with Simulation(1, interleaving="random") as simulation:
        node = simulation.add_node("a")
        node.start(contest, node)
        simulation.run()
        first = simulation.trace.lines
        node.restart()
        simulation.run()
        steps = [(event.line, event.fields) for event in simulation.trace.events() if event.name == "step"]
    before = [fields for line, fields in steps if line <= first]
    assert before != [fields for line, fields in steps if line > first]


def test_mix_draws_each_strategy_for_some_seeds():
    drawn = Counter(Interleaving("mix", seed).strategy for seed in range(400))
    assert set(drawn) == set(STRATEGIES)
    assert min(drawn.values()) > 50


def test_mix_chooses_as_the_strategy_that_it_drew():
    drawn = {seed: Interleaving("mix", seed).strategy for seed in range(12)}
    assert len(set(drawn.values())) > 2
    assert all(digest(seed, "mix") == digest(seed, name) for seed, name in drawn.items())


def test_an_unknown_interleaving_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="interleaving is one of fifo, random, pct, pos, surw, mix, not 'lifo'"):
        Simulation(interleaving="lifo")


def test_sim_run_takes_an_interleaving():
    async def main():
        seen = []

        async def task(number):
            seen.append(number)

        await asyncio.gather(*(task(number) for number in range(8)))
        return seen

    assert sim.run(main()) == list(range(8))
    assert sim.run(main(), interleaving="random") != list(range(8))
