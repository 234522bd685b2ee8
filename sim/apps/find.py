"""Where another node serves: the one question that every ready-made client has, answered by the cluster."""

from rpcnet import Cluster

__all__ = ["find"]


async def find(cluster: Cluster, role: str) -> str:
    """The RPC address of a member with the tag `role`; waits until there is one."""
    async with cluster.watch(role=role) as view:
        while not view.members:
            await anext(view)
        return view.members[0].services["rpc"]
