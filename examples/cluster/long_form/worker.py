"""A worker by hand: a stream of bytes in, a stream of bytes out, and one gossip update a tag."""

import asyncio
from collections.abc import AsyncIterator

from rpcnet import InvalidArgument, RpcServer
from rpcnet.app import NodeContext

from .messages import Prompt, Token, decode, encode


class Worker:
    def __init__(self, seconds_per_token: float) -> None:
        self.seconds_per_token = seconds_per_token

    async def generate(self, payloads: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for payload in payloads:
            try:
                prompt = decode(Prompt, payload)
            except ValueError as error:
                raise InvalidArgument(f"generate: {error}") from error
            words = prompt.text.split()
            for index in range(prompt.start, prompt.start + prompt.count):
                await asyncio.sleep(self.seconds_per_token)
                yield encode(Token(index=index, text=words[index % len(words)]))


async def main(node: NodeContext, *, model: str = "small", seconds_per_token: float = 0.1) -> None:
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)
    server.register_streaming("generate", Worker(seconds_per_token).generate)
    async with server, node.cluster() as cluster:
        # Three updates: in between the others see a worker without a label, and one without a pace.
        await cluster.update_tag("label", model)
        await cluster.update_tag("pace", str(seconds_per_token))
        await cluster.update_tag("role", "worker")
        node.ready()
        await server.wait_closed()
