"""The body of a test as a node: run to its end, everything closed, then looked at for what it left behind.

Stands on the kernel and the trace; knows no pytest.
"""

import asyncio
import functools
import gc
import itertools
import math
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

from sim.kernel import Deadlock, Simulation
from sim.trace.cause import chain, shown

__all__ = ["NODE", "OURS", "TooLong", "Unclean", "run_body", "what_led_here"]

NODE = "test"
SHOWN_LINES = 16
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


OURS = (Unclean, TooLong, Deadlock)
"""What the test is told, as no line of it raised it."""


def run_body(
    simulation: Simulation,
    body: Callable[..., Coroutine[Any, Any, Any]],
    arguments: Mapping[str, Any],
    name: str,
    limit: float,
) -> None:
    """Run it on the node "test", end all nodes in order, and look at what is left.

    Raises what the body raises, Deadlock where it can never end, TooLong, Unclean.
    """
    _complete(simulation, simulation.nodes[NODE].start(functools.partial(body, **arguments), name=name), limit)
    # A task that failed and was forgotten says so when it is collected; automatic collection is off while events run.
    gc.collect(1)
    simulation.close()
    gc.collect(1)
    found = list(_problems(simulation))
    if found:
        raise Unclean([text for text, _ in found], [line for _, line in found])


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


def _last_line(simulation: Simulation) -> int:
    """Of the test's last event, or where it has none, of the last one."""
    line = last = 0
    for event in simulation.trace:
        last = event.line
        if event.node == NODE:
            line = last
    return line or last
