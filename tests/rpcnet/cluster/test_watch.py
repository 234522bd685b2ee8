"""A watch by itself: what it hands out, what it keeps, and what it says to one who reads too slowly or not in order."""

import asyncio

import pytest

from rpcnet.cluster.events import Healed, Lagged, MemberFailed, MemberJoined, Partitioned, TagsChanged
from rpcnet.cluster.swim.member import Member, MemberStatus
from rpcnet.cluster.watch import Watch


def member(name, status=MemberStatus.ALIVE, **tags):
    return Member(name, 1, 0, status, f"{name}:1", tags=tags)


def watching(*, limit=3, tags=None, members=()):
    return Watch(tags or {}, limit, lambda: list(members), {})


def names(members):
    return [each.name for each in members]


async def read(view, count):
    return [await anext(view) for _ in range(count)]


def test_a_slow_reader_gets_one_lagged_with_a_fresh_snapshot():
    async def main():
        async with watching(members=[member("a")]) as view:
            for number in range(4):
                view.feed(MemberJoined(member(f"b{number}")))
            view.feed(MemberFailed(member("a", MemberStatus.FAILED)))
            assert names(view.members) == ["a"], "nothing was read yet"
            lagged = await anext(view)
            assert isinstance(lagged, Lagged)
            assert lagged.missed == 5
            assert names(lagged.members) == names(view.members) == ["b0", "b1", "b2", "b3"]
            view.feed(TagsChanged(member("b0", zone="z")))
            assert type(await anext(view)) is TagsChanged, "and it goes on"

    asyncio.run(main())


def test_the_snapshot_of_lagged_is_that_of_its_reading():
    async def main():
        async with watching(limit=1) as view:
            for name in "abcd":
                view.feed(MemberJoined(member(name)))
            lagged = await anext(view)
            assert (lagged.missed, names(lagged.members)) == (4, ["a", "b", "c", "d"])

    asyncio.run(main())


def test_a_watcher_that_never_reads_keeps_no_more_than_its_limit():
    async def main():
        async with watching(limit=3, members=[member("a")]) as view:
            for number in range(10_000):
                view.feed(TagsChanged(member("a", n=str(number))))
                assert len(view._events) <= 3
            (lagged,) = await read(view, 1)
            assert (lagged.missed, lagged.members[0].tags) == (10_000, {"n": "9999"})

    asyncio.run(main())


def test_a_reader_that_keeps_up_never_lags():
    async def main():
        async with watching(limit=3) as view:
            for number in range(30):
                view.feed(MemberJoined(member(str(number))))
                if number % 3 == 2:
                    assert [type(event) for event in await read(view, 3)] == [MemberJoined] * 3

    asyncio.run(main())


def test_changes_of_others_do_not_make_a_watch_lag():
    async def main():
        async with watching(limit=1, tags={"role": "worker"}) as view:
            for number in range(9):
                view.feed(MemberJoined(member(str(number), role="director")))
            view.feed(MemberJoined(member("w", role="worker")))
            assert (await anext(view)).member.name == "w"

    asyncio.run(main())


def test_partitions_are_told_whatever_the_tags():
    async def main():
        async with watching(tags={"role": "worker"}, members=[member("w", role="worker")]) as view:
            view.feed(Partitioned(1, 3))
            view.feed(Healed(2, 3))
            assert await read(view, 2) == [Partitioned(1, 3), Healed(2, 3)]
            assert names(view.members) == ["w"]

    asyncio.run(main())


def test_what_is_queued_at_the_end_is_still_read():
    async def main():
        async with watching(limit=1) as view:
            for name in "ab":
                view.feed(MemberJoined(member(name)))
            view.end()
            view.feed(MemberJoined(member("late")))
            assert [type(event) async for event in view] == [Lagged]

    asyncio.run(main())


def test_a_watch_that_was_not_opened_says_so():
    async def main():
        view = watching()
        with pytest.raises(RuntimeError, match="async with"):
            async for _ in view:
                pass
        with pytest.raises(RuntimeError, match="async with"):
            await anext(view)

    asyncio.run(main())


def test_a_watch_is_opened_once():
    async def main():
        view = watching()
        async with view:
            with pytest.raises(RuntimeError, match="opened once"):
                async with view:
                    pass
        with pytest.raises(RuntimeError, match="opened once"):
            async with view:
                pass

    asyncio.run(main())
