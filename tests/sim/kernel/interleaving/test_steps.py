"""Steps of tasks are told from plain callbacks on this Python, whichever of asyncio's two tasks it is."""

import asyncio

import pytest

import sim
from sim.kernel.interleaving.steps import task_of


@pytest.mark.parametrize("kind", [asyncio.Task, asyncio.tasks._PyTask], ids=["C", "Python"])
def test_each_step_of_a_task_is_recognised(kind):
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        async def body():
            await asyncio.sleep(0)
            await future

        found = []
        task = kind(body(), loop=loop)
        for _ in range(2):  # it begins, and goes on after sleep(0)
            found.append(task_of(loop._ready[-1]._callback))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        future.set_result(None)
        found.append(task_of(loop._ready[-1]._callback))
        await task
        return [each is task for each in found]

    assert sim.run(main()) == [True, True, True]


def test_other_methods_of_a_task_are_plain_callbacks():
    async def main():
        task = asyncio.current_task()
        return [task_of(each) for each in (task.cancel, task.set_name, task.done, print, [].append)]

    assert sim.run(main()) == [None] * 5
