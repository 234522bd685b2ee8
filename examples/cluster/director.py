"""The director: follows the workers by their tag and hands them to clients, one after the other."""

import logging

from rpcnet import Member, RpcServer, Unavailable
from rpcnet.app import NodeContext

from .messages import GetWorker, WorkerFound

log = logging.getLogger(__name__)


async def main(node: NodeContext) -> None:
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)
    async with node.cluster() as cluster, cluster.watch(role="worker") as workers:
        asked = 0

        @server.method("get_worker")
        async def get_worker(request: GetWorker) -> WorkerFound:
            nonlocal asked
            asked += 1
            return choose([worker for worker in workers.members if worker.name not in request.avoid], asked)

        async with server:
            await cluster.register_self({"role": "director"})
            node.ready()
            async for event in workers:
                log.info("%s: %s", type(event).__name__, event.member.name)


def choose(workers: list[Member], turn: int) -> WorkerFound:
    """Round robin over those that live now."""
    if not workers:
        raise Unavailable("no worker lives but those that this client wants to avoid; ask again in a moment")
    worker = workers[turn % len(workers)]
    return WorkerFound(name=worker.name, address=worker.services["rpc"])
