"""What a program has let go of is collected when it asks for that, however long the simulation runs already."""

import asyncio
import gc
from weakref import ref

import pytest

import sim
from sim.kernel import simulation


class Cycle:
    """Refers to itself, and to what it is given."""

    def __init__(self, holds=None):
        self.me, self.holds = self, holds


async def nothing():
    pass


@pytest.fixture
def freezes_soon(monkeypatch):
    """A simulation that puts aside what lives after a hundred events, not after many thousand."""
    for name in ("COLLECT_EVERY", "LOOK_UP_EVERY"):
        monkeypatch.setattr(simulation, name, 100)
    monkeypatch.setattr(simulation, "EVENTS_A_NODE", 0)


@pytest.mark.usefixtures("freezes_soon")
def test_an_ended_task_in_a_cycle_is_collected_on_request():
    async def main():
        cycle = Cycle(asyncio.create_task(nothing()))
        task = ref(cycle.holds)
        await cycle.holds
        for _ in range(1000):
            await asyncio.sleep(0.001)
        assert gc.get_freeze_count() > 0
        del cycle
        assert task() is not None
        gc.collect()
        return task() is None

    assert sim.run(main())


@pytest.mark.usefixtures("freezes_soon")
def test_a_young_collection_leaves_what_was_put_aside():
    async def main():
        for _ in range(1000):
            await asyncio.sleep(0.001)
        before = gc.get_freeze_count()
        gc.collect(1)
        return before, gc.get_freeze_count()

    before, after = sim.run(main())
    assert 0 < after == before


def test_ended_tasks_and_connections_are_let_go_at_once():
    async def main():
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.read()
        writer.close()
        await writer.wait_closed()
        task = asyncio.create_task(nothing())
        await task
        found = [ref(each) for each in (task, writer, writer.transport, server)]
        server.close()
        del reader, writer, task, server
        await asyncio.sleep(1)
        gc.collect()
        return [each() for each in found]

    assert sim.run(main()) == [None] * 4


def test_an_ended_process_is_let_go_when_its_node_restarts():
    async def main():
        asyncio.create_task(asyncio.sleep(0.5)).add_done_callback(lambda _: None)
        await asyncio.sleep(1)

    with sim.Simulation(1) as run:
        node = run.add_node("a")
        task, loop = ref(node.start(main)), ref(node.loop)
        run.run(until=5)
        node.restart()
        run.run(until=6)
        gc.collect()
        assert task() is None
        assert loop() is None
