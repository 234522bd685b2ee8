import asyncio
import copy
import datetime
import os
import pickle
import random
import secrets
import ssl
import sys
import tempfile
import threading
import time
import uuid
from random import random as captured_random
from socket import gethostname
from time import monotonic as captured_monotonic

import msgspec
import pytest

import sim
from sim import Simulation
from sim.kernel.clock import EPOCH


def on_a_node(function, seed=1):
    async def main():
        await asyncio.sleep(5)
        return function()

    return sim.run(main(), seed=seed)


def draw():
    return (
        random.random(),
        random.randrange(10**9),
        random.choice(range(10**6)),
        random.gauss(0, 1),
        captured_random(),
        random.Random().random(),
        random.SystemRandom().random(),
        os.urandom(16),
        uuid.uuid1().hex,
        uuid.uuid4().hex,
        secrets.token_bytes(16),
        secrets.randbelow(10**9),
        ssl.RAND_bytes(16),
    )


def test_randomness_of_a_node_is_the_seeds():
    assert on_a_node(draw) == on_a_node(draw)
    assert not set(on_a_node(draw, seed=1)) & set(on_a_node(draw, seed=2))


def test_names_of_temporary_files_are_drawn_alike_in_every_run_of_a_process(tmp_path):
    def names():
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            return folder, random.random()

    runs = {on_a_node(names) for _ in range(3)}
    assert len(runs) == 1
    with tempfile.TemporaryDirectory(dir=tmp_path) as one, tempfile.TemporaryDirectory(dir=tmp_path) as other:
        assert one != other


def test_randomness_outside_of_nodes_is_the_real_one():
    on_a_node(draw)
    assert draw()[2:] != draw()[2:]
    random.seed(5)
    first = random.random()
    random.seed(5)
    assert random.random() == first


def test_a_generator_that_nobody_seeded_draws_from_the_node_that_asks():
    on_a_node(draw)
    shared, seeded = random.Random(), random.Random(5)

    def ask():
        found = (
            shared.random(),
            shared.randrange(10**9),
            shared.gauss(),
            shared.choice(range(10**6)),
            shared.randbytes(8),
        )
        return found, seeded.random()

    assert on_a_node(ask)[0] == on_a_node(ask)[0] != on_a_node(ask, seed=2)[0]
    again = random.Random(5)
    assert [again.random() for _ in range(4)][3] == seeded.random()
    assert pickle.loads(pickle.dumps(shared)).random() == copy.deepcopy(shared).random() == shared.random()
    shared.seed(7)
    assert on_a_node(shared.random) == random.Random(7).random()
    assert type(shared) is random.Random


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_of_a_generator_that_nobody_seeded_draws_from_the_seed(again):
    on_a_node(draw)
    shared = random.Random()

    def ask():
        copied = again(shared)
        return [copied.random() for _ in range(3)]

    assert on_a_node(ask) == on_a_node(ask) != on_a_node(ask, seed=2)


def test_the_state_of_a_generator_that_nobody_seeded_is_that_of_the_node_in_every_run():
    on_a_node(draw)
    shared = random.Random()

    def ask():
        state = shared.getstate()
        first = shared.random()
        shared.setstate(state)
        return first, shared.random()

    first, second = on_a_node(ask)
    assert first == second
    assert (first, second) == on_a_node(ask) != on_a_node(ask, seed=2)


def test_clocks_of_a_node_are_virtual():
    def ask():
        return (
            time.time(),
            time.monotonic(),
            time.perf_counter(),
            captured_monotonic(),
            time.time_ns(),
            time.monotonic_ns(),
            time.clock_gettime(time.CLOCK_REALTIME),
            time.clock_gettime_ns(time.CLOCK_MONOTONIC),
            time.gmtime().tm_year,
            datetime.datetime.now(datetime.UTC).timestamp(),
            datetime.date.today().year,
            time.strftime("%Y"),
            asyncio.get_running_loop().time(),
        )

    assert on_a_node(ask) == (
        EPOCH + 5, 5.0, 5.0, 5.0, round((EPOCH + 5) * 1e9), 5 * 10**9, EPOCH + 5, 5 * 10**9,
        2025, EPOCH + 5, 2025, "2025", 5.0,
    )  # fmt: skip


def test_clocks_outside_of_nodes_go_on():
    on_a_node(time.time)
    assert time.time() > EPOCH
    assert datetime.datetime.now().year >= 2026
    assert time.gmtime(0).tm_year == 1970


def test_another_thread_keeps_the_real_clocks_while_a_node_runs():
    seen, wanted = [], threading.Event()
    thread = threading.Thread(target=lambda: wanted.wait() and seen.append((time.time(), random.random())))
    thread.start()  # none of the node's

    async def main():
        wanted.set()
        thread.join()
        return time.time()

    assert sim.run(main()) == EPOCH
    assert seen[0][0] > EPOCH + 1e6


def test_what_stands_for_a_function_of_cs_is_not_bound_to_who_has_it_as_an_attribute():
    """As `logging.Formatter.converter = time.gmtime`, which is how the manual of logging has times in UTC."""

    class Clocks:
        monotonic, converter, entropy, draw, name = time.monotonic, time.gmtime, os.urandom, random.random, gethostname

        def ask(self):
            return self.monotonic(), self.converter(0.0).tm_year, len(self.entropy(3)), self.draw() < 1, self.name()

    assert on_a_node(Clocks().ask) == (5.0, 1970, 3, True, "main")
    assert Clocks().ask()[1:4] == (1970, 3, True)


@pytest.mark.parametrize("function", [time.time, time.sleep, os.urandom, random.uniform, uuid.uuid1])
def test_a_function_that_is_replaced_is_pickled_and_copied_by_its_name(function):
    on_a_node(time.time)
    now = getattr(sys.modules[function.__module__ or "random"], function.__name__)
    assert pickle.loads(pickle.dumps(now)) is copy.deepcopy(now) is copy.copy(now) is now
    assert (now.__name__, now.__doc__) == (function.__name__, function.__doc__)
    assert f"function {function.__qualname__}" in repr(now)


def test_types_are_still_the_types():
    class Row(msgspec.Struct):
        at: datetime.datetime
        day: datetime.date

    assert type(datetime.datetime.now()) is datetime.datetime
    row = msgspec.json.decode(b'{"at": "2026-01-01T00:00:00", "day": "2026-01-01"}', type=Row)
    assert isinstance(row.at, datetime.datetime)
    assert datetime.datetime.now(datetime.UTC).tzinfo is datetime.UTC


def test_each_node_draws_numbers_of_its_own():
    async def main():
        return random.random()

    with Simulation(1) as simulation:
        tasks = [simulation.add_node(name).start(main) for name in "abc"]
        simulation.run()
        assert len({task.result() for task in tasks}) == 3


def test_a_nodes_wall_clock_may_be_wrong():
    async def main():
        await asyncio.sleep(10)
        return time.time(), time.monotonic()

    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.clock.offset, node.clock.drift = 3.0, 0.1
        wall, steady = simulation.run_until_complete(node.start(main))
        assert (wall - EPOCH, steady) == (pytest.approx(13), pytest.approx(10))
        assert simulation.now == pytest.approx(10 / 1.1)


def test_sets_of_tasks_and_futures_are_walked_in_the_order_of_creation():
    async def main():
        loop = asyncio.get_running_loop()
        tasks = {loop.create_task(asyncio.sleep(0), name=str(i)) for i in range(7)}
        futures = [
            *(loop.create_future() for _ in range(7)),
            *(asyncio.shield(task) for task in list(tasks)[:3]),
            *(asyncio.gather() for _ in range(3)),
            *(asyncio.gather(task) for task in list(tasks)[:3]),
        ]
        for task in tasks:
            await task
        return [task.get_name() for task in tasks], sorted(map(hash, futures)) == list(map(hash, futures))

    first, ordered = sim.run(main())
    assert ordered
    for _ in range(5):
        keep = [object() for _ in range(random.randrange(1000))]
        assert sim.run(main())[0] == first
        del keep


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="no time zones to set")
def test_simulated_machines_are_in_utc_wherever_the_real_one_is(monkeypatch):
    async def main():
        await asyncio.sleep(3723.5)
        now = time.time()
        naive = datetime.datetime.now()
        return {
            "now": str(naive),
            "timestamp": naive.timestamp() - now,
            "back": datetime.datetime.fromtimestamp(now) == naive,
            "date": str(datetime.date.fromtimestamp(now)),
            "aware": naive.astimezone().isoformat(),
            "localtime": tuple(time.localtime()) + tuple(time.localtime(now)),
            "mktime": time.mktime(time.localtime(now)) - int(now),
            "text": (time.ctime(), time.ctime(now), time.asctime(), time.strftime("%H:%M")),
            "zone": str(datetime.datetime.fromtimestamp(now, datetime.UTC).tzinfo),
        }

    found = []
    for zone in ("UTC", "Asia/Kathmandu", "America/St_Johns"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        try:
            found.append(sim.run(main(), seed=1))
            if zone == "Asia/Kathmandu":  # off the nodes the machine's zone holds
                assert datetime.datetime.fromtimestamp(1e9).minute == 31
        finally:
            monkeypatch.undo()
            time.tzset()
    assert found[0] == found[1] == found[2]
    assert found[0]["now"] == "2025-01-01 01:02:03.500000"
    assert (found[0]["timestamp"], found[0]["back"], found[0]["mktime"]) == (0.0, True, 0.0)
    assert found[0]["aware"] == "2025-01-01T01:02:03.500000+00:00"
