"""What each observer must have recorded of each selected member: the common part of the member_… expectations.

Observers are the nodes that `by` selects, the member itself aside; which of them owe a record, and that all runs of one
count together, is the rule of sim.scenario.expect.observers. Figures are not cut off at the deadline: one that recorded
it too late is measured, and one that never did makes a figure infinite.

Tests: tests/sim/scenario/expect/test_member_failed.py.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

from sim.history import History, Sighting
from sim.scenario.expect.observers import Observer, observers, struck
from sim.scenario.expect.timed import NeverHappened, Timed, Window
from sim.scenario.expect.words import count, names, percentile, seconds
from sim.scenario.schema import Selector
from sim.scenario.verdict import Context, Judgement, Verdict

__all__ = ["Recorded"]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one observer recorded of one member in one window."""

    observer: str
    window: Window
    found: Sighting | None
    """In time."""
    telling: int | None
    """The line to look at where nothing was recorded in time."""
    late: Sighting | None
    """Recorded after the deadline."""

    @property
    def seconds(self) -> float:
        """From the start of the window to the record; inf = there is none."""
        record = self.found or self.late
        return max(0.0, record.time - self.window.start) if record else math.inf


class Recorded(Timed, frozen=True, kw_only=True):
    """Each observer recorded something of each selected member, in time."""

    STATE: ClassVar[str]
    """How a member is then said to be: `failed`, `left`, `recovered`."""
    OF_THE_RUN: ClassVar[bool] = True
    """Whether only a record of the member's run that was struck fulfils it after the deadline."""
    FIGURE: ClassVar[str]
    """What its measured seconds are called: `detection` gives detection_first, …_p50, …_p99, …_last."""

    by: Selector = "all"
    """Observers; left out = every node that is up at the deadline and runs a cluster."""

    def recorded(self, seen: Sequence[Sighting], start: float) -> Sighting | None:
        """The sighting that fulfils it, out of all that an observer had of the member by some time."""
        return next((s for s in seen if s.name == self.KEY and s.time >= start), None)

    def asked(self, seen: Sequence[Sighting]) -> bool:
        """Whether an observer with these sightings by the deadline has anything to record."""
        return True

    def nobody_asked(self, victim: str) -> str:
        """Why there was nothing to judge."""
        return f"no node that could have recorded {victim} as {self.STATE} was up and ran a cluster at the deadline"

    def examine(self, context: Context) -> Judgement:
        answers: dict[str, list[_Answer]] = {}
        try:
            for victim in context.select(getattr(self, self.KEY)):
                answers[victim] = list(self._answers(context, victim))
        except NeverHappened as never:
            return self.answer(Verdict.INCONCLUSIVE, str(never))
        figures = self._measure(answers)
        for victim, of_victim in answers.items():
            if any(answer.found is None for answer in of_victim):
                return self._missing(victim, of_victim, figures)
        silent = [victim for victim, of_victim in answers.items() if not of_victim]
        if silent:
            return self.answer(Verdict.INCONCLUSIVE, self.nobody_asked(names(silent)))
        return self._held(answers, figures)

    def _answers(self, context: Context, victim: str) -> Iterator[_Answer]:
        history = context.history
        if not any(life.memberships for life in history.lives.get(victim, ())):
            raise NeverHappened(f"{victim} was never a member of a cluster")
        seen_by: dict[str, list[Sighting]] = {}
        for sighting in chain.from_iterable(map(history.sightings_of, sorted(history.members_of(victim)))):
            seen_by.setdefault(sighting.node, []).append(sighting)
        wanted = None if self.by == "all" else set(context.select(self.by))
        for window in self.windows(context, victim):
            for observer in observers(history, window, wanted):
                if observer.node != victim:
                    seen = seen_by.get(observer.node, ())
                    if not self.OF_THE_RUN:
                        # A loss by the next strike undoes no return from this one.
                        seen = [s for s in seen if s.time < window.again.get(victim, math.inf)]
                    yield from self._ask(history, observer, seen, window)

    def _ask(self, history: History, observer: Observer, seen: Sequence[Sighting], window: Window) -> Iterator[_Answer]:
        in_time = [s for s in seen if s.time <= window.deadline]
        found, late = self.recorded(in_time, window.start), None
        if found is None:
            if not (self.asked(in_time) and observer.owes(history, window, seen)):
                return
            later = (s for s in seen if s.time < window.until)
            late = self.recorded([s for s in later if not self.OF_THE_RUN or struck(history, window, s)], window.start)
        telling = late.line if late else in_time[-1].line if in_time else window.line
        yield _Answer(observer.node, window, found, telling, late)

    def _measure(self, answers: dict[str, list[_Answer]]) -> dict[str, float]:
        delays = [answer.seconds for of in answers.values() for answer in of if answer.window.since]
        if not delays:
            return {}
        return {
            f"{self.FIGURE}_first": min(delays),
            f"{self.FIGURE}_p50": percentile(delays, 0.5),
            f"{self.FIGURE}_p99": percentile(delays, 0.99),
            f"{self.FIGURE}_last": max(delays),
        }

    def _missing(self, victim: str, answers: list[_Answer], figures: dict[str, float]) -> Judgement:
        """`worker-1 recorded worker-2 as failed 6.42 s after crash (limit 10 s); client never did`."""
        found = [a for a in answers if a.found]
        missing = [a for a in answers if not a.found]
        worst = next((a for a in missing if a.late), missing[0])
        window = worst.window
        if found:
            begin = (
                f"{names(dict.fromkeys(a.observer for a in found))} recorded {victim} as {self.STATE} {_when(found)}"
            )
        else:
            begin = f"nobody recorded {victim} as {self.STATE} {window.by_then}"
        silent = list(dict.fromkeys(a.observer for a in missing if not a.late))
        parts = [f"{begin}{window.limits if found else ''}"]
        parts += [f"{a.observer} only {a.window.after(a.late.time)}" for a in missing if a.late]
        if found and silent:
            parts.append(f"{names(silent)} never did")
        elif silent:
            parts.append(f"{names(silent)} should have")
        if any(a.window.due for a in missing):
            time = worst.late.time if worst.late else window.deadline
            return self.answer(
                Verdict.FAILS,
                "; ".join(parts),
                time=time,
                line=worst.telling,
                measured=figures,
                looked_at=_lines(answers),
            )
        parts.append(f"the run ended {window.after(window.deadline)}, before that limit")
        return self.answer(
            Verdict.INCONCLUSIVE,
            "; ".join(parts),
            time=window.deadline,
            line=worst.telling,
            measured=figures,
            looked_at=_lines(answers),
        )

    def _held(self, answers: dict[str, list[_Answer]], figures: dict[str, float]) -> Judgement:
        every = [a for of in answers.values() for a in of]
        last = max((a.found for a in every if a.found), key=lambda s: (s.time, s.line))
        who = list(dict.fromkeys(a.observer for a in every))
        by = names(who) if len(who) <= 2 else f"all {count(len(who), 'observer')}"
        text = f"{by} recorded {names(answers)} as {self.STATE} {_when(every)}{every[0].window.limits}"
        return self.answer(
            Verdict.HOLDS, text, time=last.time, line=last.line, measured=figures, looked_at=_lines(every)
        )


def _lines(answers: Sequence[_Answer]) -> list[int | None]:
    """What struck, then what was recorded in time, too late, or last instead; what is missing first."""
    ordered = sorted(answers, key=lambda answer: answer.found is not None)
    return [answers[0].window.line, *(a.found.line if a.found else a.telling for a in ordered)]


def _when(answers: Sequence[_Answer]) -> str:
    """`6.42 s after crash`, `6.42 s to 7.9 s after crash`."""
    windows = list({a.window.since: a.window for a in answers}.values())
    times = sorted(
        max(0.0, a.found.time - a.window.start) if a.window.since else a.found.time for a in answers if a.found
    )
    span = (
        seconds(times[0]) if seconds(times[0]) == seconds(times[-1]) else f"{seconds(times[0])} to {seconds(times[-1])}"
    )
    since = names(w.since for w in windows if w.since)
    return f"{span} after {since}" if since else f"at {span}"
