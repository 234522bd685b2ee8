"""Server and client of Director and Worker: written by `rpcnet-gen
examples.cluster.services:Director examples.cluster.services:Worker`, not by hand.
"""

# isort: skip_file

from examples.cluster.messages import Prompt, Token, WorkerFound
from examples.cluster.services import Director, Worker
from rpcnet.generated import (
    ClientStream,
    DEFAULT,
    ItemsOf,
    Metadata,
    RpcServer,
    Seconds,
    ServiceClient,
)

__all__ = ["DirectorClient", "DirectorServer", "WorkerClient", "WorkerServer"]


class DirectorServer:
    """A Director and the server that serves it."""

    def __init__(self, handler: Director, rpc_server: RpcServer) -> None:
        self.handler = handler
        self.rpc_server = rpc_server

    def register_all(self) -> None:
        """Register every method of the handler."""
        self.rpc_server.register_typed("Director.get_worker", self.handler.get_worker)


class DirectorClient(ServiceClient):
    """Calls a Director; each call takes its options by name."""

    async def get_worker(
        self,
        avoid: list[str],
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> WorkerFound:
        """A worker that lives now, each in its turn, but for those that this client
        lost (it knows first).
        """
        return await self.rpc_client.call(
            "Director.get_worker",
            avoid,
            response=WorkerFound,
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )


class WorkerServer:
    """A Worker and the server that serves it."""

    def __init__(self, handler: Worker, rpc_server: RpcServer) -> None:
        self.handler = handler
        self.rpc_server = rpc_server

    def register_all(self) -> None:
        """Register every method of the handler."""
        self.rpc_server.register_typed("Worker.generate", self.handler.generate)


class WorkerClient(ServiceClient):
    """Calls a Worker; each call takes its options by name."""

    def generate(
        self,
        prompts: ItemsOf[Prompt] | None = None,
        *,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> ClientStream[Token]:
        return self.rpc_client.call_streaming(
            "Worker.generate",
            prompts,
            response=Token,
            timeout=timeout,
            idle_timeout=idle_timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
