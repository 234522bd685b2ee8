"""A client: several conversations at once, each of which outlives the worker that it talks to.

A dead worker says nothing, so silence is the sign: a stream whose peer owes a token and sends none for three seconds
is lost, although the client goes on to send prompts all the while. It then goes on at another worker, from the token
that it had come to.
"""

import asyncio
import contextlib
import logging
from dataclasses import replace

from rpcnet import BidirectionalStream, StreamError
from rpcnet.app import NodeContext
from rpcnet.balance import ClusterClient, Progress

from .messages import Prompt, Token

SILENCE = 3.0
"""Seconds without a token after which a worker is given up."""
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
        async with ClusterClient(cluster, role="worker", service="rpc", tls=node.tls, config=config) as workers:
            node.ready()
            async with asyncio.TaskGroup() as conversations:
                for stream in range(streams):
                    conversations.create_task(converse(node, workers, stream, tokens))


async def converse(node: NodeContext, workers: ClusterClient, stream: int, tokens: int) -> None:
    """Receive tokens 0 … tokens-1, in order, from as many workers as it takes."""
    async with asyncio.TaskGroup() as both_ways:

        def ask_from(index: int) -> BidirectionalStream[Prompt]:
            prompts = BidirectionalStream[Prompt]()
            both_ways.create_task(talk(prompts, index, tokens))
            return prompts

        def go_on(lost: Progress[Token]) -> BidirectionalStream[Prompt]:
            index = 0 if lost.last is None else lost.last.index + 1
            why = str(lost.error)
            log.warning("stream %d lost %s after %d tokens and goes on elsewhere: %s", stream, lost.member, index, why)
            node.record("worker_lost", stream=stream, worker=lost.member, index=index, error=why)
            return ask_from(index)

        node.record("stream_opened", stream=stream)
        answer = workers.call_streaming_with_timeout(
            "Worker.generate", ask_from(0), SILENCE, response=Token, wait_for_ready=True, resume=go_on
        )
        async for token in answer:
            node.record("token", stream=stream, index=token.index, worker=answer.member)
    log.info("stream %d is complete: %d tokens", stream, tokens)
    node.record("stream_completed", stream=stream)


async def talk(prompts: BidirectionalStream[Prompt], index: int, tokens: int) -> None:
    """Ask for tokens `index` … tokens-1, a turn at a time, until the call is over."""
    with contextlib.suppress(StreamError):  # what ended the call is the reader's to handle
        for start in range(index, tokens, TURN):
            await prompts.sender.send(Prompt(text=TEXT, start=start, count=min(TURN, tokens - start)))
            await asyncio.sleep(PAUSE)
        prompts.sender.close()
