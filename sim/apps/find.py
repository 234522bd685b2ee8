"""Where other nodes serve: the one question that every ready-made client has, answered by the cluster.

Tests: tests/test_scenarios.py.
"""

from rpcnet import Cluster

__all__ = ["find", "find_named"]


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
