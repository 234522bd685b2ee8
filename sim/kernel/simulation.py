"""A simulation: virtual time, the nodes in it, the network between them, and the trace of what happened.

Time advances from event to event. While events are processed automatic garbage collection is off; it runs after every
so many events, which is the same point in every run. Knows no scenario and no rpcnet. Tests:
tests/sim/kernel/test_simulation.py, test_interrupt.py, test_bad_input.py.
"""

import asyncio
import atexit
import gc
import math
import sys
import warnings
from asyncio import coroutines, events
from collections.abc import Callable, Coroutine
from functools import cached_property
from heapq import heappop, heappush
from itertools import count
from random import Random
from threading import get_ident
from typing import TYPE_CHECKING, Any, NoReturn, Self
from weakref import WeakSet, ref

from sim.kernel import patches
from sim.kernel.errors import Deadlock, Livelock, RealThread, SimulationError, WallLimitExceeded
from sim.kernel.interleaving.interleaving import FIFO, Interleaving
from sim.kernel.interrupt import held, shortened
from sim.kernel.leaks import Leak, called_at
from sim.kernel.limits import Limits
from sim.kernel.loop.loop import NodeLoop
from sim.kernel.loop.run import Turns
from sim.kernel.node import Node
from sim.kernel.own_thread import in_own_thread
from sim.kernel.pages import gather_if_grown
from sim.kernel.patches import real_clients
from sim.kernel.real_threads import described, real_threads
from sim.kernel.teardown import bury, mute_collection
from sim.kernel.threads import Threads, current
from sim.kernel.waiting import is_woken, waits_for, where
from sim.network.fabric import Network, UnknownNode
from sim.network.latency import Distribution, parse_latency
from sim.network.schedule import Schedule
from sim.trace import Trace, TraceWriteError

if TYPE_CHECKING:
    from sim.network.environment import Environment

__all__ = ["Simulation", "new_event_loop", "run"]

WRITE_EVERY = 100
"""Events between two writes of the trace. Four times as many cost 6 %: by then the first have left the cache."""
LOOK_UP_EVERY = 10_000  # a multiple of that
"""Events between two looks at whether to stop, or to …"""
COLLECT_EVERY = 80_000
"""… collect young garbage, and …"""
EVENTS_A_NODE = 8
"""… so many more for each node: what a collection looks through are the nodes, and few of them change."""
COLLECT_ALL_EVERY = 1_600_000
"""The first of those collects all, and those after twice as many events each time, at most so many apart."""
MANY_OBJECTS = 100_000
"""So many, made before the first look, are not looked through for garbage: they are what the simulation consists of."""
MAX_EVENTS_AT_ONE_TIME = 5_000_000
MAX_SECONDS = 2**1000
"""Whole numbers beyond are no floats."""
CLOSE_SETTLE = 1.0
"""… and what outlives its main by so long is a leak."""
CLOSE_GRACE = 10.0
"""Virtual seconds in which nodes may finish when a simulation is closed."""

_driving: set[int] = set()
_open: WeakSet["Simulation"] = WeakSet()
"""Those that were made; at the end of the process those that nobody closed are."""
_NESTED = (
    "a simulation runs inside another one, or inside a node; end the outer one first. What a node wants to run beside "
    "its loop it awaits there, hands over from a thread (asyncio.run_coroutine_threadsafe), or gives a node of its "
    "own: simulation.add_node(…).start(main)"
)


@atexit.register
def _abandon_all() -> None:
    """At exit of Python: close open simulations while the modules of their programs still exist."""
    for simulation in list(_open):
        simulation.abandon()


class _Nodes(dict[str, Node]):
    """By name; an unknown one is answered with those that there are."""

    def __missing__(self, name: str) -> Node:
        raise UnknownNode(name, self)


class Simulation:
    """Virtual time for any asyncio program. A context manager; `close()` ends the nodes and looks for leaks.

    `seed` decides everything that is random. `tie_break` orders events of the same time: "fifo", or "random" by the
    seed. `interleaving` says which ready task of a node goes next: "fifo", or by the seed "random", "pct", "pos",
    "surw", or "mix", which draws one of the four (docs/howto/races.md). `cpu` is what each step of a program takes on
    nodes that are added without one: seconds, or text like "lognormal(50us, 1)"; None = no time. `trace` is a path
    to write the trace to; None spools to an unnamed temporary file. `wall_limit` is how many real seconds it may run
    in all: after them whatever runs it raises WallLimitExceeded. None = as long as it takes.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        tie_break: str = "fifo",
        interleaving: str = "fifo",
        cpu: str | float | Distribution | None = None,
        trace: Any = None,
        wall_limit: float | None = None,
    ) -> None:
        if tie_break not in ("fifo", "random"):
            raise ValueError(f'tie_break is "fifo" or "random", not {tie_break!r}')
        if not hasattr(seed, "__index__"):
            raise ValueError(f"a seed is a whole number, not {seed!r}")
        self.schedule = Schedule(Random(f"{seed}/order") if tie_break == "random" else None)
        self.limits = Limits(self.schedule, wall_limit)
        # None costs less than an answer that there is nothing to choose.
        self.interleaving = None if interleaving == FIFO else Interleaving(interleaving, seed)
        self._cpu = None if cpu is None else parse_latency(cpu)
        patches.install()
        self.seed = seed
        self.debug: bool = coroutines._is_debug_mode()  # type: ignore[attr-defined]
        """Whether its nodes' loops begin in debug mode: PYTHONASYNCIODEBUG, or Python's -X dev."""
        self.trace = Trace(trace)
        self.trace.on_error = self._trace_failed
        self.network = Network(self.schedule, Random(f"{seed}/network"), self.trace)
        real_clients.watch(self.network)
        self.nodes: dict[str, Node] = _Nodes()
        self.leaks: list[Leak] = []
        """What nodes left behind when they ended in order; complete after `close`."""
        self.next_number = count(1).__next__
        """The hash of the next task or future. One counter for all nodes: asyncio keeps all tasks in one set, where
        equal numbers of ten thousand nodes would collide."""
        self.thread = get_ident()
        """The thread that runs the nodes."""
        self.threads: list[Threads] = []
        """Of its nodes, the dead ones' too: all end with the simulation."""
        self._failed = False
        self.entered: Turns | None = None
        """The loop that is the running one, whose node answers clocks and randomness of this thread; it stays so until
        another's turn comes, or something else runs."""
        self.driving = False
        self._kept: list[Any] = []
        self._processed = 0
        self._spinning_since, self._spun = 0.0, 0
        self._collected_at = self._collect_all_at = 0
        self._closed = False
        self._checked = False
        self._made = called_at()
        _open.add(self)
        self._itself = ref(self)
        """None while Python's garbage collection finalises it."""

    def leave(self) -> None:
        """No node runs now."""
        if self.entered is not None:
            self.entered = None
            events._set_running_loop(None)

    def stepped(self) -> None:
        """A node has run, and nobody drives: somebody steps SimPy's environment by hand."""
        self.leave()
        self.trace.relieve()

    # -- building --------------------------------------------------------------------------------------------------

    def add_node(
        self, name: str, ip: str | None = None, *more: str, cpu: str | float | Distribution | None = None
    ) -> Node:
        """A new machine, up from now on. Addresses are 10.x.y.z, counted up, unless given: one or more, IPv6 too.

        `cpu`: what each step of its program takes; left out = as the simulation's.
        """
        if not isinstance(name, str) or not name:
            raise ValueError(f"a node has a name, a text that is not empty, not {name!r}")
        if given := (ip, *more) if ip else more:
            from ipaddress import ip_address

            for address in given:
                found = ip_address(str(address))  # raises ValueError
                if found.is_unspecified or found.is_multicast or found.is_loopback:
                    raise ValueError(f"{address} means no machine, or each one its own; give {name} another address")
        self.check_open()
        cpu = self._cpu if cpu is None else parse_latency(cpu)
        if name in self.nodes:
            raise ValueError(f"there is a node {name!r} already; names are unique")
        number = len(self.nodes) + 1
        node = Node(self, name, ip or f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", *more)
        try:
            self.network.add_host(node.host)
        except ValueError:
            node.loop.close()
            raise
        if cpu is not None:
            node.cpu = cpu
        self.nodes[name] = node
        return node

    def check_open(self) -> None:
        """Raises SimulationError where it is closed."""
        if self._closed:
            raise SimulationError("this simulation is closed; make a new one")

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return float(self.schedule.now)

    @cached_property
    def environment(self) -> "Environment":
        """For SimPy's processes that run beside the nodes. SimPy is loaded when it is asked for."""
        from sim.network.environment import Environment

        return Environment(self.schedule, self.leave)

    def record(self, node: str, event: str, /, **fields: object) -> int:
        """Write an event into the trace, caused by what is being answered; returns its line."""
        if self._closed:
            return 0  # a dead program's `finally`, or somebody who came too late
        ahead = self.nodes[node].host.ahead if node else 0.0  # "" is the runner
        return self.trace.record(self.schedule.now + ahead, node, event, self.network.cause[0], **fields)

    def fail(self, error: SimulationError) -> None:
        """End the run with that error, as soon as the running callback is over. Any thread may ask."""
        if not self._failed and not self._closed:
            self._failed = True
            heappush(self.schedule.queue, (self.schedule.now, 0, -1, self._throw, error))  # the first of all

    def _throw(self, error: SimulationError) -> None:
        self._failed = False
        raise error

    def refuse_thread(self, node: str, what: str) -> NoReturn:
        """Raises RealThread, in that thread and out of the run: a thread of the real world has to do with a node."""
        text = described(node, what)
        self.fail(RealThread(text))
        raise RealThread(text)

    def _trace_failed(self, error: TraceWriteError) -> None:
        """End the run between two events, as the error was noticed in code of a node that did not cause it."""
        self.schedule.after(0.0, _throw, error)

    def digest(self) -> str:
        """A hash over the trace: equal digests, equal runs."""
        return self.trace.digest()

    def tasks(self) -> list[tuple[str, asyncio.Task[Any], str]]:
        """Every task that has not ended: its node, the task, the line it waits at."""
        return [
            (node.name, task, where(task)) for node in self.nodes.values() if node.running for task in node.loop.tasks()
        ]

    # -- running ---------------------------------------------------------------------------------------------------

    def run(self, until: float | None = None) -> None:
        """Run until that time, or until nothing is scheduled. Raises Deadlock where then somebody still waits."""
        __tracebackhide__ = True  # of pytest and IPython
        if until is not None:
            if isinstance(until, bool) or not isinstance(until, int | float):
                raise SimulationError(f"cannot run until {until!r}: it is virtual seconds since the start, a number")
            if not until >= self.now:
                raise SimulationError(f"cannot run until {until!r} s: it is {self.now:g} s already")
            until = float(until) if until < MAX_SECONDS else math.inf
        self.somewhere(lambda: self._run(until))

    def _run(self, until: float | None) -> None:
        self.drive(None, math.inf if until is None else until)
        if until is None and self.tasks():
            raise self.deadlock("nothing is scheduled any more")

    def run_until_complete(self, task: asyncio.Task[Any]) -> Any:
        """Run until a task of `node.start` is done; returns its value or raises its exception. Raises Deadlock."""
        __tracebackhide__ = True
        loop = task.get_loop() if isinstance(task, asyncio.Task) else None
        if not isinstance(loop, NodeLoop) or loop.node.simulation is not self:
            raise SimulationError(f"{task!r:.100} is no task of this simulation; node.start(main) returns one")
        self.somewhere(lambda: self._complete(task))
        return task.result()

    def _complete(self, task: asyncio.Task[Any]) -> None:
        if not self.drive(task.done):
            raise self.deadlock(f"{task.get_name()} can never end")

    def step(self) -> bool:
        """Process one event; False where there is none."""
        return self.drive(iter((False, True)).__next__)

    def drive(self, stop: Callable[[], bool] | None, until: float = math.inf) -> bool:
        """Process events until `stop()`; False where there was nothing more to do before, or time is `until`."""
        thread = get_ident()
        if thread in _driving or current() is not None:
            raise SimulationError(_NESTED)
        self.check_open()
        if not self._checked:
            self.network.check_connected()
            self._checked = True
        for node in self.nodes.values():
            if node.running:
                node.loop.kick_if_needed()
        collecting = gc.isenabled()
        gc.disable()
        # What is there already is no garbage of this run: ten thousand nodes need not be looked at again. But what a
        # short run has made stays young, so that `close` need not look at everything.
        if freezing := not self._processed or self._collected_at > 0:
            gc.freeze()
        _driving.add(thread)
        before, self.thread = self.thread, thread
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(_first_iteration, _finalize)
        self.driving = True
        try:
            try:
                self.limits.begin(thread)
                return self._events(stop, until)
            finally:
                self.limits.stop_alarms()
        except KeyboardInterrupt as error:
            raise self.limits.error_to_raise(error, self.entered, self._waiting()) from None
        finally:
            self.driving = False
            self.leave()
            sys.set_asyncgen_hooks(*hooks)
            self.thread = before
            _driving.discard(thread)
            if freezing or self._processed >= LOOK_UP_EVERY:
                gc.unfreeze()
            if collecting:
                gc.enable()
            self.limits.end()  # last of all

    def _events(self, stop: Callable[[], bool] | None, until: float) -> bool:
        """The inner loop: the schedule's step() written out."""
        schedule = self.schedule
        queue = schedule.queue
        too_late = math.nextafter(until, math.inf)
        bound = min(schedule.horizon, too_late)
        processed = done = self._processed
        self._spinning_since, self._spun = schedule.now, 0
        function = argument = None
        try:
            while True:
                write_at = done + WRITE_EVERY - done % WRITE_EVERY
                for processed in range(done, write_at):  # noqa: B007 - `finally` does
                    if stop is not None and stop():
                        return True
                    while not queue or (when := queue[0][0]) >= bound:
                        if not self._goes_on(until):
                            return False
                        bound = min(schedule.horizon, too_late)
                        if bound == math.inf and queue:
                            when = queue[0][0]  # which may be never
                            break
                    _, _, _, function, argument = heappop(queue)
                    schedule.now = when
                    function(argument)
                processed = done = write_at
                self.leave()
                self.trace.flush()
                if done % LOOK_UP_EVERY == 0:
                    self._look_up(done, function, argument)
        finally:
            self._processed = processed

    def _goes_on(self, until: float) -> bool:
        """Move the calendar's horizon on if no event is left before it; False if none comes before `until`."""
        schedule, queue = self.schedule, self.schedule.queue
        horizon = schedule.horizon
        # It is too late, or never, or somebody else has looked ahead.
        known = bool(queue) and (queue[0][0] < horizon or horizon == math.inf)
        goes_on = queue[0][0] <= until if known else schedule.look_ahead()
        if not goes_on and until != math.inf:
            schedule.now = until
        return goes_on

    def _look_up(self, processed: int, function: Any, argument: Any) -> None:
        """Now and then, between two events: garbage, large pages, time that does not advance."""
        self.leave()
        gather_if_grown()
        if processed == LOOK_UP_EVERY and gc.get_count()[0] > MANY_OBJECTS:
            gc.freeze()
        if processed >= self._collected_at + COLLECT_EVERY + EVENTS_A_NODE * len(self.nodes):
            first, self._collected_at = self._collected_at == 0, processed
            if processed >= self._collect_all_at:
                self._collect_all_at = processed + min(processed, COLLECT_ALL_EVERY)
                gc.collect()
            else:
                gc.collect(1)
            if first:
                gc.freeze()  # the nodes, of which there may be ten thousand, a million objects
        now = self.schedule.now
        if now != self._spinning_since:
            self._spinning_since, self._spun = now, 0
            return
        self._spun += LOOK_UP_EVERY
        if self._spun >= MAX_EVENTS_AT_ONE_TIME:
            raise Livelock(
                f"{self._spun} events at {now:g} s without time advancing; the last was {_told(function, argument)}"
            )

    def somewhere(self, work: Callable[[], None]) -> None:
        """Do some work that drives this simulation: here, or in a thread of its own, interruptible.

        The latter where an event loop runs in this thread, as a notebook's does.
        """
        if events._get_running_loop() is None or get_ident() in _driving:
            work()
            return
        __tracebackhide__ = True
        try:
            in_own_thread(work, "simulation", self.limits.interrupted, daemon=True)
        except (KeyboardInterrupt, WallLimitExceeded) as error:
            raise error.with_traceback(shortened(error.__traceback__)) from None

    def deadlock(self, what: str) -> Deadlock:
        """The error that names every task that waits, and where."""
        more = []
        for node in (each for each in self.nodes.values() if each.running):
            more += [f"  {node.name}: thread {name} waits in {place}" for name, place in node.loop.waiting_threads()]
        more += [
            f"  {node}: what {task.get_name()} waits for, {waits_for(task)}, has come by code outside of its node, of "
            "which its event loop hears nothing. Nodes are machines: they share no event, lock, queue or future of "
            "asyncio's. Make one on each node, and send a message"
            for node, task, _ in self.tasks()
            if is_woken(task)
        ]
        if others := real_threads(self.thread):
            more.append(
                f"  beside threads of the real world, for which virtual time does not wait: {', '.join(others)}. What "
                "a node is to have an answer from has to be begun in its code"
            )
        return Deadlock("\n".join([f"{what} at {self.now:g} s; these tasks wait:", *self._waiting(), *more]))

    def _waiting(self) -> list[str]:
        waiting = [f"  {node}: {task.get_name()} waits in {place}" for node, task, place in self.tasks()]
        return waiting[:20] + ([f"  … and {len(waiting) - 20} more"] if len(waiting) > 20 else [])

    # -- the end ---------------------------------------------------------------------------------------------------

    def keep(self, things: list[Any]) -> None:
        """Keep a dead process's coroutines, so that their `finally` does not run now; `close` closes them, muted."""
        self._kept.extend(things)

    def close(self) -> None:
        """End every node in order, within ten virtual seconds; what is left behind is in `leaks` and in the trace."""
        if self._closed:
            return
        if self.driving:
            raise SimulationError("a simulation cannot be closed by what runs in it; close it when `run` has returned")
        self._checked = True
        try:
            if not self.limits.broken_off:
                waiting = [node for node in self.nodes.values() if node.running]
                for node in waiting:
                    node.shut_down(self.leaks.extend, settle=CLOSE_SETTLE)
                self.somewhere(lambda: self._end(waiting))
        finally:
            with held():
                self._bury()

    def _bury(self) -> None:
        self._closed = True
        _open.discard(self)
        for node in self.nodes.values():
            if not node.loop.is_closed():
                self.keep(node.loop.die())
                node.loop.close()
            node.remove_directory()
        for threads in self.threads:
            threads.end()
        kept, self._kept = self._kept, []
        bury(kept, young=self._collected_at == 0)
        raised_before = self.trace.error
        self.trace.flush()
        if self.trace.error is not raised_before and self.trace.error is not None:
            raise self.trace.error

    @property
    def is_garbage(self) -> bool:
        """Whether Python's garbage collection is about to finalise it: what refers to it weakly is cleared before."""
        return self._itself() is None

    def abandon(self) -> None:
        """Nobody closed it, and it goes: say so once, and end its nodes in silence, as if they had crashed."""
        if self._closed:
            return
        unclosed = any(not node.loop.is_closed() for node in self.nodes.values())
        try:
            if unclosed:
                file, line = self._made
                text = f"a simulation of seed {self.seed}, made here, was never closed: use `with`, or call its close()"
                warnings.warn_explicit(text, ResourceWarning, file, line, source=self)
        finally:
            self._bury()
            if unclosed and self.is_garbage:
                mute_collection()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):  # False as soon as it was made
            self.abandon()

    def _end(self, nodes: list[Node]) -> None:
        def ended() -> bool:
            while nodes and not nodes[-1].running:
                nodes.pop()
            return not nodes

        self.drive(ended, self.now + CLOSE_GRACE)
        self.drive(None, self.now)  # what is due now: the loops are closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.close()


def _told(function: Any, argument: Any) -> str:
    """What was called last, and of whom."""
    owner = getattr(function, "__self__", argument)
    whose = getattr(getattr(owner, "node", owner), "name", "")
    return f"{getattr(function, '__qualname__', repr(function))}" + (f" of {whose}" if whose else "")


def _throw(error: BaseException) -> None:
    raise error


def _first_iteration(generator: Any) -> None:
    """sys.set_asyncgen_hooks is per thread: the running loop's own hook."""
    loop: Any = events._get_running_loop()
    if loop is not None:
        loop._asyncgen_firstiter_hook(generator)


def _finalize(generator: Any) -> None:
    loop: Any = events._get_running_loop()
    if loop is not None:
        loop._asyncgen_finalizer_hook(generator)


def run(
    main: Coroutine[Any, Any, Any],
    *,
    seed: int = 0,
    debug: bool | None = None,
    interleaving: str = "fifo",
    cpu: str | float | Distribution | None = None,
) -> Any:
    """Run a coroutine on one simulated node, in virtual time: the simulated twin of asyncio.run."""
    __tracebackhide__ = True
    if get_ident() in _driving or current() is not None:
        main.close()
        raise SimulationError(_NESTED)
    simulation = Simulation(seed, interleaving=interleaving, cpu=cpu)
    result: list[Any] = []

    def work() -> None:
        loop = simulation.add_node("main").loop
        failed: BaseException | None = None

        def give_up(error: BaseException) -> NoReturn:
            simulation.keep(loop.die())
            raise error

        try:
            with asyncio.Runner(loop_factory=lambda: loop, debug=debug) as runner:
                try:
                    result.append(runner.run(main))
                except BaseException as error:
                    failed = error
                    if isinstance(error, KeyboardInterrupt):
                        # The runner waits until tasks and threads have ended, and some never do.
                        simulation.schedule.after(CLOSE_GRACE, give_up, error)
                    raise
        except (Deadlock, KeyboardInterrupt):
            if failed is None:
                raise
            raise failed from None  # the runner waited for what will never come, as for a thread of the program

    try:
        simulation.somewhere(work)
    finally:
        simulation.close()
    return result[0]


def new_event_loop(seed: int = 0) -> NodeLoop:
    """The loop of a simulated node that is alone, for asyncio.Runner(loop_factory=…)."""
    return Simulation(seed).add_node("main").loop
