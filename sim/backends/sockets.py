"""A program run as real processes: one a node, on its own loopback address, with real signals and a shaped network.

Faults are SIGKILL, SIGSTOP, SIGTERM, a busy loop on command, and words to the children's shapers. Each process writes
its own trace file; they are merged by the host's one monotonic clock when all have ended. Whatever happens, no process
is left.

Tests: tests/sim/backends/test_both_worlds.py, tests/sim/backends/test_sockets.py, tests/sim/backends/test_faults.py.
"""

import asyncio
import math
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from rpcnet.address import join_host_port
from rpcnet.app import GOSSIP_PORT
from sim.backends import control
from sim.backends.addresses import AddressBlock, connected
from sim.backends.asyncio_run import asyncio_run
from sim.backends.process import Process
from sim.backends.program import Outcome, Program, Ready, Script, check_program
from sim.backends.socket_node import SocketNode
from sim.backends.text import plain
from sim.backends.throttle import throttle
from sim.backends.topology import Topology
from sim.trace import Trace, merge

__all__ = ["NAME", "World", "run"]

NAME = "sockets"

ACKNOWLEDGED_WITHIN = 1.0
"""Seconds that a busy child may take to apply a change; a stopped one applies it before it reads anything else."""
KILL_AFTER_GRACE = 3.0
"""Seconds beyond its grace after which a child that still runs is killed."""


def run(program: Program, trace: Path, follow: Callable[["World"], object] | None = None) -> Outcome:
    """Run it to the end and write its trace.

    Raises ProgramError before anything starts, and KeyboardInterrupt once everything is cleaned up.
    """
    check_program(program)
    with ExitStack() as stack:
        block = stack.enter_context(AddressBlock(len(program.nodes)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rpcnet-")))
        world = World(program, block, folder)
        stack.callback(world.destroy)
        if follow is not None:
            follow(world)
        try:
            return asyncio_run(world.run)
        finally:
            world.destroy()
            with Trace(trace) as merged:
                merge(world.traces(), merged)


class World:
    """The running program, as fault scripts see it (sim.backends.program.World)."""

    name = NAME

    def __init__(self, program: Program, block: AddressBlock, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._hosts = {node.name: block.address(number) for number, node in enumerate(program.nodes)}
        self._topology = Topology(program, self._hosts)
        self._holds: dict[str, tuple[str, str]] = {}
        """By the name of the fault: whose packets are kept, and on the way to whom."""
        self._late: dict[str, tuple[str, str]] = {}
        """… who reads late, and how late, …"""
        self._clocks: dict[str, tuple[str, float, float]] = {}
        """… whose clock is wrong: offset, drift, …"""
        self._slow: dict[str, tuple[str, float]] = {}
        """… and who is slow, by which factor."""
        self._throttles: dict[str, asyncio.Task[None]] = {}
        """Those that hold the slow ones back, by node."""
        self._nodes: dict[str, SocketNode] = {}
        self._processes: list[Process] = []
        self._starts: list[asyncio.Task[None]] = []
        self._number = 0
        self._epoch = time.monotonic()
        self._zero: float | None = None
        self._moment: float | None = None
        """What the time is said to be."""
        self._error: str | None = None
        self._trace = Trace(folder / "runner.trace", batch=1)
        self._sent: dict[str, control.Ways] = {}
        self._applying: asyncio.Task[None] | None = None

    # -- the run -----------------------------------------------------------------------------------------------------

    async def run(self) -> Outcome:
        program, begun = self._program, time.monotonic()
        self._nodes = {node.name: SocketNode(n, node, self._hosts[node.name]) for n, node in enumerate(program.nodes)}
        self.record("run_started", scenario=program.scenario, seed=program.seed, backend=NAME)
        try:
            at_once = [node for node in self._nodes.values() if node.program.start <= 0]
            for node in at_once:
                self._spawn(node)
            if await self._all_ready(at_once):
                self._zero = self._raw()
                self._trace.record(self._zero, "", "zero")
                await self._play_all()
            await self._end()
        finally:
            self.record("run_ended")
        return Outcome(
            backend=NAME,
            digest=None,
            virtual_seconds=self.now,
            wall_seconds=time.monotonic() - begun,
            error=self._error,
        )

    async def _all_ready(self, nodes: Sequence[SocketNode]) -> bool:
        """Wait until they are; False where one ended or the time is up, which is then the error of the run."""
        limit = self._program.ready_timeout
        waiting = {asyncio.create_task(self._ready_or_ended(node)) for node in nodes}
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=limit)
            for task in late:
                task.cancel()
        for node in nodes:
            if node.is_ready.is_set():
                continue
            if not node.is_over.is_set():
                why = f"not ready after {limit:g} s: its main must call node.ready()"
            else:
                why = "ended before it was ready: its main must call node.ready()"
            self._fail(f"{node.name} ({node.program.app}): {why}")
        return self._error is None

    async def _ready_or_ended(self, node: SocketNode) -> None:
        both = [asyncio.create_task(event.wait()) for event in (node.is_ready, node.is_over)]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()

    async def _play_all(self) -> None:
        """The scripts, side by side, until the end of the run."""
        scripts = list(self._program.scripts(self))
        playing = [asyncio.create_task(self._play(script)) for script in scripts]
        for node in self._nodes.values():
            if node.program.start > 0:
                self._starts.append(asyncio.create_task(self._start_later(node)))
        ended = asyncio.create_task(asyncio.sleep(max(0.0, self._program.duration - self.now)))
        try:
            watched: set[asyncio.Task[None]] = {ended, *playing}
            while not ended.done():
                done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # A script that raises is a mistake of ours: the run ends with it.
        finally:
            for task in (ended, *playing, *self._starts):
                task.cancel()
            await asyncio.gather(ended, *playing, *self._starts, return_exceptions=True)
            for script in scripts:
                script.close()

    async def _play(self, script: Script) -> None:
        for wanted in script:
            await self._settled()
            if isinstance(wanted, Ready):
                await self._nodes[wanted.node].is_ready.wait()
            else:
                await asyncio.sleep(wanted)

    async def _start_later(self, node: SocketNode) -> None:
        await asyncio.sleep(max(0.0, node.program.start - self.now))
        if node.process is None:
            self._spawn(node)

    async def _settled(self) -> None:
        """Until what the verbs have begun is done."""
        work = [task for task in (self._applying, *(node.work for node in self._nodes.values())) if task is not None]
        if work:
            # Not gather: whoever waits here may be cancelled, the work may not.
            done, _ = await asyncio.wait(work)
            for task in done:
                task.result()

    async def _end(self) -> None:
        """Undo what is left of the faults, stop every node, wait for the grace; nobody is left."""
        await self._settled()
        self._topology.heal(None)
        for rules in (self._holds, self._late, self._clocks, self._slow):
            rules.clear()
        for throttled in self._throttles.values():
            throttled.cancel()
        await asyncio.gather(*self._throttles.values(), return_exceptions=True)
        self._send_ways()
        for node in self._nodes.values():
            self._resume(node)
        for node in self._nodes.values():
            if not node.stopping:
                self.stop(node.name)
        ends = [asyncio.create_task(process.ended.wait()) for process in self._processes if process.alive]
        if ends:
            _, late = await asyncio.wait(ends, timeout=self._program.grace + KILL_AFTER_GRACE)
            for task in late:
                task.cancel()
        for node in self._nodes.values():
            if node.up:
                self._note(node, "leak", kind="task", what="main: the process did not end", where="")
                self._note(node, "leaks_checked", found=1)
                node.doomed = True
                if node.process is not None:
                    node.process.destroy()

    def destroy(self) -> None:
        """No process is left. Works at any time, on any thread, without a loop."""
        for process in self._processes:
            process.destroy()
        self._trace.close()

    def traces(self) -> list[Path]:
        paths = [self._folder / "runner.trace", *(process.trace for process in self._processes)]
        return [path for path in paths if path.exists()]

    # -- processes ---------------------------------------------------------------------------------------------------

    def _spawn(self, node: SocketNode) -> None:
        program = self._program
        node.runs += 1
        node.powered, node.starting, node.stopping, node.doomed, node.ended = True, False, False, False, None
        node.blocked_until = 0.0
        node.is_ready.clear()
        node.is_over.clear()
        order = control.Start(
            name=node.name,
            host=node.host,
            hosts=self._hosts,
            app=node.program.app,
            arguments=node.program.arguments,
            labels=node.program.labels,
            seeds=tuple(join_host_port(self._hosts[seed], GOSSIP_PORT) for seed in program.seeds),
            cluster=program.cluster,
            keys=program.keys,
            defects=program.defects,
            directory=str(self._folder / f"node-{node.number}"),
            trace=str(self._folder / f"{node.number}-{node.runs}.trace"),
            epoch=self._epoch,
            seed=f"{program.seed}/{node.name}/{node.runs}",
            grace=program.grace,
            ways=self._ways(node),
        )
        self._sent[node.name] = order.ways
        node.process = Process(order, node.program.environment, self._heard, self._gone)
        self._processes.append(node.process)

    def _heard(self, process: Process, message: control.Message) -> None:
        node = self._nodes[process.name]
        if process is not node.process:
            return
        if isinstance(message, control.Ready):
            node.is_ready.set()
        elif isinstance(message, control.Ended):
            node.ended = message
            node.is_over.set()
            if message.error is not None:
                self._fail(f"{node.name} ({node.program.app}): {message.error}\n{message.traceback}")

    def _gone(self, process: Process, code: int) -> None:
        node = self._nodes[process.name]
        if process is not node.process:
            return
        if node.resumption is not None:
            node.resumption.cancel()
            node.resumption = None
        node.is_over.set()
        if node.ended is None and not node.doomed and not (node.stopping and code == -signal.SIGTERM):
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
            words = f"; it printed last: {process.last_words}" if process.last_words else ""
            text = plain(f"the process ended {how}{words}")
            self._note(node, "node_failed", error=text, traceback="")
            self._fail(f"{node.name} ({node.program.app}): {text}")

    def _fail(self, text: str) -> None:
        self._error = self._error or text

    # -- what lies between -------------------------------------------------------------------------------------------

    def _ways(self, node: SocketNode) -> control.Ways:
        others = [other for other in self._nodes.values() if other is not node]
        return control.Ways(
            number=self._number,
            out={other.host: self._topology.between(node.name, other.name) for other in others},
            into={other.host: self._topology.between(other.name, node.name) for other in others},
            silent=frozenset(other.host for other in others if not other.powered),
            held_out=frozenset(self._hosts[b] for a, b in self._holds.values() if a == node.name),
            held_into=frozenset(self._hosts[a] for a, b in self._holds.values() if b == node.name),
            late=tuple(latency for name, latency in self._late.values() if name == node.name),
            offset=sum(offset for name, offset, _ in self._clocks.values() if name == node.name),
            drift=sum(drift for name, _, drift in self._clocks.values() if name == node.name),
            right=all(name != node.name for name, _, _ in self._clocks.values()),
        )

    def _send_ways(self) -> bool:
        """Tell each process what has changed for it; False where nothing has for anybody."""
        self._number += 1
        changed = False
        for node in self._nodes.values():
            ways = self._ways(node)
            before = self._sent.get(node.name)
            if before is not None and ways == replace(before, number=ways.number):
                continue
            self._sent[node.name] = ways
            if node.process is not None:
                node.process.send(ways)
            changed = True
        return changed

    async def _acknowledged(self) -> None:
        """Until everybody who can has applied the last change."""
        waiting = [
            asyncio.create_task(node.process.applied.wait())
            for node in self._nodes.values()
            if node.up and node.process is not None and node.resumption is None
        ]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=ACKNOWLEDGED_WITHIN)
            for task in late:
                task.cancel()

    # -- the World -----------------------------------------------------------------------------------------------------

    def _raw(self) -> float:
        return time.monotonic() - self._epoch if self._moment is None else self._moment

    @property
    def now(self) -> float:
        return 0.0 if self._zero is None else self._raw() - self._zero

    @contextmanager
    def moment(self) -> Iterator[None]:
        before, self._moment = self._moment, self._raw()
        try:
            yield
        finally:
            self._moment = before

    def names(self) -> Sequence[str]:
        return tuple(self._nodes)

    def is_up(self, node: str) -> bool:
        return self._nodes[node].up

    def record(self, event: str, /, **fields: object) -> None:
        self._trace.record(self._raw(), "", event, **fields)

    def _note(self, node: SocketNode, event: str, **fields: object) -> None:
        self._trace.record(self._raw(), node.name, event, **fields)

    def _running(self, name: str) -> tuple[SocketNode, Process] | None:
        node = self._nodes[name]
        return (node, node.process) if node.up and node.process is not None else None

    def _then(self, node: SocketNode, work: Coroutine[Any, Any, None]) -> None:
        """Do it after what the verbs before it on this node have begun."""
        before = node.work

        async def in_order() -> None:
            if before is not None:
                await before
            await work

        node.work = asyncio.create_task(in_order())

    def crash(self, node: str) -> bool:
        running = self._running(node)
        if running is None:
            return False
        victim, process = running
        # It does nothing from here on; it dies once nobody can hear its kernel say so.
        process.signal(signal.SIGSTOP)
        victim.doomed, victim.powered = True, False
        self._note(victim, "node_crashed")
        self._send_ways()

        async def power_off() -> None:
            await self._acknowledged()
            process.signal(signal.SIGKILL)
            await process.ended.wait()

        self._then(victim, power_off())
        return True

    def kill(self, node: str) -> bool:
        running = self._running(node)
        if running is None:
            return False
        victim, process = running
        victim.doomed = True
        self._note(victim, "node_killed")
        process.signal(signal.SIGKILL)
        self._then(victim, _until(process.ended))
        return True

    def stop(self, node: str) -> bool:
        running = self._running(node)
        if running is None or running[0].stopping or running[0].ended is not None:
            return False
        victim, process = running
        victim.stopping = True
        self._note(victim, "node_stopping")
        process.signal(signal.SIGTERM)
        return True

    def restart(self, node: str) -> bool:
        dead = self._nodes[node]
        if dead.up or dead.process is None or dead.starting:
            return False
        dead.starting = True
        dead.is_ready.clear()

        async def start() -> None:
            if dead.process is not None:
                await dead.process.ended.wait()
            self._spawn(dead)
            self._send_ways()

        self._then(dead, start())
        return True

    def pause(self, node: str, seconds: float) -> bool:
        running = self._running(node)
        if running is None or self._is_stalled(running[0]):
            return False
        victim, process = running
        process.signal(signal.SIGSTOP)
        self._note(victim, "node_paused", seconds=seconds)
        victim.resumption = asyncio.get_running_loop().call_later(seconds, self._resume, victim)
        return True

    def _resume(self, node: SocketNode) -> None:
        if node.resumption is None:
            return
        node.resumption.cancel()
        node.resumption = None
        if node.up and node.process is not None:
            self._note(node, "node_resumed")
            node.process.signal(signal.SIGCONT)

    def block(self, node: str, seconds: float) -> bool:
        running = self._running(node)
        if running is None or self._is_stalled(running[0]):
            return False
        victim, process = running
        victim.blocked_until = self._raw() + seconds
        process.send(control.Block(seconds))
        return True

    def _is_stalled(self, node: SocketNode) -> bool:
        return node.resumption is not None or self._raw() < node.blocked_until

    def apart(self, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        return self._topology.apart(pairs)

    def partition(self, name: str, groups: Sequence[Sequence[str]], one_way: bool = False) -> bool:
        self._topology.partition(name, groups, one_way)
        return self._cut_is_news()

    def heal(self, name: str) -> bool:
        kept = [rules.pop(name, None) for rules in (self._holds, self._late, self._clocks, self._slow)]
        found = self._topology.heal(name) or any(kept)
        # Another fault may still say the same: then it was undone, and nobody notices.
        self._cut_is_news()
        return found

    def hold(self, name: str, source: str, target: str) -> bool:
        self._holds[name] = source, target
        return self._cut_is_news()

    def slow_receive(self, name: str, node: str, latency: str) -> bool:
        if self._running(node) is None:
            return False
        self._late[name] = node, latency
        return self._cut_is_news()

    def clock(self, name: str, node: str, offset: float, drift: float) -> bool:
        if self._running(node) is None:
            return False
        self._clocks[name] = node, offset, drift
        return self._cut_is_news()

    def slow(self, name: str, node: str, factor: float) -> bool:
        if self._running(node) is None:
            return False
        self._slow[name] = node, factor
        if node not in self._throttles or self._throttles[node].done():
            self._throttles[node] = asyncio.create_task(
                throttle(
                    lambda: math.prod(times for slow, times in self._slow.values() if slow == node),
                    partial(self._send_throttled, self._nodes[node]),
                )
            )
        return True

    def _send_throttled(self, node: SocketNode, number: signal.Signals) -> None:
        """Not to one that is paused, which its end lets go on, nor to one that is about to die."""
        if node.up and node.process is not None and node.resumption is None:
            node.process.signal(number)

    def reset(self, node: str) -> bool:
        running = self._running(node)
        if running is None or not connected(running[0].host):
            return False
        running[1].send(control.Reset())
        return True

    def isolate(self, name: str, node: str) -> bool:
        self._topology.isolate(name, node)
        return self._cut_is_news()

    def link(self, name: str, source: str, target: str, **edge: object) -> bool:
        changed = self._topology.link(name, source, target, edge)
        # The link between two switches may change for nobody: all ways lead elsewhere.
        return self._cut_is_news() or changed

    def _cut_is_news(self) -> bool:
        news = self._send_ways()
        self._applying = asyncio.create_task(self._acknowledged())
        return news


async def _until(event: asyncio.Event) -> None:
    await event.wait()
