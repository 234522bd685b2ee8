"""An application, a scenario of it, and the `rpcnet-sim` command in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

APP = """
import asyncio
import os
from pathlib import Path


async def main(node, *, word: str = "hello") -> None:
    node.ready()
    while True:
        await asyncio.sleep(0.5 * node.random.random())
        node.record("said", word=word)


async def tells(node) -> None:
    node.ready()
    Path("started").touch()
    while True:
        await asyncio.sleep(0.001)


async def spins(node) -> None:
    node.ready()
    Path("started").touch()
    while True:
        pass


async def tells_much(node) -> None:
    node.ready()
    for number in range(2000):
        await asyncio.sleep(0.001)
        node.record("said", word=str(number) * 100)


async def raises(node) -> None:
    node.ready()
    raise ValueError("the disk is on fire")


class Deaf:
    def __del__(self):
        raise KeyboardInterrupt  # as Ctrl-C does that is pressed meanwhile


async def drops(node) -> None:
    node.ready()
    Deaf()


async def unsteady(node) -> None:
    node.ready()
    for word in {"one", "two", "three", "four", "five", "six", "seven"}:
        node.record("said", word=word)


async def slow(node) -> None:
    node.ready()
    while True:
        await asyncio.sleep(0.01)
        node.record("said", word="hello")
        sum(range(1_000_000))


async def deadly(node) -> None:
    node.ready()
    if node.random.random() < 0.1:
        os._exit(5)
    await asyncio.sleep(1)
    node.record("said", word="hello")


async def fickle(node) -> None:
    node.ready()
    await asyncio.sleep(1)
    node.record("kept" if node.random.random() < 0.5 else "broke")


def never(trace):
    from sim.scenario import Verdict
    return Verdict.INCONCLUSIVE
"""

FILE = """\
name = "talk"
summary = "Does everybody speak?"
duration = "3s"
seed = 7

[[node]]
name = "one"
app = "cli_test_app:main"

[[expect]]
logged = "hello"
"""


def command(*words, **environment):
    return {
        "args": [sys.executable, "-m", "sim.cli", *words],
        "env": os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
