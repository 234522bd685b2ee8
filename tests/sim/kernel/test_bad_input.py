"""Each wrong use of a simulation is one typed error that says what was wrong and what to do."""

import asyncio
import functools
import math
import re

import networkx
import pytest

import sim
from sim import NodeDown, Simulation, SimulationError
from sim.network.fabric import NotConnected, UnknownNode
from sim.network.quantity import QuantityError


async def one():
    return 1


async def sleeps():
    await asyncio.sleep(100)


async def generates():
    yield 1


@pytest.fixture
def simulation():
    simulation = Simulation(1)
    simulation.add_node("a")
    yield simulation
    simulation.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"latency": -0.1}, "latency: a duration must be a number of at least 0, not -0.1"),
        ({"latency": math.nan}, "at least 0, not nan"),
        ({"latency": None}, "latency: None is not a duration"),
        ({"latency": ["5ms"]}, "latency: ['5ms'] is not a duration"),
        ({"latency": 10**400}, "must be a number of at least 0, not 1000"),
        ({"latency": "samples(/nowhere.csv)"}, "latency: samples: /nowhere.csv: No such file"),
        ({"latency": "samples(/)"}, "latency: samples: /: Is a directory"),
        ({"loss": None}, "loss: None is not a probability"),
        ({"mtu": 5}, "unknown link setting 'mtu'; allowed: preset, latency"),
        ({"latency": "-5ms"}, "at least 0, not '-5ms'"),
        ({"loss": 1.5}, "loss: a probability is between 0 and 1"),
        ({"loss": math.nan}, "at least 0, not nan"),
        ({"loss": "150%"}, "between 0 and 1"),
        ({"bandwidth": 0}, "cut the link"),
    ],
)
def test_links_that_cannot_be(simulation, settings, words):
    with pytest.raises(QuantityError, match=re.escape(words)):
        simulation.network.default_link(**settings)
    simulation.add_node("b")
    with pytest.raises(QuantityError, match=re.escape(words)):
        simulation.network.link("a", "b", **settings)


@pytest.mark.parametrize(
    "use",
    [
        lambda s: s.nodes["z"],
        lambda s: s.record("z", "said"),
        lambda s: s.network.partition(["a"], ["z"]),
        lambda s: s.network.isolate("z"),
        lambda s: s.network.link("a", "z", loss=0.1),
        lambda s: s.network.hold("z", "a"),
        lambda s: s.network.slow_receive("z", "1ms"),
    ],
)
def test_an_unknown_node_is_answered_with_those_that_there_are(simulation, use):
    with pytest.raises(UnknownNode, match="there is no node 'z'; there are: a"):
        use(simulation)


def test_a_group_that_is_no_list_and_a_way_from_a_node_to_itself(simulation):
    network = simulation.network
    with pytest.raises(TypeError, match=r"a list of nodes, \['a'\], not the text 'a'"):
        network.partition("a", ["b"])
    for use in (network.hold, network.link):
        with pytest.raises(ValueError, match="nothing lies between 'a' and itself"):
            use("a", "a")


def test_a_graph_that_is_not_connected_at_the_start(simulation):
    simulation.add_node("b")
    graph = networkx.Graph()
    graph.add_nodes_from("ab")
    simulation.network.graph = graph
    with pytest.raises(NotConnected, match=r"no way from 'a' to 'b'; add an edge"):
        simulation.run(until=1.0)


@pytest.mark.parametrize(
    ("until", "words"), [(1.0, "it is 2 s already"), (math.nan, "already"), ("5s", "a number"), (True, "a number")]
)
def test_a_time_until_which_it_cannot_run(simulation, until, words):
    simulation.run(until=2.0)
    with pytest.raises(SimulationError, match=f"cannot run until .*{words}"):
        simulation.run(until=until)


def test_a_time_that_is_no_float_is_for_ever(simulation):
    simulation.run(until=10**400)
    assert simulation.now == 0
    simulation.run(until=2)
    assert simulation.now == 2


@pytest.mark.parametrize("seed", ["7", None, 1.5, object()])
def test_a_seed_that_is_no_whole_number(seed):
    with pytest.raises(ValueError, match="a seed is a whole number, not"):
        Simulation(seed)


def test_a_topology_that_is_no_graph(simulation):
    with pytest.raises(TypeError, match=r"a topology is a networkx\.Graph, not 5"):
        simulation.network.graph = 5


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, "1s"])
def test_a_pause_that_cannot_be(simulation, seconds):
    for stall in (simulation.nodes["a"].pause, simulation.nodes["a"].block):
        with pytest.raises(ValueError, match="lasts at least 0 s, and not for ever, not"):
            stall(seconds)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "1s", None])
def test_a_clock_that_cannot_be(simulation, wrong):
    clock = simulation.nodes["a"].clock
    with pytest.raises(ValueError, match="a clock's offset is seconds, not"):
        clock.offset = wrong
    with pytest.raises(ValueError, match="a clock's drift is above -1"):
        clock.drift = wrong
    assert (clock.offset, clock.drift) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["", 5, None])
def test_a_node_without_a_name(simulation, name):
    with pytest.raises(ValueError, match="a node has a name"):
        simulation.add_node(name)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("999.1", r"'999\.1' does not appear to be"),
        (5, "'5' does not appear to be"),
        ("0.0.0.0", r"0\.0\.0\.0 means no machine, or each one its own; give b another address"),
        ("127.0.0.1", "means no machine"),
        ("224.0.0.1", "means no machine"),
        ("::1", "means no machine"),
    ],
)
def test_an_address_that_is_none(simulation, address, words):
    with pytest.raises(ValueError, match=words):
        simulation.add_node("b", address)


@pytest.mark.parametrize("main", [7, None, generates])
def test_what_is_no_coroutine_function(simulation, main):
    with pytest.raises(TypeError, match="write `async def`"):
        simulation.nodes["a"].start(main)


def test_a_function_that_returns_no_coroutine(simulation):
    with pytest.raises(TypeError, match="returned 5, which is no coroutine; write `async def`"):
        simulation.run_until_complete(simulation.nodes["a"].start(lambda: 5))


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf, "1s"])
def test_a_delay_that_cannot_be(simulation, delay):
    with pytest.raises(ValueError, match="delay is virtual seconds, at least 0"):
        simulation.nodes["a"].start(one, delay=delay)


def test_a_task_of_another_simulation_or_none_at_all(simulation):
    with Simulation(2) as other:
        task = other.add_node("a").start(one)
        for wrong in (task, 5):
            with pytest.raises(SimulationError, match="no task of this simulation"):
                simulation.run_until_complete(wrong)
        assert other.run_until_complete(task) == 1


def on_node(simulation, function):
    async def main():
        return function()

    return simulation.run_until_complete(simulation.nodes["a"].start(main))


@pytest.mark.parametrize(
    "use",
    [
        lambda loop: loop.create_task(one()),
        lambda loop: loop.call_soon_threadsafe(print),
    ],
)
def test_a_nodes_loop_is_not_for_the_code_of_another_node(simulation, use):
    other = simulation.add_node("b")
    other.start(sleeps)
    with pytest.raises(SimulationError, match=r"on the loop of b by the code of a: .* simulation\.nodes\['b'\]\.start"):
        on_node(simulation, lambda: use(other.loop))


@pytest.mark.parametrize("use", [lambda loop: loop.call_soon(print), lambda loop: loop.call_later(1, print)])
def test_in_debug_mode_neither_are_callbacks_and_timers(simulation, use):
    other = simulation.add_node("b")
    other.loop.set_debug(True)
    with pytest.raises(SimulationError, match="on the loop of b by the code of a"):
        on_node(simulation, lambda: use(other.loop))
    use(other.loop)  # from outside of all nodes it may


def test_one_node_may_start_another(simulation):
    other = simulation.add_node("b")
    task = on_node(simulation, lambda: other.start(one))
    assert simulation.run_until_complete(task) == 1


@pytest.mark.parametrize("death", ["crash", "kill"])
@pytest.mark.parametrize(
    "use",
    [
        lambda loop: loop.create_task(one()),
        lambda loop: loop.call_soon(print),
        lambda loop: loop.call_later(1, print),
        lambda loop: loop.call_soon_threadsafe(print),
    ],
)
def test_the_loop_of_a_dead_node_cannot_be_used(simulation, death, use):
    node = simulation.nodes["a"]
    node.start(sleeps)
    simulation.run(until=1.0)
    loop = node.loop
    getattr(node, death)()
    with pytest.raises(
        NodeDown, match=r"on the loop of a, which is down; after a restart it has another one: node\.loop"
    ):
        use(loop)
    node.restart()
    use(node.loop)


def test_a_program_that_dies_by_its_own_hand_is_muted_and_told_nothing(simulation):
    node, reached = simulation.nodes["a"], []

    async def main():
        loop = asyncio.get_running_loop()
        node.crash()
        loop.call_soon(reached.append, "a callback ran")
        loop.call_later(1, reached.append, "a timer ran")
        task = asyncio.create_task(one())
        reached.append("end")
        await task

    node.start(main)
    simulation.run(until=5.0)
    assert reached == ["end"]


def nested():
    with Simulation(2) as inner:
        inner.run(until=1.0)


@pytest.mark.parametrize("use", [lambda: sim.run(one()), nested])
def test_a_simulation_inside_another(simulation, use):
    with pytest.raises(SimulationError, match="runs inside another one, or inside a node; end the outer one first"):
        on_node(simulation, use)


@pytest.mark.parametrize("run", [lambda main: asyncio.run(main, debug=False), lambda main: asyncio.Runner().run(main)])
def test_another_event_loop_on_a_node(simulation, run):
    main = one()
    with pytest.raises(SimulationError, match=r"cannot be called .* a is a simulated node.* simulation\.add_node"):
        on_node(simulation, lambda: run(main))
    main.close()


@pytest.mark.parametrize(
    "call",
    [asyncio.new_event_loop, lambda: made_before().run_forever()],
    ids=["new_event_loop", "a loop that was made before"],
)
def test_another_event_loop_in_the_executor_of_a_node(simulation, call):
    async def main():
        with pytest.raises(SimulationError, match=r"cannot be called .* in its threads too .*asyncio_0.*: .*add_node"):
            await asyncio.to_thread(call)

    made_before()
    simulation.run_until_complete(simulation.nodes["a"].start(main))
    made_before().close()
    made_before.cache_clear()


@functools.cache
def made_before():
    return asyncio.new_event_loop()


def test_elsewhere_asyncio_runs_as_ever(simulation):
    assert asyncio.run(one()) == 1
    simulation.run(until=1.0)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(one()) == 1
    loop.close()


@pytest.mark.parametrize(
    "use",
    [
        lambda simulation: simulation.add_node("c"),
        lambda simulation: simulation.nodes["a"].start(one),
        lambda simulation: simulation.nodes["a"].restart(),
        lambda simulation: simulation.nodes["a"].crash(),
        lambda simulation: simulation.run(),
    ],
)
def test_a_closed_simulation_refuses_what_would_change_it(use):
    with Simulation(1) as simulation:
        simulation.add_node("a").start(sleeps)
        simulation.run(until=1)
    with pytest.raises(SimulationError, match="this simulation is closed; make a new one"):
        use(simulation)


def test_a_simulation_is_not_closed_by_what_runs_in_it():
    async def closes():
        with pytest.raises(SimulationError, match="cannot be closed by what runs in it"):
            simulation.close()
        await asyncio.sleep(1)
        return "goes on"

    with Simulation(1) as simulation:
        assert simulation.run_until_complete(simulation.add_node("a").start(closes)) == "goes on"
