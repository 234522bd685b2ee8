"""Many open streams, few of them active: nothing grows with time (benchmarks/rpc_idle.py has the full size)."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator

from benchmarks.rpc_idle import measure
from rpcnet import RpcClient, RpcServer


def test_a_quarter_of_an_hour_with_many_open_streams_leaves_latency_and_objects_alone() -> None:
    rows = measure(connections=5, streams=40, seconds=900)
    first, last = rows[0], rows[-1]
    assert {row["open_streams"] for row in rows} == {200}
    assert {round(row["latency_max_ms"], 6) for row in rows} == {2.0}
    assert last["objects"] <= first["objects"] + 50


def test_an_idle_stream_whose_items_were_read_takes_little_memory() -> None:
    """At both ends, without what the allocator adds: benchmarks/rpc_speed.py has that."""

    async def main() -> float:
        server = RpcServer("127.0.0.1:0")

        @server.method("echo")
        async def echo(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for item in items:
                yield item

        streams = []
        async with server, RpcClient.connect(server.address) as client:

            async def hold(count: int) -> None:
                for _ in range(count):
                    stream = client.call_streaming("echo")
                    await stream.send(b"item")
                    assert await stream.receive() == b"item"
                    streams.append(stream)
                gc.collect()

            await hold(20)
            tracemalloc.start(1)
            try:
                await hold(50)
                taken = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
            for stream in streams:
                await stream.aclose()
            return taken / 50

    assert asyncio.run(main()) < 5000
