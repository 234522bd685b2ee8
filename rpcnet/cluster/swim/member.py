"""What is known of a member, and which of two claims about it wins.

A member is (name, run): the run id tells a restarted process from the one before. Within a run only the member itself
raises its incarnation. `Member` is the frozen view that users get; `Entry` is the row of our table.

Precedence: SWIM (DSN 2002) §4.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rpcnet.cluster.swim.message import Alive

__all__ = ["ALIVE", "DEAD", "LEFT", "SUSPECT", "Claim", "Entry", "Member", "MemberStatus", "supersedes"]

# Ranks of a claim, in order of precedence at the same incarnation.
ALIVE, SUSPECT, DEAD, LEFT = range(4)


class MemberStatus(StrEnum):
    """What we hold of a member. A verdict is information: no member stops itself because of one."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    FAILED = "failed"
    LEFT = "left"


_STATUS = (MemberStatus.ALIVE, MemberStatus.SUSPECT, MemberStatus.FAILED, MemberStatus.LEFT)
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Claim(NamedTuple):
    """What somebody says of a member's life: comparable as it stands."""

    run: int
    incarnation: int
    status: int


def supersedes(new: Claim, held: Claim) -> bool:
    """Whether `new` wins over `held` (SWIM §4.2): a newer run over all of an older one; within a run the higher
    incarnation; at the same incarnation left over dead over suspect over alive.

    One total order, so all members that hear the same claims, in whatever order, end up with the same verdict. SWIM
    lets a confirmed death win at any incarnation; here the accused may raise its incarnation and come back.
    """
    return new > held


@dataclass(frozen=True, slots=True)
class Member:
    """One member as it was seen at some moment; it does not change."""

    name: str
    run: int
    """Microseconds of its wall clock when it started: a newer run of the same name replaces the older one."""
    incarnation: int
    status: MemberStatus
    address: str
    """`host:port` of its gossip."""
    services: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Addresses by the name of the service, as given to its `Cluster(services=…)`."""
    version: int = 0
    """Version of its tags within this run."""
    tags: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @property
    def is_up(self) -> bool:
        """Alive or suspect: it counts as a member."""
        return self.status is MemberStatus.ALIVE or self.status is MemberStatus.SUSPECT

    def matches(self, tags: Mapping[str, str]) -> bool:
        """Whether it carries all these tags with these values."""
        return all(self.tags.get(key) == value for key, value in tags.items())


@dataclass(slots=True, eq=False)
class Entry:
    """A row of the table: the strongest claim about a name, its record, and when that last changed."""

    name: str
    claim: Claim
    record: "Alive"
    """What it last said of itself. While it is up: under the run and the incarnation of the claim."""
    changed_at: float
    """When its status last changed (core time)."""
    was_seen: bool = True
    """False for the tombstone of a member that nobody here has ever seen alive."""
    answered_at: float = float("-inf")
    """When it was last told that we hold it for dead or replaced (core time)."""
    part: int = 0
    """In which part of the table its row is."""
    digest: int = 0
    """What this row adds to the table's digest."""
    seen: Member | None = None
    """The view of it while it is not alive, until it changes."""

    @property
    def run(self) -> int:
        return self.claim.run

    @property
    def incarnation(self) -> int:
        return self.claim.incarnation

    @property
    def status(self) -> int:
        return self.claim.status

    @property
    def is_up(self) -> bool:
        return self.claim.status <= SUSPECT

    @property
    def address(self) -> str:
        return self.record.address

    @property
    def services(self) -> Mapping[str, str]:
        return self.record.services

    @property
    def version(self) -> int:
        return self.record.version

    @property
    def tags(self) -> Mapping[str, str]:
        return self.record.tags

    def view(self) -> Member:
        if self.claim.status == ALIVE:
            return self.record.member
        if self.seen is None:
            self.seen = replace(
                self.record.member, run=self.run, incarnation=self.incarnation, status=_STATUS[self.status]
            )
        return self.seen
