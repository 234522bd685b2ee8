"""Members with keys: they find each other, rotate keys, and give no word to anybody else. Both worlds."""

import asyncio
import contextlib
import logging
from dataclasses import replace
from random import Random

import pytest

from rpcnet.address import split_host_port
from rpcnet.cluster import Cluster, Keyring, NameInUse, TagsTooLarge
from rpcnet.cluster.seal.checksummed import Checksummed
from rpcnet.cluster.seal.envelope import Asking
from rpcnet.cluster.seal.sealed import Sealed
from rpcnet.config import ClusterConfig
from sim import Simulation

KEY, OTHER = b"k" * 32, b"o" * 32
LOCAL = replace(ClusterConfig.local(), probe_interval=0.3, join_timeout=0.3)
REASONS = ("unknown_key", "unsealed", "sealed", "forged", "damaged", "replayed", "misdirected", "foreign_cluster")


def make(name, *join, keys=(KEY,), config=LOCAL, **more):
    keyring = Keyring(*keys) if keys else None
    return Cluster(name, "127.0.0.1:0", join=join, config=config, random=Random(name), keyring=keyring, **more)


def refused(cluster):
    return {reason: count for reason in REASONS if (count := getattr(cluster.stats, reason))}


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - bounded
            await asyncio.sleep(0.02)


class Wire(asyncio.DatagramProtocol):
    """A socket of somebody else: what it got."""

    def __init__(self):
        self.got = []

    def datagram_received(self, data, addr):
        self.got.append(data)


@contextlib.asynccontextmanager
async def stranger():
    loop = asyncio.get_running_loop()
    transport, wire = await loop.create_datagram_endpoint(Wire, local_addr=("127.0.0.1", 0))
    wire.send = transport.sendto
    yield wire
    transport.close()
    await asyncio.sleep(0)


async def say_on_stream(address, data):
    """Send these bytes on a connection → all that comes back."""
    reader, writer = await asyncio.open_connection(*split_host_port(address))
    writer.write(data)
    got = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            got = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return got


def test_members_with_one_key_find_each_other(world):
    async def main():
        async with make("a") as a, make("b", a.address) as b, make("c", b.address) as c:
            await c.update_tags({"role": "worker"})
            await until(lambda: all(len(each.members()) == 3 for each in (a, b, c)))
            await until(lambda: a.member("c").tags == {"role": "worker"})
            assert [refused(each) for each in (a, b, c)] == [{}, {}, {}]

    world.run(main())


@pytest.mark.parametrize(
    ("newcomer", "reason", "says"),
    [
        ({"keys": (OTHER,)}, "unknown_key", Keyring(OTHER).primary),
        ({"keys": ()}, "unsealed", "is not sealed"),
        ({"config": replace(LOCAL, cluster_name="other")}, "foreign_cluster", "'default'"),
    ],
)
def test_a_newcomer_without_the_key_gets_no_word(world, caplog, newcomer, reason, says):
    async def main():
        async with make("a") as a, make("b", a.address) as b:
            async with make("c", a.address, **newcomer) as c:
                await asyncio.sleep(1)
                assert [member.name for member in c.members()] == ["c"]
                assert refused(c) == {}, "nobody has sent it anything"
                assert "no seed" in caplog.text
            assert [len(each.members(all=True)) for each in (a, b)] == [2, 2]
            assert refused(a).keys() == {reason} and a.stats.malformed == 0
            lines = [line for line in caplog.messages if line.startswith("a: does not open")]
            assert len(lines) == 1 and says in lines[0]

    world.run(main())


def test_a_member_without_keys_says_that_others_have_some(world, caplog):
    async def main():
        async with make("a", keys=()) as a, make("b", a.address):
            await asyncio.sleep(0.5)
            assert len(a.members()) == 1 and refused(a).keys() == {"sealed"}
            assert "this member has no keyring" in caplog.text

    world.run(main())


def test_a_stranger_gets_nothing_whatever_it_sends(world):
    """On neither protocol, and what it sends changes nothing."""
    other = Sealed(Keyring(OTHER), "default", "x", 8)
    foreign = Sealed(Keyring(KEY), "foreign", "x", 8)
    random = Random(1)
    whole = Sealed(Keyring(KEY), "default", "x", 8).seal(b"", "a")
    sent = [
        b"",
        b"\xe0",
        bytes(1400),
        random.randbytes(1400),
        bytes([0xE0]) + random.randbytes(200),
        random.randbytes(9000),
        Checksummed().seal(b"\x95\x02\xa7default\xa1x\x01\x90", "a"),
        other.seal(b"\x95\x02\xa7default\xa1x\x01\x90", "a"),
        foreign.seal(b"\x95\x02\xa7foreign\xa1x\x01\x90", "a"),
        whole[:-1],
        whole[:27] + random.randbytes(60),
    ]
    streams = [
        *(data for data in sent if data),
        Asking(other, b"\x90", None, 100).sent,
        Asking(Checksummed(), b"\x90", None, 100).sent,
        Asking(foreign, b"\x90", None, 100).sent,
        bytes([0xE1]) + whole[1:] + b"\x7f\xff\xff\xff" + bytes(100_000),
    ]

    async def main():
        config = replace(LOCAL, tcp_timeout=0.3)
        async with make("a", config=config) as a, make("b", a.address) as b, stranger() as wire:
            for data in sent * 3:
                wire.send(data, split_host_port(a.address))
            assert [await say_on_stream(a.address, data) for data in streams] == [b""] * len(streams)
            await asyncio.sleep(0.5)
            assert wire.got == []
            assert [len(each.members(all=True)) for each in (a, b)] == [2, 2]
            assert a.stats.malformed > 0
            assert refused(a).keys() == {"unknown_key", "unsealed", "forged", "foreign_cluster"}
            assert refused(b) == {}
            assert len(a._transport.envelope._windows) <= 4

    world.run(main())


def test_what_was_recorded_is_worth_nothing(world):
    """Each datagram and request is sent again, from another address, to its receiver and to another member."""
    datagrams, requests = [], []

    async def main():
        async with make("a") as a, stranger() as wire:
            record(a, datagrams, requests)
            async with make("b", a.address) as b, make("c", a.address):
                record(b, datagrams, requests)
                await until(lambda: len(b.members()) == 3)
                await b.update_tags({"n": "1"})
                await asyncio.sleep(1)
                assert len(datagrams) > 10 and requests
                for data, _ in datagrams:
                    for each in (a, b):
                        wire.send(data, split_host_port(each.address))
                await asyncio.sleep(0.2)
                for data, address in requests:
                    assert await say_on_stream(address, data) == b""
                await asyncio.sleep(0.5)
                assert wire.got == []
                assert a.stats.replayed and b.stats.replayed and b.stats.misdirected
                assert not (refused(a).keys() | refused(b).keys()) - {"replayed", "misdirected"}

    world.run(main())


def record(cluster, datagrams, requests):
    """Note all that this member sends from now on, and where to; as one who listens on the wire."""
    transport = cluster._transport
    envelope = transport.envelope
    seal, message = envelope.seal, envelope.message

    def sealed(packet, to):
        data = seal(packet, to)
        datagrams.append((data, to))
        return data

    def request(kind, data, to, about=b""):
        head, sent = message(kind, data, to, about)
        if not about:
            requests.append((sent, cluster.member("a").address if to == "a" else cluster._join[0]))
        return head, sent

    envelope.seal, envelope.message = sealed, request


def test_a_rotation_loses_nothing_while_tags_change(world):
    async def main():
        async with make("a") as a, make("b", a.address) as b, make("c", a.address) as c:
            members = (a, b, c)
            await until(lambda: all(len(each.members()) == 3 for each in members))
            steps = [(each, Keyring.add) for each in members] + [(each, Keyring.use) for each in members]
            for number, (member, step) in enumerate(steps):
                step(member.keyring, OTHER)
                for each in members:
                    await each.update_tags({"step": str(number)})
                await asyncio.sleep(0.2)
            await asyncio.sleep(0.5)  # what is under way
            for number, member in enumerate(members):
                member.keyring.remove(KEY)
                await member.update_tags({"removed": str(number)})
                await asyncio.sleep(0.2)
            await until(lambda: all(each.member("c").tags.get("removed") == "2" for each in members))
            assert [refused(each) for each in members] == [{}, {}, {}]
            assert {each.keyring.ids for each in members} == {Keyring(OTHER).ids}

    world.run(main())


def test_one_that_missed_a_rotation_is_named_by_its_key(world, caplog):
    async def main():
        async with make("a", keys=(OTHER,)) as a, make("b", a.address, keys=(OTHER,)) as b:
            async with make("late", a.address) as late:
                await asyncio.sleep(0.5)
                assert [member.name for member in late.members()] == ["late"]
                assert any(line.startswith("a:") and Keyring(KEY).primary in line for line in caplog.messages)
                late.keyring.add(OTHER)
                late.keyring.use(OTHER)
                await until(lambda: len(b.members()) == 3 == len(late.members()))

    world.run(main())


def test_a_name_is_in_use_for_sealed_members_too(world):
    async def main():
        async with make("a") as a, make("b", a.address):
            with pytest.raises(NameInUse):
                await make("b", a.address).start()

    world.run(main())


def test_a_key_lets_a_member_bind_any_address(world):
    async def main():
        async with Cluster("a", "0.0.0.0:0", advertise="192.0.2.1:7946", keyring=Keyring(KEY)) as a:
            assert a.address == "192.0.2.1:7946"
            assert a.keyring.ids == Keyring(KEY).ids

    world.run(main())


def test_what_is_no_keyring_is_refused():
    with pytest.raises(TypeError, match="Keyring"):
        Cluster("a", "127.0.0.1:0", keyring=KEY)


def test_a_sealed_record_must_fit_with_its_envelope(world):
    async def main():
        config = replace(LOCAL, max_datagram_bytes=512, max_tags_bytes=400)
        async with make("a", keys=(), config=config) as plain, make("a", config=config) as sealed:
            for size in range(1, 400):
                tags = {"tag": "x" * size}
                try:
                    await sealed.register_self(tags)
                except TagsTooLarge:
                    await plain.register_self(tags)
                    break
            else:
                pytest.fail("always fits")
            datagram = sealed._transport.envelope.seal(b"x" * (512 - sealed._transport.envelope.overhead), "b")
            assert len(datagram) == 512

    world.run(main())


def test_the_sizes_that_are_counted_are_those_on_the_wire():
    sent = {"udp": 0, "tcp": 0}

    async def member(simulation, name, join, clusters):
        node = simulation.nodes[name]
        config = replace(ClusterConfig.local(), insecure=True)
        cluster = Cluster(name, f"{node.host.ip}:7946", join=join, config=config, keyring=Keyring(KEY))
        async with cluster:
            clusters.append(cluster)
            await asyncio.sleep(10)

    clusters = []
    with Simulation(seed=1) as simulation:
        nodes = [simulation.add_node(f"member-{number}") for number in range(3)]
        for node in nodes:
            node.start(member, simulation, node.name, [f"{nodes[0].host.ip}:7946"], clusters)
        simulation.run(until=20)
        for event in simulation.trace:
            if event.name == "sent":
                sent[event.fields["protocol"]] += event.fields["bytes"]
    assert sum(cluster.stats.bytes_sent for cluster in clusters) == sent["udp"]
    assert sum(cluster.stats.stream_bytes_sent for cluster in clusters) == sent["tcp"]


def test_a_damaged_plain_datagram_changes_nothing(caplog):
    caplog.set_level(logging.WARNING)

    async def main():
        async with make("a", keys=()) as a, stranger() as wire:
            packet = b"\x95\x02\xa7default\xa1x\x01\x90"
            wire.send(Checksummed().seal(packet, "a")[:-1] + b"!", split_host_port(a.address))
            await asyncio.sleep(0.2)
            assert refused(a) == {"damaged": 1} and wire.got == []
            assert "checksum" in caplog.text

    asyncio.run(main())
