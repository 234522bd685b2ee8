"""The ways of letting go: each ends where its call is cut before there is anything to let go of."""

import asyncio
from contextlib import suppress

import pytest

import sim
from rpcnet import RpcClient, RpcError, RpcServer
from sim.apps.letting_go import WAYS


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_way_ends_where_its_call_is_cut_at_once(way) -> None:
    async def main() -> None:
        async with RpcServer("127.0.0.1:0") as server:  # it has none of the methods: each call is over at once
            async with RpcClient.connect(server.address) as client:
                with suppress(RpcError):
                    await asyncio.wait_for(way(client), 10.0)

    sim.run(main(), seed=1)
