"""What all faults share: the keys beside the verb, and what a class of sim.scenario.faults may say of its verb.

Knows no verb, no file and no run. A subclass sets `verb`, the field of that name, and what differs from here.

Tests: tests/sim/scenario/faults.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from random import Random
from typing import Any, ClassVar, NamedTuple, Protocol

from msgspec import Struct, field

from sim.history.facts import FaultSeen
from sim.history.reach import Way
from sim.scenario.faults.effect import Effect, Strike
from sim.scenario.places import Places
from sim.scenario.schema import Drawn, Selector
from sim.scenario.select import Labels

__all__ = ["Checking", "Fault", "Kind", "Standstill", "name_all"]

Step = str | int


class Kind(Enum):
    """What befalls a node. An expectation with `within` names the kinds of faults that it may be counted from."""

    DEATH = "death"
    LEAVE = "leave"
    RETURN = "return"
    STALL = "stall"
    CUT = "cut"
    DELAY = "delay"


class Standstill(NamedTuple):
    """The state of a node that stands still, and how a timeline shows it."""

    state: str
    """As in the event that a world records of it: `node_paused`."""
    hatch: str
    legend: str


class Checking(Protocol):
    """Who checks a file, as a fault sees it. `steps` lead from what stands behind the verb to what is meant."""

    @property
    def places(self) -> Places:
        """The zones or routers of the network."""
        ...

    def blame(self, message: str, *steps: Step, key: bool = False) -> None:
        """Note a mistake there, or at its key."""
        ...

    def selector(self, selector: Selector, *steps: Step) -> list[str] | None:
        """Whom it means, a place standing for the nodes that hang on it.

        None where it means nobody (then it is blamed), or not all names are known.
        """
        ...

    def read(self, read: Callable[[str], object], text: str, *steps: Step) -> None:
        """Blame a text that the world could not read when the fault strikes."""
        ...

    def edge(self, settings: Mapping[str, Any]) -> None:
        """Blame each setting of a link that the network could not read."""
        ...

    def healed(self, name: str) -> None:
        """Blame a name that no fault has that can be healed."""
        ...


class Fault(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every `[[fault]]` may say beside its verb."""

    verb: ClassVar[str]
    """The key that names the fault."""
    needs: ClassVar[tuple[str, ...]] = ()
    """The words of a World that it is made of; () = one that is called like the verb."""
    kind: ClassVar[Kind | None] = None
    undoable: ClassVar[bool] = True
    """Whether `for` makes sense."""
    needs_end: ClassVar[bool] = False
    """Whether it cannot do without `for`."""
    healable: ClassVar[bool] = False
    """Whether it lasts until it is healed."""
    downs: ClassVar[bool] = False
    """Whether its nodes are down afterwards; `for`: then they are started again."""
    starts: ClassVar[bool] = False
    """Whether its nodes run afterwards."""
    nobody: ClassVar[str] = ""
    """The mistake of a file where it would strike nobody; "" = it is none."""
    did: ClassVar[str] = ""
    """What it did to what its nodes send, in the past tense; "" = nothing that a packet could meet."""
    standstill: ClassVar[Standstill | None] = None
    """How its nodes stand still while it lasts."""

    at: Drawn
    """Time of the (first) strike, from time zero."""
    for_: Drawn | None = field(default=None, name="for")
    """How long, then it is undone: healed, resumed, restarted, released. `pause` and `block` need it."""
    every: Drawn | None = None
    """Strikes again and again, so long (1 ms at least) after the strike before, until the end."""
    name: str | None = None
    """What `heal` and `after` call it; left out = its verb, and `crash-2` for the second unnamed one."""

    @property
    def value(self) -> Any:
        """What stands behind the verb."""
        return getattr(self, self.verb)

    @classmethod
    def words(cls) -> frozenset[str]:
        """What a World must be able to do."""
        return frozenset(cls.needs or (cls.verb,))

    def check(self, checking: Checking) -> bool:
        """Blame what makes no sense; True where what stands behind the verb can be resolved to nodes."""
        return True

    def targets(self, nodes: Labels, random: Random) -> list[str]:
        """Whom the first strike means. Raises SelectError."""
        raise NotImplementedError

    def strike(self, now: Strike) -> Effect:
        """Do it."""
        raise NotImplementedError

    @classmethod
    def severs(cls, seen: FaultSeen) -> Way | None:
        """Whether one that was recorded keeps what a node sends from another; None where it cuts nothing."""
        return None

    @classmethod
    def meets(cls, seen: FaultSeen) -> Way | None:
        """Whether one that was recorded did something to what a node sends to another; None = to no packet."""
        return cls.severs(seen) if cls.did else None

    @classmethod
    def whom(cls, targets: Sequence[str], detail: Mapping[str, Any]) -> str:
        """Whom it struck, as a label beside its verb says it."""
        return name_all(targets)


def name_all(names: Sequence[str]) -> str:
    """One or two by name; of more how many."""
    return ", ".join(names) if len(names) <= 2 else f"{len(names)} nodes"
