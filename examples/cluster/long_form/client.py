"""A client by hand: its own clock on each token, its own queue and sender task for each stream, its own clean-up."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

from rpcnet import Cluster, Member, RpcClient, RpcConfig, RpcError
from rpcnet.app import NodeContext

from .messages import GetWorker, Prompt, Token, WorkerFound, decode, encode

SILENCE = 3.0
"""Seconds without a token after which a worker is given up."""
RETRY = 0.5
"""Seconds until a director that knows no worker is asked again."""
TURN = 8
"""Tokens asked for in a prompt."""
PAUSE = 0.8
"""Seconds between two prompts, whether the worker has answered or not."""
TEXT = "to be or not to be that is the question"

log = logging.getLogger(__name__)


class WorkerSilentError(Exception):
    """The worker owed a token and sent none for SILENCE seconds."""


class Prompts:
    """The sending half of a conversation: a bounded queue and the task that fills it, a turn at a time."""

    def __init__(self, start: int, tokens: int) -> None:
        self.queue: asyncio.Queue[Prompt | None] = asyncio.Queue(maxsize=10)
        self.sender = asyncio.create_task(self.send(start, tokens))

    async def send(self, index: int, tokens: int) -> None:
        for start in range(index, tokens, TURN):
            await self.queue.put(Prompt(text=TEXT, start=start, count=min(TURN, tokens - start)))
            await asyncio.sleep(PAUSE)
        await self.queue.put(None)

    async def payloads(self) -> AsyncIterator[bytes]:
        while True:
            prompt = await self.queue.get()
            if prompt is None:
                return
            yield encode(prompt)

    async def stop(self) -> None:
        self.sender.cancel()
        await asyncio.gather(self.sender, return_exceptions=True)


async def main(node: NodeContext, *, streams: int = 4, tokens: int = 200) -> None:
    config = replace(node.rpc_config, connect_timeout=SILENCE)
    async with node.cluster() as cluster:
        await cluster.update_tag("role", "client")
        director = await find_director(cluster)
        node.ready()
        async with RpcClient.connect(director.services["rpc"], tls=node.tls, config=config) as client:
            async with asyncio.TaskGroup() as conversations:
                for stream in range(streams):
                    conversations.create_task(converse(node, client, config, stream, tokens))


async def converse(node: NodeContext, director: RpcClient, config: RpcConfig, stream: int, tokens: int) -> None:
    """Receive tokens 0 … tokens-1, in order, from as many workers as it takes."""
    node.record("stream_opened", stream=stream)
    index = 0
    avoid: list[str] = []
    while index < tokens:
        worker = await find_worker(director, avoid)
        prompts: Prompts | None = None
        try:
            async with RpcClient.connect(worker.address, tls=node.tls, config=config) as client:
                prompts = Prompts(index, tokens)
                async with client.call_streaming("generate", prompts.payloads()) as answer:
                    while True:
                        try:
                            async with asyncio.timeout(SILENCE):
                                payload = await anext(answer)
                        except StopAsyncIteration:
                            break
                        except TimeoutError as error:
                            raise WorkerSilentError(f"{worker.name} sent nothing for {SILENCE} s") from error
                        token = decode(Token, payload)
                        node.record("token", stream=stream, index=token.index, worker=worker.name)
                        index = token.index + 1
        except (RpcError, WorkerSilentError, ValueError) as lost:
            log.warning("stream %d lost %s after %d tokens and goes on elsewhere: %s", stream, worker.name, index, lost)
            node.record("worker_lost", stream=stream, worker=worker.name, index=index, error=str(lost))
            avoid.append(worker.name)
        finally:
            if prompts is not None:
                await prompts.stop()
    log.info("stream %d is complete: %d tokens", stream, tokens)
    node.record("stream_completed", stream=stream)


async def find_director(cluster: Cluster) -> Member:
    async with cluster.watch(role="director") as directors:
        while not directors.members:
            await anext(directors)
        return directors.members[0]


async def find_worker(director: RpcClient, avoid: list[str]) -> WorkerFound:
    """A live worker that this conversation has not lost; where there is none, wait and try even those."""
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                payload = await director.call("get_worker", encode(GetWorker(avoid=avoid)))
            return decode(WorkerFound, payload)
        except TimeoutError:
            log.warning("the director did not answer within %s s", SILENCE)
        except (RpcError, ValueError) as error:
            log.warning("no worker to be had: %s", error)
        avoid.clear()
        await asyncio.sleep(RETRY)
