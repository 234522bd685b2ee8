"""A program that uses every source of nondeterminism that the simulation answers for; prints its digest."""

import asyncio
import gc
import os
import random
import secrets
import sys
import tempfile
import time
import uuid
import warnings
import weakref

from sim import Simulation


class Finalised:
    """Is part of a cycle, so that only the garbage collector finds it."""

    def __init__(self, node, number):
        self.me = self
        weakref.finalize(self, lambda: node.record("finalised", number=number))


async def talk(node, peers):
    loop = asyncio.get_running_loop()
    random.seed()
    async with asyncio.TaskGroup() as group:
        for i in range(5):
            group.create_task(asyncio.sleep(random.random()), name=f"t{i}")
    done, _ = await asyncio.wait([loop.create_task(asyncio.sleep(0, i)) for i in range(10)])
    node.record("walked", order=[task.result() for task in done])
    node.record("drawn", a=random.random(), b=uuid.uuid4().hex, c=secrets.token_hex(), d=os.urandom(4), e=time.time())
    node.record("thread", value=await asyncio.to_thread(random.random))
    node.record("pid", value=os.getpid())
    warnings.warn("once a place", stacklevel=1)
    reader, writer = await asyncio.open_connection(peers[0], 7000)
    for i in range(300):
        Finalised(node, i)
        writer.write(uuid.uuid4().bytes)
        await reader.readexactly(16)
        if i == 150:
            gc.collect()
    writer.close()


async def serve(node):
    async def echo(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async with await asyncio.start_server(echo, "0.0.0.0", 7000) as server:
        await server.serve_forever()


def main(seed):
    warnings.simplefilter("ignore")
    simulation = Simulation(seed)
    simulation.network.default_link(latency="lognormal(2ms, 0.5)", loss="1%")
    server = simulation.add_node("server")
    server.start(serve, server)
    for i in range(5):
        node = simulation.add_node(f"client-{i}")
        node.start(talk, node, ["server"], delay=0.01)
    simulation.environment.process(faults(simulation))
    simulation.run(until=60.0)
    digest = simulation.digest()
    simulation.close()
    return digest


def faults(simulation):
    yield simulation.environment.timeout(0.7)
    simulation.nodes["client-1"].crash()
    simulation.nodes["client-2"].pause(0.5)


if __name__ == "__main__":
    os.chdir(tempfile.gettempdir())
    print(main(int(sys.argv[1])))
