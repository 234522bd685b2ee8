"""The arena says what the simulator says: cores without a loop and real `Cluster` objects, in the same scenarios."""

import asyncio
from dataclasses import replace

from benchmarks.swim.arena import SEAL, Arena
from benchmarks.swim.rows import percentile
from rpcnet import observe
from rpcnet.cluster import Cluster
from rpcnet.cluster.swim.event import MemberFailed
from rpcnet.config import ClusterConfig
from sim import Simulation

LAN = replace(ClusterConfig.lan(), insecure=True)
MEMBERS = 10
BEGIN, END = 8.0, 40.0


class Told:
    """What one node's cluster tells of deaths."""

    def __init__(self, simulation, name, deaths):
        self._simulation, self._name, self._deaths = simulation, name, deaths

    def record(self, event, /, **fields):
        if event == "member_failed":
            self._deaths.append((self._simulation.now - BEGIN, self._name, fields["member"]))


def in_simulator(seed, fault):
    """(seconds from the fault, observer, member) of each death, and bytes a member a second before it."""
    deaths, clusters = [], []
    with Simulation(seed=seed) as simulation:
        simulation.network.default_link(latency="uniform(1ms, 3ms)", loss=0.01)
        nodes = [simulation.add_node(f"member-{number}") for number in range(MEMBERS)]

        async def member(node):
            observe.install(Told(simulation, node.name, deaths))
            seeds = [f"{nodes[0].host.ip}:7946"]
            async with Cluster(node.name, f"{node.host.ip}:7946", join=seeds, config=LAN) as cluster:
                clusters.append(cluster)
                await asyncio.Event().wait()

        for node in nodes:
            node.start(member, node)
        simulation.run(until=BEGIN)
        sent = sum(cluster.stats.datagrams_sent for cluster in clusters)
        if fault == "stall":
            nodes[3].block(10.0)
        else:
            (nodes[3].crash if fault == "crash" else nodes[3].kill)()
        simulation.run(until=END)
        assert all(len(cluster.members()) == MEMBERS for cluster in clusters if fault == "stall")
    return deaths, sent


def in_arena(seed, fault):
    deaths = []
    arena = Arena(seed=seed, config=LAN, loss=0.01)

    def on_event(now, host, event):
        if type(event) is MemberFailed:
            deaths.append((now - BEGIN, host.name, event.member.name))

    arena.on_event = on_event
    first = arena.add("member-0")
    hosts = [first, *(arena.add(f"member-{number}", seeds=[first.address]) for number in range(1, MEMBERS))]
    arena.run(BEGIN)
    sent = sum(host.packets for host in hosts)
    if fault == "stall":
        arena.stall(hosts[3], 10.0)
    else:
        (arena.crash if fault == "crash" else arena.kill)(hosts[3])
    arena.run(END)
    assert fault != "stall" or arena.sees_all(MEMBERS)
    return deaths, sent


def compare(fault, seeds):
    both = []
    for world in (in_simulator, in_arena):
        runs = [world(seed, fault) for seed in range(seeds)]
        assert {name for deaths, _ in runs for _, _, name in deaths} <= {"member-3"}, "a healthy one was buried"
        assert all(observer != "member-3" for deaths, _ in runs for _, observer, _ in deaths)
        both.append(
            (
                [at for deaths, _ in runs for at, _, _ in deaths],
                {len(deaths) for deaths, _ in runs},
                sum(sent for _, sent in runs),
            )
        )
    return both


def test_crashes_are_found_alike_in_both():
    (times, counts, sent), (others, other_counts, other_sent) = compare("crash", seeds=8)
    assert counts == other_counts == {MEMBERS - 1}
    for share in (0.1, 0.5, 0.9):
        assert abs(percentile(times, share) - percentile(others, share)) < 1.2, (share, sent, other_sent)
    assert 0.93 < sent / other_sent < 1.07, "they send as many datagrams"


def test_kills_are_found_alike_in_both():
    (times, counts, _), (others, other_counts, _) = compare("kill", seeds=5)
    assert counts == other_counts == {MEMBERS - 1}
    assert abs(percentile(times, 0.5) - percentile(others, 0.5)) < 1.2


def test_stalled_members_judge_nobody_in_both():
    (_, counts, _), (_, other_counts, _) = compare("stall", seeds=2)
    assert max(counts) > 0
    assert max(other_counts) > 0


def test_an_arena_replays_from_its_seed():
    assert in_arena(7, "crash") == in_arena(7, "crash")
    assert in_arena(7, "crash") != in_arena(8, "crash")


def test_every_packet_counts_as_sealed():
    arena = Arena(seed=1, config=LAN)
    hosts = arena.form(4)
    arena.run(20.0)
    for host in hosts:
        stats = host.core.stats
        assert host.packets == stats.datagrams_sent
        assert host.bytes > stats.bytes_sent + SEAL * stats.datagrams_sent


def test_those_cut_off_hear_nothing_and_heal():
    arena = Arena(seed=3, config=LAN)
    hosts = arena.form(6)
    arena.run(5.0)
    arena.cut(hosts[:2])
    arena.run(30.0)
    assert {len(host.core.members()) for host in hosts[:2]} == {2}
    assert {len(host.core.members()) for host in hosts[2:]} == {4}
    arena.heal()
    assert arena.run_until(lambda: arena.sees_all(6), within=10.0) is not None
