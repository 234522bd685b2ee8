"""The director: follows the workers by their tag and hands them to clients, one after the other."""

import logging

from rpcnet import RpcServer
from rpcnet.app import NodeContext

from .generated.services import DirectorServer
from .services import Director

log = logging.getLogger(__name__)


async def main(node: NodeContext) -> None:
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)
    async with node.cluster() as cluster, cluster.watch(role="worker") as workers:
        DirectorServer(Director(workers), server).register_all()
        async with server:
            await cluster.register_self({"role": "director"})
            node.ready()
            async for event in workers:
                log.info("%s; now: %s", type(event).__name__, [worker.name for worker in workers.members])
