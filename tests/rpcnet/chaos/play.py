"""Plays a plan in the simulator: a server, two clients, and the faults; then lets everything come to rest and close."""

import asyncio
import logging
from collections.abc import Callable
from random import Random
from typing import Any

from rpcnet import RpcClient, RpcServer, Unavailable
from rpcnet.server.server import CANCEL_SECONDS
from sim import Simulation
from tests.rpcnet.chaos import callers, invariants, limits
from tests.rpcnet.chaos.encryption import contexts
from tests.rpcnet.chaos.handlers import Handlers
from tests.rpcnet.chaos.plan import CLIENTS, SERVER, Fault, Plan
from tests.rpcnet.chaos.record import Record

__all__ = ["Stage", "play"]

ADDRESS = "server:7000"
SETTLE = 1.0
"""Seconds after which a process that has closed everything must have nothing left."""
STOP_SECONDS = 4.0
"""What server.stop() may take beyond its grace: handlers that are cancelled, connections that linger."""
CLOSE_SECONDS = 2.0
HAND_OVER = 0.001
"""Seconds until a server that stops has given its port to the next one."""


def play(plan: Plan) -> Record:
    """Play a plan; what is wrong is in the record."""
    with _Log() as log, Simulation(plan.seed, tie_break=plan.tie_break) as simulation:
        stage = Stage(plan, simulation)
        stage.run()
        stage.record.wrong += invariants.logged(plan, log.records)
    stage.record.wrong += [f"left behind: {leak!r}" for leak in simulation.leaks if not stage.gave_up]
    return stage.record


class Stage:
    """The machines of one plan, and what runs on them."""

    def __init__(self, plan: Plan, simulation: Simulation) -> None:
        self.plan = plan
        self.simulation = simulation
        self.record = Record(plan, lambda: simulation.now)
        self.server: RpcServer | None = None
        self.clients: dict[str, RpcClient | None] = dict.fromkeys(CLIENTS)
        self.connected = {name: asyncio.Event() for name in CLIENTS}
        self.serving: asyncio.Task[None] | None = None
        self.gave_up = False
        """Calls hang: nothing after that says more."""

    def run(self) -> None:
        plan, simulation = self.plan, self.simulation
        simulation.network.default_link(latency=plan.latency, bandwidth=plan.bandwidth, loss=plan.loss)
        nodes = {name: simulation.add_node(name) for name in (SERVER, *CLIENTS)}
        nodes[SERVER].start(self._serve, name="serve")
        mains = [nodes[name].start(self._call, name, delay=0.01, name="client") for name in CLIENTS]
        living = [main for name, main in zip(CLIENTS, mains, strict=True) if name not in plan.doomed]
        for fault in plan.faults:
            self._inject(fault)
        end = limits.latest(plan)
        while simulation.now < end and not (simulation.now > plan.healed_at and all(main.done() for main in living)):
            simulation.run(until=min(simulation.now + 0.25, end))
        longest = max((call.handling.cleanup for call in plan.calls), default=0.0)
        simulation.run(until=simulation.now + limits.ping_seconds(plan) + longest + 1.0)
        self.record.wrong += invariants.ended(self.record)
        self.gave_up = bool(self.record.wrong)
        for main in mains:
            if main.done() and main.exception() is not None:
                self.record.wrong.append(f"a client's program ended with {main.exception()!r}")
        if self.serving is not None and self.serving.done() and self.serving.exception() is not None:
            self.record.wrong.append(f"the server's program ended with {self.serving.exception()!r}")
        if not self.gave_up:
            self.record.wrong += invariants.quiet(self)
            self.record.wrong += invariants.truthful(self.record)
            self._close(nodes)
        for client in self.clients.values():
            if client is not None:
                client._dialer._closed = (
                    True  # its process is dead, or gave up: it is not to say that it was not closed
                )

    def _close(self, nodes: Any) -> None:
        """Close the clients and the server: in time, and nothing of them is left."""
        simulation = self.simulation
        closing = [
            nodes[name].start(client.close, name="close")
            for name, client in self.clients.items()
            if client and name not in self.plan.doomed
        ]
        if self.server is not None:
            closing.append(nodes[SERVER].start(self.server.stop, name="stop"))
        simulation.run(until=simulation.now + CLOSE_SECONDS + SETTLE)
        for task in closing:
            if not task.done():
                self.record.wrong.append(f"{task.get_name()} takes more than {CLOSE_SECONDS} s although nothing runs")
            elif task.exception() is not None:
                self.record.wrong.append(f"{task.get_name()} raised {task.exception()!r}")
        self.record.wrong += [
            f"a task is left on {node}: {task.get_name()} waits in {place}" for node, task, place in simulation.tasks()
        ]

    # What runs on the nodes.

    async def _serve(self) -> None:
        """Serve; stop and start again where the plan says so. Runs anew when the node is restarted."""
        plan, record = self.plan, self.record
        record.boots += 1
        self.serving = asyncio.current_task()
        loop = asyncio.get_running_loop()
        stops = [fault for fault in sorted(plan.faults, key=lambda fault: fault.at) if fault.kind in ("stop", "roll")]
        old: list[asyncio.Task[None]] = []
        server = None
        while True:
            if server is None:
                tls = contexts()[0] if plan.tls else None
                server = RpcServer("0.0.0.0:7000", tls=tls, config=plan.server_config, random=Random(plan.seed))
                Handlers(record).register(server)
            await server.start()
            self.server = server
            now = loop.time()
            stop = next((fault for fault in stops if fault.at > now), None)
            if stop is None:
                await asyncio.gather(*old)
                await server.wait_closed()
                return
            await asyncio.sleep(stop.at - now)
            stopping = asyncio.create_task(self._stop(server, stop.amount), name="serve")
            if stop.kind == "roll":
                old.append(stopping)
                await asyncio.sleep(HAND_OVER)
            else:
                await stopping
                await asyncio.sleep(stop.lasts)
            if stop.kind == "roll" or not stop.reverse:
                server = None

    async def _stop(self, server: RpcServer, grace: float) -> None:
        plan, record, now = self.plan, self.record, asyncio.get_running_loop().time
        before = now()
        await server.stop(grace)
        took = now() - before - plan.stalled(SERVER, before, now())
        if took > grace + STOP_SECONDS:
            record.wrong.append(f"server.stop(grace={grace}) took {took:.2f} s")
        if not any(seen.call.handling.cleanup > CANCEL_SECONDS for seen in record.seen.values()):
            record.wrong += invariants.counts(server.stats, "a server that has stopped", connections=0)

    async def _call(self, name: str) -> None:
        """Connect, and make each call at its time; close and connect again where the plan says so."""
        loop = asyncio.get_running_loop()
        await self._connect(name)
        calls = [
            asyncio.create_task(self._make(name, seen.call.number))
            for seen in self.record.seen.values()
            if seen.call.node == name
        ]
        for fault in sorted(self.plan.faults, key=lambda fault: fault.at):
            if fault.kind == "leave" and fault.node == name:
                await asyncio.sleep(max(0.0, fault.at - loop.time()))
                await self._leave(name)
                await self._connect(name)
        await asyncio.gather(*calls)

    async def _connect(self, name: str) -> None:
        number = 0
        while self.clients[name] is None:
            number += 1
            random = Random(f"{self.plan.seed}/{name}/{number}")
            try:
                tls = contexts()[1] if self.plan.tls else None
                config = self.plan.client_config
                self.clients[name] = await RpcClient.connect(ADDRESS, tls=tls, config=config, random=random)
            except Unavailable:
                await asyncio.sleep(0.05)
        self.connected[name].set()

    async def _leave(self, name: str) -> None:
        client, self.clients[name] = self.clients[name], None
        assert client is not None
        self.connected[name].clear()
        for seen in self.record.seen.values():
            if seen.client is client:
                seen.letting_go("its client is closed")
        await client.close()
        self.record.wrong += invariants.counts(client.stats, "a client that was closed", connections=0)

    async def _make(self, name: str, number: int) -> None:
        seen = self.record.seen[number]
        await asyncio.sleep(max(0.0, seen.call.at - asyncio.get_running_loop().time()))
        await self.connected[name].wait()
        client = self.clients[name]
        assert client is not None
        await callers.make(client, seen)

    # What befalls them.

    def _inject(self, fault: Fault) -> None:
        network, node = self.simulation.network, self.simulation.nodes[fault.node]
        name = f"fault {fault.number}"
        pair = [fault.node], [SERVER]

        def restart() -> None:
            if not node.running and fault.node == SERVER:
                node.restart()

        begin: Callable[[], object] = {
            "pause": lambda: node.pause(fault.lasts),
            "block": lambda: node.block(fault.lasts),
            "cut": lambda: network.partition(
                *(pair[::-1] if fault.reverse else pair), one_way=fault.one_way, name=name
            ),
            "loss": lambda: network.link(fault.node, SERVER, loss=fault.amount, name=name),
            "slow": lambda: network.link(fault.node, SERVER, bandwidth=fault.amount, name=name),
            "slow_receive": lambda: network.slow_receive(fault.node, fault.amount, name=name),
            "kill": node.kill,
            "crash": node.crash,
            "reset": node.reset,
            "stop": lambda: None,
            "roll": lambda: None,
            "leave": lambda: None,
        }[fault.kind]
        self._at(fault.at, begin)
        if fault.kind in ("cut", "loss", "slow", "slow_receive"):
            self._at(fault.at + fault.lasts, lambda: network.heal(name))
        elif fault.kind in ("kill", "crash"):
            self._at(fault.at + fault.lasts, restart)

    def _at(self, when: float, action: Callable[[], object]) -> None:
        def act(_: object) -> None:
            self.simulation.leave()  # it is no node's doing
            action()

        self.simulation.schedule.at(when, act, None)


class _Log(logging.Handler):
    """Keeps what rpcnet and asyncio log, and keeps it from the terminal."""

    NAMES = ("rpcnet", "asyncio")

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def __enter__(self) -> "_Log":
        self._before = [(logging.getLogger(name), logging.getLogger(name).propagate) for name in self.NAMES]
        for logger, _ in self._before:
            logger.addHandler(self)
            logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        for logger, propagate in self._before:
            logger.removeHandler(self)
            logger.propagate = propagate
