"""Mistakes that type checkers find: each line with a comment `wrong`, and no other."""

from rpcnet import RpcClient
from tests.rpcnet.codegen.sample import Sample
from tests.rpcnet.codegen.sample_rpc import SampleClient

__all__ = ["by_client", "by_proxy"]


async def by_proxy(client: RpcClient) -> None:
    sample = client.service(Sample, timeout=1.0)
    await sample.add("1")  # wrong
    await sample.add()  # wrong
    await sample.add(1, c=2)  # wrong
    await sample.named(1)  # wrong
    text: str = await sample.add(1)  # wrong
    print(text, await sample.add(1, b=2))


async def by_client(client: RpcClient) -> None:
    sample = SampleClient(client)
    await sample.add("1")  # wrong
    await sample.add()  # wrong
    await sample.add(1, c=2)  # wrong
    await sample.add(1, timeout="soon")  # wrong
    await sample.total(["1"])  # wrong
    await sample.named(1)  # wrong
    text: str = await sample.add(1)  # wrong
    print(text, await sample.add(1, b=2))
