"""gossip_bandwidth: bytes of datagrams a node a second."""

from sim.scenario.expect.gossip_bandwidth import GossipBandwidth
from sim.scenario.verdict import Verdict


def test_measures_bytes_a_second_of_the_time_that_a_node_was_up(story):
    story.start("a").start("b").crash(10, "b")
    for node, amount in (("a", 4000), ("b", 3000)):
        story.at(5, node, "sent", to="a", protocol="udp", bytes=amount, crc=0)
        story.at(6, node, "sent", to="a", protocol="tcp", bytes=10**6, crc=0)
        story.at(-1, node, "sent", to="a", protocol="udp", bytes=10**6, crc=0)
    judgement = GossipBandwidth(gossip_bandwidth="all").judge(story.end(40, "a").context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.measured == {"mean": 200.0, "highest": 300.0}
    assert judgement.saw == "2 nodes sent 200 bytes a second each on average; b sent most, 300"
    limited = GossipBandwidth(gossip_bandwidth="a", max={"highest": 50.0}).judge(story.context())
    assert limited.verdict is Verdict.FAILS


def test_over_sockets_nothing_is_seen_and_it_is_inconclusive(story):
    judgement = GossipBandwidth(gossip_bandwidth="a").judge(story.start("a").end(40, "a").context())
    assert judgement.verdict is Verdict.INCONCLUSIVE
