"""Which steps race, and that the priorities of those alone are drawn again."""

import asyncio
from random import Random

import sim
from sim.kernel.interleaving.pos import PartialOrder, races
from sim.kernel.interleaving.steps import Step, task_of


async def _use(shared):
    await asyncio.sleep(0)
    shared.append(1)


async def _other(shared):
    await asyncio.sleep(0)
    shared.append(1)


def steps_of(*coroutines):
    """The next steps of tasks that wait for their next turn."""

    async def main(check):
        loop = asyncio.get_running_loop()
        strategy = PartialOrder(Random(1))
        tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
        await asyncio.sleep(0)
        steps = [Step(handle, task_of(handle._callback), strategy.begin("x"), 0) for handle in loop._ready]
        steps = [step for step in steps if step.task in tasks]
        found = check(strategy, steps)
        await asyncio.gather(*tasks)
        return found

    return lambda check: sim.run(main(check))


def test_tasks_that_hold_one_object_race():
    shared = []
    assert steps_of(_use(shared), _other(shared))(lambda _, steps: races(*steps))


def test_tasks_that_share_nothing_do_not_race():
    assert not steps_of(_use([]), _other([]))(lambda _, steps: races(*steps))


def test_tasks_of_one_function_race_for_its_globals():
    assert steps_of(_use([]), _use([]))(lambda _, steps: races(*steps))


def test_tasks_race_for_a_variable_of_a_closure():
    count = 0

    async def up():
        nonlocal count
        await asyncio.sleep(0)
        count += 1

    async def down():
        nonlocal count
        await asyncio.sleep(0)
        count -= 1

    assert steps_of(up(), down())(lambda _, steps: races(*steps))


def test_only_steps_that_race_get_another_priority():
    shared = []

    def check(strategy, steps):
        first, racing, apart = steps
        first.priority, racing.priority, apart.priority = 0.9, 0.5, 0.4
        assert strategy.choose(steps) is first
        return racing.priority, apart.priority

    racing, apart = steps_of(_use(shared), _other(shared), _other_kind())(check)
    assert racing != 0.5
    assert apart == 0.4


async def _other_kind():
    await asyncio.sleep(0)
