"""A worker by hand: a stream of bytes in, a stream of bytes out, and one gossip update a tag."""

import asyncio
from collections.abc import AsyncIterator

from examples.cluster.long_form.messages import decode_prompt, encode_token
from examples.cluster.messages import Token
from rpcnet import InvalidArgument, RpcServer
from rpcnet.app import NodeContext


def register_handlers(server: RpcServer, seconds_per_token: float) -> None:
    async def generate(payloads: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for payload in payloads:
            try:
                prompt = decode_prompt(payload)
            except ValueError as error:
                raise InvalidArgument(f"generate: {error}") from error
            words = prompt.text.split()
            for index in range(prompt.start, prompt.start + prompt.count):
                await asyncio.sleep(seconds_per_token)
                yield encode_token(Token(index=index, text=words[index % len(words)]))

    server.register_streaming("generate", generate)


async def main(node: NodeContext, *, model: str = "small", seconds_per_token: float = 0.1) -> None:
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)
    register_handlers(server, seconds_per_token)
    await server.start()
    try:
        async with node.cluster() as cluster:
            # Three updates: in between the others see a worker without a label, and one without a pace.
            await cluster.update_tag("label", model)
            await cluster.update_tag("pace", str(seconds_per_token))
            await cluster.update_tag("role", "worker")
            node.ready()
            await server.wait_closed()
    finally:
        await server.stop()
