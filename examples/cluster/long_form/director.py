"""The director by hand: its own table of workers, its own handler of bytes, its own entry in the registry."""

import asyncio
import logging

from examples.cluster.long_form.messages import GetWorker, decode_get_worker, encode_worker_found
from examples.cluster.messages import WorkerFound
from rpcnet import Cluster, InvalidArgument, Member, MemberStatus, NodeStatus, RpcServer, Unavailable
from rpcnet.app import NodeContext

REFRESH = 0.5
"""Seconds between two looks at the cluster."""

log = logging.getLogger(__name__)


class WorkerTable:
    """The workers that lived at the last look."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.workers: dict[str, Member] = {}
        self.turn = 0

    async def follow(self) -> None:
        while True:
            self.refresh()
            await asyncio.sleep(REFRESH)

    def refresh(self) -> None:
        seen: dict[str, Member] = {}
        for member in self.cluster.members():
            if member.tags.get("role") != "worker":
                continue
            if "rpc" not in member.services:
                continue
            seen[member.name] = member
        for name in seen:
            if name not in self.workers:
                log.info("worker %s joined", name)
        for name in self.workers:
            if name not in seen:
                log.info("worker %s is gone", name)
        self.workers = seen

    def choose(self, avoid: list[str]) -> WorkerFound | None:
        candidates = [worker for name, worker in sorted(self.workers.items()) if name not in avoid]
        if not candidates:
            return None
        self.turn += 1
        worker = candidates[self.turn % len(candidates)]
        return WorkerFound(name=worker.name, address=worker.services["rpc"])


def register_handlers(server: RpcServer, table: WorkerTable) -> None:
    async def get_worker(payload: bytes) -> bytes:
        try:
            request: GetWorker = decode_get_worker(payload)
        except ValueError as error:
            raise InvalidArgument(f"get_worker: {error}") from error
        found = table.choose(request.avoid)
        if found is None:
            raise Unavailable("no worker lives but those that this client wants to avoid; ask again in a moment")
        return encode_worker_found(found)

    server.register("get_worker", get_worker)


async def main(node: NodeContext) -> None:
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)
    async with node.cluster() as cluster:
        table = WorkerTable(cluster)
        register_handlers(server, table)
        await server.start()
        follower = asyncio.create_task(table.follow())
        try:
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
            await server.wait_closed()
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)
            await server.stop()
