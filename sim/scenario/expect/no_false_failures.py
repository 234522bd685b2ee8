"""`no_false_failures`: nobody recorded a member as failed that was up and within reach, then or shortly before.

A stall of up to three seconds counts as up and within reach: it may kill nobody. Out of reach is who is partitioned,
isolated or behind a link that loses everything, in either direction, or stalled for longer; and for as long again
afterwards, until news has come through. A process that died while its host lived on refuses at once: that is evidence,
and the three seconds do not apply.

Tests: tests/sim/scenario/expect/test_no_false_failures.py.
"""

from typing import ClassVar

from sim.history import STALL, History, Membership, Sighting
from sim.scenario.expect.flag import Flag
from sim.scenario.expect.words import count, seconds
from sim.scenario.schema import Selector
from sim.scenario.verdict import Context, Judgement, Verdict

__all__ = ["NoFalseFailures"]

_REFUSES = frozenset({"node_killed", "node_exited", "node_failed"})


class NoFalseFailures(Flag, frozen=True, kw_only=True):
    """Measures false_failures, and failures: all that were recorded."""

    KEY: ClassVar[str] = "no_false_failures"
    SELECTORS: ClassVar[tuple[str, ...]] = ("of",)
    MEASURES: ClassVar[tuple[str, ...] | None] = ("false_failures", "failures")

    no_false_failures: bool
    """true"""
    of: Selector = "all"
    """Of which members."""

    def examine(self, context: Context) -> Judgement:
        history = context.history
        nodes = None if self.of == "all" else set(context.select(self.of))
        members = {m.member: m.node for m in history.memberships() if nodes is None or m.node in nodes}
        if not members:
            return self.answer(Verdict.INCONCLUSIVE, "nobody ran a cluster")
        failures = [s for s in history.sightings if s.name == "member_failed" and s.member in members]
        false = [(s, m) for s in failures if (m := _alive_after_all(history, s)) is not None]
        measured = {"false_failures": float(len(false)), "failures": float(len(failures))}
        if not false:
            text = "nobody recorded any member as failed"
            if failures:
                text = f"{count(len(failures), 'record')} of a failure, each of a member that was down or out of reach"
            return self.answer(Verdict.HOLDS, text, measured=measured)
        first, _ = false[0]
        text = f"{first.node} recorded {first.member} as failed at {seconds(first.time)}, {_why(history, *false[0])}"
        if len(false) > 1:
            text += f"; {count(len(false), 'false record')} in all"
        lines = [line for sighting, _ in false for line in _doubts(history, sighting)]
        return self.answer(Verdict.FAILS, text, time=first.time, line=first.line, measured=measured, looked_at=lines)


def _alive_after_all(history: History, sighting: Sighting) -> Membership | None:
    """The membership that was declared failed although it was up and within reach; None where that was right."""
    membership = history.run_of(sighting.member, sighting.run)
    if membership is None:
        return None
    life = membership.life
    if life.how in _REFUSES and life.end <= sighting.time:
        return None
    reached = history.reach.last_reachable(sighting.node, membership, sighting.time)
    return membership if reached >= sighting.time - STALL else None


def _doubts(history: History, sighting: Sighting) -> list[int]:
    """The line of the record, behind that of the suspicion that it came of."""
    seen = (s for s in history.sightings_of(sighting.member) if s.node == sighting.node and s.line < sighting.line)
    suspected = [s.line for s in seen if s.name == "member_suspected"]
    return [*suspected[-1:], sighting.line]


def _why(history: History, sighting: Sighting, membership: Membership) -> str:
    life = membership.life
    stall = next((s for s in reversed(life.stalls) if s.start <= sighting.time < s.end + STALL), None)
    if membership.end <= sighting.time:
        return f"only {seconds(sighting.time - membership.end)} after it was last up"
    if not history.reach.reachable(sighting.node, membership.node, sighting.time):
        reached = history.reach.last_reachable(sighting.node, membership, sighting.time)
        return f"only {seconds(sighting.time - reached)} after it was last within reach"
    if stall is not None:
        return f"although it was up: it had only stalled for {seconds(min(stall.seconds, stall.end - stall.start))}"
    return f"although it was up and {sighting.node} could reach it"
