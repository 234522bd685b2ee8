import asyncio
import functools
import re
import threading

import pytest
import simpy

import sim
from sim import Deadlock, Livelock, Simulation, SimulationError


async def sleeper(seconds, value=None):
    await asyncio.sleep(seconds)
    return value


def test_time_is_virtual():
    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(sleeper, 3600.0, "woke")
        assert simulation.run_until_complete(task) == "woke"
        assert simulation.now == 3600.0


def test_run_until_stops_the_clock_there_and_goes_on_from_there():
    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(sleeper, 10.0)
        simulation.run(until=4.0)
        assert (simulation.now, task.done()) == (4.0, False)
        simulation.run(until=12.0)
        assert (simulation.now, task.done()) == (12.0, True)


def test_running_into_the_past_is_refused():
    with Simulation(1) as simulation:
        simulation.run(until=2.0)
        for past in (1.0, float("nan")):
            with pytest.raises(SimulationError, match="cannot run until"):
                simulation.run(until=past)


def test_an_exception_of_the_task_is_raised_to_the_caller():
    async def fails():
        raise ValueError("mine")

    with Simulation(1) as simulation, pytest.raises(ValueError, match="mine"):
        simulation.run_until_complete(simulation.add_node("a").start(fails))


def test_start_can_be_delayed():
    async def now():
        return asyncio.get_running_loop().time()

    with Simulation(1) as simulation:
        assert simulation.run_until_complete(simulation.add_node("a").start(now, delay=2.5)) == 2.5


def test_deadlock_names_each_waiting_task_its_node_and_line():
    async def waits_for_ever():
        await asyncio.Event().wait()

    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(waits_for_ever, name="patience")
        with pytest.raises(
            Deadlock, match=r"a: patience waits in waits_for_ever .*test_simulation\.py:\d+\), in asyncio's wait"
        ) as caught:
            simulation.run_until_complete(task)
        assert "can never end" in str(caught.value)
        with pytest.raises(Deadlock, match="patience"):
            simulation.run()


def test_a_run_in_which_all_ended_is_no_deadlock():
    with Simulation(1) as simulation:
        simulation.add_node("a").start(sleeper, 1.0)
        simulation.run()
        assert simulation.now == 1.0


def test_livelock_names_what_spins(monkeypatch):
    monkeypatch.setattr("sim.kernel.loop.run.FREE_TURNS", 100)

    async def spins():
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    with Simulation(1) as simulation:
        simulation.add_node("a").start(spins)
        with pytest.raises(Livelock, match=r"a has run \d+ turns in 36\d\d s and never waited.*spins"):
            simulation.run(until=7200.0)
        simulation.nodes["a"].crash()


def test_a_simulation_inside_another_is_refused():
    async def inner():
        sim.run(sleeper(1.0))

    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(inner)
        with pytest.raises(SimulationError, match="inside"):
            simulation.run_until_complete(task)


def test_several_simulations_may_exist_side_by_side():
    with Simulation(1) as one, Simulation(2) as other:
        first = one.add_node("a").start(sleeper, 5.0, 1)
        second = other.add_node("a").start(sleeper, 7.0, 2)
        assert one.run_until_complete(first) == 1
        assert other.run_until_complete(second) == 2
        assert (one.now, other.now) == (5.0, 7.0)


def test_simpy_processes_run_beside_the_nodes():
    seen = []

    def process(environment):
        yield environment.timeout(2.0)
        seen.append(environment.now)

    with Simulation(1) as simulation:
        simulation.environment.process(process(simulation.environment))
        simulation.add_node("a").start(sleeper, 3.0)
        simulation.run()
    assert seen == [2.0]


def test_what_never_happens_keeps_no_run_from_its_end():
    with Simulation(1) as simulation:
        never = simulation.environment.timeout(float("inf"))
        simulation.add_node("a").start(sleeper, 3.0)
        simulation.run(until=5.0)
        assert (simulation.now, never.processed) == (5.0, False)


def test_a_failing_simpy_process_fails_the_run():
    def process(environment):
        yield environment.timeout(2.0)
        raise KeyError("mine")

    with Simulation(1) as simulation:
        simulation.environment.process(process(simulation.environment))
        with pytest.raises(KeyError, match="mine"):
            simulation.run()


def test_simpy_can_step_our_events_itself():
    with Simulation(1) as simulation:
        simulation.add_node("a")
        task = simulation.nodes["a"].start(sleeper, 3.0, "done")
        simulation.environment.run(until=4.0)
        assert isinstance(simulation.environment, simpy.Environment)
        assert task.result() == "done"


def test_the_trace_is_written_while_events_are_processed_whoever_drives(tmp_path):
    """Memory does not grow with the length of a run."""

    async def chatter():
        _, writer = await asyncio.open_connection("a", 7)
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.01)

    async def take(reader, writer):
        while await reader.read(100):
            pass
        writer.close()

    async def serve():
        async with await asyncio.start_server(take, "a", 7) as server:
            await server.serve_forever()

    path = tmp_path / "trace"
    with Simulation(1, trace=path) as simulation:
        simulation.add_node("a").start(serve)
        b = simulation.add_node("b")
        b.start(chatter, delay=0.1)
        simulation.run(until=10)
        by_itself = path.stat().st_size
        assert by_itself > 20_000
        simulation.environment.run(until=20)
        assert path.stat().st_size > by_itself + 20_000
        b.crash()


def test_a_condition_of_a_run_may_look_ahead():
    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(sleeper, 3.0)
        simulation.nodes["a"].start(sleeper, 0.5)
        peek = simulation.schedule.peek
        assert simulation.drive(lambda: peek() > 2.5)
        assert simulation.now == 0.5
        assert not simulation.drive(lambda: peek() < 0, until=2.0)
        assert simulation.now == 2.0
        assert simulation.drive(lambda: peek() < 0 or task.done())
        assert simulation.now == 3.0


def test_a_step_is_an_event_though_the_next_one_is_far():
    async def tick():
        for _ in range(5):
            await asyncio.sleep(1.0)
            ticks.append(simulation.now)

    ticks = []
    with Simulation(1) as simulation:
        simulation.add_node("a").start(tick)
        simulation.run(until=0)
        for number in range(1, 6):
            assert simulation.step()
            assert ticks == [float(each) for each in range(1, number + 1)]
        assert not simulation.step()


def test_step_processes_one_event():
    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(sleeper, 3.0)
        steps = 0
        while simulation.step():
            steps += 1
        assert task.done()
        assert 2 <= steps <= 20


def test_two_nodes_of_one_name_are_refused():
    with Simulation(1) as simulation:
        simulation.add_node("a")
        with pytest.raises(ValueError, match="a node 'a' already"):
            simulation.add_node("a")


def test_something_that_is_no_coroutine_is_refused():
    with Simulation(1) as simulation, pytest.raises(TypeError, match="async def"):
        simulation.add_node("a").start(7)


def test_a_closed_simulation_does_not_run():
    simulation = Simulation(1)
    simulation.close()
    with pytest.raises(SimulationError, match="closed"):
        simulation.run(until=1.0)


def test_run_inside_a_running_loop_uses_a_thread_of_its_own():
    """As from a cell of a notebook."""

    async def cell():
        here = threading.get_ident()

        async def main():
            await asyncio.sleep(1000)
            return threading.get_ident() != here

        assert sim.run(main()) is True
        with Simulation(1) as simulation:
            task = simulation.add_node("a").start(sleeper, 50.0, "x")
            simulation.run(until=20.0)
            return simulation.run_until_complete(task)

    assert asyncio.run(cell()) == "x"


def test_run_is_the_twin_of_asyncio_run():
    async def main():
        background = asyncio.create_task(sleeper(1000))
        await asyncio.sleep(1)
        return background

    background = sim.run(main())
    assert background.cancelled()


def test_new_event_loop_serves_asyncio_runner():
    with asyncio.Runner(loop_factory=sim.new_event_loop) as runner:
        assert runner.run(sleeper(10_000.0, 5)) == 5
        assert runner.get_loop().time() == 10_000.0


def test_what_outlives_its_main_is_reported_as_a_leak():
    async def careless():
        asyncio.create_task(sleeper(1e9), name="forgotten")  # noqa: RUF006
        asyncio.get_running_loop().call_later(1e9, print)
        await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
        await asyncio.start_server(lambda r, w: None, "127.0.0.1", 80)

    simulation = Simulation(1)
    simulation.run_until_complete(simulation.add_node("a").start(careless))
    simulation.close()
    found = {(leak.kind, leak.what): leak.where for leak in simulation.leaks}
    assert set(found) == {
        ("task", "forgotten"),
        ("transport", "DatagramProtocol 127.0.0.1"),
        ("transport", "server at ('127.0.0.1', 80)"),
        ("timer", "print"),
    }
    assert re.fullmatch(r"made in careless \([\w.]*test_simulation:\d+\)", found["task", "forgotten"])
    assert re.fullmatch(
        r"made in careless \([\w.]*test_simulation:\d+\)", found["transport", "server at ('127.0.0.1', 80)"]
    )


def test_a_timer_that_is_left_says_which_function_it_runs():
    def later(_):
        pass

    class Keeper:
        def remind(self):
            pass

    async def careless():
        for callback in (later, functools.partial(functools.partial(later), 1), Keeper().remind):
            asyncio.get_running_loop().call_later(1e9, callback)

    simulation = Simulation(1)
    simulation.run_until_complete(simulation.add_node("a").start(careless))
    simulation.close()
    lines = {function.__name__: function.__code__.co_firstlineno for function in (later, Keeper.remind)}
    runs = [leak.where.partition("test_simulation:")[2] for leak in simulation.leaks]
    assert sorted(runs) == sorted(map(str, [lines["later"], lines["later"], lines["remind"]]))


def test_a_tidy_program_leaks_nothing():
    async def tidy():
        server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    simulation = Simulation(1)
    simulation.run_until_complete(simulation.add_node("a").start(tidy))
    simulation.close()
    assert simulation.leaks == []


def test_a_leaked_handler_of_a_server_is_named_by_what_it_runs():
    async def forgetful(reader, writer):
        await asyncio.sleep(1e9)

    async def main():
        server = await asyncio.start_server(forgetful, "127.0.0.1", 80)
        _, writer = await asyncio.open_connection("127.0.0.1", 80)
        await asyncio.sleep(1)
        writer.close()
        server.close()

    simulation = Simulation(1)
    simulation.run_until_complete(simulation.add_node("a").start(main))
    simulation.close()
    (place,) = (leak.where for leak in simulation.leaks if leak.kind == "task")
    assert re.fullmatch(r"runs .*forgetful \([\w.]*test_simulation:\d+\)", place)
