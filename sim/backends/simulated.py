"""A program run on one simulation: each node a simulated machine, in virtual time, everything decided by the seed.

The kernel and the network do what the verbs say; this room hands applications their context, tells the trace of their
lives, and plays the scripts as SimPy processes. No wall time, no process id and no path of this machine gets into it.

Tests: tests/sim/backends/test_both_worlds.py, tests/sim/backends/test_simulated.py, tests/sim/backends/test_faults.py.
"""

import asyncio
import math
import sys
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, redirect_stdout
from functools import partial, update_wrapper
from pathlib import Path
from random import Random
from typing import Any

import simpy

from rpcnet import observe
from rpcnet.address import join_host_port
from rpcnet.app import GOSSIP_PORT, App, NodeContext, convert_arguments, invoke, keyring_of, load_app
from sim.backends.program import NodeProgram, Outcome, Program, ProgramError, Ready, Script, check_program
from sim.backends.shared_process import environment_of, logged
from sim.backends.text import error_text, plain, traceback_text
from sim.backends.topology import lay_out
from sim.defects import switched_on
from sim.kernel.errors import SimulationError, WallLimitExceeded
from sim.kernel.node import Node
from sim.kernel.simulation import Simulation

__all__ = ["NAME", "World", "run"]

NAME = "sim"
MAX_WAITING_NODES = 50
"""Of more nodes it is not kept where their tasks waited."""

KILL_AFTER_GRACE = 1.0
"""Virtual seconds beyond its grace after which a stopped node that still runs is killed."""


def run(program: Program, trace: Path, follow: Callable[["World"], object] | None = None) -> Outcome:
    """Run it to the end and write its trace. Raises ProgramError before anything starts."""
    check_program(program)
    began = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(environment_of(program.nodes))
        # What an application prints is talk, as it is on sockets; stdout is for data.
        stack.enter_context(redirect_stdout(sys.stderr))
        # Around the simulation's end too: what the dead log when they are buried is nobody's.
        stack.enter_context(logged())
        simulation = Simulation(
            program.seed,
            tie_break=program.tie_break,
            interleaving=program.interleaving,
            trace=trace,
            wall_limit=program.wall_limit,
        )
        stack.callback(simulation.trace.close)
        stack.callback(simulation.close)
        world = World(program, simulation)
        stack.callback(world.let_go)
        if follow is not None:
            follow(world)
        stack.enter_context(switched_on(program.defects))
        simulation.somewhere(world.run)
        return Outcome(
            backend=NAME,
            digest=None if world.cut_off else simulation.digest(),
            virtual_seconds=world.now,
            wall_seconds=time.monotonic() - began,
            error=world.error,
            waiting=world.waiting,
        )


class _Recorder:
    """The observer of one start of a node; deaf once that is over, whatever its `finally` blocks say."""

    def __init__(self, node: Node) -> None:
        self._node, self._loop = node, node.loop

    def record(self, event: str, /, **fields: object) -> None:
        if self._node.loop is self._loop and self._node.running:
            self._node.record(event, **fields)


class _Member:
    """One machine of the run, over all its starts."""

    def __init__(self, program: NodeProgram, app: App, node: Node) -> None:
        self.program = program
        self.name = program.name
        self.app = app
        self.node = node
        self.runs = 0
        self.is_ready = False
        self.is_over = False
        """Its main has ended."""
        self.ready: simpy.Event = node.simulation.environment.event()
        self.stopped_at: float | None = None
        self.stalled_until = 0.0
        self.left: SystemExit | None = None
        """What a task other than main raised to end the process."""
        node.on_exit = self._leave

    def _leave(self, error: SystemExit) -> None:
        """Main is cancelled, as asyncio.run does; its end is that of the process."""
        self.left = self.left or error
        for main in self.node.mains:
            main.cancel()

    @property
    def up(self) -> bool:
        return self.runs > 0 and self.node.running


class World:
    """The running program, as fault scripts see it (sim.backends.program.World)."""

    name = NAME

    def __init__(self, program: Program, simulation: Simulation) -> None:
        self._program = program
        self._simulation = simulation
        self._environment = simulation.environment
        self._network = simulation.network
        self._members = {
            node.name: _Member(node, load_app(node.app), simulation.add_node(node.name, cpu=node.cpu))
            for node in program.nodes
        }
        for member in self._members.values():
            member.node.on_death = partial(self._died, member)
        lay_out(simulation.network, program)
        try:
            simulation.network.check_connected()
        except ValueError as error:
            raise ProgramError(f"network: {error}") from error
        self._seeds = [join_host_port(self._members[name].node.host.ip, GOSSIP_PORT) for name in program.seeds]
        self._clocks: dict[str, tuple[_Member, float, float]] = {}
        """Wrong ones by the name of the fault: whose, offset, drift."""
        self._slow: dict[str, tuple[_Member, float]] = {}
        """Slow machines by the name of the fault: whose, factor."""
        self._zero: float | None = None
        self._installed: list[Callable[[], None]] = []
        self.error: str | None = None
        self.waiting: tuple[tuple[str, str, str], ...] = ()
        """Node, name and place of the tasks that had not ended when the run's end began."""
        self.cut_off = False
        """Whether it was ended for its wall limit: how far it got is another each time."""

    # -- the run -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        program = self._program
        self.record("run_started", scenario=program.scenario, seed=program.seed, backend=NAME)
        try:
            self._run()
        except SimulationError as error:
            # An application that goes on and on while no time passes; nothing more can be simulated.
            self.cut_off = isinstance(error, WallLimitExceeded)
            self._fail(f"the run cannot go on: {error}")
            for member in self._members.values():
                member.node.kill()
        self.record("run_ended")

    def _run(self) -> None:
        at_once = [member for member in self._members.values() if member.program.start <= 0]
        for member in at_once:
            self._start(member)
        if self._all_ready(at_once):
            self._zero = self._simulation.now
            self.record("zero")
            self._play_all()
        for member in self._members.values():
            if member.node.running:
                member.node.loop.check_rests()
        if len(self._members) <= MAX_WAITING_NODES:
            self.waiting = tuple(
                (node, task.get_name(), plain(where)) for node, task, where in self._simulation.tasks()
            )
        self._end()

    def _all_ready(self, members: Sequence[_Member]) -> bool:
        """Run until they are; False where one ended or the time is up, which is then the error of the run."""
        limit = self._program.ready_timeout
        self._simulation.drive(
            lambda: all(m.is_ready for m in members) or any(m.is_over and not m.is_ready for m in members), limit
        )
        for member in members:
            if not member.is_ready and (member.is_over or self._simulation.now >= limit):
                why = "ended before it was ready" if member.is_over else f"not ready after {limit:g} s"
                self._fail(f"{member.name} ({member.program.app}): {why}: its main must call node.ready()")
        return self.error is None

    def _play_all(self) -> None:
        """The scripts, side by side, until the end of the run."""
        scripts = list(self._program.scripts(self))
        for script in scripts:
            self._environment.process(self._play(script))
        for member in self._members.values():
            if member.program.start > 0:
                self._simulation.schedule.after(member.program.start, self._start, member)
        self._simulation.drive(_never, self._simulation.now + self._program.duration)
        for script in scripts:
            script.close()

    def _play(self, script: Script) -> Generator[simpy.Event, Any, None]:
        for wanted in script:
            if isinstance(wanted, Ready):
                member = self._members[wanted.node]
                if not member.is_ready:
                    yield member.ready
            else:
                yield self._environment.timeout(wanted)

    def _end(self) -> None:
        """Undo what is left of the faults, stop every node, wait for the grace; nobody is left."""
        self._network.heal()
        for name in [*self._clocks, *self._slow]:
            self.heal(name)
        for member in self._members.values():
            if member.node.stalled:
                member.node.record("node_resumed")
                member.stalled_until = 0.0
                member.node.resume()
        for member in self._members.values():
            if member.stopped_at is None:
                self.stop(member.name)
        limit = self._simulation.now + self._program.grace + KILL_AFTER_GRACE
        self._simulation.drive(lambda: not any(member.up for member in self._members.values()), limit)
        for member in self._members.values():
            self._give_up((member, member.runs))
            member.node.kill()

    def let_go(self) -> None:
        """Take the observers away: each holds its node, and so the loop that it is kept by, and all of the run."""
        for remove in self._installed:
            remove()

    # -- applications --------------------------------------------------------------------------------------------------

    def _start(self, member: _Member) -> None:
        if member.runs == 0:

            def main() -> Coroutine[Any, Any, None]:
                return self._life(member)

            # Who asks where it waits is told of the application, also before that has begun.
            member.node.start(update_wrapper(main, member.app, (), ()), name="main")
            member.runs = 1

    async def _life(self, member: _Member) -> None:
        """One start of a node: its main, what the trace is told of it, and the end of its process."""
        node, program, run = member.node, member.program, member.runs
        recorder = _Recorder(node)
        self._installed.append(observe.install(recorder, node.loop))
        recorder.record("node_started", address=node.host.ip, labels=dict(program.labels), app=program.app)
        member.left = None
        raised: BaseException | None = None
        try:
            arguments = convert_arguments(member.app, program.arguments)
            await invoke(member.app, self._context(member, run, recorder), arguments)
        except asyncio.CancelledError as cancelled:
            raised = member.left or cancelled
        except (Exception, SystemExit) as error:
            raised = error
        status, ended = "ok", self._in_order
        if isinstance(raised, asyncio.CancelledError):
            status = "cancelled"
        elif raised is not None and (not isinstance(raised, SystemExit) or raised.code):
            status, ended = "error", self._die
            text, lines = error_text(raised), traceback_text(raised)
            recorder.record("node_failed", error=text, traceback=lines)
            self._fail(f"{member.name} ({program.app}): {text}\n{lines}")
        recorder.record("node_exited", status=status)
        member.is_over = True
        # From outside of the node: it cannot end itself while it runs.
        self._simulation.schedule.after(0.0, ended, (member, run))

    def _context(self, member: _Member, run: int, recorder: _Recorder) -> NodeContext:
        program = self._program

        def ready() -> None:
            recorder.record("node_ready")
            if not member.is_ready:
                member.is_ready = True
                member.ready.succeed()

        return NodeContext(
            member.name,
            host=member.node.host.ip,
            labels=member.program.labels,
            seeds=self._seeds,
            cluster=program.cluster,
            keyring=keyring_of(program.keys),
            insecure=True,
            random=Random(f"{program.seed}/{member.name}/{run}"),
            wall_clock=member.node.wall_clock,
            directory=member.node.place,
            on_ready=ready,
        )

    def _in_order(self, which: tuple[_Member, int]) -> None:
        """Its main has returned or was cancelled: what it left has the rest of the grace, then it is counted."""
        member, run = which
        if member.runs == run and member.node.running:
            now = self._simulation.now
            since = now if member.stopped_at is None else member.stopped_at
            member.node.shut_down(settle=max(0.0, since + self._program.grace - now))

    def _die(self, which: tuple[_Member, int]) -> None:
        member, run = which
        if member.runs == run:
            member.node.kill()

    def _died(self, member: _Member, text: str) -> None:
        """By a signal that it sent itself."""
        if not member.is_over:
            member.is_over = True
            member.node.record("node_failed", error=text, traceback="")
            self._fail(f"{member.name} ({member.program.app}): {text}")

    def _give_up(self, which: tuple[_Member, int]) -> None:
        """It was told to stop, and its grace is over."""
        member, run = which
        if member.runs != run or not member.up or member.is_over:
            return
        member.is_over = True
        member.node.record("node_exited", status="error")
        for task in member.node.mains:
            member.node.record("leak", kind="task", what=f"{task.get_name()}: it did not end when cancelled", where="")
        member.node.record("leaks_checked", found=len(member.node.mains))
        member.node.kill()

    def _fail(self, text: str) -> None:
        self.error = self.error or text

    # -- the World -----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return 0.0 if self._zero is None else self._simulation.now - self._zero

    def moment(self) -> AbstractContextManager[None]:
        return nullcontext()

    def names(self) -> Sequence[str]:
        return tuple(self._members)

    def is_up(self, node: str) -> bool:
        return self._members[node].up

    def record(self, event: str, /, **fields: object) -> None:
        self._simulation.trace.record(self._simulation.now, "", event, 0, **fields)

    def _running(self, name: str) -> _Member | None:
        member = self._members[name]
        return member if member.up else None

    def crash(self, node: str) -> bool:
        return self._end_abruptly(node, "node_crashed", Node.crash)

    def kill(self, node: str) -> bool:
        return self._end_abruptly(node, "node_killed", Node.kill)

    def _end_abruptly(self, name: str, event: str, how: Callable[[Node], bool]) -> bool:
        member = self._running(name)
        if member is None:
            return False
        member.stalled_until = 0.0
        member.node.record(event)
        return how(member.node)

    def stop(self, node: str) -> bool:
        member = self._running(node)
        if member is None or member.is_over or member.stopped_at is not None:
            return False
        member.stopped_at = self._simulation.now
        member.node.record("node_stopping")
        self._simulation.schedule.after(self._program.grace, self._give_up, (member, member.runs))
        return member.node.stop()

    def restart(self, node: str) -> bool:
        member = self._members[node]
        if member.up or member.runs == 0:
            return False
        member.runs += 1
        member.is_ready = member.is_over = False
        member.ready = self._environment.event()
        member.stopped_at = None
        member.node.restart()
        return True

    def pause(self, node: str, seconds: float) -> bool:
        return self._stall(node, seconds, "node_paused", Node.pause)

    def block(self, node: str, seconds: float) -> bool:
        return self._stall(node, seconds, "node_blocked", Node.block)

    def _stall(self, name: str, seconds: float, event: str, how: Callable[[Node, float], bool]) -> bool:
        member = self._running(name)
        if member is not None and 0.0 < member.stalled_until <= self._simulation.now:
            # One that ends at this very moment is over before the next begins.
            self._resumed((member, member.runs))
            member.node.resume()
        if member is None or not member.up or member.node.stalled:
            return False
        member.node.record(event, seconds=seconds)
        member.stalled_until = self._simulation.now + seconds
        # Before the kernel's own wake-up, so that what the node does then comes after it in the trace.
        self._simulation.schedule.after(seconds, self._resumed, (member, member.runs))
        return how(member.node, seconds)

    def _resumed(self, which: tuple[_Member, int]) -> None:
        member, run = which
        if member.runs == run and member.up and 0.0 < member.stalled_until <= self._simulation.now:
            member.stalled_until = 0.0
            member.node.record("node_resumed")

    def _connected(self, source: str, target: str) -> bool:
        return self._network.path(self._members[source].node.host, self._members[target].node.host) is not None

    def apart(self, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        return self._network.apart(pairs)

    def partition(self, name: str, groups: Sequence[Sequence[str]], one_way: bool = False) -> bool:
        senders = groups[:1] if one_way else groups
        news = any(
            self._connected(a, b)
            for group in senders
            for other in groups
            if other is not group
            for a in group
            for b in other
        )
        self._network.partition(*groups, one_way=one_way, name=name)
        return news

    def heal(self, name: str) -> bool:
        return self._network.heal(name) or self._heal_clock(name) or self._heal_slow(name)

    def hold(self, name: str, source: str, target: str) -> bool:
        inbox = self._members[target].node.host.inbox
        news = inbox is None or not inbox.holds_from(source)
        self._network.hold(source, target, name=name)
        return news

    def slow_receive(self, name: str, node: str, latency: str) -> bool:
        if self._running(node) is None:
            return False
        self._network.slow_receive(node, latency, name=name)
        return True

    def clock(self, name: str, node: str, offset: float, drift: float) -> bool:
        member = self._running(node)
        if member is None:
            return False
        self._clocks[name] = member, offset, drift
        self._set_clock(member)
        return True

    def _heal_clock(self, name: str) -> bool:
        wrong = self._clocks.pop(name, None)
        if wrong is not None:
            self._set_clock(wrong[0])
        return wrong is not None

    def _set_clock(self, member: _Member) -> None:
        """As all faults say that are in force on it."""
        clock, wrong = member.node.clock, [(o, d) for m, o, d in self._clocks.values() if m is member]
        if wrong:
            clock.offset, clock.drift = sum(o for o, _ in wrong), sum(d for _, d in wrong)
        else:
            clock.set_right()

    def slow(self, name: str, node: str, factor: float) -> bool:
        member = self._running(node)
        if member is None:
            return False
        self._slow[name] = member, factor
        self._set_slowdown(member)
        return True

    def _heal_slow(self, name: str) -> bool:
        slow = self._slow.pop(name, None)
        if slow is not None:
            self._set_slowdown(slow[0])
        return slow is not None

    def _set_slowdown(self, member: _Member) -> None:
        """As all faults say that are in force on it."""
        member.node.slowdown = math.prod(factor for m, factor in self._slow.values() if m is member)

    def reset(self, node: str) -> bool:
        member = self._running(node)
        return member is not None and member.node.reset()

    def isolate(self, name: str, node: str) -> bool:
        others = [other for other in self._members if other != node]
        news = any(self._connected(node, other) or self._connected(other, node) for other in others)
        self._network.isolate(node, name=name)
        return news

    def link(self, name: str, source: str, target: str, **edge: object) -> bool:
        before = self._network.between(source, target)
        self._network.link(source, target, name=name, one_way=True, **edge)
        return before != self._network.between(source, target)


def _never() -> bool:
    return False
