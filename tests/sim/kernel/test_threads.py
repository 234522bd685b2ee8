"""Threads of a node: the same in every run, ended with their node or simulation, and what cannot be is said."""

import asyncio
import concurrent.futures
import gc
import os
import queue
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

import sim
from sim import Deadlock, NotSimulated, Simulation, SimulationError
from sim.kernel import executor, threads
from sim.kernel.threads import REAL, WaitingLock, WaitingRLock

made_elsewhere = ThreadPoolExecutor(2, thread_name_prefix="elsewhere")


class Guarded:
    """Locks that were made when this module was imported, before there was a simulation."""

    of_all = threading.RLock()

    def __init__(self):
        self.lock = threading.Lock()


guarded, lock_of_module = Guarded(), threading.Lock()


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.enumerate()
    yield
    assert [thread for thread in threading.enumerate() if thread not in before] == []


@pytest.fixture
def simulation():
    with Simulation(1) as simulation:
        yield simulation


async def busy(node):
    """A loop, a pool, threads of its own, a lock, random numbers and time."""
    lock, numbers = threading.Lock(), queue.Queue()

    def work(name):
        for _ in range(3):
            time.sleep(random.random())
            with lock:
                node.record("has_it", name=name, at=time.monotonic())
                time.sleep(random.random())
            numbers.put(name)

    begun = [threading.Thread(target=work, args=(name,)) for name in ("x", "y")]
    for thread in begun:
        thread.start()
    await asyncio.gather(asyncio.to_thread(work, "z"), *(asyncio.sleep(random.random()) for _ in range(3)))
    with ThreadPoolExecutor(2) as pool:
        found = [await asyncio.get_running_loop().run_in_executor(pool, numbers.get) for _ in range(9)]
    node.record("found", names=found)


def digest_of(seed, interleaving="fifo"):
    with Simulation(seed, interleaving=interleaving) as simulation:
        node = simulation.add_node("a")
        simulation.run_until_complete(node.start(busy, node))
        return simulation.digest()


@pytest.mark.parametrize("interleaving", ["fifo", "random"])
def test_threads_are_the_same_in_every_run(interleaving):
    assert len({digest_of(1, interleaving) for _ in range(5)}) == 1
    assert digest_of(1, interleaving) != digest_of(2, interleaving)


def test_a_thread_that_waits_for_ever_is_what_a_deadlock_ends_with():
    def take():
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()

    async def in_a_thread():
        await asyncio.to_thread(take)

    async def beside():
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, take)
        await loop.shutdown_default_executor()

    async def on_the_loop():
        take()

    for main in (in_a_thread, beside, on_the_loop):
        with (
            pytest.raises(Deadlock, match=rf"take \({re.escape(__file__)}:\d+\)$") as raised,
            Simulation(1) as simulation,
        ):
            simulation.run_until_complete(simulation.add_node("n").start(main))
        assert "executor.py" not in str(raised.value)


def test_a_thread_that_is_left_is_a_leak_and_a_daemon_is_none():
    def forever():
        time.sleep(1e9)

    def short():
        time.sleep(1)

    async def careless():
        pool = concurrent.futures.ThreadPoolExecutor()
        await asyncio.wrap_future(pool.submit(short))  # its worker is idle from then on
        threading.Thread(target=forever, name="forgotten").start()
        threading.Thread(target=forever).start()
        threading.Thread(target=short, name="ends soon").start()
        threading.Thread(target=forever, name="daemon", daemon=True).start()

    simulation = Simulation(1)
    simulation.run_until_complete(simulation.add_node("a").start(careless))
    simulation.close()
    assert [(leak.kind, leak.what) for leak in simulation.leaks] == [
        ("thread", "forgotten"),
        ("thread", "Thread (forever)"),
    ]
    assert all(re.fullmatch(r"is in forever \([\w.]*test_threads:\d+\)", leak.where) for leak in simulation.leaks)


def test_a_lock_around_a_real_one_has_the_same_methods():
    for real, made in ((REAL.Lock(), WaitingLock), (threading._RLock(), WaitingRLock)):
        for name in ("locked", "acquire_lock", "release_lock", "locked_lock", "_at_fork_reinit", "_is_owned"):
            assert hasattr(made.around(real), name) == hasattr(real, name), name


def test_a_sleeping_function_takes_virtual_time_beside_the_loop(simulation):
    async def main():
        began = time.monotonic()
        await asyncio.gather(asyncio.to_thread(time.sleep, 3600), asyncio.sleep(60), asyncio.to_thread(time.sleep, 9))
        return time.monotonic() - began

    assert simulation.run_until_complete(simulation.add_node("a").start(main)) == 3600


def test_a_thread_has_the_clocks_and_names_of_its_node(simulation):
    def look():
        return time.time(), random.random(), os.getpid(), sim.kernel.running.running().name

    async def main():
        return await asyncio.to_thread(look)

    for name in ("a", "b"):
        node = simulation.add_node(name)
        node.clock.offset = 5.0
        drawn = random.Random(f"1/node/{name}").random()
        assert simulation.run_until_complete(node.start(main)) == (node.wall_clock(), drawn, node.process_id, name)


@pytest.mark.parametrize("end", ["kill", "crash"])
def test_threads_of_a_dead_node_do_nothing_more(simulation, end):
    node, done = simulation.add_node("a"), []

    def work():
        try:
            while True:
                time.sleep(1)
                done.append(simulation.now)
                node.record("works")
        finally:
            node.record("its last word")

    async def main():
        threading.Thread(target=work).start()
        await asyncio.to_thread(work)

    node.start(main)
    simulation.run(until=2.5)
    getattr(node, end)()
    simulation.run(until=10)
    simulation.close()
    assert done == [1, 1, 2, 2]
    assert sum(event.name == "works" for event in simulation.trace) == 4
    assert not any(event.name == "its last word" for event in simulation.trace)


def test_a_restarted_node_has_threads_of_its_new_process(simulation):
    node = simulation.add_node("a")

    async def main():
        node.record("answered", by=await asyncio.to_thread(lambda: (time.sleep(1), threading.active_count() > 1)[1]))

    node.start(main)
    simulation.run(until=0.5)
    node.restart()
    simulation.run(until=5)
    assert [(event.time, event.fields) for event in simulation.trace if event.name == "answered"] == [
        (1.5, {"by": True})
    ]


def test_threads_stand_still_while_their_node_is_paused(simulation):
    node, woke = simulation.add_node("a"), []

    async def main():
        await asyncio.to_thread(lambda: (time.sleep(1), woke.append(simulation.now)))

    node.start(main)
    simulation.run(until=0.5)
    node.pause(5)
    simulation.run(until=20)
    assert woke == [5.5]


def test_threads_that_wait_for_ever_end_with_the_simulation(capfd):
    stubborn = []

    def cling():
        while len(stubborn) < 5:
            try:
                threading.Event().wait()
            except BaseException:
                stubborn.append(1)

    async def main():
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(3)
        for wait in (threading.Event().wait, queue.Queue().get, queue.SimpleQueue().get, cling):
            threading.Thread(target=wait).start()
            pool.submit(wait)
            loop.run_in_executor(None, wait)
        threading.Timer(100, print).start()
        await asyncio.sleep(1)

    with Simulation(1) as simulation:
        simulation.run_until_complete(simulation.add_node("a").start(main))
        assert len(threading.enumerate()) > 8
    assert capfd.readouterr().err == ""


def test_a_loop_that_is_closed_ends_its_threads():
    async def main():
        threading.Thread(target=threading.Event().wait).start()
        return await asyncio.to_thread(threading.active_count)

    with asyncio.Runner(loop_factory=sim.new_event_loop) as runner:
        assert runner.run(main()) >= 3


def test_a_process_ends_whose_simulation_was_never_closed():
    program = (
        "import sim, threading\n"
        "async def main(): threading.Thread(target=threading.Event().wait).start()\n"
        "simulation = sim.Simulation()\n"
        "simulation.run_until_complete(simulation.add_node('a').start(main))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_loop_that_waits_for_itself_is_told(simulation):
    async def main():
        return asyncio.run_coroutine_threadsafe(asyncio.sleep(1), asyncio.get_running_loop()).result()

    with pytest.raises(Deadlock, match=r"event loop of a stands still for ever: .*asyncio\.wrap_future"):
        simulation.run_until_complete(simulation.add_node("a").start(main))


def test_what_a_thread_raises_is_an_event_of_its_node(simulation, monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    async def main():
        threading.Thread(target=lambda: 1 / 0).start()
        await asyncio.sleep(1)

    simulation.run_until_complete(simulation.add_node("a").start(main))
    assert [type(each.exc_value) for each in told] == [ZeroDivisionError]
    (event,) = [event for event in simulation.trace if event.name == "unhandled"]
    assert event.fields["error"] == "ZeroDivisionError: division by zero"


def loop_of_its_own():
    coroutine = asyncio.sleep(1)
    try:
        asyncio.run(coroutine)
    finally:
        coroutine.close()


def test_a_loop_in_a_thread_ends_the_run_and_is_named(simulation):
    """As uvicorn.Server.run in a thread: nobody reads what the thread prints, and the rest waits for the server."""
    started = threading.Event()

    async def main():
        threading.Thread(target=loop_of_its_own, name="server").start()
        for _ in range(100_000):
            await asyncio.sleep(0.01)
            assert not started.is_set()

    task = simulation.add_node("a").start(main)
    with pytest.raises(SimulationError) as caught:
        simulation.run_until_complete(task)
    said = str(caught.value)
    assert said.startswith("asyncio.run() cannot be called")
    assert "'server' of tests (" in said
    assert "run_coroutine_threadsafe" in said
    assert simulation.now == 0
    task.cancel()


def test_a_simulation_in_a_thread_of_a_node_is_refused(simulation):
    async def nothing():
        pass

    async def main():
        with pytest.raises(SimulationError, match="inside a node"):
            await asyncio.to_thread(sim.run, nothing())
        with pytest.raises(SimulationError, match="inside a node"):
            await asyncio.to_thread(Simulation(2).run)

    simulation.run_until_complete(simulation.add_node("a").start(main))


def test_a_blocking_client_in_a_thread_asks_another_machine(simulation):
    simulation.network.default_link(latency="10ms")

    async def answer(reader, writer):
        writer.write((await reader.read(100)).upper())
        writer.close()

    async def serve():
        await asyncio.start_server(answer, port=80)
        await asyncio.sleep(10)

    def ask():
        with socket.create_connection(("server", 80), timeout=5) as one:
            one.sendall(b"question")
            return one.recv(100), one.recv(100)

    async def main():
        return await asyncio.to_thread(ask), round(time.monotonic(), 3)

    simulation.add_node("server").start(serve)
    assert simulation.run_until_complete(simulation.add_node("a").start(main)) == ((b"QUESTION", b""), 0.04)


def test_a_blocking_client_in_a_thread_gives_up(simulation):
    def ask(timeout):
        with pytest.raises(TimeoutError):
            socket.create_connection(("server", 80), timeout=timeout)
        return time.monotonic()

    async def main():
        return await asyncio.to_thread(ask, 5), await asyncio.to_thread(ask, None)

    simulation.add_node("server")
    node = simulation.add_node("a")
    simulation.network.partition(["a"], ["server"])
    assert simulation.run_until_complete(node.start(main)) == (5, 132)  # Linux: 127 s of SYNs


def test_threads_that_wait_for_a_socket_end_with_their_process(simulation):
    began = threading.Event()

    def wait():
        with socket.create_server(("127.0.0.1", 80)) as server:
            began.set()
            server.accept()

    async def main():
        thread = threading.Thread(target=wait)
        thread.start()
        await asyncio.sleep(1)
        return thread

    node = simulation.add_node("a")
    thread = simulation.run_until_complete(node.start(main))
    assert began.is_set()
    assert thread.is_alive()
    assert node.crash()
    simulation.close()
    assert not thread.is_alive()


def test_a_pool_that_was_made_elsewhere_works_on_each_node(simulation):
    async def main():
        loop, began = asyncio.get_running_loop(), time.monotonic()
        await asyncio.gather(*(loop.run_in_executor(made_elsewhere, time.sleep, 1) for _ in range(4)))
        name = made_elsewhere.submit(lambda: threading.current_thread().name).result()
        return time.monotonic() - began, name.partition("_")[0]

    for name in ("a", "b"):
        assert simulation.run_until_complete(simulation.add_node(name).start(main)) == (2, "elsewhere")
    assert made_elsewhere._threads == set()


def test_a_pool_of_processes_is_one_of_threads(simulation):
    async def main():
        with ProcessPoolExecutor(1) as pool:
            eight = await asyncio.get_running_loop().run_in_executor(pool, pow, 2, 3)
            nine = pool.submit(pow, 3, 2).result()
        with pytest.raises(RuntimeError, match="shutdown"):
            pool.submit(pow, 2, 3)
        return eight, nine

    assert simulation.run_until_complete(simulation.add_node("a").start(main)) == (8, 9)


def test_the_default_executor_has_a_limit(simulation):
    async def main():
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 1) for _ in range(executor.MAX_WORKERS + 1)))
        return time.monotonic()

    assert simulation.run_until_complete(simulation.add_node("a").start(main)) == 2


def test_thousands_of_queued_functions_run_one_after_the_other(simulation):
    """They were called within each other, until Python's stack was full."""

    async def main():
        sleeping = [asyncio.to_thread(time.sleep, 1) for _ in range(executor.MAX_WORKERS)]
        queued = [asyncio.to_thread(int, number) for number in range(3000)]
        return (await asyncio.gather(*sleeping, *queued))[executor.MAX_WORKERS :]

    assert simulation.run_until_complete(simulation.add_node("a").start(main)) == list(range(3000))


def test_queued_functions_run_behind_one_that_raises_stop_iteration(simulation):
    ran, told = [], []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(type(context["exception"])))
        sleeping = [loop.run_in_executor(None, time.sleep, 1) for _ in range(executor.MAX_WORKERS)]
        stopped = loop.run_in_executor(None, next, iter(()))
        queued = [loop.run_in_executor(None, ran.append, number) for number in range(3)]
        await asyncio.wait([*sleeping, *queued])
        await asyncio.sleep(0)
        return type(stopped.exception()) if stopped.done() else told

    found = simulation.run_until_complete(simulation.add_node("a").start(main))
    assert ran == [0, 1, 2]

    async def asyncios():
        future = asyncio.get_running_loop().create_future()
        try:
            future.set_exception(StopIteration())
        except TypeError:
            return [TypeError]
        return type(future.exception())

    assert found == asyncio.run(asyncios())  # later ones of 3.12 make another of it


def test_a_deadlock_names_threads_that_wait_but_no_idle_ones(simulation):
    def waits():
        threading.Event().wait()

    async def main():
        await asyncio.to_thread(int)
        threading.Thread(target=waits, name="waiter").start()
        await asyncio.Event().wait()

    with pytest.raises(Deadlock) as caught:
        simulation.run_until_complete(simulation.add_node("a").start(main))
    named = [line for line in str(caught.value).splitlines() if ": thread " in line]
    assert len(named) == 1
    assert named[0].startswith("  a: thread waiter waits in waits (")


def test_a_cancelled_function_that_has_not_begun_never_runs(simulation):
    ran = []

    async def main():
        loop = asyncio.get_running_loop()
        sleeping = [loop.run_in_executor(None, time.sleep, 1) for _ in range(executor.MAX_WORKERS)]
        queued = [loop.run_in_executor(None, ran.append, number) for number in range(3)]
        await asyncio.sleep(0.5)
        queued[1].cancel()
        await asyncio.wait([*sleeping, *queued])
        await loop.shutdown_default_executor()

    simulation.run_until_complete(simulation.add_node("a").start(main))
    assert ran == [0, 2]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="it takes a time-out since 3.12")
def test_the_end_of_the_default_executor_waits_so_long_only(simulation):
    async def main():
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 100)
        with pytest.warns(RuntimeWarning, match="within 5 seconds"):
            await asyncio.get_running_loop().shutdown_default_executor(5)
        return time.monotonic()

    assert simulation.run_until_complete(simulation.add_node("a").start(main)) == 5


def test_a_thread_that_waits_for_the_real_world_is_told(simulation, monkeypatch, caplog):
    monkeypatch.setattr(threads, "STUCK_SECONDS", 0.2)
    real = threads.REAL.Lock()

    def work():
        with real:
            time.sleep(1)

    async def main():
        await asyncio.gather(asyncio.to_thread(work), asyncio.to_thread(work))

    with pytest.raises(NotSimulated, match=r"thread of a stands still in work \(.*test_threads\.py:\d+\)"):
        simulation.run_until_complete(simulation.add_node("a").start(main))
    assert caplog.records == []


def test_a_thread_that_works_long_is_no_stuck_one(simulation, monkeypatch):
    looks = []

    def looked(thread):  # the real clock stands still where the machine is so busy that the thread gets nothing
        looks.append(thread)
        return len(looks)

    monkeypatch.setattr(threads, "STUCK_SECONDS", 0.01)
    monkeypatch.setattr(threads, "processor_seconds", looked)

    def work():
        while len(looks) < 4 * threads.LOOKS:
            pass
        return "done"

    async def main():
        return await asyncio.to_thread(work)

    assert simulation.run_until_complete(simulation.add_node("a").start(main)) == "done"


def test_what_a_thread_has_used_grows_while_it_works():
    me = threading.current_thread()
    before = threads.processor_seconds(me)
    while threads.processor_seconds(me) == before:
        pass


def spins():
    while True:
        pass


def test_a_limit_ends_a_thread_that_spins():
    async def main():
        await asyncio.to_thread(spins)

    with Simulation(1, wall_limit=0.2) as simulation:
        task = simulation.add_node("a").start(main)
        with pytest.raises(sim.WallLimitExceeded, match=r"a was in spins \(.*test_threads\.py"):
            simulation.run_until_complete(task)


def test_an_interrupt_ends_a_thread_that_spins():
    async def main():
        await asyncio.to_thread(spins)

    pressing = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    pressing.start()
    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(main)
        with pytest.raises(KeyboardInterrupt, match=r"a was in spins \(.*test_threads\.py"):
            simulation.run_until_complete(task)
        pressing.join()


def test_an_interrupt_of_sim_run_is_one_where_a_thread_spins():
    async def main():
        await asyncio.to_thread(spins)

    pressing = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    pressing.start()
    with pytest.raises(KeyboardInterrupt, match=r"main was in spins \(.*test_threads\.py"):
        sim.run(main())
    pressing.join()


def test_an_interrupt_of_sim_run_is_one_where_a_thread_never_ends():
    def sleeps():
        while True:
            time.sleep(1)

    async def main():
        await asyncio.to_thread(sleeps)

    pressing = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        sim.run(main())
    pressing.join()


@pytest.mark.filterwarnings("ignore:The executor did not")  # asyncio's own, from Python 3.12 on
def test_sim_run_raises_what_ended_it_rather_than_what_its_end_waited_for():
    async def main():
        waiting = asyncio.ensure_future(asyncio.to_thread(threading.Event().wait))
        await asyncio.sleep(1)
        raise LookupError(f"{waiting.done()}")

    with pytest.raises(LookupError, match="False"):
        sim.run(main())


def test_a_simulation_with_threads_is_collected_with_its_files():
    async def main():
        threading.Thread(target=time.sleep, args=(1,)).start()
        await asyncio.sleep(2)

    simulation = Simulation(1)
    simulation.run_until_complete(simulation.add_node("a").start(main))
    simulation.close()
    gone = weakref.ref(simulation)
    del simulation
    gc.collect()
    assert gone() is None


def test_what_the_library_makes_off_the_nodes_is_real():
    assert type(queue.SimpleQueue()).__module__ == "_queue"
    assert isinstance(queue.SimpleQueue(), queue.SimpleQueue)
    assert type(queue.Queue().mutex).__module__ == type(threading.Event()._cond._lock).__module__ == "_thread"
    assert isinstance(queue.Queue().mutex, threading.Lock if isinstance(threading.Lock, type) else object)
    assert concurrent.futures.ThreadPoolExecutor is ThreadPoolExecutor


def test_locks_made_on_a_node_are_real_ones_elsewhere(simulation):
    async def main():
        return threading.Lock(), queue.SimpleQueue(), threading.Condition()

    lock, several, condition = simulation.run_until_complete(simulation.add_node("a").start(main))
    assert lock.acquire()
    assert not lock.acquire(timeout=0.01)
    threading.Timer(0.01, lock.release).start()
    assert lock.acquire(timeout=5)
    threading.Timer(0.01, several.put, (1,)).start()
    assert several.get(timeout=5) == 1
    with condition:
        assert not condition.wait(0.01)
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()


OFF_THE_NODES = {
    "of a module": lambda: lock_of_module,
    "of a class": lambda: Guarded.of_all,
    "of an object": lambda: guarded.lock,
    "made later": lambda: threading.Lock(),  # noqa: PLW0108 - by this file
    "made later, owned": lambda: threading.RLock(),  # noqa: PLW0108
}


@pytest.mark.parametrize("which", OFF_THE_NODES)
def test_the_loop_waits_for_a_lock_that_was_made_off_the_nodes(simulation, which):
    """Were it real, the thread that holds it while it sleeps would never be resumed."""
    lock = OFF_THE_NODES[which]()
    assert isinstance(lock, threads.WaitingLock | threads.WaitingRLock)  # else this test would hang

    def holds():
        with lock:
            time.sleep(2)

    async def main():
        held = asyncio.create_task(asyncio.to_thread(holds))
        await asyncio.sleep(1)
        with lock:
            waited = time.monotonic()
        await held
        return waited

    assert simulation.run_until_complete(simulation.add_node("a").start(main)) == 2
    with lock:  # off the nodes it goes on to be what it was
        assert not isinstance(threading.Event()._cond._lock, threads.WaitingLock)


def test_a_condition_on_a_lock_that_was_made_off_the_nodes(simulation):
    condition, told = threading.Condition(threading.RLock()), []

    def waits():
        with condition, condition:
            condition.wait()
            told.append(time.monotonic())

    async def main():
        waiting = asyncio.create_task(asyncio.to_thread(waits))
        await asyncio.sleep(3)
        with condition:
            condition.notify()
        await waiting

    simulation.run_until_complete(simulation.add_node("a").start(main))
    assert told == [3]


def test_a_module_has_its_own_locks_back_when_all_is_undone():
    code = (
        "import threading\nlock = threading.Lock()\nreal = id(lock)\nimport sim\nsim.Simulation(1).close()\n"
        "assert id(lock) != real\nfrom sim.kernel import patches\npatches.undo()\nassert id(lock) == real"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_thread_keeps_no_simulation():
    async def main():
        thread = threading.Thread(target=lambda: threading.Event().wait(1))
        thread.start()
        await asyncio.sleep(2)
        return weakref.ref(thread), weakref.ref(asyncio.get_running_loop())

    kept = sim.run(main())
    gc.collect()
    assert [each() for each in kept] == [None, None]
