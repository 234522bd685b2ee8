"""`streams_aborted`: every stream with an end at the selected nodes ended, at both ends, as a drop is an abort.

Streams are calls that are not unary. With a fault (or `after`) it is about those that were open then; a stream one end
of which had already ended well is none of them. Without, it is about all streams of these nodes. At each node that is
up at the deadline, in the process that the stream belonged to, the end must be recorded, by an error or a cancel; at
the handler's side that means that the handler was done.

Tests: tests/sim/scenario/expect/test_streams_aborted.py.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from sim.history import History, Stream, StreamEnd
from sim.scenario.expect.timed import DELAYS, HARM, NeverHappened, Timed, Window
from sim.scenario.expect.words import count, percentile, seconds
from sim.scenario.schema import Selector
from sim.scenario.verdict import Context, Judgement, Verdict

__all__ = ["StreamsAborted"]


@dataclass(frozen=True, slots=True)
class _Fault:
    """An end that did not come as it should."""

    text: str
    time: float
    line: int


class StreamsAborted(Timed, frozen=True, kw_only=True):
    """Measures streams; abort_p50 and abort_last: seconds from the fault to each end; cancel_delay_last: seconds from
    the caller's end to the handler's. Infinite where an end never came; what came too late is measured as well."""

    KEY: ClassVar[str] = "streams_aborted"
    SELECTORS: ClassVar[tuple[str, ...]] = ("streams_aborted",)
    MEASURES: ClassVar[tuple[str, ...] | None] = ("streams", "abort_p50", "abort_last", "cancel_delay_last")
    SUBJECT: ClassVar[str | None] = "streams_aborted"
    FITS: ClassVar[tuple[frozenset[str], ...]] = (HARM, DELAYS)

    streams_aborted: Selector
    """At which nodes the streams have an end."""

    def examine(self, context: Context) -> Judgement:
        history = context.history
        nodes = set(context.select(self.streams_aborted))
        try:
            windows = self.windows_as_told(context)
        except NeverHappened as never:
            return self.answer(Verdict.INCONCLUSIVE, str(never))
        pairs = [(s, w) for w in windows for s in history.streams if _concerned(history, s, w, nodes)]
        if not pairs:
            return self.answer(Verdict.INCONCLUSIVE, self._none(windows[-1]))
        measured = _measure(history, pairs)
        faults = [(fault, window) for stream, window in pairs for fault in _faults(history, stream, window)]
        if faults:
            fault, window = faults[0]
            text = fault.text + (f"; {count(len(faults), 'such end')} in all" if len(faults) > 1 else "")
            verdict = Verdict.FAILS if window.due or fault.time < math.inf else Verdict.INCONCLUSIVE
            time = min(fault.time, window.deadline)
            lines = [window.line, *(one.line for one, _ in faults)]
            return self.answer(verdict, text, time=time, line=fault.line, measured=measured, looked_at=lines)
        last = max((e for s, w in pairs for e in _ends(history, s, w)), key=lambda e: e.end_line, default=None)
        text = f"{count(len(pairs), 'stream')} ended by an error or a cancel at both ends that were up"
        if last is None:
            return self.answer(Verdict.INCONCLUSIVE, "no end of a stream was at a node that was up", measured=measured)
        text += f", the last {windows[0].after(last.end)}{windows[0].limits}"
        return self.answer(Verdict.HOLDS, text, time=last.end, line=last.end_line, measured=measured)

    def _none(self, window: Window) -> str:
        selected = self.streams_aborted if isinstance(self.streams_aborted, str) else "the selected nodes"
        when = f" open at {seconds(window.start)}, at {window.since}" if window.since else ""
        return f"no stream with an end at {selected} was{when or ' ever opened'}"


def _concerned(history: History, stream: Stream, window: Window, nodes: set[str]) -> bool:
    """Whether the stream has an end at these nodes and, where it is counted from a moment, was open then."""
    at = {end.node for end in stream.ends()}
    if stream.handler is None and (callee := history.node_at(stream.peer)) is not None:
        at.add(callee)
    started = min(end.start for end in stream.ends())
    if at.isdisjoint(nodes) or started > window.deadline or _line(stream) >= history.end_line:
        return False
    if not window.since:
        return True
    if any(end.end <= window.start and end.status == "OK" for end in stream.ends()):
        return False
    return started <= window.start and any(end.end > window.start for end in stream.ends())


def _line(stream: Stream) -> int:
    return min(end.line for end in stream.ends())


def _ends(history: History, stream: Stream, window: Window) -> Iterator[StreamEnd]:
    """The ends whose process is still there at the deadline, and not standing still."""
    for end in stream.ends():
        life = history.life(end.node, window.deadline)
        if life is not None and life.start <= end.start and not life.stalled(window.deadline):
            yield end


def _faults(history: History, stream: Stream, window: Window) -> Iterator[_Fault]:
    for end in _ends(history, stream, window):
        handler = end is stream.handler
        what = f"{'the handler' if handler else 'the call'} of stream {stream.number} ({stream.method}) at {end.node}"
        if not history.within_run(end.end, end.end_line, window.deadline):
            still = f"{what} was still open {window.after(window.deadline)}"
            late = f"; it ended {window.after(end.end)}" if end.end_line < history.end_line and end.end_line else ""
            yield _Fault(still + window.limits + late, end.end, end.end_line if late else end.line)
        elif end.status == "OK" and end.end > window.start:
            yield _Fault(f"{what} ended well, with OK, {window.after(end.end)}", end.end, end.end_line)


def _measure(history: History, pairs: list[tuple[Stream, Window]]) -> dict[str, float]:
    asked = [(s, w, e) for s, w in pairs for e in _ends(history, s, w)]
    measured = {"streams": float(len(pairs))}
    delays = [max(0.0, _over(history, end) - window.start) for _, window, end in asked if window.since]
    if delays:
        measured |= {"abort_p50": percentile(delays, 0.5), "abort_last": max(delays)}
    lags = [
        _over(history, end) - s.caller.end
        for s, _, end in asked
        if end is s.handler and s.caller is not None and s.caller.end < math.inf
    ]
    if lags:
        measured["cancel_delay_last"] = max(0.0, *lags)
    return measured


def _over(history: History, end: StreamEnd) -> float:
    """When it ended; inf where that was not before the run's end."""
    return end.end if end.end_line < history.end_line else math.inf
