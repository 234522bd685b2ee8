"""Clusters over an event loop: the same bodies in virtual time and over real sockets."""

import asyncio
import time
from collections import deque
from dataclasses import replace
from itertools import count
from random import Random

import pytest

import sim
from rpcnet import observe
from rpcnet.cluster import (
    AddressInUse,
    Cluster,
    ClusterClosed,
    Healed,
    InvalidRecord,
    InvalidTag,
    Keyring,
    MemberFailed,
    MemberLeft,
    MemberRecovered,
    MemberStatus,
    MemberSuspected,
    NameInUse,
    NodeStatus,
    NotPermitted,
    Partitioned,
    ServicesChanged,
    TagsChanged,
    TagsTooLarge,
)
from rpcnet.cluster.cluster import MAX_NOTICED, NOTICE_INTERVAL
from rpcnet.cluster.swim.effect import Noticed
from rpcnet.config import ClusterConfig

LOCAL = replace(ClusterConfig.local(), probe_interval=0.3, suspicion_multiplier=2.0)
"""Quick verdicts for tests over sockets."""


class Observed:
    """Collects what a cluster tells."""

    def __init__(self):
        self.events = []

    def record(self, event, /, **fields):
        self.events.append((event, fields))

    def of(self, name):
        return [fields for event, fields in self.events if event == name]


def make(name, *join, config=None, **keys):
    return Cluster(name, "127.0.0.1:0", join=join, config=config or ClusterConfig.lan(), random=Random(name), **keys)


async def until(view, condition):
    """Follow a watch until the condition on its members holds."""
    async with asyncio.timeout(30):
        while not condition(view.members):
            await anext(view)


async def silence(cluster):
    """What a crash looks like from outside: nothing is said any more, and nothing answered."""
    cluster._stop()
    await cluster._transport.close()


def names(members):
    return [member.name for member in members]


def test_two_members_see_each_other_with_tags_and_services(world):
    async def main():
        async with make("a", services={"rpc": "127.0.0.1:5"}) as a:
            await a.register_self({"role": "director"})
            async with make("b", a.address) as b:
                found = b.member("a")
                assert found.tags == {"role": "director"}
                assert found.services == {"rpc": "127.0.0.1:5"}
                assert names(b.members()) == ["a", "b"]
                async with a.watch() as view:
                    await until(view, lambda members: names(members) == ["a", "b"])
                assert a.member("b").tags == {}, "a member needs no tags"
                assert b.me.name == "b"

    world.run(main())


def test_a_batch_of_tags_is_one_event_and_one_version(world):
    async def main():
        async with make("a") as a, make("b", a.address) as b, b.watch() as view:
            await a.update_tags({"role": "worker", "label": "x"})
            async for event in view:
                if type(event) is TagsChanged:
                    break
            assert event.member.tags == {"role": "worker", "label": "x"}
            assert event.member.version == 1
            await a.update_tags({"label": None, "zone": "z"})
            event = await anext(view)
            assert event.member.tags == {"role": "worker", "zone": "z"}
            await a.update_tag("zone", None)
            assert (await anext(view)).member.tags == {"role": "worker"}
            assert a.me.version == 3
            await a.register_self([("role", "idle")])
            assert a.me.tags == {"role": "idle"}, "applied when it returns"

    world.run(main())


def test_services_change_at_run_time_as_one_event(world):
    async def main():
        observed = Observed()
        remove = observe.install(observed)
        try:
            async with make("a", services={"rpc": "127.0.0.1:5"}) as a, make("b", a.address) as b, b.watch() as view:
                await a.update_services([("rpc", "127.0.0.1:6"), ("metrics", "127.0.0.1:7")])
                while type(event := await anext(view)) is not ServicesChanged:
                    pass
                assert event.member.services == {"rpc": "127.0.0.1:6", "metrics": "127.0.0.1:7"}
                await a.update_services({"metrics": None})
                assert (await anext(view)).member.services == a.me.services == {"rpc": "127.0.0.1:6"}
                for wrong in ({"rpc": "0.0.0.0:5"}, {"rpc": 9001}, {"": "127.0.0.1:5"}, 5, ["rpc"]):
                    with pytest.raises(InvalidRecord):
                        await a.update_services(wrong)
        finally:
            remove()
        both, one = {"rpc": "127.0.0.1:6", "metrics": "127.0.0.1:7"}, {"rpc": "127.0.0.1:6"}
        assert [fields["services"] for fields in observed.of("services_changed")] == [both, both, one, one]

    world.run(main())


def test_phi_of_a_member_is_a_figure_once_it_was_heard(world):
    async def main():
        async with make("a", config=LOCAL) as a, make("b", a.address, config=LOCAL):
            assert a.phi("b") is None
            async with asyncio.timeout(30):
                while a.phi("b") is None:  # noqa: ASYNC110 - there is no event for a figure
                    await asyncio.sleep(0.05)
            assert a.phi("b") < 3
            assert a.phi("a") is a.phi("nobody") is None

    world.run(main())


def test_the_long_form_announces_oneself_and_nobody_else(world):
    async def main():
        async with make("a") as a:
            a.registry.insert(NodeStatus(node_id="a", addr=a.address, tags={"role": "director"}))
            assert a.me.tags == {"role": "director"}
            for forged in (
                NodeStatus(node_id="b", tags={}),
                NodeStatus(node_id="a", addr="1.2.3.4:5"),
                NodeStatus(node_id="a", state=MemberStatus.LEFT),
                NodeStatus(node_id="a", incarnation=7),
            ):
                with pytest.raises(NotPermitted):
                    a.registry.insert(forged)
            assert a.me.tags == {"role": "director"}

    world.run(main())


def test_a_batch_that_changes_nothing_sends_nothing(world):
    async def main():
        observed = Observed()
        observe.install(observed)
        async with make("a") as a, make("b", a.address) as b, b.watch() as view:
            await a.register_self({"role": "worker"})
            await until(view, lambda members: any(member.tags for member in members))
            for _ in range(3):
                await a.register_self({"role": "worker"})
                await a.update_tags({"role": "worker", "zone": None})
                await a.update_tags({})
            assert a.me.version == 1
            await a.update_tag("zone", "z")
            event = await anext(view)
            assert event.member.version == 2
        published = [fields["tags"] for fields in observed.of("tags_published") if fields["member"] == "a"]
        assert published == [{}, {"role": "worker"}, {"role": "worker", "zone": "z"}]

    world.run(main())


def test_bad_tags_are_refused_and_change_nothing(world):
    async def main():
        async with make("a") as a:
            await a.register_self({"k": "v"})
            with pytest.raises(InvalidTag):
                await a.update_tags({"ok": "1", "bad": 3})
            with pytest.raises(InvalidTag):
                await a.register_self({"k": None})
            for what in None, 3:
                with pytest.raises(InvalidTag, match="mapping"):
                    await a.update_tags(what)
            with pytest.raises(TagsTooLarge):
                await a.update_tags({"k": "x" * 2000})
            assert a.me.tags == {"k": "v"}
            assert a.me.version == 1

    world.run(main())


def test_a_watch_misses_nothing_between_its_snapshot_and_its_events(world):
    async def main():
        async with make("a") as a, make("b", a.address) as b:
            async with a.watch() as all_of_them:
                await until(all_of_them, lambda members: len(members) == 2)
            async with a.watch(role="worker") as view:
                assert view.members == ()
                await b.register_self({"role": "worker"})
                await until(view, lambda members: names(members) == ["b"])
                await b.update_tags({"role": "idle"})
                event = await anext(view)
                assert type(event) is TagsChanged, "seen once more as it stops to match"
                assert view.members == ()
                await b.update_tags({"unseen": "1"})
                await b.update_tags({"role": "worker"})
                await until(view, lambda members: names(members) == ["b"])
                await b.leave()
                assert type(await anext(view)) is MemberLeft
                assert view.members == ()

    world.run(main())


def test_a_watch_opened_before_the_start_begins_with_it(world):
    async def main():
        a = make("a")
        async with a.watch() as view:
            assert view.members == ()
            reader = asyncio.create_task(anext(view))
            await asyncio.sleep(0)
            async with a:
                assert names(view.members) == ["a"], "the snapshot of the start"
                assert not reader.done(), "what the snapshot holds is no change"
                await a.register_self({"role": "worker"})
                assert type(await reader) is TagsChanged

    world.run(main())


def test_a_watch_ends_when_the_cluster_is_left(world):
    async def main():
        a = make("a")
        async with a, a.watch() as view:
            reader = asyncio.create_task(collect(view))
            await a.register_self({"k": "v"})
            await a.leave()
            assert [type(event) for event in await reader] == [TagsChanged]
        with pytest.raises(ClusterClosed):
            async with a.watch():
                pass

    async def collect(view):
        return [event async for event in view]

    world.run(main())


def test_a_killed_member_is_failed_without_suspicion(world):
    async def main():
        async with make("a", config=LOCAL) as a, make("b", a.address, config=LOCAL) as b:
            c = make("c", a.address, config=LOCAL)
            await c.start()
            async with a.watch() as view:
                await until(view, lambda members: len(members) == 3)
                await silence(c)  # its port is closed
                async with asyncio.timeout(30):
                    event = await anext(aiter(view))
            assert (type(event), event.member.name) == (MemberFailed, "c")
            await b.leave()

    world.run(main())


def test_a_silent_member_is_suspected_and_then_failed(world):
    async def main():
        silent = replace(LOCAL, refusal_is_evidence=False)
        async with make("a", config=silent) as a, make("b", a.address, config=silent) as b:
            c = make("c", a.address, config=silent)
            await c.start()
            async with a.watch() as view:
                await until(view, lambda members: len(members) == 3)
                await silence(c)
                seen = []
                async with asyncio.timeout(30):
                    async for event in view:
                        seen.append((type(event), event.member.name))
                        if type(event) is MemberFailed:
                            break
            assert seen == [(MemberSuspected, "c"), (MemberFailed, "c")]
            assert names(a.members()) == ["a", "b"]
            assert a.member("c").status is MemberStatus.FAILED
            assert names(a.members(all=True)) == ["a", "b", "c"]
            await b.leave()

    world.run(main())


def test_leaving_is_flushed_also_when_the_task_is_cancelled(world):
    async def member(address, joined):
        async with make("b", address) as b:
            joined.set()
            await asyncio.Event().wait()
            assert b.me

    async def main():
        async with make("a") as a, a.watch() as view:
            joined = asyncio.Event()
            task = asyncio.create_task(member(a.address, joined))
            await joined.wait()
            await until(view, lambda members: len(members) == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert type(await anext(view)) is MemberLeft
            assert a.member("b").status is MemberStatus.LEFT

    world.run(main())


def test_cancelling_a_leave_that_waits_closes_at_once(world):
    async def main():
        async with make("a", config=replace(ClusterConfig.lan(), leave_timeout=0.2)) as a:
            b = make("b", a.address)
            await b.start()
            a.datagram = lambda data, source: None
            leaving = asyncio.create_task(b.leave())
            waiting = asyncio.create_task(b.leave())
            await asyncio.sleep(0.01)
            assert not leaving.done()
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            await waiting
            with pytest.raises(ClusterClosed):
                await b.update_tag("k", "v")
            async with Cluster("again", b.address):
                pass
            del a.datagram

    world.run(main())


def test_after_leaving_nothing_is_left_behind(world):
    async def main():
        loop = asyncio.get_running_loop()
        a, b = make("a"), None
        async with a:
            b = make("b", a.address, "127.0.0.1:1")
            async with b:
                pass
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert [handle for handle in loop._scheduled if not handle.cancelled()] == []
        await a.leave()
        with pytest.raises(ClusterClosed):
            await a.update_tag("k", "v")
        with pytest.raises(ClusterClosed):
            await a.start()
        again = Cluster("a", a.address)
        async with again:
            assert again.address == a.address

    world.run(main())


def test_of_two_starts_at_once_one_raises(world):
    async def main():
        a = make("a")
        first, second = await asyncio.gather(a.start(), a.start(), return_exceptions=True)
        assert first is None
        assert isinstance(second, ClusterClosed)
        async with make("b", a.address) as b:
            assert names(b.members()) == ["a", "b"]
        address = a.address
        await a.leave()
        async with Cluster("again", address):
            pass
        assert asyncio.all_tasks() == {asyncio.current_task()}

    world.run(main())


@pytest.mark.parametrize("turns", range(8))
def test_a_leave_while_it_starts_ends_the_start_at_once(world, turns):
    async def main():
        async with make("other") as other:
            address = other.address
        a = Cluster("a", address, join=["127.0.0.1:9"], config=replace(ClusterConfig.lan(), join_timeout=60.0))
        start = asyncio.create_task(a.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await a.leave()
            with pytest.raises(ClusterClosed, match="was left while it started" if turns else "started or left before"):
                await start
        async with Cluster("again", address):
            pass
        assert asyncio.all_tasks() == {asyncio.current_task()}

    world.run(main())


def test_a_start_that_is_cancelled_while_it_binds_holds_nothing(world):
    async def main():
        async with make("other") as other:
            address = other.address
        start = asyncio.create_task(Cluster("a", address).start())
        await asyncio.sleep(0)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        async with Cluster("again", address):
            pass

    world.run(main())


def test_another_event_loop_than_its_own_is_refused():
    async def started():
        await a.start()

    async def elsewhere():
        for use in (lambda: a.update_tags({"k": "v"}), lambda: a.watch().__aenter__(), a.leave):
            with pytest.raises(RuntimeError, match="another event loop"):
                async with asyncio.timeout(10):
                    await use()

    a, own = make("a"), asyncio.new_event_loop()
    try:
        own.run_until_complete(started())
        asyncio.run(elsewhere())
        assert a.is_running and a.me.tags == {}
        own.run_until_complete(a.leave())
    finally:
        own.close()


def test_a_cluster_that_was_left_before_its_start_cannot_start(world):
    async def main():
        a = make("a")
        async with a.watch() as view:
            await a.leave()
            assert [event async for event in view] == []
        with pytest.raises(ClusterClosed):
            await a.start()

    world.run(main())


def test_unreachable_seeds_do_not_fail_the_start_and_are_tried_on(world):
    async def main():
        config = replace(ClusterConfig.lan(), join_timeout=0.2)
        async with make("a") as first:
            address = first.address
        async with make("b", address, config=config) as b:
            assert names(b.members()) == ["b"]
            async with b.watch() as view, Cluster("a", address, config=config):
                await until(view, lambda members: names(members) == ["a", "b"])

    world.run(main())


def test_a_seed_whose_name_is_unknown_is_named_in_the_log(world, caplog):
    async def main():
        config = replace(LOCAL, join_timeout=0.3)
        async with make("a", "nosuch.invalid:7", "127.0.0.1:9", config=config):
            assert "a: no seed of nosuch.invalid:7 (no address found), 127.0.0.1:9 answers yet" in caplog.text

    world.run(main())


def test_members_of_two_address_families_are_told_of_it(caplog):
    async def main():
        config = replace(LOCAL, leave_timeout=0.2)
        a = Cluster("a", "[::1]:0", config=config)
        try:
            await a.start()
        except OSError:
            pytest.skip("no IPv6 here")
        try:
            async with make("b", a.address, config=config), asyncio.timeout(30):
                while not all(f"{name}: sends no datagrams" in caplog.text for name in "ab"):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            await a.leave()

    asyncio.run(main())


def test_restart_under_the_same_name_and_address_is_a_new_run_at_once(world):
    async def main():
        async with make("a") as a, a.watch() as view:
            b = make("b", a.address, wall_clock=lambda: 100.0)
            await b.start()
            await until(view, lambda members: len(members) == 2)
            address = b.address
            await silence(b)
            async with Cluster("b", address, join=[a.address], wall_clock=lambda: 200.0) as b:
                await until(view, lambda members: members[1].run == 200_000_000)
                assert a.member("b").status is MemberStatus.ALIVE

    world.run(main())


def test_a_newcomer_whose_name_is_alive_and_answers_gets_an_error(world):
    async def main():
        async with make("seed") as seed, make("b", seed.address) as older, seed.watch() as view:
            await until(view, lambda members: names(members) == ["b", "seed"])
            for wall_clock in (lambda: 1.0, time.time, lambda: 4e9, lambda: older.me.run / 1e6):
                newer = make("b", seed.address, wall_clock=wall_clock)
                with pytest.raises(NameInUse, match=f"answers at {older.address}"):
                    await newer.start()
            with pytest.raises(NameInUse):
                await make("seed", seed.address).start()
            await asyncio.sleep(1)
            assert view._events == deque(), "nobody else has noticed"
            assert older.stats.name_conflicts == 0
            await older.leave()
            async with make("b", seed.address) as newer:
                assert names(newer.members()) == ["b", "seed"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    world.run(main())


def test_a_newcomer_that_finds_its_name_in_use_late_joins_when_it_is_free(world, caplog):
    async def main():
        config = replace(ClusterConfig.lan(), join_timeout=0.1, reconnect_interval=0.1)
        async with make("other") as other:
            address = other.address
        async with make("b", address, config=config) as newer:
            async with Cluster("seed", address, config=config), make("b", address) as older:
                async with asyncio.timeout(10):
                    while "it has not joined" not in caplog.text:  # noqa: ASYNC110 - there is no event for a log line
                        await asyncio.sleep(0.05)
                await older.leave()
                async with newer.watch() as view:
                    await until(view, lambda members: names(members) == ["b", "seed"])

    world.run(main())


def test_of_two_members_of_one_name_that_meet_later_the_older_says_so_once(world, caplog):
    async def main():
        async with make("s") as one, make("t") as two:
            async with make("b", one.address, wall_clock=lambda: 100.0) as older, make("b", two.address) as newer:
                async with one.watch() as view, make("bridge", one.address, two.address):
                    await until(view, lambda members: newer.me in members)
                    async with asyncio.timeout(10):
                        while not older.stats.name_conflicts:  # noqa: ASYNC110 - there is no event for a counter
                            await asyncio.sleep(0.05)
        assert [record.message for record in caplog.records if "newer process has this name" in record.message]

    world.run(main())


def test_what_happens_is_recorded_for_the_trace(world):
    async def main():
        observed = Observed()
        remove = observe.install(observed)
        try:
            async with make("a") as a:
                run = a.me.run
                await a.register_self({"role": "x"})
            assert observed.events == [
                ("cluster_started", {"member": "a", "run": run, "address": a.address}),
                (
                    "member_joined",
                    {
                        "member": "a",
                        "run": run,
                        "incarnation": 0,
                        "address": a.address,
                        "tags": {},
                        "version": 0,
                    },
                ),
                ("tags_published", {"member": "a", "run": run, "version": 0, "tags": {}}),
                ("tags_published", {"member": "a", "run": run, "version": 1, "tags": {"role": "x"}}),
                ("cluster_left", {}),
            ]
        finally:
            remove()

    world.run(main())


def test_who_loses_the_majority_is_told_and_recorded(world):
    async def main():
        observed = Observed()
        remove = observe.install(observed)
        try:
            async with make("a", config=LOCAL) as a, a.watch() as view:
                lost = [make(name, a.address, config=LOCAL) for name in "bc"]
                for one in lost:
                    await one.start()
                await until(view, lambda members: len(members) == 3)
                assert not a.is_partitioned
                for one in lost:
                    await silence(one)
                async with asyncio.timeout(30):
                    while not isinstance(event := await anext(view), Partitioned):
                        pass
                assert event == Partitioned(1, 3) and a.is_partitioned
                async with make("d", a.address, config=LOCAL), make("e", a.address, config=LOCAL):
                    async with asyncio.timeout(30):
                        while not isinstance(event := await anext(view), Healed):
                            pass
                    assert event == Healed(3, 5) and not a.is_partitioned
        finally:
            remove()
        assert observed.of("partitioned") == [{"up": 1, "expected": 3}]
        assert observed.of("healed") == [{"up": 3, "expected": 5}]

    world.run(main())


def test_another_cluster_at_a_seed_is_ignored_counted_and_logged(world, caplog):
    async def main():
        other = replace(ClusterConfig.lan(), cluster_name="other", join_timeout=0.3)
        async with make("a") as a, make("b", a.address, config=other) as b:
            assert names(a.members()) == ["a"]
            assert names(b.members()) == ["b"]
            assert a.stats.foreign_cluster > 0
            (line,) = [line for line in caplog.messages if line.startswith("a: ")]
            assert line == "a: does not take what 'b' of cluster 'other' sends: this cluster is 'default'"

    world.run(main())


def test_a_seed_that_is_no_member_is_named_in_the_log(world, caplog):
    async def main():
        async def answer(reader, writer):
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as web:
            seed = "{}:{}".format(*web.sockets[0].getsockname())
            async with make("a", seed, config=replace(ClusterConfig.lan(), join_timeout=0.3)):
                assert f"a: what answers at {seed} is no member of a cluster" in caplog.messages

    world.run(main())


def test_hostile_bytes_on_both_ports_change_nothing(world):
    async def main():
        loop = asyncio.get_running_loop()
        async with make("a") as a:
            host, port = a.address.split(":")
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(host, int(port)))
            for data in (b"\xff" * 1400, b"GET / HTTP/1.1\r\n\r\n"):
                transport.sendto(data)
            for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 8, b"\0\0\0\3abc", b"\0\0"):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(data)
                writer.write_eof()
                assert await reader.read() == b""
                writer.close()
            async with asyncio.timeout(10):
                while a.stats.malformed < 3:  # noqa: ASYNC110 - there is no event for a counter
                    await asyncio.sleep(0.01)
            transport.close()
            assert names(a.members()) == ["a"]
            assert a.stats.datagrams_sent == 0

    world.run(main())


def test_a_taken_port_is_one_clear_error(world):
    async def main():
        async with make("a") as a:
            with pytest.raises(AddressInUse, match="cannot bind"):
                await Cluster("b", a.address).start()

    world.run(main())


def test_an_open_bind_needs_insecure(world):
    async def main():
        with pytest.raises(NotPermitted, match="insecure"):
            await Cluster("a", "0.0.0.0:0").start()
        with pytest.raises(NotPermitted, match="advertise"):
            await Cluster("a", "0.0.0.0:0", config=ClusterConfig(insecure=True)).start()
        async with Cluster("a", "0.0.0.0:0", advertise="192.0.2.1:7946", config=ClusterConfig(insecure=True)) as a:
            assert a.address == "192.0.2.1:7946"

    world.run(main())


@pytest.mark.parametrize("seed", ["192.0.2.1:7946", "[2001:db8::1]:7946"])
def test_a_seed_on_another_machine_needs_a_key(world, seed):
    async def main():
        with pytest.raises(NotPermitted, match="insecure"):
            await Cluster("a", "127.0.0.1:0", join=[seed]).start()
        config = ClusterConfig(join_timeout=0.1)
        async with Cluster("a", "127.0.0.1:0", join=[seed], config=config, keyring=Keyring(bytes(32))):
            pass
        async with Cluster("a", "127.0.0.1:0", join=[seed], config=replace(config, insecure=True)):
            pass

    world.run(main())


def test_what_is_no_address_or_name_is_refused_before_anything_starts():
    for bad in ("nowhere", "host:", ":1", "host:70000", "host:port"):
        with pytest.raises(ValueError, match="HOST:PORT"):
            Cluster("a", bad)
    with pytest.raises(ValueError, match="name"):
        Cluster("", "127.0.0.1:0")


@pytest.mark.parametrize(
    ("keys", "error", "says"),
    [
        ({"bind": None}, TypeError, "HOST:PORT"),
        ({"bind": ("127.0.0.1", 0)}, TypeError, "HOST:PORT"),
        ({"join": "127.0.0.1:7946"}, TypeError, r"\['127.0.0.1:7946'\]"),
        ({"join": None}, TypeError, "join"),
        ({"join": [7946]}, TypeError, "HOST:PORT"),
        ({"join": ["127.0.0.1:0"]}, ValueError, "port 0"),
        ({"config": {"insecure": True}}, TypeError, "ClusterConfig"),
        ({"config": ClusterConfig}, TypeError, "ClusterConfig"),
    ],
)
def test_an_option_of_another_type_is_named_in_the_error(keys, error, says):
    with pytest.raises(error, match=says):
        Cluster("a", **{"bind": "127.0.0.1:0", **keys})


@pytest.mark.parametrize("tags", [{"shard": 3}, {"role": None}, {"": "worker"}])
def test_a_watch_for_what_no_member_can_carry_is_refused(tags):
    with pytest.raises(InvalidTag):
        make("a").watch(**tags)


@pytest.mark.parametrize(
    "keys",
    [
        {"services": {"rpc": 9000}},
        {"services": {"rpc": None}},
        {"services": {"rpc": "0.0.0.0:9000"}},
        {"services": {"": "h:1"}},
        {"advertise": "0.0.0.0:7946"},
        {"advertise": "10.0.0.6:0"},
        {"advertise": "h" * 254 + ":1"},
        {"advertise": ""},
    ],
)
def test_what_no_other_member_could_use_is_refused_at_once(keys):
    with pytest.raises(InvalidRecord):
        make("a", **keys)


def test_a_clock_before_1970_is_refused_and_holds_no_port(world):
    async def main():
        async with make("other") as other:
            address = other.address
        with pytest.raises(InvalidRecord, match="clock"):
            await Cluster("a", address, wall_clock=lambda: -3600.0).start()
        async with Cluster("a", address):
            pass

    world.run(main())


def test_tags_are_limited_by_their_bytes_alone(world):
    """The wire takes what the config allows, however many tags that are, and however long one is."""

    async def main():
        config = replace(ClusterConfig.lan(), max_datagram_bytes=9000, max_tags_bytes=8000)
        for tags in ({f"{number:x}": "" for number in range(1000)}, {"k": "v" * 7000}):
            async with make("a", config=config) as a, make("b", a.address, config=config) as b, b.watch() as view:
                await a.register_self(tags)
                await until(view, lambda members, tags=tags: any(member.tags == tags for member in members))
                async with make("c", a.address, config=config) as c:
                    assert c.member("a").tags == tags

    world.run(main())


def test_a_member_that_is_refused_is_told_and_both_ends_log_it_once(world, caplog):
    async def main():
        full = replace(ClusterConfig.lan(), max_members=1)
        config = replace(ClusterConfig.lan(), join_timeout=0.5, reconnect_interval=0.1)
        async with make("a", config=full) as a, make("b", a.address, config=config) as b:
            async with asyncio.timeout(10):
                while not b.stats.refused_by_others:  # noqa: ASYNC110 - there is no event for a counter
                    await asyncio.sleep(0.05)
            assert a.stats.refused_members >= 1

    world.run(main())
    said = [record.getMessage() for record in caplog.records if "does not take" in record.getMessage()]
    assert said == [
        "a: does not take what 'b' sends: the table is full (max_members)",
        "b: 'a' does not take what we send: 'the table is full (max_members)'",
    ]


def test_warnings_that_others_cause_are_few(caplog):
    async def main():
        async with make("a") as a:
            for number in range(1000):
                a._notice(Noticed(("refused", str(number)), "x"))
            assert len(caplog.records) == MAX_NOTICED
            await asyncio.sleep(NOTICE_INTERVAL)
            a._notice(Noticed(("refused", "0"), "x"))
            a._notice(Noticed(("refused", "0"), "x"))
            assert len(caplog.records) == MAX_NOTICED + 1

    sim.run(main(), seed=1)


def test_a_blocked_loop_kills_nobody_and_is_killed_by_nobody():
    """Both share the loop, so both wake up to late timers and full sockets."""

    async def main():
        async with make("a") as a, make("b", a.address) as b:
            async with a.watch() as view:
                await until(view, lambda members: len(members) == 2)
                time.sleep(3.0)  # noqa: ASYNC251 - the stall is the test
                await asyncio.sleep(1.5)
                events = []
                while view._events:
                    events.append(type(await anext(view)))
            assert MemberFailed not in events
            assert MemberSuspected not in events
            assert a.stats.late_timers > 0
            assert names(a.members()) == names(b.members()) == ["a", "b"]

    asyncio.run(main())


def test_one_declared_dead_comes_back_and_never_stops(world):
    """The others do not hear it for long enough; then they do."""

    async def main():
        async with make("a", config=LOCAL) as a, make("b", a.address, config=LOCAL) as b, a.watch() as view:
            await until(view, lambda members: len(members) == 2)
            send, b._transport.send = b._transport.send, lambda address, data, to: None
            answer, b.request = b.request, lambda data, source: None
            await until(view, lambda members: names(members) == ["a"])
            b._transport.send, b.request = send, answer
            assert type(await anext(view)) is MemberRecovered
            assert names(a.members()) == ["a", "b"]
            assert b.me.incarnation > 0

    world.run(main())


def test_each_member_records_each_other_and_itself_as_joined_once(world):
    async def main():
        observed = Observed()
        observe.install(observed)
        async with make("a") as a, make("b", a.address) as b, make("c", a.address), b.watch() as view:
            await until(view, lambda members: len(members) == 3)
        assert sorted(fields["member"] for fields in observed.of("member_joined")) == sorted("aaabbbccc")

    world.run(main())


def test_a_member_at_rest_wakes_once_a_period(monkeypatch):
    """The time-outs of a probe that was answered wake nobody."""
    wakings = []
    fired = Cluster._fired
    monkeypatch.setattr(Cluster, "_fired", lambda self: (wakings.append(self.name), fired(self))[1])

    async def main():
        async with make("a") as a, make("b", a.address) as b:
            await asyncio.sleep(3)
            wakings.clear()
            await asyncio.sleep(20)
            assert a.stats.failed_probes == b.stats.failed_probes == 0
            return len(wakings)

    assert 2 * 19 <= sim.run(main(), seed=1) <= 2 * 20 + 4


def test_a_flood_postpones_a_late_timer_by_its_grace_at_most(monkeypatch):
    """Each of its packets moves the earliest deadline: what reads all that has come must not begin anew."""

    async def main():
        loop, overdue, ticked = asyncio.get_running_loop(), count(), asyncio.Event()
        async with make("a", config=replace(ClusterConfig.lan(), late_timer_grace=0.05)) as a:
            core, long_ago = a._running, loop.time() - 10
            tick = core.tick
            with monkeypatch.context() as patch:
                patch.setattr(core, "tick", lambda now: (ticked.set(), tick(now))[1])
                patch.setattr(core, "next_deadline", lambda: long_ago + next(overdue) / 1e6)
                until = loop.time() + 5
                while not ticked.is_set() and loop.time() < until:
                    a._transport.received += 1
                    a._do([], loop.time())
                    await asyncio.sleep(0)
        assert ticked.is_set()

    asyncio.run(main())
