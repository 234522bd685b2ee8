"""The director by hand: its own handler of bytes, its own entry in the registry."""

import logging

from rpcnet import InvalidArgument, MemberStatus, NodeStatus, RpcServer, Unavailable, Watch
from rpcnet.app import NodeContext

from .messages import GetWorker, WorkerFound, decode, encode

log = logging.getLogger(__name__)


class Director:
    def __init__(self, workers: Watch) -> None:
        self.workers = workers
        self.asked = 0

    async def get_worker(self, payload: bytes) -> bytes:
        """A worker that lives now, each in its turn, but for those that this client lost (it knows first)."""
        try:
            request = decode(GetWorker, payload)
        except ValueError as error:
            raise InvalidArgument(f"get_worker: {error}") from error
        workers = [worker for worker in self.workers.members if worker.name not in request.avoid]
        if not workers:
            raise Unavailable("no worker lives but those that this client wants to avoid; ask again in a moment")
        self.asked += 1
        worker = workers[self.asked % len(workers)]
        return encode(WorkerFound(name=worker.name, address=worker.services["rpc"]))


async def main(node: NodeContext) -> None:
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)
    async with node.cluster() as cluster, cluster.watch(role="worker") as workers:
        server.register("get_worker", Director(workers).get_worker)
        async with server:
            me = cluster.me
            status = NodeStatus(
                node_id=me.name,
                addr=me.address,
                incarnation=me.incarnation,
                state=MemberStatus.ALIVE,
                tags={"role": "director"},
            )
            cluster.registry.insert(status)
            node.ready()
            async for event in workers:
                log.info("%s; now: %s", type(event).__name__, [worker.name for worker in workers.members])
