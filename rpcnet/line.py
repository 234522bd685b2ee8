"""A line of tasks that wait for the same thing: first come, first served.

Writers wait so for a connection's credit, and calls for one of its places. Whoever is woken keeps its place until it
has taken what it waited for or given up, so that nobody who comes meanwhile gets before it. Knows no connection and no
call: what they wait for is a function.

Tests: tests/rpcnet/test_line.py.
"""

import asyncio
from collections.abc import Callable, Container

__all__ = ["Line"]


class _Place:
    """One who waits; `waiter` is what it sleeps on."""

    __slots__ = ("waiter",)

    def __init__(self) -> None:
        self.waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Line(list[_Place]):
    """Empty (false) where nobody waits, as nearly always: an empty list is small. Made in the loop whose tasks wait."""

    __slots__ = ()

    async def wait(
        self,
        may_go: Callable[[], bool],
        given_up: Callable[[], bool],
        sleep: Callable[[], asyncio.Future[None]],
    ) -> bool:
        """Wait behind those who came before until `may_go`; False where `given_up` came first.

        `sleep` makes the future to sleep on; who gives up resolves it. Whoever gets True takes what it waited for
        before it awaits anything else.
        """
        place = _Place()
        self.append(place)
        try:
            while not given_up():
                if self[0] is place and may_go():
                    return True
                place.waiter = sleep()
                await place.waiter
            return False
        finally:
            self.remove(place)
            self.wake()

    def has_any(self, waiters: Container[asyncio.Future[None]]) -> bool:
        """Whether somebody in the line sleeps on one of these."""
        return any(place.waiter is not None and place.waiter in waiters for place in self)

    def wake(self) -> None:
        """Something was given back: let the first look whether it may go."""
        if self:
            self[0].wake()

    def wake_all(self) -> None:
        """What is waited for will not come: let everybody look whether to give up."""
        for place in self:
            place.wake()
