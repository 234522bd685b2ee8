"""The body of a test as a node: run to its end, everything closed, then looked at for what it left behind.

Stands on the kernel and the trace; knows no pytest.

Tests: tests/sim/pytest_plugin.
"""

import asyncio
import functools
import gc
import itertools
import math
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.kernel import Deadlock, RealThread, Simulation, WallLimitExceeded
from sim.trace import Event, Trace
from sim.trace.cause import chain, shown
from sim.trace.diff import Kinds, choice_apart, first_difference_in_kind, first_difference_in_order

__all__ = ["NODE", "OURS", "Passed", "TooLong", "Unclean", "apart", "run_body", "what_led_here", "write_page"]

NODE = "test"
SHOWN_LINES = 16
SHOWN_CAUSES = 4
"""Events that lead up to one that differs, itself included."""
SHOWN_PROBLEMS = 10


class TooLong(AssertionError):
    """The body did not end within its limit of virtual time."""


class Unclean(AssertionError):
    """Something was left behind, or an exception was nobody's. `lines` are those of the trace that say so."""

    def __init__(self, problems: Sequence[str], lines: Sequence[int]) -> None:
        shown = [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
        shown += [f"  and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
        super().__init__("\n".join(["the test passed, but:", *shown]))
        self.lines = tuple(lines)


OURS = (Unclean, TooLong, Deadlock, RealThread, WallLimitExceeded)
"""What the test is told, as no line of it raised it."""


def run_body(
    simulation: Simulation,
    body: Callable[..., Coroutine[Any, Any, Any]],
    arguments: Mapping[str, Any],
    name: str,
    limit: float,
) -> int:
    """Run it on the node "test", end all nodes in order, and look at what is left.

    Returns how many lines the trace had when the body was through. Raises what the body raises, Deadlock where it can
    never end, TooLong, Unclean.
    """
    _complete(simulation, simulation.nodes[NODE].start(functools.partial(body, **arguments), name=name), limit)
    lines = simulation.trace.lines
    # A task that failed and was forgotten says so when it is collected; automatic collection is off while events run.
    gc.collect(1)
    simulation.close()
    gc.collect(1)
    found = list(_problems(simulation))
    if found:
        raise Unclean([text for text, _ in found], [line for _, line in found])
    return lines


def _complete(simulation: Simulation, task: asyncio.Task[Any], limit: float) -> None:
    schedule = simulation.schedule
    simulation.drive(lambda: task.done() or schedule.peek() > limit)
    if not task.done():
        if not simulation.nodes[NODE].running:
            raise Deadlock(
                f'the node "{NODE}", which the test itself runs on, went down at {simulation.now:g} s, and the test '
                "with it; crash and kill nodes that the test adds"
            )
        if schedule.peek() == math.inf:
            raise simulation.deadlock("the test can never end: nothing is scheduled any more")
        waits = next((where for _, one, where in simulation.tasks() if one is task), "an unknown place")
        raise TooLong(
            f"the test has not ended after {limit:g} virtual seconds; it waits in {waits}. "
            "Where that is right, raise its limit: @pytest.mark.simulated(limit=…)"
        )
    task.result()


def _problems(simulation: Simulation) -> Iterator[tuple[str, int]]:
    for event in simulation.trace.events():
        fields = event.fields
        if event.name == "unhandled":
            yield f"{event.node} at {event.time:g} s: {fields['message']}: {fields['error']}", event.line
        elif event.name == "leak":
            yield (
                f"{event.node} left a {fields['kind']} behind: {fields['what']} {fields['where']}".rstrip(),
                event.line,
            )


def what_led_here(simulation: Simulation, lines: Sequence[int] = ()) -> str:
    """The last causal lines: from the first of these events, or the test's last one, back to what each answered.

    Where the body itself failed (no lines), what nobody handled until then is told as well.
    """
    gc.collect(1)
    also = [] if lines else [f"also: {text}" for text, _ in itertools.islice(_problems(simulation), SHOWN_PROBLEMS)]
    line = lines[0] if lines else _last_line(simulation)
    led = [f"  {shown(event)}" for event in chain(simulation.trace, line, SHOWN_LINES)]
    heading = "what led to it, in the order of time:" if led else "nothing was recorded"
    return "\n".join([*also, heading, *led])


def write_page(simulation: Simulation, directory: Path, name: str, command: str, error: BaseException) -> Path:
    """The page of a run that failed, with its trace and its result beside it. Returns its path; raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory / "trace.msgpack"
    simulation.trace.copy_to(kept)
    from sim.report import write_report  # matplotlib takes its time

    result = {
        "scenario": name,
        "summary": "",
        "seed": simulation.seed,
        "backend": "sim",
        "verdict": "fails",
        "digest": simulation.digest(),
        "virtual_seconds": simulation.now,
        "error": f"{type(error).__name__}: {error}",
        "command": command,
        "nodes": {node: {} for node in simulation.nodes},
    }
    return write_report(directory, result, kept)


@dataclass(frozen=True, slots=True)
class Passed:
    """A seed that passed, for those of the same test that fail after it."""

    seed: int
    trace: Trace
    lines: int
    """Of the trace, when the body was through."""


def apart(simulation: Simulation, passed: Passed, ended: bool) -> str:
    """Where a seed that fails parts from one that passed, and what led to it in each.

    That is the first event of a kind that only one has, messages included, as a test has few; where there is none, the
    first that is another one in order. Times differ anyway. `ended` is whether the nodes of the one that fails were
    ended, as those of the other were: else what that recorded after its body is left out.
    """

    def both() -> tuple[Iterator[Event], Iterator[Event]]:
        return simulation.trace.events(), itertools.islice(passed.trace.events(), None if ended else passed.lines)

    heading = f"seed {simulation.seed} fails, seed {passed.seed} passed; "
    one, other = (Kinds(events, aside=()) for events in both())
    if found := first_difference_in_kind(one, other):
        lines = [f"{heading}the first that only one of them has:"]
    elif found := first_difference_in_order(*both()):
        lines = [f"{heading}they have the same kinds of events, and the first that differs, times aside:"]
    else:
        return f"{heading}times aside, the same was recorded of both"
    choice = choice_apart(*both(), found.one and found.one.line)
    made = [f"the last choice before it that seed {passed.seed} did not make: {shown(choice)}"] if choice else []
    for seed, trace, event in (
        (simulation.seed, simulation.trace, found.one),
        (passed.seed, passed.trace, found.other),
    ):
        lines.append(f"  seed {seed}: {'nothing' if event is None else shown(event)}")
        led_to = chain(trace, event.line, SHOWN_CAUSES)[:-1] if event else []
        lines += [f"    because of {shown(cause)}" for cause in reversed(led_to)]
    return "\n".join([*lines, *made])


def _last_line(simulation: Simulation) -> int:
    """Of the test's last event, or where it has none, of the last one."""
    line = last = 0
    for event in simulation.trace:
        last = event.line
        if event.node == NODE:
            line = last
    return line or last
