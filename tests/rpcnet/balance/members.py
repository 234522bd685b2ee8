"""Members of a cluster with servers, for the tests of clients that call them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

from rpcnet import Cluster, ClusterConfig, NotFound, RpcConfig, RpcServer
from rpcnet.balance import ClusterClient

CONFIG = replace(ClusterConfig.local(), probe_interval=0.3, suspicion_multiplier=2.0, refusal_is_evidence=False)
"""Quick verdicts for tests over sockets; a closed port is silence, so that there are suspects."""


class Worker:
    """A member with a server; `crash` is silence, of both."""

    def __init__(
        self,
        name: str,
        *join: str,
        role: str = "worker",
        config: RpcConfig | None = None,
        address: str | None = None,
    ) -> None:
        """`address`: what it announces for its server, where that is not the server's own."""
        self.name, self.role, self._join, self._config, self._address = name, role, join, config, address
        self.has_crashed = False
        self.cancelled = 0
        self.running = 0
        self.held = asyncio.Event()

    async def start(self) -> None:
        self.server = RpcServer("127.0.0.1:0", config=self._config)
        self.server.register("name", self.tell)
        self.server.register("hold", self.hold)
        self.server.register("fail", self.fail)
        self.server.register_streaming("count", self.count, shape="server_streaming")
        self.server.register_streaming("echo", self.echo, shape="bidirectional")
        await self.server.start()
        self.cluster = Cluster(
            self.name,
            "127.0.0.1:0",
            join=self._join,
            services={"rpc": self._address or self.server.address},
            config=CONFIG,
            random=Random(self.name),
        )
        await self.cluster.start()
        await self.cluster.register_self({"role": self.role})

    async def stop(self) -> None:
        if not self.has_crashed:
            await self.cluster.leave()
        await self.server.stop(0)

    async def crash(self) -> None:
        """Nothing is said any more by the member; its server goes on to hold its connections, as a dead host does."""
        self.has_crashed = True
        self.cluster._stop()  # type: ignore[attr-defined]
        await self.cluster._transport.close()  # type: ignore[attr-defined, union-attr]

    async def tell(self, payload: bytes) -> bytes:
        return self.name.encode()

    async def fail(self, payload: bytes) -> bytes:
        raise NotFound("nobody has that")

    async def hold(self, payload: bytes) -> bytes:
        self.running += 1
        try:
            await self.held.wait()
            return self.name.encode()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def count(self, payload: bytes) -> AsyncIterator[bytes]:
        for number in range(int(payload), 20):
            yield b"%s %d" % (self.name.encode(), number)
            await asyncio.sleep(0.1)

    async def echo(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for item in items:
            yield self.name.encode() + item


@asynccontextmanager
async def workers(*names: str, config: RpcConfig | None = None) -> AsyncIterator[tuple[Cluster, dict[str, Worker]]]:
    """A cluster of a client's member and these workers, who all see each other."""
    async with AsyncExitStack() as stack:
        mine = Cluster("client", "127.0.0.1:0", config=CONFIG, random=Random("client"))
        await stack.enter_async_context(mine)
        found: dict[str, Worker] = {}
        for name in names:
            found[name] = await started(stack, name, mine, config=config)
        await until(lambda: sum(member.tags.get("role") == "worker" for member in mine.members()) == len(names))
        yield mine, found


async def started(stack: AsyncExitStack, name: str, mine: Cluster, **options: Any) -> Worker:
    """`options`: of Worker."""
    worker = Worker(name, mine.address, **options)
    await worker.start()
    stack.push_async_callback(worker.stop)
    return worker


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what a cluster sees has no event
            await asyncio.sleep(0.02)


async def connected(client: ClusterClient, count: int) -> None:
    await until(lambda: client.stats.connections == count and len(client.members) == count)


async def reached(call: Callable[[], Awaitable[bytes]], times: int) -> Counter[str]:
    return Counter([(await call()).decode() for _ in range(times)])
