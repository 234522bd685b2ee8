"""Instructions that one call, one item, one large message take at both ends together, counted by valgrind.

python benchmarks/rpc_instructions.py [CASE …] [--json]

Client and server are joined in memory in one process (rpcnet.testing), so no kernel, no network and no other load is
counted. As in sim_instructions.py each case runs with less and with more of the same work; the difference is what one
takes. To compare two commits, run it in a checkout of each with the same interpreter.

Needs valgrind (Debian's package of that name). A case takes some ten seconds.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rpcnet import RpcClient, RpcServer
from rpcnet.testing import connected

BODY = b"x" * 60
ITEM = b"x" * 100
LARGE = bytes(200_000)


async def unary(client: RpcClient, count: int) -> None:
    for _ in range(count):
        await client.call("echo", BODY, timeout=60)


async def typed(client: RpcClient, count: int) -> None:
    for number in range(count):
        await client.call("double", number, response=int)


async def items(client: RpcClient, count: int) -> None:
    async for _ in client.call_server_streaming("items", str(count).encode()):
        pass


async def upload(client: RpcClient, count: int) -> None:
    await client.call_client_streaming("count", (ITEM for _ in range(count)))


async def echoes(client: RpcClient, count: int) -> None:
    """Sixteen in flight on a bidirectional stream."""
    async with client.call_streaming("echoes", response=int) as stream:
        for number in range(16):
            await stream.send(number)
        for number in range(count):
            await stream.receive()
            await stream.send(number)


async def large(client: RpcClient, count: int) -> None:
    for _ in range(count):
        await client.call("echo", LARGE)


CASES: dict[str, tuple[int, int, Callable[[RpcClient, int], Awaitable[None]]]] = {
    "unary": (100, 1_100, unary),
    "unary-typed": (100, 1_100, typed),
    "item-down": (500, 5_500, items),
    "item-up": (500, 5_500, upload),
    "echo-two-way": (500, 5_500, echoes),
    "unary-of-200-kB": (10, 60, large),
}
"""By name: how many in the shorter run, how many in the longer one, and what does so many."""


async def play(case: str, count: int) -> None:
    server = RpcServer("127.0.0.1:0")

    async def echo(payload: bytes) -> bytes:
        return payload

    async def double(number: int) -> int:
        return 2 * number

    async def some(payload: bytes) -> AsyncIterator[bytes]:
        for _ in range(int(payload)):
            yield ITEM

    async def counted_items(payloads: AsyncIterator[bytes]) -> bytes:
        return str(len([payload async for payload in payloads])).encode()

    async def echo_each(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield number

    server.register("echo", echo)
    server.register_typed("echoes", echo_each)
    server.register_typed("double", double)
    server.register_streaming("items", some, shape="server_streaming")
    server.register_streaming("count", counted_items, shape="client_streaming")
    async with connected(server) as client:
        await CASES[case][2](client, count)


def counted(case: str, count: int) -> int:
    """The instructions of a process that does so much of a case."""
    words = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*words, sys.executable, __file__, "--do", case, str(count)],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all where left out")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--do", nargs=2, metavar=("CASE", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        asyncio.run(play(options.do[0], int(options.do[1])))
        os._exit(0)  # what ending takes is nobody's
    if unknown := set(options.cases) - CASES.keys():
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed (on Debian: apt-get install valgrind)")
    found = {}
    for case in options.cases or CASES:
        less, more, _ = CASES[case]
        found[case] = round((counted(case, more) - counted(case, less)) / (more - less))
        if not options.json:
            print(f"{case:16s} {found[case]:12,} instructions", flush=True)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
