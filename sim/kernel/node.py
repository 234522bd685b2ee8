"""One simulated machine: its event loop, its clock and randomness, what runs on it, and what befalls it.

Deaths differ in who finds out how: `crash` is power loss (silence), `kill` the death of the process alone (the host
closes its sockets and refuses new ones), `stop` a request (SIGTERM), `shut_down` the end of a process that finished.
Knows its simulation; no scenario. Tests: tests/sim/kernel/test_node.py.
"""

import asyncio
import inspect
import math
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from types import CoroutineType, FunctionType
from typing import TYPE_CHECKING, Any

from sim.kernel.clock import Clock
from sim.kernel.errors import Livelock, NodeDown, SimulationError
from sim.kernel.leaks import Leak, left_behind
from sim.kernel.loop.handles import MainTask
from sim.kernel.loop.loop import NodeLoop
from sim.kernel.loop.names import Names
from sim.kernel.processor import Processor
from sim.kernel.running import outside
from sim.kernel.threads import current
from sim.kernel.work import Work
from sim.network.host import Host
from sim.network.latency import Distribution, parse_latency

if TYPE_CHECKING:
    from sim.kernel.simulation import Simulation
    from sim.network.tcp.endpoint import Endpoint

__all__ = ["Clock", "Main", "Node"]

Main = Callable[..., Coroutine[Any, Any, Any]] | Coroutine[Any, Any, Any]
MAX_RESTARTS_AT_ONE_TIME = 1000
"""Each makes an event loop; so many at one instant take some tenths of a second, and no program needs them."""


class Node:
    """A machine of a simulation; `simulation.add_node` makes it. It is up from then on, until something ends it."""

    __slots__ = (
        "__weakref__",
        "_behind",
        "_directory",
        "_entries",
        "_made_directory",
        "_mains",
        "_processor",
        "_random",
        "_restarted_at",
        "_restarts",
        "_stall",
        "_stalled_until",
        "clock",
        "host",
        "loop",
        "name",
        "names",
        "on_death",
        "on_exit",
        "process_id",
        "running",
        "simulation",
        "work",
    )

    def __init__(self, simulation: "Simulation", name: str, ip: str, *more: str) -> None:
        self.simulation = simulation
        self.name = name
        self.host = Host(name, ip, *more)
        self.names = Names(simulation.network, self.host)
        self._random: Random | None = None
        self.clock = Clock(self._exactly)
        """What its program takes for the time: `offset`, `drift`."""
        self.process_id = 1000 + len(simulation.nodes)
        self._processor: Processor | None = None
        """What each step of its program takes; None = no time."""
        self._entries: list[tuple[Main, tuple[Any, ...], str | None, float]] = []
        self._mains: list[asyncio.Task[Any]] = []
        self._restarts, self._restarted_at = 0, -1.0
        self._directory: Path | None = None
        self._made_directory = False
        self._stall = 0
        self._behind = False
        self._stalled_until = 0.0
        self.on_exit: Callable[[SystemExit], None] = self._exit
        """Called when its program calls sys.exit in a task or callback, in the midst of a turn."""
        self.on_death: Callable[[str], None] | None = None
        """Called, in place of an event of the trace, when a signal that its program sent itself ends the process."""
        self._boot()

    def _boot(self) -> None:
        self.host.up = True
        self.host.ahead = 0.0
        self.running = True
        """Whether a process runs on it."""
        self.work = Work()
        self.loop = NodeLoop(self)
        if self._processor is not None:
            self.loop.cost = self._processor.draw
        self.clock.govern(self.loop)

    @property
    def stalled(self) -> bool:
        """Whether it is paused or blocked: its program does not run, its host does."""
        return self.running and self.loop.held and not self._behind

    @property
    def cpu(self) -> Distribution | None:
        """What a step of its program takes; None = no time. It may be set to text: "lognormal(50us, 1)"."""
        return None if self._processor is None else self._processor.cpu

    @cpu.setter
    def cpu(self, cpu: str | float | Distribution | None) -> None:
        self._set_processor(None if cpu is None else parse_latency(cpu), self.slowdown)

    @property
    def slowdown(self) -> float:
        """How many times as long as usual each step takes. One that takes no time takes that of USUAL_CPU."""
        return 1.0 if self._processor is None else self._processor.factor

    @slowdown.setter
    def slowdown(self, factor: float) -> None:
        self._set_processor(self.cpu, factor)

    def _set_processor(self, cpu: Distribution | None, factor: float) -> None:
        if self._processor is None:
            self._processor = Processor(Random(f"{self.simulation.seed}/cpu/{self.name}"))
        self._processor.set(cpu, factor)
        self.loop.cost = self._processor.draw

    @property
    def random(self) -> Random:
        """This node's randomness: of the seed and its name."""
        if self._random is None:
            self._random = Random(f"{self.simulation.seed}/node/{self.name}")
        return self._random

    # -- what runs on it -------------------------------------------------------------------------------------------

    def start(self, main: Main, *args: Any, name: str | None = None, delay: float = 0.0) -> asyncio.Task[Any]:
        """Run `main(*args)` on this node, `delay` virtual seconds from now. Returns its task.

        What runs on another node, as a test's body, can await, gather and cancel it; one whose node crashes or is
        killed never ends, unless it is cancelled.
        A coroutine function runs again after a restart; a bare coroutine is taken too, but such a node cannot be
        restarted. Raises NodeDown, TypeError.
        """
        if not (_is_coroutine_function(main) or inspect.iscoroutine(main)) and (
            not callable(main) or inspect.isasyncgenfunction(main)
        ):
            raise TypeError(f"{main!r} is neither a coroutine function nor a coroutine; write `async def`")
        if inspect.iscoroutine(main) and args:
            raise TypeError("a bare coroutine takes no arguments; pass the coroutine function instead")
        if not isinstance(delay, int | float) or not 0 <= delay < math.inf:
            raise ValueError(f"delay is virtual seconds, at least 0, not {delay!r}")
        self.simulation.check_open()
        if not self.running:
            raise NodeDown(f"{self.name} is down; restart() it first")
        self._entries.append((main, args, name, delay))
        return self._launch(main, args, name, delay)

    def _launch(self, main: Main, args: tuple[Any, ...], name: str | None, delay: float) -> asyncio.Task[Any]:
        coroutine: Any
        if delay or not (_is_coroutine_function(main) or inspect.iscoroutine(main)):
            # A function is called on the node: what it does before its first await belongs there as well.
            coroutine = _call(main, args, delay) if callable(main) else _await(main, delay)
        else:
            coroutine = main(*args) if callable(main) else main
        task = self.loop.spawn(coroutine, MainTask, name=name)
        self._mains.append(task)
        asyncio.Task.add_done_callback(task, self._ended)  # here, whoever asks
        self.loop.kick()
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if task in self._mains:
            self._mains.remove(task)

    @property
    def mains(self) -> list[asyncio.Task[Any]]:
        """The tasks of `start` that have not ended."""
        return list(self._mains)

    @property
    def directory(self) -> Path:
        """What this machine keeps over restarts: a directory of its own, removed when the simulation closes."""
        place, made = self.place, self._made_directory
        self._made_directory = True
        if not made:
            place.mkdir(mode=0o700, exist_ok=True)
        return place

    @property
    def place(self) -> Path:
        """Where `directory` is, or would be: nothing is made for a program that never asks for it."""
        if self._directory is None:
            self._directory = _unused_place()
        return self._directory

    def record(self, event: str, /, **fields: object) -> int:
        """Write an event of this node into the trace; returns its line."""
        return self.simulation.record(self.name, event, **fields)

    # -- what befalls it -------------------------------------------------------------------------------------------

    def crash(self) -> bool:
        """Power loss. Peers see silence. From the end of the running callback on nothing that it does has an effect.

        Its coroutines are kept until the simulation ends, as dropping them would run their `finally` blocks.
        False where it was off already.
        """
        if not self.host.up:
            return False
        self.simulation.check_open()
        self._lose_process()
        self.host.power_off()
        self.simulation.network.fell_silent()
        return True

    def kill(self) -> bool:
        """The process dies (SIGKILL), the host stays up: it closes the sockets and refuses new connections."""
        if not self.running:
            return False
        self._lose_process()
        self.host.end_process()
        return True

    def stop(self) -> bool:
        """SIGTERM: the handler that the program installed, else its mains are cancelled. It may take its time."""
        if not self.running:
            return False
        if not self.loop.deliver(signal.SIGTERM):
            self.cancel_mains()
        return True

    def cancel_mains(self) -> None:
        """As a signal does that asks the process to end."""
        for task in self._mains:
            task.cancel()
        self.loop.kick()

    def end_by(self, sig: int) -> None:
        """Its program sent itself a signal that it handles nowhere: dead from the end of the running callback on."""
        if not self.running:
            return
        name = next((each.name for each in signal.Signals if each == sig), f"signal {sig}")  # SIGRTMIN + 1 has none
        text = f"the process ended by {name}"
        if self.on_death is None:
            self.record("node_failed", error=text, traceback="")
        else:
            self.on_death(text)
        self.kill()

    def shut_down(self, done: Callable[[list[Leak]], None] | None = None, *, settle: float = 0.0) -> None:
        """End the process in order, as asyncio.run does after its main: find leaks, cancel the rest, close the loop.

        What is left after the mains have ended may end by itself for `settle` seconds before it counts as leaked.
        `done` is called with the leaks at the end; what is cancelled may take (virtual) time.
        """
        if not self.running:
            raise NodeDown(f"{self.name} is down already")
        loop = self.loop

        def ended(task: asyncio.Task[list[Leak]]) -> None:
            if loop is not self.loop or not self.running:
                return
            self.running = False
            leaks = [] if task.cancelled() or task.exception() else task.result()
            self.simulation.schedule.after(0.0, self._close_loop, loop)
            if done is not None:
                done(leaks)

        loop.spawn(self._finish(settle), name=f"shut down {self.name}").add_done_callback(ended)
        loop.kick()

    def leave(self, error: SystemExit) -> None:
        """Its program called sys.exit: the process ends in order, as asyncio.run ends it."""
        if self.running:
            self.on_exit(error)

    def _exit(self, error: SystemExit) -> None:
        self.record("node_exited", status="error" if error.code else "ok")
        # From outside of the node: it cannot end itself while it runs.
        self.simulation.schedule.after(0.0, self._shut_down_left, self.loop)

    def _shut_down_left(self, loop: NodeLoop) -> None:
        if self.running and loop is self.loop:
            self.shut_down(self.simulation.leaks.extend)

    async def _finish(self, settle: float) -> list[Leak]:
        loop, this = self.loop, asyncio.current_task()
        for task in self._mains:
            task.cancel()
        await asyncio.gather(*self._mains, return_exceptions=True)
        await asyncio.sleep(0)  # transports that were closed just now get their connection_lost
        await asyncio.sleep(0)
        until, step = loop.time() + settle, 0.01
        while loop.time() < until and any(left_behind(loop, this)):  # nobody tells when the last has gone
            await asyncio.sleep(step)
            step = min(2 * step, until - loop.time())
        leaks = list(left_behind(loop, this))
        for leak in leaks:
            self.record("leak", kind=leak.kind, what=leak.what, where=leak.where)
        self.record("leaks_checked", found=len(leaks))
        left = [task for task in loop.tasks() if task is not this]
        for task in left:
            task.cancel()
        for task, result in zip(left, await asyncio.gather(*left, return_exceptions=True), strict=True):
            if isinstance(result, Exception):
                loop.call_exception_handler(
                    {"message": "unhandled exception during shutdown", "exception": result, "task": task}
                )
        await loop.shutdown_asyncgens()
        return leaks

    def _close_loop(self, loop: NodeLoop) -> None:
        if not loop.is_closed() and loop is self.loop:
            self.simulation.keep(loop.die())
            loop.close()
            self.host.end_process()

    def restart(self) -> list[asyncio.Task[Any]]:
        """Start the machine and run its entries again; one that runs is killed first. Returns the new tasks."""
        self.simulation.check_open()
        self._count_restart()
        for main, *_ in self._entries:
            if not callable(main):
                raise SimulationError(
                    f"{self.name} cannot be restarted: it was started with a coroutine, which runs once; "
                    "pass the coroutine function: node.start(main, …)"
                )
        if self.running:
            self.kill()
        self._mains.clear()
        self._boot()
        return [self._launch(main, args, name, 0.0) for main, args, name, _ in self._entries]

    def _count_restart(self) -> None:
        """Raises Livelock, out of the run too, where it restarts without end at one instant."""
        now = self.simulation.now
        self._restarts = self._restarts + 1 if now == self._restarted_at else 1
        self._restarted_at = now
        if self._restarts > MAX_RESTARTS_AT_ONE_TIME:
            text = f"{self.name} has been restarted {self._restarts} times at {now:g} s without time advancing"
            error = Livelock(f"{text}; does its own program restart it?")
            if self.simulation.driving:
                self.simulation.fail(error)
            raise error

    def reset(self) -> bool:
        """Reset its connections with other machines, at both ends. False where it has none."""
        found = self.host.connections()
        self.simulation.schedule.after(0.0, _break_off, found)
        return bool(found)

    def pause(self, seconds: float) -> bool:
        """SIGSTOP for so long, or a long garbage collection: the host goes on to accept, acknowledge and buffer."""
        return self._stand_still(seconds)

    def block(self, seconds: float) -> bool:
        """The loop is busy for so long, as with time.sleep in a callback. Datagrams and bytes wait in the buffers."""
        return self._stand_still(seconds)

    def _stand_still(self, seconds: float) -> bool:
        if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise ValueError(f"a pause lasts at least 0 s, and not for ever, not {seconds!r}")
        return self.running and self._hold(seconds)

    def _hold(self, seconds: float, *, behind: bool = False) -> bool:
        until = self.simulation.schedule.now + seconds
        if self.loop.held and until <= self._stalled_until:
            return True  # it stands still for longer already
        self._stalled_until, self._behind = until, behind
        self.loop.held = True
        self._stall += 1
        self.simulation.schedule.after(seconds, self._resume, (self._stall, self.loop))
        return True

    def resume(self) -> bool:
        """End a pause or block now."""
        if not self.stalled:
            return False
        self._resume((self._stall, self.loop))
        return True

    def _resume(self, which: tuple[int, NodeLoop]) -> None:
        stall, loop = which
        if stall == self._stall and loop is self.loop and self.running and loop.held:
            loop.held = self._behind = False
            self.host.ahead = 0.0
            loop.run_ready()

    def fall_behind(self) -> None:
        """The turn that has run took time: the loop goes on when everybody else has come as far."""
        if self.running:
            self._hold(self.host.ahead, behind=True)

    def _lose_process(self) -> None:
        self.running = False
        self.simulation.keep(self.loop.die())
        self._mains.clear()

    def loop_closed(self) -> None:
        """Its program closed the loop itself, as asyncio.Runner does: the process has ended."""
        if self.running:
            self.running = False
            self.host.end_process()

    def remove_directory(self) -> None:
        if self._directory is not None and self._directory.exists():
            import shutil

            shutil.rmtree(self._directory, ignore_errors=True)

    # -- what its program asks (sim.kernel.patches.clock_and_random) -------------------------------------------------

    def monotonic(self) -> float:
        """As `time.monotonic` and `loop.time` answer here: virtual seconds, unless its clock drifts."""
        self.look()
        return self.clock.steady()

    def _exactly(self) -> float:
        now: float = self.simulation.schedule.now + self.host.ahead
        return now

    def wall_clock(self) -> float:
        self.look()
        return self.clock.time()

    def processor_time(self) -> float:
        """As `time.process_time`: what it has worked (sim.kernel.work), not what it has waited or slept."""
        self.look()
        return self.work.seconds

    def look(self) -> None:
        """It asks what time it is. Raises Livelock where it does nothing else."""
        cost = self.work.look(self.simulation.schedule.now)
        if cost:
            if cost == math.inf:
                raise Livelock(f"{self.name} has looked at its clock for {self.host.ahead:.0f} s and done nothing else")
            self.host.ahead += cost
            self.loop.halt()

    def sleep(self, seconds: float) -> None:
        """`time.sleep` on this node: nothing of it runs meanwhile; but where a thread sleeps, the others do."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.work.rest()
        if (thread := current()) is not None:
            thread.wait(seconds)
            return
        self.host.ahead += self.clock.duration(seconds)
        if self.host.ahead:
            self.loop.halt()

    def __repr__(self) -> str:
        state = "down" if not self.host.up else "stalled" if self.stalled else "up" if self.running else "no process"
        return f"<Node {self.name} {self.host.ip} {state}>"


def _unused_place() -> Path:
    """A path of this process that nobody else has, drawn from nobody's simulated randomness.

    tempfile keeps one generator a process: were it asked on a node, the node's next numbers would depend on who asked
    before.
    """
    import tempfile

    with outside():
        return Path(tempfile.gettempdir(), f"sim-node-{os.urandom(8).hex()}")


def _is_coroutine_function(main: Any) -> bool:
    """As inspect's, which takes five times as long to find that it is a plain one, or a coroutine."""
    if type(main) is FunctionType and main.__code__.co_flags & inspect.CO_COROUTINE:
        return True
    return type(main) is not CoroutineType and inspect.iscoroutinefunction(main)


async def _call(main: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...], delay: float) -> Any:
    if delay:
        await asyncio.sleep(delay)
    running = main(*args)
    if not inspect.isawaitable(running):
        raise TypeError(f"{main!r} returned {running!r:.80}, which is no coroutine; write `async def`")
    return await running


async def _await(main: Coroutine[Any, Any, Any], delay: float) -> Any:
    if delay:
        try:
            await asyncio.sleep(delay)
        except BaseException:
            main.close()
            raise
    return await main


def _break_off(connections: "list[Endpoint]") -> None:
    for endpoint in connections:
        endpoint.break_off()
