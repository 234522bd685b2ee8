"""A client and a server on two machines, and the least that they do."""

import asyncio

from sim import Simulation

PORT = 7000
LATENCY = 0.01


class World:
    """A client node a and a server node b, `latency` apart."""

    def __init__(self, seed=1, tie_break="fifo", **link):
        self.simulation = Simulation(seed, tie_break=tie_break)
        self.simulation.network.default_link(**{"latency": LATENCY, **link})
        self.a, self.b = self.simulation.add_node("a"), self.simulation.add_node("b")
        self.network = self.simulation.network

    def run(self, client, server=None, at=()):
        """Run `client()` on a against `server(reader, writer)` on b; `at` = (time, function) pairs."""

        async def serve():
            async with await asyncio.start_server(server, "0.0.0.0", PORT) as running:
                await running.serve_forever()

        def timeline(environment):
            for when, function in at:
                yield environment.timeout(when - environment.now)
                function()

        if server is not None:
            self.b.start(serve)
        if at:
            self.simulation.environment.process(timeline(self.simulation.environment))
        try:
            return self.simulation.run_until_complete(self.a.start(client))
        finally:
            self.simulation.close()


def now():
    return asyncio.get_running_loop().time()


async def connect():
    return await asyncio.open_connection("b", PORT)


async def sink(reader, writer):
    while await reader.read(1 << 20):
        pass
    writer.close()


async def echo(reader, writer):
    while data := await reader.read(1 << 20):
        writer.write(data)
        await writer.drain()
    writer.close()
