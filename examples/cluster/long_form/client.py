"""A client by hand: its own clock on each token, its own queue and sender task for each stream, its own clean-up."""

import asyncio
import logging
from collections.abc import AsyncIterator

from examples.cluster.client import PAUSE, RETRY, SILENCE, TEXT, TURN
from examples.cluster.long_form.messages import (
    GetWorker,
    decode_token,
    decode_worker_found,
    encode_get_worker,
    encode_prompt,
)
from examples.cluster.messages import Prompt, WorkerFound
from rpcnet import Cluster, Member, RpcClient, RpcError
from rpcnet.app import NodeContext

LOOK = 0.2
"""Seconds between two looks for the director."""

log = logging.getLogger(__name__)


class WorkerSilentError(Exception):
    """The worker owed a token and sent none for SILENCE seconds."""


class Prompts:
    """The sending half of a conversation: a bounded queue and the task that fills it, a turn at a time."""

    def __init__(self, start: int, tokens: int) -> None:
        self.queue: asyncio.Queue[Prompt | None] = asyncio.Queue(maxsize=10)
        self.sender = asyncio.create_task(self.send(start, tokens))

    async def send(self, index: int, tokens: int) -> None:
        while index < tokens:
            prompt = Prompt(text=TEXT, start=index, count=min(TURN, tokens - index))
            await self.queue.put(prompt)
            index += prompt.count
            await asyncio.sleep(PAUSE)
        await self.queue.put(None)

    async def payloads(self) -> AsyncIterator[bytes]:
        while True:
            prompt = await self.queue.get()
            if prompt is None:
                return
            yield encode_prompt(prompt)

    async def stop(self) -> None:
        self.sender.cancel()
        await asyncio.gather(self.sender, return_exceptions=True)


async def main(node: NodeContext, *, streams: int = 4, tokens: int = 200) -> None:
    async with node.cluster() as cluster:
        await cluster.update_tag("role", "client")
        director = await find_director(cluster)
        node.ready()
        client = await connect(node, director.services["rpc"])
        tasks = [asyncio.create_task(converse(node, client, stream, tokens)) for stream in range(streams)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await client.close()


async def connect(node: NodeContext, address: str) -> RpcClient:
    try:
        async with asyncio.timeout(SILENCE):
            return await RpcClient.connect(address, tls=node.tls, config=node.rpc_config)
    except TimeoutError as error:
        raise WorkerSilentError(f"{address} did not accept a connection within {SILENCE} s") from error


async def converse(node: NodeContext, director: RpcClient, stream: int, tokens: int) -> None:
    """Receive tokens 0 … tokens-1, in order, from as many workers as it takes."""
    node.record("stream_opened", stream=stream)
    index = 0
    avoid: list[str] = []
    while index < tokens:
        worker = await find_worker(director, avoid)
        client: RpcClient | None = None
        prompts: Prompts | None = None
        try:
            client = await connect(node, worker.address)
            prompts = Prompts(index, tokens)
            call = client.call_streaming("generate", prompts.payloads())
            try:
                answer = aiter(call)
                while True:
                    try:
                        async with asyncio.timeout(SILENCE):
                            payload = await anext(answer)
                    except StopAsyncIteration:
                        break
                    except TimeoutError as error:
                        raise WorkerSilentError(f"{worker.name} sent nothing for {SILENCE} s") from error
                    token = decode_token(payload)
                    node.record("token", stream=stream, index=token.index, worker=worker.name)
                    index = token.index + 1
            finally:
                call.abort()
        except (RpcError, WorkerSilentError, ValueError) as error:
            log.warning(
                "stream %d lost %s after %d tokens and goes on elsewhere: %s", stream, worker.name, index, error
            )
            node.record("worker_lost", stream=stream, worker=worker.name, index=index, error=str(error))
            avoid.append(worker.name)
        finally:
            if prompts is not None:
                await prompts.stop()
            if client is not None:
                await client.close()
    log.info("stream %d is complete: %d tokens", stream, tokens)
    node.record("stream_completed", stream=stream)


async def find_director(cluster: Cluster) -> Member:
    while True:
        for member in cluster.members():
            if member.tags.get("role") == "director" and "rpc" in member.services:
                return member
        await asyncio.sleep(LOOK)


async def find_worker(director: RpcClient, avoid: list[str]) -> WorkerFound:
    """A live worker that this conversation has not lost; where there is none, wait and try even those."""
    while True:
        try:
            request = encode_get_worker(GetWorker(avoid=avoid))
            async with asyncio.timeout(SILENCE):
                payload = await director.call("get_worker", request)
            return decode_worker_found(payload)
        except TimeoutError:
            log.warning("the director did not answer within %s s", SILENCE)
        except ValueError as error:
            log.warning("the director's answer cannot be read: %s", error)
        except RpcError as error:
            log.warning("no worker to be had: %s", error)
        avoid.clear()
        await asyncio.sleep(RETRY)
