"""The clock of a pause without calls: due once, exactly, whatever was called before."""

import asyncio
from collections.abc import Callable

import sim
from rpcnet.idle import IdleClock


class Closing:
    """Calls that come and go; notes when it was asked to close, and whether it did."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked: list[tuple[float, bool]] = []
        loop = asyncio.get_running_loop()
        self.clock = IdleClock(10.0, self._judge, self.close)
        self.now: Callable[[], float] = lambda: round(loop.time(), 6)
        self.judge: Callable[[Callable[[], None]], object] = lambda verdict: verdict()
        self.began = loop.time()

    def _judge(self, verdict: Callable[[], None]) -> None:
        self.judge(verdict)

    def close(self) -> bool:
        self.asked.append((round(self.now() - self.began, 3), not self.calls))
        return not self.calls

    async def at(self, time: float) -> None:
        await asyncio.sleep(self.began + time - self.now())

    def end_call(self) -> None:
        self.calls -= 1
        if not self.calls:
            self.clock.restart()


def test_a_pause_is_closed_when_it_is_over() -> None:
    async def main() -> None:
        closing = Closing()
        await closing.at(100)
        assert closing.asked == [(10.0, True)]

    sim.run(main(), seed=1)


def test_a_call_in_between_begins_the_pause_anew() -> None:
    async def main() -> None:
        closing = Closing()
        for time in (3, 9, 18):
            await closing.at(time)
            closing.calls += 1
            closing.end_call()
        await closing.at(100)
        assert closing.asked == [(28.0, True)]

    sim.run(main(), seed=1)


def test_a_call_that_runs_on_is_no_pause() -> None:
    async def main() -> None:
        closing = Closing()
        closing.calls += 1
        await closing.at(35)
        assert all(not closed for _, closed in closing.asked)
        closing.end_call()
        await closing.at(100)
        assert [time for time, closed in closing.asked if closed] == [45.0]

    sim.run(main(), seed=1)


def test_a_call_that_comes_while_it_is_judged_saves_the_connection() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        closing = Closing()
        closing.judge = lambda verdict: loop.call_later(0.5, verdict)
        await closing.at(10.2)
        closing.calls += 1
        closing.end_call()
        await closing.at(100)
        assert closing.asked == [(20.7, True)]

    sim.run(main(), seed=1)


def test_a_stopped_clock_asks_nothing() -> None:
    async def main() -> None:
        closing = Closing()
        closing.judge = lambda verdict: asyncio.get_running_loop().call_later(0.5, verdict)
        await closing.at(10.2)  # it is being judged
        closing.clock.stop()
        closing.clock.stop()
        await closing.at(100)
        assert closing.asked == []

    sim.run(main(), seed=1)
