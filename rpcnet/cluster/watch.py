"""Following the members: a snapshot and every change after it, none missed.

A watch is fed by the cluster as things happen and read at its own pace; what it may be behind is bounded, and a watcher
that is further behind is told so instead of missing changes. Knows no protocol.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rpcnet.cluster.errors import WatchOverflow
from rpcnet.cluster.swim.event import ClusterEvent
from rpcnet.cluster.swim.member import Member

__all__ = ["Watch"]


class Watch:
    """`async with cluster.watch(role="worker") as view`: `view.members`, then `async for event in view`.

    With tags, a change is handed out if its member matched before it or matches after it; so a member whose tags change
    from matching to not matching is seen once more, and is no longer among `members`. The watch ends when the cluster
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
        self._events: deque[ClusterEvent] = deque()
        self._fed: dict[str, Member] = {}
        self._read: dict[str, Member] = {}
        self._wake = asyncio.Event()
        self._ended = False
        self._overflowed = False

    @property
    def members(self) -> tuple[Member, ...]:
        """The members that match, by name: the snapshot, and every event that was handed out since."""
        return tuple(self._read[name] for name in sorted(self._read))

    async def __aenter__(self) -> Self:
        self._read = {member.name: member for member in self._snapshot() if member.matches(self._tags)}
        self._fed = dict(self._read)
        self._watches[self] = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watches.pop(self, None)
        self.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ClusterEvent:
        """The next change. Raises WatchOverflow where some were not kept; cancelling it loses nothing."""
        while not self._events:
            if self._overflowed:
                raise WatchOverflow(
                    f"this watch fell behind by more than max_watch_events ({self._limit}) changes;"
                    " read faster, or open a new watch and take its snapshot"
                )
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        event = self._events.popleft()
        self._apply(self._read, event.member)
        return event

    def feed(self, event: ClusterEvent) -> None:
        """A change happened; called by the cluster."""
        if self._ended or self._overflowed:
            return
        matched = event.member.name in self._fed
        if not self._apply(self._fed, event.member) and not matched and self._tags:
            return
        if len(self._events) >= self._limit:
            self._overflowed = True
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
