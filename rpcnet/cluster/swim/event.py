"""What happened to membership, as users see it: one frozen event a change, with the member as it was then."""

from dataclasses import dataclass

from rpcnet.cluster.swim.member import Member

__all__ = [
    "ClusterEvent",
    "MemberFailed",
    "MemberJoined",
    "MemberLeft",
    "MemberRecovered",
    "MemberSuspected",
    "TagsChanged",
]


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """A change of what we hold of one member."""

    member: Member


class MemberJoined(ClusterEvent):
    """A member that was not known here, or a newer run of one that was."""

    __slots__ = ()


class MemberSuspected(ClusterEvent):
    """It did not answer somebody; it still counts as a member and has time to refute."""

    __slots__ = ()


class MemberFailed(ClusterEvent):
    """It did not refute in time."""

    __slots__ = ()


class MemberRecovered(ClusterEvent):
    """It was suspect or failed, and has refuted."""

    __slots__ = ()


class MemberLeft(ClusterEvent):
    """It said that it leaves."""

    __slots__ = ()


class TagsChanged(ClusterEvent):
    """It has published another batch of tags."""

    __slots__ = ()
