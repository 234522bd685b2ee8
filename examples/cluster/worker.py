"""A worker: recites its tokens, one every tenth of a second, to as many clients as ask."""

import asyncio
from collections.abc import AsyncIterator

from rpcnet import RpcServer
from rpcnet.app import NodeContext

from .messages import Prompt, Token


async def main(node: NodeContext, *, model: str = "small", seconds_per_token: float = 0.1) -> None:
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)

    @server.method("generate")
    async def generate(prompts: AsyncIterator[Prompt]) -> AsyncIterator[Token]:
        async for prompt in prompts:
            words = prompt.text.split()
            for index in range(prompt.start, prompt.start + prompt.count):
                await asyncio.sleep(seconds_per_token)
                yield Token(index=index, text=words[index % len(words)])

    async with server, node.cluster() as cluster:
        await cluster.update_tags({"role": "worker", "label": model, "pace": str(seconds_per_token)})
        node.ready()
        await server.wait_closed()
