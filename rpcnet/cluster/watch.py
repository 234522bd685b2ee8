"""Following the members: a snapshot and every change after it, none missed.

A watch is fed by the cluster as things happen and read at its own pace; what it may be behind is bounded, and a watcher
that is further behind is told so and gets a fresh snapshot. Knows no protocol.

Tests: tests/rpcnet/cluster/test_watch.py.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from rpcnet.cluster.events import Lagged
from rpcnet.cluster.swim.event import ClusterEvent, Condition
from rpcnet.cluster.swim.member import Member

__all__ = ["Watch"]


class Watch:
    """`async with cluster.watch(role="worker") as view`: `view.members`, then `async for event in view`.

    With tags, a change is handed out if its member matched before it or matches after it; so a member whose tags change
    from matching to not matching is seen once more, and is no longer among `members`. Partitioned, Healed, HeldDown and
    Released, which are about no single member, are handed out whatever the tags. A reader that falls behind by more
    than max_watch_events changes gets one Lagged with a fresh snapshot in their place. The watch ends when the cluster
    is left, or when its block is.
    """

    def __init__(
        self,
        tags: Mapping[str, str],
        limit: int,
        snapshot: Callable[[], list[Member]],
        watches: dict["Watch", None],
    ) -> None:
        self._tags, self._limit = dict(tags), limit
        self._snapshot, self._watches = snapshot, watches
        self._events: deque[ClusterEvent | Condition] = deque()
        self._missed = 0
        """Changes that were not kept; the reader gets one Lagged for them."""
        self._fed: dict[str, Member] = {}
        self._read: dict[str, Member] = {}
        self._wake = asyncio.Event()
        self._opened = False
        self._ended = False

    @property
    def members(self) -> tuple[Member, ...]:
        """The members that match, by name: the snapshot, and every event that was handed out since."""
        return tuple(self._read[name] for name in sorted(self._read))

    async def __aenter__(self) -> Self:
        """Raises ClusterClosed once the cluster was left, RuntimeError where the watch was opened before."""
        if self._opened:
            raise RuntimeError("a watch is opened once; call cluster.watch() again")
        self.begin(self._snapshot())
        self._opened = True
        self._watches[self] = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watches.pop(self, None)
        self.end()

    def __aiter__(self) -> Self:
        """Raises RuntimeError where it was not opened: nobody would end it."""
        if not self._opened:
            raise RuntimeError("a watch is read within its block: `async with cluster.watch() as view`, then `view`")
        return self

    async def __anext__(self) -> ClusterEvent | Condition | Lagged:
        """The next change. Cancelling it loses nothing."""
        self.__aiter__()
        while not (self._events or self._missed):
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            self._read = dict(self._fed)
            return Lagged(self.members, missed)
        event = self._events.popleft()
        if isinstance(event, ClusterEvent):
            self._apply(self._read, event.member)
        return event

    def begin(self, members: Iterable[Member]) -> None:
        """These are the members now, and nothing has happened since; called by the cluster as it starts."""
        self._fed = {member.name: member for member in members if member.matches(self._tags)}
        self._read = dict(self._fed)
        self._events.clear()
        self._missed = 0

    def feed(self, event: ClusterEvent | Condition) -> None:
        """A change happened; called by the cluster."""
        if self._ended:
            return
        if isinstance(event, ClusterEvent):
            matched = event.member.name in self._fed
            if not self._apply(self._fed, event.member) and not matched and self._tags:
                return
        if self._missed or len(self._events) >= self._limit:
            self._missed += len(self._events) + 1
            self._events.clear()
        else:
            self._events.append(event)
        self._wake.set()

    def end(self) -> None:
        """Nothing follows; what is queued is still handed out."""
        self._ended = True
        self._wake.set()

    def _apply(self, members: dict[str, Member], member: Member) -> bool:
        """Note the member as it is now; whether it matches."""
        matches = member.is_up and member.matches(self._tags)
        if matches:
            members[member.name] = member
        else:
            members.pop(member.name, None)
        return matches
