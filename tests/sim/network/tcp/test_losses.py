import asyncio
import contextlib

import pytest

from tests.sim.network.two_nodes import LATENCY, World, connect, echo, now


def test_a_lost_segment_costs_a_retransmission_time_out_and_delays_all_behind_it():
    took = []
    for seed in range(200):
        world = World(seed, loss=0.05)

        async def client():
            reader, writer = await connect()
            start = now()
            writer.write(b"x")
            await reader.read(1)
            writer.close()
            return now() - start

        took.append(world.run(client, echo))
    clean = [t for t in took if t == pytest.approx(2 * LATENCY)]
    late = [t for t in took if t > 0.2]
    assert len(clean) + len(late) == 200
    assert len(late) == pytest.approx(200 * (1 - 0.95**2), abs=15)
    assert min(late) == pytest.approx(2 * LATENCY + 0.2 + 2 * LATENCY)


def test_a_cut_delays_and_heals():
    world = World()

    async def client():
        reader, writer = await connect()
        await asyncio.sleep(1.98)
        writer.write(b"during the cut")
        got = await reader.read(100)
        writer.close()
        return got, now()

    got, when = world.run(
        client,
        echo,
        at=[(1.0, lambda: world.network.partition(["a"], ["b"], name="x")), (5.0, lambda: world.network.heal("x"))],
    )
    assert got == b"during the cut"
    # Sent at 2.0 s; the time-out starts at 220 ms and doubles: tried again at 2.22, 2.66, 3.54, 5.3 or 8.82 s.
    assert when == pytest.approx(5.32, abs=0.05) or when == pytest.approx(8.84, abs=0.05)


def test_a_cut_that_stays_ends_in_a_time_out():
    world = World()

    async def client():
        reader, writer = await connect()
        await asyncio.sleep(1.98)
        writer.write(b"into the void")
        with pytest.raises(TimeoutError):
            await reader.read(100)
        writer.close()
        return now()

    when = world.run(client, echo, at=[(1.0, lambda: world.network.isolate("b"))])
    assert 900 < when < 1100


def test_a_segment_that_is_lost_again_and_again_ends_in_a_time_out():
    world = World()
    read = []

    async def client():
        reader, writer = await connect()
        await asyncio.sleep(1)
        world.network.link("a", "b", loss=0.999)
        started = now()
        for _ in range(3):
            writer.write(b"into the mud")
        with pytest.raises(TimeoutError):
            await reader.read()
        failed = now() - started
        world.network.heal()
        writer.close()
        await asyncio.sleep(10_000)
        return failed

    async def server(reader, writer):
        with contextlib.suppress(ConnectionError):
            read.append(await reader.read())
        writer.close()

    assert world.run(client, server) == pytest.approx(924.6, abs=1.5)
    assert read == []


def test_a_retransmission_into_a_cut_has_the_round_trip_of_before():
    world = World(latency=0.5)
    tried = []

    async def client():
        _, writer = await connect()
        await asyncio.sleep(1)
        started = now()
        world.network.isolate("b")
        writer.write(b"x")
        await asyncio.sleep(1.0)
        world.network.heal()
        await asyncio.sleep(5)
        writer.close()
        return [when - started for when in tried]

    async def server(reader, writer):
        await reader.read(1)
        tried.append(now())
        writer.close()

    # The time-out is 200 ms and a round trip of 1 s, and then the way.
    assert world.run(client, server) == [pytest.approx(1.2 + 0.5)]


def test_an_idle_connection_survives_a_cut():
    world = World()

    async def client():
        reader, writer = await connect()
        await asyncio.sleep(60)
        writer.write(b"x")
        got = await reader.read(100)
        writer.close()
        return got

    cut = [(1.0, lambda: world.network.isolate("b", name="x")), (50.0, lambda: world.network.heal("x"))]
    assert world.run(client, echo, at=cut) == b"x"


def test_what_was_sent_to_a_crashed_machine_is_retransmitted_in_silence():
    world = World()

    async def client():
        reader, writer = await connect()
        await asyncio.sleep(2)
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await reader.read(100)
        writer.transport.abort()

    world.run(client, echo, at=[(1.0, world.b.crash)])


@pytest.mark.parametrize(("size", "healed_after"), [(1, 300.0), (1, None), (1_000_000, 300.0), (1_000_000, None)])
def test_where_only_the_way_back_is_cut_a_sender_waits_for_its_user_time_out(size, healed_after):
    """What it sends arrives, and none of the acknowledgements: it cannot know."""
    world = World()
    got = []

    async def count(reader, writer):
        while data := await reader.read(1 << 20):
            got.append(len(data))
        writer.close()

    async def client():
        reader, writer = await connect()
        await asyncio.sleep(1)
        name = world.network.partition(["b"], ["a"], one_way=True)
        writer.write(bytes(size))
        begun = now()
        try:
            if healed_after is None:
                await reader.read(1)
            else:
                await asyncio.sleep(healed_after)
                world.network.heal(name)
                await asyncio.sleep(2000)
                writer.write(b"more")
                await writer.drain()
                await asyncio.sleep(10)
        except TimeoutError:
            return now() - begun
        finally:
            writer.close()
        return None

    waited = world.run(client, count)
    if healed_after is None:
        assert 924.6 < waited < 924.6 + 120
    else:
        assert waited is None
        assert sum(got) == size + len(b"more")


def test_a_link_that_loses_next_to_everything_is_given_up_in_no_time():
    """Whether it is lost once more need not be asked when the user time-out has passed: here, millions of times."""
    world = World()

    async def client():
        reader, writer = await connect()
        world.network.link("a", "b", loss=1 - 1e-12)
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            await reader.read(1)
        writer.close()
        return now()

    assert world.run(client, echo) == pytest.approx(924.6, abs=1)
