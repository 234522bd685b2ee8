"""A client: several conversations at once, each of which outlives the worker that it talks to.

A dead worker says nothing, so silence is the sign: a stream whose peer owes a token and sends none for three seconds
ends with StreamError.Timeout, although the client goes on to send prompts all the while. The conversation then goes on
at another worker, from the token that it had come to.
"""

import asyncio
import logging
from dataclasses import replace

from rpcnet import BidirectionalStream, Cluster, Member, RpcClient, RpcConfig, RpcError
from rpcnet.app import NodeContext

from .generated.services import DirectorClient
from .messages import Prompt, Token, WorkerFound

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


async def main(node: NodeContext, *, streams: int = 4, tokens: int = 200) -> None:
    config = replace(node.rpc_config.with_default_timeout(SILENCE), connect_timeout=SILENCE)
    async with node.cluster() as cluster:
        await cluster.register_self({"role": "client"})
        director = await find_director(cluster)
        node.ready()
        async with DirectorClient.connect(director.services["rpc"], tls=node.tls, config=config) as client:
            async with asyncio.TaskGroup() as conversations:
                for stream in range(streams):
                    conversations.create_task(converse(node, client, config, stream, tokens))


async def converse(node: NodeContext, director: DirectorClient, config: RpcConfig, stream: int, tokens: int) -> None:
    """Receive tokens 0 … tokens-1, in order, from as many workers as it takes."""
    node.record("stream_opened", stream=stream)
    index = 0
    avoid: list[str] = []
    while index < tokens:
        worker = await find_worker(director, avoid)
        try:
            async with (
                RpcClient.connect(worker.address, tls=node.tls, config=config) as client,
                BidirectionalStream[Prompt]() as prompts,
                client.call_streaming_with_timeout("Worker.generate", prompts, SILENCE, response=Token) as answer,
                asyncio.TaskGroup() as both_ways,
            ):
                both_ways.create_task(talk(prompts, index, tokens))
                async for token in answer:
                    node.record("token", stream=stream, index=token.index, worker=worker.name)
                    index = token.index + 1
        except* RpcError as lost:
            why = str(lost.exceptions[0])
            log.warning("stream %d lost %s after %d tokens and goes on elsewhere: %s", stream, worker.name, index, why)
            node.record("worker_lost", stream=stream, worker=worker.name, index=index, error=why)
            avoid.append(worker.name)
    log.info("stream %d is complete: %d tokens", stream, tokens)
    node.record("stream_completed", stream=stream)


async def talk(prompts: BidirectionalStream[Prompt], index: int, tokens: int) -> None:
    """Ask for tokens `index` … tokens-1, a turn at a time."""
    for start in range(index, tokens, TURN):
        await prompts.sender.send(Prompt(text=TEXT, start=start, count=min(TURN, tokens - start)))
        await asyncio.sleep(PAUSE)
    prompts.sender.close()


async def find_director(cluster: Cluster) -> Member:
    async with cluster.watch(role="director") as directors:
        while not directors.members:
            await anext(directors)
        return directors.members[0]


async def find_worker(director: DirectorClient, avoid: list[str]) -> WorkerFound:
    """A live worker that this conversation has not lost; where there is none, wait and try even those."""
    while True:
        try:
            return await director.get_worker(avoid)
        except RpcError as error:
            log.warning("no worker to be had: %s", error)
            avoid.clear()
            await asyncio.sleep(RETRY)
