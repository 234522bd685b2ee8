"""First come, first served, whoever is woken for nothing, gives up or is cancelled."""

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

import sim
from rpcnet.line import Line


class Counter:
    """So many pieces of something that tasks wait for."""

    def __init__(self) -> None:
        self.left = 0
        self.line = Line()
        self.took: list[str] = []
        self.over: set[str] = set()
        self.sleeping: dict[str, asyncio.Future[None]] = {}

    async def take(self, name: str, pieces: int) -> bool:
        def sleep() -> asyncio.Future[None]:
            self.sleeping[name] = asyncio.get_running_loop().create_future()
            return self.sleeping[name]

        may_go: Callable[[], bool] = lambda: self.left >= pieces  # noqa: E731
        if await self.line.wait(may_go, lambda: name in self.over, sleep):
            self.left -= pieces
            self.took.append(name)
            return True
        return False

    def give(self, pieces: int) -> None:
        self.left += pieces
        self.line.wake()


def test_a_large_wish_is_not_overtaken() -> None:
    async def main() -> None:
        counter = Counter()
        large = asyncio.create_task(counter.take("large", 5))
        await asyncio.sleep(0)
        small = asyncio.create_task(counter.take("small", 1))
        for _ in range(4):
            await asyncio.sleep(0)
            counter.give(1)
            # Whoever comes now finds the line taken, although a piece is there.
            assert counter.line
        await asyncio.sleep(0.01)
        assert counter.took == []
        counter.give(2)
        assert await asyncio.gather(large, small) == [True, True]
        assert counter.took == ["large", "small"]
        assert not counter.line

    sim.run(main(), seed=1)


def test_the_woken_first_keeps_its_place_until_it_took() -> None:
    async def main() -> None:
        counter = Counter()
        first = asyncio.create_task(counter.take("first", 1))
        await asyncio.sleep(0)
        counter.give(1)
        assert counter.line, "whoever looks before the woken task has run must see that somebody is ahead"
        late = asyncio.create_task(counter.take("late", 1))
        await first
        counter.give(1)
        await late
        assert counter.took == ["first", "late"]

    sim.run(main(), seed=1)


def test_who_gives_up_or_is_cancelled_lets_the_next_go() -> None:
    async def main() -> None:
        counter = Counter()
        tasks = [asyncio.create_task(counter.take(name, 1)) for name in "abcd"]
        await asyncio.sleep(0)
        counter.give(1)
        tasks[0].cancel()  # it was woken, and will not take what it was woken for
        counter.over.add("b")
        counter.sleeping["b"].set_result(None)
        done = await asyncio.gather(*tasks[:3], return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert done[1:] == [False, True]
        counter.over.add("d")
        counter.line.wake_all()
        assert await tasks[3] is False
        assert not counter.line

    sim.run(main(), seed=1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["come", "give", "cancel", "give up", "turn"]), st.integers(1, 4)),
        max_size=60,
    )
)
def test_everybody_goes_in_order_or_gives_up(script: list[tuple[str, int]]) -> None:
    async def main() -> None:
        counter = Counter()
        tasks: list[tuple[str, int, asyncio.Task[bool]]] = []
        for what, number in script:
            if what == "come":
                name = str(len(tasks))
                tasks.append((name, number, asyncio.create_task(counter.take(name, number))))
            elif what == "give":
                counter.give(number)
            elif what == "turn":
                await asyncio.sleep(0)
            elif tasks:
                name, _, task = tasks[number % len(tasks)]
                if what == "cancel":
                    task.cancel()
                elif not task.done():
                    counter.over.add(name)
                    sleeping = counter.sleeping.get(name)
                    if sleeping is not None and not sleeping.done():
                        sleeping.set_result(None)
        counter.give(sum(pieces for _, pieces, _ in tasks))
        await asyncio.gather(*(task for _, _, task in tasks), return_exceptions=True)
        assert counter.took == sorted(counter.took, key=int)
        assert not counter.line

    sim.run(main(), seed=1)
