"""The long form of announcing oneself: a full status put into the registry.

`cluster.register_self(tags)` does the same in one line. Only one's own status can be inserted: what others are is
theirs to say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rpcnet.cluster.errors import NotPermitted
from rpcnet.cluster.swim.member import Member, MemberStatus

__all__ = ["NodeStatus", "Registry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What a node says of itself."""

    node_id: str
    """Its name in the cluster."""
    addr: str | None = None
    """Its gossip address; None = the one that it advertises."""
    incarnation: int = 0
    """Only ever raised by the node itself, by the protocol; 0 or the present one."""
    state: MemberStatus = MemberStatus.ALIVE
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry:
    """`cluster.registry`: what is known of the members, by name."""

    def __init__(
        self,
        me: Callable[[], Member],
        member: Callable[[str], Member | None],
        register: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._me, self._member, self._register = me, member, register

    def get(self, name: str) -> Member | None:
        return self._member(name)

    def insert(self, status: NodeStatus) -> None:
        """Announce oneself, all tags at once. Raises NotPermitted for anything but oneself, alive, where one is."""
        me = self._me()
        if status.node_id != me.name:
            raise NotPermitted(f"{me.name} cannot insert the status of {status.node_id}: only its own")
        if status.addr not in (None, me.address):
            raise NotPermitted(f"{me.name} is at {me.address}, not at {status.addr}; give Cluster(advertise=…) instead")
        if status.state is not MemberStatus.ALIVE:
            raise NotPermitted(f"{me.name} cannot declare itself {status.state}; call leave() to leave")
        if status.incarnation not in (0, me.incarnation):
            raise NotPermitted(f"the incarnation of {me.name} is raised by refuting only; leave it out")
        self._register(status.tags)
