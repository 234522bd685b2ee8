"""A run that is stopped, looked at, and run on; interrupted by hand; from a notebook's cell."""

import asyncio
import signal
import threading
import warnings

import pytest

import sim
from sim import Livelock, Simulation, WallLimitExceeded
from sim.kernel.interrupt import noticed
from sim.kernel.running import outside


async def ticks(seen):
    while True:
        await asyncio.sleep(0.001)
        seen.append(asyncio.get_running_loop().time())


def test_a_cell_of_a_notebook_runs_a_while_looks_at_the_tasks_and_runs_on():
    async def cell():
        seen = []
        with Simulation(1) as simulation:
            simulation.add_node("a").start(ticks, seen, name="ticker")
            simulation.run(until=1.0)
            [(node, task, place)] = simulation.tasks()
            assert (node, task.get_name()) == ("a", "ticker")
            assert "ticks" in place and "sleep" in place
            before = len(seen)
            simulation.run(until=2.0)
            assert before == pytest.approx(1000, abs=1)
            assert len(seen) == pytest.approx(2000, abs=2)

    asyncio.run(cell())


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_stops_a_run_between_two_events_and_it_can_go_on():
    seen, wanted = [], signal.getsignal(signal.SIGINT)

    def interrupt(_):
        signal.raise_signal(signal.SIGINT)

    with Simulation(1) as simulation:
        simulation.add_node("a").start(ticks, seen)
        simulation.schedule.after(5.0, interrupt, None)
        with pytest.raises(KeyboardInterrupt):
            simulation.run(until=1e9)
        stopped = simulation.now
        assert 5.0 <= stopped < 100
        assert signal.getsignal(signal.SIGINT) is wanted
        simulation.run(until=stopped + 1.0)
        assert seen == [pytest.approx(0.001 * (index + 1)) for index in range(len(seen))]
        assert seen[-1] == pytest.approx(stopped + 1.0, abs=0.002)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_as_a_run_ends_leaves_the_simulation_in_order(monkeypatch):
    """It arrives as soon as the handler that was there before is back."""
    real = signal.signal

    def interrupted(number, handler):
        before = real(number, handler)
        if handler is signal.default_int_handler:
            signal.raise_signal(signal.SIGINT)
        return before

    with Simulation(1) as simulation:
        simulation.add_node("a").start(ticks, [])
        with monkeypatch.context() as patch:
            patch.setattr("signal.signal", interrupted)
            with pytest.raises(KeyboardInterrupt):
                simulation.run(until=1.0)
        simulation.run(until=2.0)
        assert simulation.now == 2.0


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_the_dead_are_buried_is_not_lost():
    async def dies():
        try:
            await asyncio.sleep(10)
        finally:
            signal.raise_signal(signal.SIGINT)

    simulation = Simulation(1)
    node = simulation.add_node("a")
    node.start(dies)
    simulation.run(until=1.0)
    node.crash()
    with pytest.raises(KeyboardInterrupt):
        simulation.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_that_python_drops_is_noticed():
    class Finalised:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with noticed() as check:
        check()
        Finalised()
        with pytest.raises(KeyboardInterrupt):
            check()


def test_an_interrupt_in_a_notebook_stops_the_run_and_it_can_go_on(monkeypatch):
    running = threading.Event()

    class Interrupted(threading.Event):
        """The first time somebody waits for it, Ctrl-C is pressed."""

        pressed = False

        def wait(self, timeout=None):
            if not self.pressed:
                assert running.wait(30)
                self.pressed = True
                raise KeyboardInterrupt
            return super().wait(timeout)

    async def says_so(seen):
        running.set()
        await ticks(seen)

    async def cell():
        seen = []
        with Simulation(1) as simulation:
            simulation.add_node("a").start(says_so, seen)
            monkeypatch.setattr("sim.kernel.own_thread.Event", Interrupted)
            with pytest.raises(KeyboardInterrupt):
                simulation.run(until=1e9)
            monkeypatch.undo()
            stopped = simulation.now
            simulation.run(until=stopped + 1.0)
            assert simulation.now == stopped + 1.0
            assert len(seen) > 900

    asyncio.run(cell())


def test_events_without_end_at_one_time_are_named(monkeypatch):
    monkeypatch.setattr("sim.kernel.simulation.MAX_EVENTS_AT_ONE_TIME", 20_000)

    def again(_):
        simulation.schedule.after(0.0, again, None)

    with Simulation(1) as simulation:
        simulation.schedule.after(1.0, again, None)
        with pytest.raises(Livelock, match=r"20000 events at 1 s without time advancing; the last was .*again"):
            simulation.run(until=2.0)
        simulation.schedule.queue.clear()


@pytest.mark.parametrize("debug", [False, True])
def test_a_coroutine_that_is_never_awaited_is_a_leak(debug):
    async def careless():
        asyncio.sleep(5)
        await asyncio.sleep(0)

    simulation = Simulation(1)
    node = simulation.add_node("a")
    node.loop.set_debug(debug)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        simulation.run_until_complete(node.start(careless))
    simulation.close()
    assert [str(one.message) for one in told] == ["coroutine 'sleep' was never awaited"]
    [leak] = simulation.leaks
    assert (leak.kind, leak.what) == ("coroutine", "sleep was never awaited")
    assert leak.where.startswith("let go in careless (") and "test_interrupt" in leak.where
    assert [event.fields["kind"] for event in simulation.trace if event.name == "leak"] == ["coroutine"]


def test_a_coroutine_that_the_executor_never_awaits_is_a_leak():
    def careless():
        asyncio.sleep(5)

    async def main():
        await asyncio.to_thread(careless)

    simulation = Simulation(1)
    with pytest.warns(RuntimeWarning, match="'sleep' was never awaited"):
        simulation.run_until_complete(simulation.add_node("a").start(main))
    simulation.close()
    [leak] = simulation.leaks
    assert (leak.node, leak.kind, leak.what) == ("a", "coroutine", "sleep was never awaited")
    assert leak.where.startswith("let go in careless (")


def press(seconds=0.0):
    """Ctrl-C from a thread of the real world, once the run is under way."""
    with outside():
        threading.Timer(seconds, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()


async def spin():
    press()
    while True:
        pass


async def calls_c():
    press()
    while True:
        sum(range(100_000))


async def swallows_errors():
    press()
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


async def waits_for_ever():
    press()
    await ticks([])


@pytest.fixture
def at_once(monkeypatch):
    """Nobody waits for a spinning program to end by itself."""
    monkeypatch.setattr("sim.kernel.interrupt.GRACE", 0.05)


@pytest.mark.usefixtures("interruptible", "at_once")
@pytest.mark.parametrize("program", [spin, calls_c, swallows_errors])
def test_one_interrupt_ends_a_program_that_spins_and_names_its_line(program):
    threads = threading.active_count()
    with Simulation(1) as simulation:
        simulation.add_node("a").start(program, name="main")
        with pytest.raises(
            KeyboardInterrupt, match=rf"at 0 s, a was in {program.__name__} \(.*:\d+\), task main$"
        ) as told:
            simulation.run()
        assert told.traceback[-1].name == program.__name__
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert threading.active_count() <= threads


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_between_two_events_tells_the_tasks():
    with Simulation(1) as simulation:
        simulation.add_node("a").start(waits_for_ever, name="main")
        with pytest.raises(
            KeyboardInterrupt, match=r"between two events; the last was of a\n(.*\n)*  a: main waits in ticks"
        ):
            simulation.run()


@pytest.mark.usefixtures("interruptible", "at_once")
def test_one_interrupt_ends_the_twin_of_asyncio_run_that_spins():
    with pytest.raises(KeyboardInterrupt, match="main was in spin "):
        sim.run(spin(), seed=1)


@pytest.mark.usefixtures("interruptible", "at_once")
def test_an_interrupt_ends_a_spinning_simpy_process_of_the_simulation():
    def process(environment):
        yield environment.timeout(1.0)
        press()
        while True:
            pass

    with Simulation(1) as simulation:
        simulation.environment.process(process(simulation.environment))
        with pytest.raises(KeyboardInterrupt, match="at 1 s, "):  # SimPy keeps what a process raises for who waits
            simulation.run()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("program", [spin, swallows_errors, ticks])
def test_a_wall_limit_ends_a_run_with_its_tasks(program, in_thread, monkeypatch):
    monkeypatch.setattr(f"{__name__}.press", lambda: None)

    def work():
        simulation = Simulation(1, wall_limit=0.1)
        simulation.add_node("a").start(program, *([[]] if program is ticks else []), name="main")
        simulation.add_node("b").start(ticks, [], name="other")
        with pytest.raises(WallLimitExceeded) as told:
            simulation.run()
        simulation.close()
        found.append(told)

    found = []
    if in_thread:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    else:
        work()
    [told] = found
    text = str(told.value)
    assert text.startswith("it has run for 0.1 s of real time and may run no longer; at ")
    assert "\n  b: other waits in ticks (" in text
    if program is not ticks:
        assert f"a was in {program.__name__} (" in text
        assert told.traceback[-1].name == program.__name__


def test_a_wall_limit_counts_all_runs_of_a_simulation_and_is_not_met_by_a_short_one():
    with Simulation(1, wall_limit=1e12) as simulation:
        simulation.add_node("a").start(ticks, [])
        simulation.run(until=1.0)
        simulation.run(until=2.0)
        simulation.limits.wall_limit = 1e-9
        with pytest.raises(WallLimitExceeded):
            simulation.run()


@pytest.mark.parametrize("wrong", [0, -1, "5s"])
def test_a_wall_limit_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="wall_limit is real seconds above 0, not"):
        Simulation(1, wall_limit=wrong)
