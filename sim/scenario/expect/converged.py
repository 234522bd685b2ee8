"""`converged`: by the deadline all observers list the same members as alive, those that are up.

Observers are the nodes that are up and run a cluster (sim.scenario.expect.observers). They must agree from some moment
on until the deadline; what happens later is measured, not judged. A member that is suspected is still listed.

Tests: tests/sim/scenario/expect/test_converged.py.
"""

import math
from dataclasses import replace
from typing import ClassVar

from sim.scenario.expect.agreement import Agreement, agree
from sim.scenario.expect.flag import Flag
from sim.scenario.expect.timed import NeverHappened, Timed, Window
from sim.scenario.expect.words import count, names, seconds
from sim.scenario.verdict import Context, Judgement, Verdict

__all__ = ["Agreed", "Converged"]


class Agreed(Flag, Timed, frozen=True, kw_only=True):
    """Agreement of all observers. Measures converged_at: seconds after what it is counted from; inf = never."""

    MEASURES: ClassVar[tuple[str, ...] | None] = ("converged_at", "observers")
    TAGS: ClassVar[bool]
    """Whether the members' tags must agree as well."""
    WHAT: ClassVar[str]
    """What they agree in, in words."""

    def examine(self, context: Context) -> Judgement:
        try:
            windows = self.windows(context)
        except NeverHappened as never:
            return self.answer(Verdict.INCONCLUSIVE, str(never))
        judgements = [found for window in windows if (found := self._judge(context, window)) is not None]
        order = (Verdict.FAILS, Verdict.INCONCLUSIVE, Verdict.HOLDS)
        slowest = max(judgements, key=lambda judgement: judgement.measured.get("converged_at", -math.inf))
        # The last window asks all; those before leave out who is struck again.
        worst = min(reversed(judgements), key=lambda judgement: order.index(judgement.verdict))
        if len(judgements) > 1 and worst.verdict is Verdict.HOLDS:
            took = seconds(slowest.measured["converged_at"])
            worst = replace(worst, saw=f"{worst.saw}; of {len(judgements)} strikes the slowest took {took}")
        at = slowest.measured.get("converged_at")
        return worst if at is None else replace(worst, measured={**worst.measured, "converged_at": at})

    def _judge(self, context: Context, window: Window) -> Judgement | None:
        """None where all that could be asked are struck again in this window: a later one judges them."""
        agreement = agree(context.history, window, tags=self.TAGS)
        if not agreement.observers and window.again:
            return None
        if not agreement.observers:
            return self.answer(
                Verdict.INCONCLUSIVE, f"nobody ran a cluster at {seconds(window.deadline)}", time=window.deadline
            )
        if agreement.since is None:
            return self._disagreed(agreement, window)
        begin = window.start if window.since else 0.0
        settled = max(agreement.since, begin)
        who = f"{count(len(agreement.observers), 'observer')} agreed on {self.WHAT}"
        ever = f"ever since {window.since}" if window.since else "all the time"
        when = ever if agreement.since <= begin else f"from {window.after(settled)} on"
        return self.answer(
            Verdict.HOLDS,
            f"{who} {when}{window.limits}",
            time=settled,
            line=agreement.line,
            measured={"converged_at": settled - begin, "observers": float(len(agreement.observers))},
        )

    def _disagreed(self, agreement: Agreement, window: Window) -> Judgement:
        observer, differences = next(iter(agreement.differs.items()))
        text = f"{window.after(window.deadline)}{window.limits} {observer} listed {names(differences)}"
        others = [name for name in agreement.differs if name != observer]
        measured = {"converged_at": math.inf, "observers": float(len(agreement.observers))}
        if others:
            text += f"; {names(others)} differed too"
        if agreement.late is not None:
            text += f"; all agreed only {window.after(agreement.late)}"
            measured["converged_at"] = agreement.late - (window.start if window.since else 0.0)
        if not window.due:
            text += f"; the run ended {window.after(window.deadline)}, before the limit"
        verdict = Verdict.FAILS if window.due else Verdict.INCONCLUSIVE
        return self.answer(
            verdict, text, time=window.deadline, line=agreement.line, measured=measured, looked_at=agreement.lines
        )


class Converged(Agreed, frozen=True, kw_only=True):
    """All observers list the same alive members: those that are up."""

    KEY: ClassVar[str] = "converged"
    TAGS: ClassVar[bool] = False
    WHAT: ClassVar[str] = "who is alive"

    converged: bool
    """true"""
