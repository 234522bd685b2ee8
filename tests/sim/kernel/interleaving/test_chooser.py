"""What may be chosen, what keeps its order, and how long somebody may be passed over."""

import asyncio
import threading

import pytest

import sim
from sim.kernel.interleaving.interleaving import INTERLEAVINGS

CHOOSING = [name for name in INTERLEAVINGS if name != "fifo"]


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_plain_callbacks_keep_their_order_among_tasks(interleaving):
    async def main():
        loop, seen = asyncio.get_running_loop(), []

        async def task(number):
            for step in range(5):
                loop.call_soon(seen.append, (number, step))
                await asyncio.sleep(0)

        for number in range(20):
            loop.call_soon(seen.append, (-1, number))
        await asyncio.gather(*(task(number) for number in range(4)))
        await asyncio.sleep(1)
        return seen

    for seed in range(20):
        seen = sim.run(main(), seed=seed, interleaving=interleaving)
        assert len(seen) == 40
        for number in range(-1, 4):
            assert [step for whose, step in seen if whose == number] == list(range(20 if number < 0 else 5))
        # Called before any task ran, so before all that tasks called.
        assert seen[:20] == [(-1, number) for number in range(20)]


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_a_task_wakes_after_its_futures_earlier_callbacks(interleaving):
    """asyncio counts on it: sock_connect stops watching the socket in a callback, before the task goes on."""

    async def main():
        future, seen = asyncio.get_running_loop().create_future(), []

        async def wait():
            await future
            seen.append("task")

        for number in range(3):
            future.add_done_callback(lambda _, number=number: seen.append(number))
        tasks = [asyncio.create_task(wait()) for _ in range(2)]
        await asyncio.sleep(1)
        future.set_result(None)
        await asyncio.gather(*tasks)
        return seen

    for seed in range(20):
        assert sim.run(main(), seed=seed, interleaving=interleaving) == [0, 1, 2, "task", "task"]


@pytest.mark.parametrize("interleaving", CHOOSING)
def test_a_program_that_polls_lets_the_others_end(interleaving):
    async def main():
        done = [False]

        async def poll():
            polls = 0
            while not done[0]:
                polls += 1
                await asyncio.sleep(0)
            return polls

        async def work():
            for _ in range(50):
                await asyncio.sleep(0)
            done[0] = True

        return await asyncio.gather(poll(), poll(), work())

    for seed in range(30):
        polls, _, _ = sim.run(main(), seed=seed, interleaving=interleaving)
        assert polls < 20_000


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_timers_come_while_tasks_go_on_and_on(interleaving):
    """As many steps a turn as were ready at its start: a flood of them does not put off what is due."""

    async def main():
        loop = asyncio.get_running_loop()
        steps, fired = [0], []

        async def busy():
            while not fired:
                steps[0] += 1
                if steps[0] == 10:
                    loop.call_later(0, fired.append, True)
                await asyncio.sleep(0)

        await asyncio.gather(*(busy() for _ in range(3)))
        return steps[0]

    for seed in range(20):
        # Behind it are at most the callbacks of a few turns: a plain callback may be passed over as any step.
        assert sim.run(main(), seed=seed, interleaving=interleaving) < 2_000


def test_a_choice_against_the_order_is_in_the_trace():
    async def worker():
        await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*(asyncio.create_task(worker(), name=f"w{n}") for n in range(5)))

    def chosen(interleaving):
        with sim.Simulation(1, interleaving=interleaving) as simulation:
            simulation.run_until_complete(simulation.add_node("n").start(main))
            return [event.fields for event in simulation.trace.events() if event.name == "chosen"]

    assert chosen("fifo") == []
    found = chosen("random")
    assert found
    assert all(fields["task"] != fields["passed"] for fields in found)
    assert any(fields["step"].startswith("worker (test_chooser.py:") for fields in found)


def test_a_choice_names_the_function_of_a_thread():
    def work(lock):
        with lock:
            pass

    async def main():
        with (lock := threading.Lock()):
            threads = [asyncio.create_task(asyncio.to_thread(work, lock), name=f"t{n}") for n in range(5)]
            await asyncio.sleep(0.1)
        await asyncio.gather(*threads)

    told = set()
    for seed in range(5):
        with sim.Simulation(seed, interleaving="random") as simulation:
            simulation.run_until_complete(simulation.add_node("n").start(main))
            for event in simulation.trace.events():
                if event.name == "chosen":
                    told |= {event.fields["step"], event.fields["passed_step"]}
    assert not {each for each in told if "Executor" in each or "Threads" in each or "_run_next" in each}
    assert {"test_a_choice_names_the_function_of_a_thread.<locals>.work"} <= told
    assert any(each.startswith("work (test_chooser.py:") for each in told)


def test_sleeping_without_yielding_keeps_what_is_ready():
    import time

    async def main():
        seen = []

        async def task(number):
            time.sleep(0.5)  # noqa: ASYNC251 - halts the turn
            seen.append(number)

        await asyncio.gather(*(task(number) for number in range(6)))
        return sorted(seen), asyncio.get_running_loop().time()

    assert sim.run(main(), seed=3, interleaving="random") == ([0, 1, 2, 3, 4, 5], 3.0)
