"""What a task waits for, as Deadlock tells it."""

import asyncio
import functools
import re
import socket
import threading

import pytest

from sim import Deadlock, Simulation
from sim.kernel.waiting import line


async def on_event():
    await asyncio.Event().wait()


async def on_lock():
    lock = asyncio.Lock()
    async with lock:
        await lock.acquire()


async def on_queue():
    await asyncio.Queue().get()


async def on_full_queue():
    queue = asyncio.Queue(1)
    queue.put_nowait(1)
    await queue.put(2)


async def on_semaphore():
    await asyncio.Semaphore(0).acquire()


async def on_condition():
    condition = asyncio.Condition()
    async with condition:
        await condition.wait()


async def on_join():
    queue = asyncio.Queue()
    queue.put_nowait(1)
    await queue.join()


async def on_barrier():
    await asyncio.Barrier(2).wait()


async def on_socket():
    loop = asyncio.get_running_loop()
    ends = socket.socketpair()
    ends[0].setblocking(False)
    await loop.sock_recv(ends[0], 1)


async def on_future():
    await asyncio.get_running_loop().create_future()


async def on_task():
    await asyncio.create_task(on_event(), name="other")


async def on_gather():
    await asyncio.gather(on_event(), asyncio.create_task(on_event(), name="second"))


async def on_wait():
    await asyncio.wait({asyncio.create_task(on_event(), name="one"), asyncio.create_task(on_event(), name="two")})


async def on_group():
    async with asyncio.TaskGroup() as group:
        for number in range(7):
            group.create_task(on_event(), name=f"member-{number}")


async def numbers():
    yield 1
    await asyncio.Event().wait()


async def on_generator():
    async for _ in numbers():
        pass


async def on_reader():
    held = []  # a connection whose writer nobody holds is closed
    await asyncio.start_server(lambda *ends: held.append(ends), "127.0.0.1", 80)
    reader, _ = await asyncio.open_connection("127.0.0.1", 80)
    await reader.readline()


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (on_event, r"in asyncio's wait, for Event \[unset, waiters:1\] \(wait\)"),
        (on_lock, r"for Lock \[locked, waiters:1\] \(acquire\)"),
        (on_queue, r"for Queue.* \(get\)"),
        (on_full_queue, r"for .*Queue.* \(put\)"),
        (on_semaphore, r"for Semaphore \[locked, waiters:1\] \(acquire\)"),
        (on_condition, r"for Condition \[unlocked, waiters:1\] \(wait\)"),
        (on_join, r"for Queue.* \(join\)$"),
        (on_barrier, r"for Barrier \[filling, waiters:\d/2\] \(wait\)$"),
        (on_socket, r"for <SimulatedSocket \d+ of a, .*> \(sock_recv\)$"),
        (on_future, r"test_waiting\.py:\d+\), for a future that has no result$"),
        (on_task, r"for task other$"),
        (on_gather, r"for tasks second, Task-\d+$"),
        (on_wait, r"for tasks one, two$"),
        (on_group, r"for its task group: tasks member-0, member-1, member-2, member-3, member-4 and 2 more$"),
        (on_reader, r"for StreamReader.* \(wait_for_data\)"),
    ],
)
def test_a_deadlock_says_what_each_task_waits_for(main, words):
    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(main, name="patience")
        with pytest.raises(Deadlock) as caught:
            simulation.run_until_complete(task)
        line = next(line for line in str(caught.value).splitlines() if line.startswith("  a: patience"))
        assert re.search(words, line), line
        assert main.__name__ in line and "0x" not in line


def test_the_line_in_an_asynchronous_generator_is_told():
    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(on_generator, name="patience")
        with pytest.raises(Deadlock, match=r"patience waits in numbers \(.*in asyncio's wait, for Event \[unset"):
            simulation.run_until_complete(task)


def test_a_task_that_sleeps_or_has_a_time_limit_says_so():
    async def sleeps():
        await asyncio.sleep(10)

    async def in_time():
        await asyncio.wait_for(asyncio.Event().wait(), 20)

    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.start(sleeps, name="sleeps")
        node.start(in_time, name="in_time")
        simulation.run(until=1.0)
        found = {task.get_name(): place for _, task, place in simulation.tasks()}
        assert found["sleeps"].endswith("in asyncio's sleep, for its sleep to end at 10 s")
        assert re.search(r"for (task Task-\d+|Event \[unset, waiters:1\] \(wait\))$", found["in_time"])


def test_a_deadlock_names_the_threads_that_a_program_waits_for():
    """And those of the real world, for which virtual time does not wait."""
    leave = threading.Event()

    async def main():
        answered = asyncio.get_running_loop().create_future()
        threading.Thread(target=waits_for_ever, name="a helper").start()
        await answered

    def waits_for_ever():
        threading.Event().wait()

    real = threading.Thread(target=leave.wait, name="real one")
    real.start()

    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(main)
        try:
            with pytest.raises(Deadlock) as caught:
                simulation.run_until_complete(task)
        finally:
            leave.set()
            real.join()
    assert re.search(r"a: thread a helper waits in waits_for_ever \(.*test_waiting\.py:\d+\)", str(caught.value))
    assert re.search(r"threads of the real world, .*: 'real one'", str(caught.value))


class Callable:
    async def __call__(self):
        await asyncio.sleep(1)


async def begins(number):
    await asyncio.sleep(number)


@pytest.mark.parametrize(
    ("main", "args", "delay", "told"),
    [
        (begins, (1,), 0, r"begins \(.*test_waiting\.py:\d+\)$"),
        (begins, (1,), 5, r"begins \(.*test_waiting\.py:\d+\), before its first line"),
        (functools.partial(begins, 1), (), 5, r"begins \(.*test_waiting\.py:\d+\), before its first line"),
        (lambda: begins(1), (), 0, r"<lambda> \(.*test_waiting\.py:\d+\), before its first line$"),
        (Callable(), (), 0, r"__call__ \(.*test_waiting\.py:\d+\), before its first line$"),
        (None, (), 5, r"begins \(.*test_waiting\.py:\d+\), before its first line"),
    ],
)
def test_a_main_that_has_not_begun_is_named(main, args, delay, told):
    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(main or begins(1), *args, delay=delay)
        ((_, _, place),) = simulation.tasks()
        assert re.match(told, place)
        assert re.match(r"\w+|<lambda>", line(task)) and "test_waiting.py:" in line(task)
        if delay:
            simulation.run(until=1)
            ((_, _, place),) = simulation.tasks()
            assert re.match(f"{told}, for its sleep to end at 5 s$", place)


def a_future():
    found = []

    async def waits():
        found.append(asyncio.get_running_loop().create_future())
        await found[0]

    return waits, lambda: found[0].set_result(1)


def of(shared, waits, gives):
    return lambda: waits(shared), lambda: gives(shared)


async def takes(lock):
    async with lock:
        pass


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: of(asyncio.Event(), asyncio.Event.wait, asyncio.Event.set), "Event [set, waiters:1] (wait)"),
        (lambda: of(asyncio.Queue(), asyncio.Queue.get, lambda queue: queue.put_nowait(1)), "Queue (get)"),
        (lambda: of(asyncio.Semaphore(0), takes, lambda lock: lock.release()), "waiters:1] (acquire)"),
        (a_future, "a future"),
    ],
    ids=["event", "queue", "semaphore", "future"],
)
def test_a_deadlock_tells_of_an_object_that_two_nodes_share(make, told):
    waits, gives = make()

    async def giver():
        await asyncio.sleep(1)
        gives()

    with Simulation(1) as simulation:
        simulation.add_node("b").start(giver)
        task = simulation.add_node("a").start(waits)
        with pytest.raises(Deadlock) as caught:
            simulation.run_until_complete(task)
    hint = next(text for text in str(caught.value).splitlines() if "has come by code outside of its node" in text)
    assert f"a: what {task.get_name()} waits for, " in hint and f"{told}, has come" in hint
    assert "Make one on each node" in hint


def test_a_deadlock_of_objects_that_nobody_shares_tells_of_none():
    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(on_event)
        with pytest.raises(Deadlock) as caught:
            simulation.run_until_complete(task)
    assert "outside of its node" not in str(caught.value)
