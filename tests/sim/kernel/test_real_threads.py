"""Threads of the real world that have to do with a node: the run ends, and says whose they are and what to do."""

import asyncio
import queue
import threading

import pytest

import sim
from sim import Deadlock, RealThread, Simulation


@pytest.fixture
def ask():
    """Has a thread that was begun off the nodes call a function."""
    questions, told = queue.Queue(), []

    def work():
        while (question := questions.get()) is not None:
            try:
                question()
            except Exception as error:
                told.append(error)

    thread = threading.Thread(target=work, name="a-real-one")
    thread.start()
    yield lambda question: questions.put(question) or told
    questions.put(None)
    thread.join()


async def goes_on():
    for _ in range(10**7):
        await asyncio.sleep(1e-4)


def test_a_real_thread_that_answers_ends_the_run(ask):
    """It was told to be another node, in the midst of whose turn it happened to come."""
    with Simulation(1) as simulation:
        told = []

        async def main():
            loop = asyncio.get_running_loop()
            answered = loop.create_future()
            told.append(ask(lambda: loop.call_soon_threadsafe(answered.set_result, 42)))
            await answered

        simulation.add_node("b").start(goes_on)
        task = simulation.add_node("a").start(main)
        with pytest.raises(RealThread) as caught:
            simulation.run_until_complete(task)
    for said in (str(caught.value), str(told[0][0])):
        assert "a thread of the real world, 'a-real-one' of tests (" in said
        assert "calls call_soon_threadsafe on the simulated node a" in said
        assert "asyncio.to_thread" in said
        assert "two machines" not in said


def test_a_real_thread_that_wakes_one_of_a_node_ends_the_run(ask):
    with Simulation(1) as simulation:

        async def main():
            event = threading.Event()
            waiting = asyncio.ensure_future(asyncio.to_thread(event.wait))
            await asyncio.sleep(0.01)
            ask(event.set)
            await waiting

        simulation.add_node("b").start(goes_on)
        task = simulation.add_node("a").start(main)
        with pytest.raises(RealThread, match=r"'a-real-one' of tests .*, wakes a thread on the simulated node a"):
            simulation.run_until_complete(task)


def test_a_run_goes_on_after_a_real_thread_was_refused(ask):
    with Simulation(1) as simulation:

        async def main():
            loop = asyncio.get_running_loop()
            ask(lambda: loop.call_soon_threadsafe(print))
            await asyncio.sleep(1000)

        simulation.add_node("b").start(goes_on)
        task = simulation.add_node("a").start(main)
        with pytest.raises(RealThread):
            simulation.run_until_complete(task)
        simulation.nodes["b"].kill()
        simulation.run_until_complete(task)
        assert simulation.now == 1000


def test_a_loop_that_a_thread_of_the_real_world_drives_is_refused_to_others():
    """As libraries do that offer blocking calls over asyncio: their loop, with nothing to do, is in virtual time."""
    loop, ended = sim.new_event_loop(), []

    def drive():
        try:
            loop.run_forever()
        except Deadlock as error:
            ended.append(error)

    thread = threading.Thread(target=drive)
    thread.start()
    thread.join()
    coroutine = asyncio.sleep(0)
    with pytest.raises(RealThread, match="Begin it in code that runs on the node"):
        asyncio.run_coroutine_threadsafe(coroutine, loop)
    coroutine.close()
    assert ended
    loop.close()
