"""The expectations by their TOML key: one class a file, each a predicate over a trace. Table: docs/expectations.md.

Tests: tests/sim/scenario/expect/test_documentation.py.
"""

from sim.scenario.expect.calls import Calls
from sim.scenario.expect.converged import Converged
from sim.scenario.expect.gossip_bandwidth import GossipBandwidth
from sim.scenario.expect.logged import Logged
from sim.scenario.expect.member_failed import MemberFailed
from sim.scenario.expect.member_left import MemberLeft
from sim.scenario.expect.member_recovered import MemberRecovered
from sim.scenario.expect.no_false_failures import NoFalseFailures
from sim.scenario.expect.no_leaks import NoLeaks
from sim.scenario.expect.python import Python
from sim.scenario.expect.sequence import Sequence
from sim.scenario.expect.stream_completes import StreamCompletes
from sim.scenario.expect.streams_aborted import StreamsAborted
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
        StreamsAborted,
        StreamCompletes,
        Sequence,
        Calls,
        NoLeaks,
        GossipBandwidth,
        Logged,
        Python,
    )
}
"""TOML key → class."""
