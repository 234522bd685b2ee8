"""`stream_completes`: every stream that an application recorded as opened it also recorded as completed.

The application says so itself: `node.record("stream_opened", stream=3)`, `node.record("stream_completed", stream=3)`.
With `within` it is about the streams that were opened by the moment that is counted from.

Tests: tests/sim/scenario/expect/test_stream_completes.py.
"""

import math
from typing import ClassVar

from sim.scenario.expect.timed import NeverHappened, Timed, Window
from sim.scenario.expect.words import count, names, seconds
from sim.scenario.schema import Selector
from sim.scenario.verdict import Context, Judgement, Verdict
from sim.trace import Event

__all__ = ["StreamCompletes"]

_Key = tuple[str, object]
"""Node, stream."""


class StreamCompletes(Timed, frozen=True, kw_only=True):
    """Measures streams, completed (in time or not) and seconds_last: how long the longest stream took; inf = it was not
    completed before the run's end."""

    KEY: ClassVar[str] = "stream_completes"
    SELECTORS: ClassVar[tuple[str, ...]] = ("stream_completes",)
    MEASURES: ClassVar[tuple[str, ...] | None] = ("streams", "completed", "seconds_last")

    stream_completes: Selector
    """The nodes whose application opened the streams."""

    def examine(self, context: Context) -> Judgement:
        nodes = set(context.select(self.stream_completes))
        opened: dict[_Key, Event] = {}
        completed: dict[_Key, Event] = {}
        for event in context.events():
            if event.name not in {"stream_opened", "stream_completed"} or event.node not in nodes:
                continue
            key = (event.node, event.fields.get("stream"))
            if event.name == "stream_completed":
                completed[key] = event
            elif event.line < context.history.end_line:
                opened[key] = event
                completed.pop(key, None)
        try:
            window = self.windows(context)[-1]
        except NeverHappened as never:
            return self.answer(Verdict.INCONCLUSIVE, str(never))
        if self.within is not None:
            opened = {key: event for key, event in opened.items() if event.time <= window.start}
        if not opened:
            return self.answer(Verdict.INCONCLUSIVE, f"{names(sorted(nodes))} recorded no stream as opened")
        return self._judge(context, opened, completed, window)

    def _judge(
        self, context: Context, opened: dict[_Key, Event], completed: dict[_Key, Event], window: Window
    ) -> Judgement:
        ever = {
            key: completed[key] for key in opened if key in completed and completed[key].line < context.history.end_line
        }
        in_time = {key: event for key, event in ever.items() if event.time <= window.deadline}
        took = [ever[key].time - event.time if key in ever else math.inf for key, event in opened.items()]
        measured = {"streams": float(len(opened)), "completed": float(len(ever)), "seconds_last": max(took)}
        missing = [key for key in opened if key not in in_time]
        if not missing:
            last = max(in_time.values(), key=lambda event: event.line)
            text = f"all {count(len(opened), 'stream')}" if len(opened) > 1 else "the only stream"
            text += f" of {names(sorted({node for node, _ in opened}))} completed, the last at {seconds(last.time)}"
            return self.answer(Verdict.HOLDS, text, time=last.time, line=last.line, measured=measured)
        node, stream = missing[0]
        first = opened[missing[0]]
        text = f"stream {stream} of {node}, opened at {seconds(first.time)}, was not completed {window.by_then}"
        if late := completed.get(missing[0]):
            text += f", but only at {seconds(late.time)}"
        text += f"; {len(in_time)} of {count(len(opened), 'stream')} completed"
        verdict = Verdict.FAILS if window.due else Verdict.INCONCLUSIVE
        line = late.line if late else first.line
        lines = [event.line for key in missing for event in (opened[key], completed.get(key)) if event]
        return self.answer(verdict, text, time=window.deadline, line=line, measured=measured, looked_at=lines)
