"""The task of `node.start`, waited for by the code of another node: a test's body, say."""

import asyncio
import gc

import pytest

from sim import Deadlock, Simulation


async def works(seconds, answer):
    await asyncio.sleep(seconds)
    return answer


async def breaks():
    await asyncio.sleep(1)
    raise ValueError("broken")


def on_two_nodes(body, *, debug=False):
    """Run a body on a node, which is given another node; returns what it returns."""
    with Simulation(1) as simulation:
        home, other = simulation.add_node("home"), simulation.add_node("other")
        for node in (home, other):
            node.loop.set_debug(debug)
        return simulation.run_until_complete(home.start(body, other))


@pytest.mark.parametrize("debug", [False, True])
def test_the_task_of_another_node_can_be_awaited(debug):
    async def body(other):
        task = other.start(works, 2, "done")
        answers = [await task, await task]
        with pytest.raises(ValueError, match="broken"):
            await other.start(breaks)
        return answers, asyncio.get_running_loop().time(), task.done()

    assert on_two_nodes(body, debug=debug) == (["done", "done"], 3.0, True)


def test_a_task_that_was_started_before_the_body_can_be_awaited():
    with Simulation(1) as simulation:
        home, other = simulation.add_node("home"), simulation.add_node("other")
        task = other.start(works, 2, "done")

        async def body():
            return await asyncio.gather(task, works(1, "own"))

        assert simulation.run_until_complete(home.start(body)) == ["done", "own"]
        assert task.get_loop() is other.loop


def test_tasks_of_other_nodes_can_be_gathered_and_waited_for_with_own_ones():
    async def body(other):
        third = other.simulation.add_node("third")
        own = asyncio.create_task(works(1, "own"))
        ended = other.start(works, 0, "ended")
        await asyncio.sleep(0.1)
        gathered = await asyncio.gather(other.start(works, 2, "one"), third.start(works, 1, "two"), own, ended)
        first, late = other.start(works, 1, "first"), third.start(works, 5, "late")
        done, waiting = await asyncio.wait([late, first], return_when=asyncio.FIRST_COMPLETED)
        assert (done, waiting) == ({first}, {late})
        answers = [await one for one in asyncio.as_completed([late, third.start(works, 1, "sooner")])]
        return gathered, answers

    assert on_two_nodes(body) == (["one", "two", "own", "ended"], ["sooner", "late"])


def test_a_timeout_cancels_the_task_of_another_node():
    async def body(other):
        task, shielded = other.start(works, 10, None), other.start(works, 3, "shielded")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(shielded), 1)
        assert task.cancelled() and not shielded.done()
        again = other.start(works, 10, None)
        await asyncio.sleep(0.5)
        assert again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again
        return asyncio.get_running_loop().time(), await shielded

    assert on_two_nodes(body) == (2.5, "shielded")


def test_a_callback_for_the_task_of_another_node_can_be_taken_back():
    async def body(other):
        called = []
        task = other.start(works, 1, None)
        task.add_done_callback(called.append)
        task.add_done_callback(lambda _: called.append(asyncio.get_running_loop().node.name))
        assert task.remove_done_callback(called.append) == 1
        await task
        return called

    assert on_two_nodes(body) == ["home"]


def test_each_node_has_tasks_of_its_own_whoever_asks():
    async def body(other):
        task = other.start(works, 1, None)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert asyncio.all_tasks(other.loop) == {task}
        return await task

    on_two_nodes(body)


def test_whoever_waits_for_the_task_of_a_dead_node_is_told_of_it():
    async def body(other):
        task = other.start(works, 1, None)
        other.crash()
        await task

    with pytest.raises(Deadlock, match=r"home: Task-1 waits in body .*, for task Task-1"):
        on_two_nodes(body)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("end", ["crash", "kill"])
def test_who_waits_for_a_task_whose_node_is_gone_can_give_up(debug, end):
    async def body(other):
        loop, waits = asyncio.get_running_loop(), []
        for wait in (under_a_timeout, asyncio.wait_for, gathered_for):
            task = other.start(works, 50, None)
            loop.call_later(1, getattr(other, end))
            with pytest.raises(TimeoutError):
                await wait(task, 5)
            waits.append((loop.time(), task.cancelled()))
            other.restart()
        return waits

    assert on_two_nodes(body, debug=debug) == [(5.0, True), (10.0, True), (15.0, True)]


async def under_a_timeout(task, seconds):
    async with asyncio.timeout(seconds):
        await task


async def gathered_for(task, seconds):
    await asyncio.wait_for(asyncio.gather(task, works(1, "own")), seconds)


def test_a_task_whose_node_is_gone_is_cancelled_and_its_coroutine_does_not_go_on():
    steps = []

    async def tidies():
        try:
            await asyncio.sleep(50)
        finally:
            steps.append("went on")

    with Simulation(1) as simulation:
        home, other = simulation.add_node("home"), simulation.add_node("other")
        task = other.start(tidies)
        simulation.run(until=1)
        other.crash()
        assert task.cancel()
        assert task.cancelled()
        assert not task.cancel()
        simulation.run_until_complete(home.start(works, 100, None))
        assert steps == []


def test_nothing_is_heard_of_the_coroutine_of_a_task_that_was_given_up(recwarn):
    with Simulation(1) as simulation:
        simulation.add_node("home")
        other = simulation.add_node("other")
        task = other.start(works, 1, None)
        other.crash()
        task.cancel()
        del task
    gc.collect()
    assert [str(each.message) for each in recwarn] == []
