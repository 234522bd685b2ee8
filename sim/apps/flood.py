"""A client that is none of ours: it opens calls and cancels them in the same breath, without end ("rapid reset").

It writes frames itself, as our own client waits until the handlers of cancelled calls have ended.

Tests: tests/test_scenarios.py.
"""

import asyncio

from rpcnet import Status
from rpcnet.app import NodeContext, split_address
from rpcnet.wire import writer
from rpcnet.wire.frame import FLAG_END, FLAG_ITEM, UNARY, Hello
from sim.apps.roles import find

__all__ = ["main"]

MIB = 1024 * 1024
BATCH = 50
"""Calls in one write."""


async def main(node: NodeContext, *, calls: int = 500, connections: int = 3, pause: float = 0.05) -> None:
    """Open and cancel `calls` calls over each of `connections` connections, one after the other, `pause` s a batch."""
    async with node.cluster() as cluster:
        await cluster.register_self({"role": "flood"})
        host, port = split_address(await find(cluster, "ledger"))
        node.ready()
        for _ in range(connections):
            await _flood(host, port, calls, pause)
            node.record("flooded", calls=calls)
        await asyncio.Event().wait()


async def _flood(host: str, port: int, calls: int, pause: float) -> None:
    reader, to = await asyncio.open_connection(host, port)
    try:
        to.write(writer.greeting(_hello()))
        for first in range(1, calls + 1, BATCH):
            for number in range(first, min(first + BATCH, calls + 1)):
                to.write(writer.open_call(number, FLAG_ITEM | FLAG_END, UNARY, b"wait", b"", 0, b"\x00"))
                to.write(writer.cancel(number, Status.CANCELLED))
            await to.drain()
            await asyncio.sleep(pause)
        # Until the server has had enough: GOAWAY, then the end.
        while await reader.read(MIB):
            pass
    except ConnectionError:
        pass  # it need not be polite
    finally:
        to.close()


def _hello() -> Hello:
    return Hello(
        max_message_bytes=MIB,
        max_frame_bytes=MIB,
        max_metadata_bytes=MIB,
        max_streams=100,
        stream_window_bytes=MIB,
        connection_window_bytes=100 * MIB,
    )
