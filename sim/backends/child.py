"""What runs in each process of the sockets backend: one node, `python -m sim.backends.child DESCRIPTOR`.

Takes its orders from the runner over the control channel, runs the application on a shaped loop, writes its own trace
file, each event at once, counts what the application left behind, and ends. When the runner goes, so does it.

Tests: tests/sim/backends/test_sockets.py.
"""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from rpcnet import observe
from rpcnet.app import App, AppError, NodeContext, convert_arguments, invoke, keyring_of, load_app
from sim.backends.control import Applied, Block, Channel, Ended, Ready, Reset, Start, Ways
from sim.backends.leaks import Leak, left_behind
from sim.backends.loop import ShapedLoop
from sim.backends.text import LogEvents, error_text, traceback_text
from sim.defects import switched_on
from sim.trace import Trace

__all__ = ["main"]

LEAK_POLL = 0.02
PR_SET_PDEATHSIG = 1


class Recorder:
    """The observer of this process: raw time is what has passed since the runner's epoch, by the host's one clock."""

    def __init__(self, trace: Trace, node: str, epoch: float) -> None:
        self._trace, self._node, self._epoch = trace, node, epoch

    def record(self, event: str, /, **fields: object) -> None:
        self._trace.record(time.monotonic() - self._epoch, self._node, event, **fields)


class _Loop(ShapedLoop):
    """A shaped loop that tells the recorder of what nobody handled, as a simulated one does."""

    recorder: Recorder

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        text = "" if error is None else f"{type(error).__name__}: {error}"
        self.recorder.record("unhandled", message=str(context.get("message", "")), error=text)
        super().call_exception_handler(context)


class Child:
    """One start of one node."""

    def __init__(self, order: Start, channel: Channel, recorder: Recorder) -> None:
        self.order = order
        self._channel = channel
        self._recorder = recorder
        self._random = Random(order.seed)
        self._stopped_at: float | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._main: asyncio.Task[BaseException | None] | None = None
        self.loop = _Loop(order.host, order.hosts, Random(f"{order.seed}/network"))
        self.loop.recorder = recorder
        self._apply(order.ways)
        self.loop.read_first(channel.socket.fileno(), self._obey)
        self.loop.add_signal_handler(signal.SIGTERM, self._stop)
        self._gave_up = self.loop.create_future()

    def _obey(self) -> None:
        for message in self._channel.receive():
            if isinstance(message, Ways):
                self._apply(message)
                self._channel.send(Applied(message.number))
            elif isinstance(message, Block):
                self._recorder.record("node_blocked", seconds=message.seconds)
                time.sleep(message.seconds)
                self._recorder.record("node_resumed")
            elif isinstance(message, Reset):
                for wire in list(self.loop.shaper.wires):
                    wire.break_off()
        if self._channel.closed:
            os._exit(1)  # The runner is gone: nobody reads what we would still do.

    def _apply(self, ways: Ways) -> None:
        clock = self.loop.clock
        if not ways.right:
            clock.offset, clock.drift = ways.offset, ways.drift
        elif clock.offset or clock.drift:
            clock.set_right()
        self.loop.shaper.apply(ways)

    def _stop(self) -> None:
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
        if self._patience is None and (self._main is None or not self._main.done()):
            self._patience = self.loop.call_later(self.order.grace, self._give_up)
        if self._main is not None:
            self._main.cancel()

    def _give_up(self) -> None:
        if not self._gave_up.done():
            self._gave_up.set_result(None)

    def _context(self) -> NodeContext:
        order = self.order

        def ready() -> None:
            self._recorder.record("node_ready")
            self._channel.send(Ready())

        return NodeContext(
            order.name,
            host=order.host,
            labels=order.labels,
            seeds=order.seeds,
            cluster=order.cluster,
            keyring=keyring_of(order.keys),
            random=self._random,
            wall_clock=self.loop.wall_clock,
            directory=Path(order.directory),
            on_ready=ready,
        )

    async def run(self) -> None:
        """The application's life, and its verdict on what it left behind."""
        order = self.order
        observe.install(self._recorder)
        self._obey()  # What came right behind the order.
        self._recorder.record("node_started", address=order.host, labels=dict(order.labels), app=order.app)
        status = "ok"
        error: BaseException | None = None
        try:
            app = load_app(order.app)
            arguments = convert_arguments(app, order.arguments)
            self._main = self.loop.create_task(self._attempt(app, arguments), name="main")
            if self._stopped_at is not None:
                self._main.cancel()
            await asyncio.wait({self._main, self._gave_up}, return_when=asyncio.FIRST_COMPLETED)
            status = "ok" if self._main.done() else "error"
            error = self._main.result() if self._main.done() else None
        except asyncio.CancelledError:
            status = "cancelled"
        except AppError as raised:
            error = raised
        if error is not None:
            self.failed(error)
            return
        self._recorder.record("node_exited", status=status)
        self._channel.send(Ended(status))
        await self._check_leaks()

    def failed(self, error: BaseException) -> None:
        text, lines = error_text(error), traceback_text(error)
        self._recorder.record("node_failed", error=text, traceback=lines)
        self._recorder.record("node_exited", status="error")
        self._channel.send(Ended("error", text, lines))

    async def _attempt(self, app: App, arguments: Mapping[str, object]) -> BaseException | None:
        """Run main; what it raised. A SystemExit that left its task would end the loop at once."""
        try:
            await invoke(app, self._context(), arguments)
        except SystemExit as left:
            return left if left.code else None
        except Exception as raised:
            return raised
        return None

    async def _check_leaks(self) -> None:
        """Give what was let go of the rest of the grace to end, then record what is left."""
        end = (time.monotonic() if self._stopped_at is None else self._stopped_at) + self.order.grace
        if self._patience is not None:
            self._patience.cancel()
        found = self._left()
        while (found or self.loop.shaper.under_way) and time.monotonic() < end:
            await asyncio.sleep(LEAK_POLL)
            found = self._left()
        for kind, what, where in found:
            self._recorder.record("leak", kind=kind, what=what, where=where)
        self._recorder.record("leaks_checked", found=len(found))

    def _left(self) -> list[Leak]:
        return list(left_behind(self.loop, frozenset({self._channel.socket.fileno()})))


def _die_with_parent() -> None:
    """SIGKILL when the runner's thread that made us ends, however it ends (Linux, prctl(2))."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Be the node that the runner at the other end of the inherited descriptor asks for."""
    _die_with_parent()
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    channel.socket.set_inheritable(False)
    order = channel.wait()
    if not isinstance(order, Start):
        return
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    trace = Trace(order.trace, batch=1)
    recorder = Recorder(trace, order.name, order.epoch)
    logging.getLogger().addHandler(LogEvents(lambda: recorder))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the runner's to answer.
    child = Child(order, channel, recorder)
    with switched_on(order.defects):
        try:
            child.loop.run_until_complete(child.run())
        except SystemExit as left:  # In a task other than main: it ends the loop, and so the process.
            child.failed(left)
    trace.close()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not by way of the interpreter's end, which would wait for threads that an application left behind.
    os._exit(0)


if __name__ == "__main__":
    main()
