"""`gossip_bandwidth`: how many bytes of datagrams the selected nodes sent, each, a second that it was up.

Only the simulator sees what is sent; over sockets there is nothing to judge by.

Tests: tests/sim/scenario/expect/test_gossip_bandwidth.py.
"""

from typing import ClassVar

from sim.scenario.expect.words import count, names
from sim.scenario.schema import Selector
from sim.scenario.verdict import Context, Expectation, Judgement, Verdict

__all__ = ["GossipBandwidth"]


class GossipBandwidth(Expectation, frozen=True, kw_only=True):
    """Measures mean and highest: bytes sent a node a second, from time zero on. Limit them with `max`."""

    KEY: ClassVar[str] = "gossip_bandwidth"
    SELECTORS: ClassVar[tuple[str, ...]] = ("gossip_bandwidth",)
    MEASURES: ClassVar[tuple[str, ...] | None] = ("mean", "highest")

    gossip_bandwidth: Selector
    """The senders."""

    def examine(self, context: Context) -> Judgement:
        history = context.history
        sent = dict.fromkeys(context.select(self.gossip_bandwidth), 0)
        seen = False
        for event in context.events():
            if event.name != "sent" or event.node not in sent or event.fields.get("protocol") != "udp":
                continue
            if event.time >= 0 and event.line < history.end_line:
                sent[event.node] += event.fields.get("bytes", 0)
                seen = True
        if not seen:
            return self.answer(Verdict.INCONCLUSIVE, f"no datagram of {names(sent)} is in the trace")
        up = {
            node: sum(
                max(0.0, min(life.end, context.duration) - max(life.start, 0.0)) for life in history.lives.get(node, ())
            )
            for node in sent
        }
        rates = {node: sent[node] / up[node] for node in sent if up[node] > 0}
        highest = max(rates, key=lambda node: rates[node])
        measured = {"mean": sum(rates.values()) / len(rates), "highest": rates[highest]}
        text = (
            f"{count(len(rates), 'node')} sent {measured['mean']:.0f} bytes a second each on average; "
            f"{highest} sent most, {rates[highest]:.0f}"
        )
        return self.answer(Verdict.HOLDS, text, measured=measured)
