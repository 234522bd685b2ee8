"""The expectations by their TOML key: one class a file, each a predicate over a trace. Table: docs/expectations.md."""

from sim.scenario.expect.converged import Converged
from sim.scenario.expect.member_failed import MemberFailed
from sim.scenario.expect.member_left import MemberLeft
from sim.scenario.expect.member_recovered import MemberRecovered
from sim.scenario.expect.no_false_failures import NoFalseFailures
from sim.scenario.expect.tags_atomic import TagsAtomic
from sim.scenario.expect.tags_converged import TagsConverged
from sim.scenario.verdict import Expectation

__all__ = ["EXPECTATIONS"]

EXPECTATIONS: dict[str, type[Expectation]] = {
    kind.KEY: kind
    for kind in (
        MemberFailed,
        MemberLeft,
        MemberRecovered,
        NoFalseFailures,
        Converged,
        TagsConverged,
        TagsAtomic,
    )
}
"""TOML key → class."""
