"""Processes that share the runs of a sweep. Whatever happens to one of them, it is known which run did it.

Not concurrent.futures: its pool breaks as a whole when a process dies, and cannot say at which task. Not
multiprocessing.Process either: it imports the caller's main module again, which a notebook or an unguarded script does
not survive. A worker is a program of its own, `python -m sim.study.worker`, that is sent what to do.

Tests: tests/sim/study/test_sweep.py.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path

from sim.scenario.run import Run
from sim.scenario.schema import Scenario
from sim.study.messages import CellOrder, Done, Interrupted, Order, Raised
from sim.study.plan import Cell, Plan, Task
from sim.study.refusal import Refused, SweepError
from sim.study.rows import Crash, how_it_ended

__all__ = ["lines", "processes", "runs"]

MAX_JOBS = 1024
BATCH_SECONDS = 1.0
"""How much work a worker is sent at a time: messages then cost nothing against it."""
MAX_BATCH = 1000
MAX_CRASHES = 3
"""… and the sweep ends: what kills so many processes kills them all."""
INTERRUPT_SECONDS = 3.0
"""How long interrupted runs may take to say where they were: longer than the kernel's own grace."""
OUTPUT_BYTES = 4000
"""How much of the last words of a dead worker is shown."""


def processes(jobs: int | None) -> int:
    """How many are meant; None = one a core. Raises Refused."""
    if jobs is None:
        return len(os.sched_getaffinity(0))
    if not isinstance(jobs, int) or not 1 <= jobs <= MAX_JOBS:
        raise Refused(f"jobs is the number of processes, from 1 to {MAX_JOBS}, not {jobs!r}")
    return jobs


def lines(plan: Plan, tasks: Iterable[Task], jobs: int, wall_limit: float | None = None) -> Iterator[bytes | Crash]:
    """The lines of the results file, as they come, and the runs that crashed.

    Closing the iterator ends the workers at once. Raises SweepError where a run cannot be done or no worker starts.
    """
    yield from _results(_Pool(plan, tasks, jobs, wall_limit))  # type: ignore[misc]


def runs(
    scenario: Scenario,
    seeds: Sequence[int],
    jobs: int,
    traces: Path,
    *,
    defects: Sequence[str] = (),
    wall_limit: float | None = None,
) -> Iterator[Run | Crash]:
    """One scenario with many seeds: each run whole, in the order of the seeds.

    The trace of each is `traces`/seed-N/trace.msgpack. The rest is as of `lines`.
    """
    cell = Cell(parameters={}, scenario=scenario)
    plan = Plan(scenario=scenario, matrix={}, cells=(cell,), seeds=seeds, defects=tuple(defects))
    early: dict[int, Run | Crash] = {}
    turns = iter(seeds)
    turn = next(turns, None)
    for found in _results(_Pool(plan, plan.tasks(), min(jobs, len(seeds)), wall_limit, traces)):
        assert not isinstance(found, bytes)
        early[found.seed] = found
        while turn in early:
            yield early.pop(turn)
            turn = next(turns, None)


def _results(pool: "_Pool") -> Iterator[bytes | Run | Crash]:
    try:
        yield from pool.results()
    except KeyboardInterrupt:
        raise KeyboardInterrupt("; ".join(pool.interrupt())) from None
    finally:
        pool.close()


class _Worker:
    """One process, and what it has been sent."""

    def __init__(self, order: Order) -> None:
        self.connection, theirs = Pipe()
        self.output = tempfile.TemporaryFile(prefix="rpcnet-sweep-")  # noqa: SIM115 - as long as the process
        self.tasks: deque[Task] = deque()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sim.study.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=self.output,
                pass_fds=[theirs.fileno()],
                # A session of its own: Ctrl-C at the terminal is the sweep's to answer.
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        finally:
            theirs.close()
        self.answered = False
        self.send(order)

    def send(self, message: object) -> None:
        # One that has died is found dead when it is listened to.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)

    def end(self) -> tuple[int, str]:
        """Make sure that it has ended; returns its exit code and its last words."""
        self.connection.close()
        with self.output:
            try:
                code = self.process.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                code = self.process.wait()
            return code, self._last_words()

    def _last_words(self) -> str:
        size = self.output.seek(0, os.SEEK_END)
        self.output.seek(max(0, size - OUTPUT_BYTES))
        return self.output.read().decode("utf-8", "replace").strip("\0\n ")


class _Pool:
    def __init__(
        self,
        plan: Plan,
        tasks: Iterable[Task],
        jobs: int,
        wall_limit: float | None,
        traces: Path | None = None,
    ) -> None:
        self._plan = plan
        self._tasks = deque(tasks)
        self._jobs = jobs
        self._workers: list[_Worker] = []
        self._crashes = 0
        self._done, self._seconds = 0, 0.0
        self._order = Order(
            cells=[_cell_order(plan, number) for number in range(len(plan.cells))],
            defects=plan.defects,
            wall_limit=wall_limit,
            traces=traces,
        )

    def results(self) -> Iterator[bytes | Run | Crash]:
        while True:
            while self._tasks and len(self._workers) < self._jobs:
                worker = _Worker(self._order)
                self._workers.append(worker)
                self._feed(worker)
            if not self._workers:
                return
            ready = wait([worker.connection for worker in self._workers])
            for worker in [worker for worker in self._workers if worker.connection in ready]:
                yield self._hear(worker)
                # The next batch is on its way before the last one is done.
                if len(worker.tasks) <= 1:
                    self._feed(worker)
                if not worker.tasks and worker in self._workers:
                    self._workers.remove(worker)
                    worker.end()

    def interrupt(self) -> Iterator[str]:
        """Interrupt the runs; says of each where its program was, as far as its process answers in time."""
        for worker in self._workers:
            worker.process.send_signal(signal.SIGINT)
        until = time.monotonic() + INTERRUPT_SECONDS
        for worker in self._workers:
            with contextlib.suppress(EOFError, OSError):
                while worker.connection.poll(max(0.0, until - time.monotonic())):
                    message = worker.connection.recv()
                    if isinstance(message, Interrupted):
                        where = message.where.partition("\n")[0]  # nothing where it came between two runs
                        yield f"seed {worker.tasks[0][1]}" + (f": {where}" if where else "")
                        break
                    worker.tasks.popleft()

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _feed(self, worker: _Worker) -> None:
        if worker not in self._workers or not self._tasks:
            return
        each = self._seconds / self._done if self._done else BATCH_SECONDS
        # Towards the end they get less, so that all end at about the same time.
        fair = -(-len(self._tasks) // (2 * self._jobs))
        size = max(1, min(round(BATCH_SECONDS / max(each, 1e-6)), fair, MAX_BATCH))
        batch = [self._tasks.popleft() for _ in range(min(size, len(self._tasks)))]
        worker.tasks.extend(batch)
        worker.send(batch)

    def _hear(self, worker: _Worker) -> bytes | Run | Crash:
        try:
            message: Done | Raised = worker.connection.recv()
        except (EOFError, OSError):
            return self._crashed(worker)
        worker.answered = True
        cell, seed = worker.tasks.popleft()
        if isinstance(message, Raised):
            where = "".join(f", {key}={value}" for key, value in self._plan.cells[cell].parameters.items())
            raise SweepError(f"seed {seed}{where} could not be run: {message.error}\n{message.details}".rstrip())
        self._done += 1
        self._seconds += message.seconds
        return message.result

    def _crashed(self, worker: _Worker) -> Crash:
        self._workers.remove(worker)
        code, words = worker.end()
        (cell, seed), *rest = worker.tasks
        crash = Crash(seed, dict(self._plan.cells[cell].parameters), how_it_ended(code), words)
        self._crashes += 1
        if self._crashes >= MAX_CRASHES:
            raise SweepError(f"{self._crashes} processes were lost, the last one here: {crash}")
        self._tasks.extendleft(reversed(rest))
        worker.tasks.clear()
        return crash


def _cell_order(plan: Plan, number: int) -> CellOrder:
    cell = plan.cells[number]
    origin = cell.scenario.origin
    parameters = dict(cell.parameters)
    if origin is None:
        return CellOrder(parameters=parameters, built=cell.scenario)
    return CellOrder(parameters=parameters, text=origin.text, file=origin.file, overrides=origin.overrides)
