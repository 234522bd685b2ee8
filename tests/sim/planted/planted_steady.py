"""No leak: all that could be one is answered by the simulation, or sorted."""

import asyncio
import logging
import os
import random
import socket
import time
import uuid
from datetime import datetime


class Named:
    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return sum(self.name.encode())

    def __eq__(self, other):
        return self.name == other.name


async def main(node):
    node.ready()
    for peer in sorted({"alpha", "bravo", "charlie"}):
        node.record("greeted", peer=peer)
    for named in {Named(name) for name in ("x", "y", "z")}:
        node.record("named", name=named.name)
    tasks = {asyncio.create_task(asyncio.sleep(0.01 * n), name=str(n)) for n in range(9)}
    done, _ = await asyncio.wait(tasks)
    node.record("slept", order=[task.get_name() for task in done])
    node.record("drew", one=random.random(), two=str(uuid.uuid4()), three=os.urandom(4).hex(), four=os.getpid())
    node.record("looked", wall=time.time(), now=str(datetime.now()), local=time.strftime("%H:%M:%S"))
    node.record("worked", value=await asyncio.to_thread(sum, [1, 2, 3]))
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        node.record("bound", port=made.getsockname()[1])
    loop = asyncio.get_running_loop()
    thing = Thing()
    loop.call_soon(thing.fail, Thing())
    kept.append(loop.create_task(thing.forget(), name=f"forgotten {node.name}"))
    await asyncio.sleep(0.1)
    logging.getLogger("app").warning("odd: %r", thing)
    loop.call_later(1000, thing.fail, thing)


kept = []


class Thing:
    """Its repr holds an address; so do messages about its callbacks, and with them paths."""

    def fail(self, other):
        raise ValueError(f"{self!r} {other!r}")

    async def forget(self):
        await asyncio.Event().wait()
