"""A worker: recites its tokens, one every tenth of a second, to as many clients as ask."""

from rpcnet import RpcServer
from rpcnet.app import NodeContext

from .generated.services import WorkerServer
from .services import Worker


async def main(node: NodeContext, *, model: str = "small", seconds_per_token: float = 0.1) -> None:
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)
    WorkerServer(Worker(seconds_per_token), server).register_all()
    async with server, node.cluster() as cluster:
        await cluster.update_tags({"role": "worker", "label": model, "pace": str(seconds_per_token)})
        node.ready()
        await server.wait_closed()
