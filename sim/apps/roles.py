"""The two parts that ready-made applications play: a server with a role, and a client of whoever has that role.

A role is the tag `role` of a cluster's member. Tests: tests/test_scenarios.py.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rpcnet import Cluster, RpcClient, RpcConfig, RpcServer
from rpcnet.app import NodeContext

__all__ = ["client_of", "find", "find_named", "serve_as"]


async def serve_as(role: str, node: NodeContext, server: RpcServer) -> None:
    """Start the server, join the cluster with that role, be ready, and serve until stopped."""
    async with server, node.cluster() as cluster:
        await cluster.register_self({"role": role})
        node.ready()
        await server.wait_closed()


@asynccontextmanager
async def client_of(
    server_role: str, node: NodeContext, *, role: str = "client", config: RpcConfig | None = None
) -> AsyncIterator[RpcClient]:
    """Join the cluster with `role`, connect to a member with `server_role`, be ready; at the end of the block leave.

    `config` replaces the node's `rpc_config`.
    """
    async with node.cluster() as cluster:
        await cluster.register_self({"role": role})
        address = await find(cluster, server_role)
        async with RpcClient.connect(address, tls=node.tls, config=config or node.rpc_config) as client:
            node.ready()
            yield client


async def find(cluster: Cluster, role: str) -> str:
    """The RPC address of a member with the tag `role`; waits until there is one."""
    async with cluster.watch(role=role) as view:
        while not view.members:
            await anext(view)
        return view.members[0].services["rpc"]


async def find_named(cluster: Cluster, names: list[str]) -> list[str]:
    """The RPC addresses of the members of these names, in the same order; waits until all are there."""
    async with cluster.watch() as view:
        while True:
            services = {member.name: member.services for member in view.members}
            if all(name in services for name in names):
                return [services[name]["rpc"] for name in names]
            await anext(view)
