"""A network in memory for SWIM cores: virtual time, latency, loss, cuts, crashes and stalls, in one heap."""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random
from typing import Any

import pytest

from rpcnet.cluster.swim.core import Core
from rpcnet.cluster.swim.effect import Exchange, Flushed, NameTaken, Send
from rpcnet.cluster.swim.event import ClusterEvent, Healed, HeldDown, Partitioned, Released
from rpcnet.config import ClusterConfig


class Network:
    """Cores by name, at that name and port 1. `events` holds (time, name of the observer, event)."""

    def __init__(self, *, seed: int = 1, config: ClusterConfig | None = None, loss: float = 0.0) -> None:
        self.now, self.loss = 0.0, loss
        self.config = config or ClusterConfig.lan()
        self.random = Random(seed)
        self.cores: dict[str, Core] = {}
        self.events: list[tuple[float, str, ClusterEvent]] = []
        self.partitions: list[tuple[str, Partitioned | Healed]] = []
        """What who said of partitions."""
        self.held: list[tuple[str, HeldDown | Released]] = []
        """Who said of itself that it is held down, and is not any more."""
        self.flushed: dict[str, float] = {}
        self.taken: dict[str, str] = {}
        """Newcomers that were told that their name is in use, and where."""
        self.sent: list[tuple[float, str, Any]] = []
        self.udp_only_cuts = False
        self.disorder = 0.0
        """Share of datagrams that come twice, and of those that come half a second late, after newer ones."""
        self.refusing: dict[str, None] = {}
        """Nothing listens there, though the machine answers: whether the process lives or not."""
        self._cut: dict[tuple[str, str], None] = {}
        self._stalled: dict[str, list[Callable[[], None]]] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._armed: dict[str, float] = {}
        self._count = 0

    # Members.

    def add(self, name: str, *, join: Iterable[str] = (), run: int = 1, known_as: str = "", **keys: Any) -> Core:
        core = Core(
            known_as or name,
            f"{name}:1",
            run=run,
            config=self.config,
            random=Random(self.random.random()),
            seeds=[f"{seed}:1" for seed in join],
            **keys,
        )
        self.cores[name] = core
        self.refusing.pop(name, None)
        self._armed.pop(name, None)
        self._do(name, core, core.start(self.now))
        return core

    def cluster(self, count: int, *, settle: float = 5.0) -> list[str]:
        """So many members that know each other."""
        names = [f"m{number}" for number in range(count)]
        for name in names:
            self.add(name, join=names[:1])
        self.run(settle)
        assert all(self.sees(name) == sorted(names) for name in names), "the cluster did not form"
        self.events.clear()
        return names

    def crash(self, name: str, *, refuses: bool = False) -> None:
        """It is gone; `refuses` where its machine is still there, and says that the port is closed."""
        del self.cores[name]
        if refuses:
            self.refusing[name] = None

    def stall(self, name: str, seconds: float) -> None:
        """What comes waits; timers are late; then everything that came is read before the timers."""
        self._stalled[name] = []
        self._at(self.now + seconds, lambda: self._wake(name))

    def _wake(self, name: str) -> None:
        for deliver in self._stalled.pop(name, []):
            deliver()
        if name in self.cores:
            self._tick(name)

    def call(self, name: str, method: str, *arguments: Any) -> None:
        core = self.cores[name]
        self._do(name, core, getattr(core, method)(*arguments, self.now))

    # Links.

    def cut(self, first: Iterable[str], second: Iterable[str], *, one_way: bool = False) -> None:
        for one in first:
            for other in second:
                self._cut[one, other] = None
                if not one_way:
                    self._cut[other, one] = None

    def heal(self) -> None:
        self._cut.clear()

    def connected(self, one: str, other: str) -> bool:
        return (one, other) not in self._cut

    # What is seen.

    def sees(self, name: str) -> list[str]:
        return [member.name for member in self.cores[name].members()]

    def seen(self, kind: type[ClusterEvent], of: str | None = None) -> dict[str, float]:
        """Who saw such an event first when, by observer."""
        found: dict[str, float] = {}
        for time, observer, event in self.events:
            if type(event) is kind and of in (None, event.member.name):
                found.setdefault(observer, time)
        return found

    # Time.

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, work = heappop(self._heap)
            work()
        self.now = end

    def until(self, done: Callable[[], bool], within: float) -> float:
        """Run until it is so, looking every 50 ms; returns how long that took, `within` where it never came so far."""
        began = self.now
        while not done() and self.now - began < within:
            self.run(0.05)
        return self.now - began

    def _at(self, time: float, work: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._heap, (time, self._count, work))

    # What cores want.

    def _do(self, name: str, core: Core, effects: list[Any]) -> None:
        for effect in effects:
            match effect:
                case Send(address, data):
                    self.sent.append((self.now, name, effect))
                    self._carry(name, host(address), data)
                case Exchange():
                    self._exchange(name, core, effect)
                case Flushed():
                    self.flushed[name] = self.now
                case NameTaken(address):
                    self.taken.setdefault(name, address)
                case Partitioned() | Healed():
                    self.partitions.append((name, effect))
                case HeldDown() | Released():
                    self.held.append((name, effect))
                case ClusterEvent():
                    self.events.append((self.now, name, effect))
        self._arm(name, core)

    def _arm(self, name: str, core: Core) -> None:
        deadline = core.next_deadline()
        if deadline >= self._armed.get(name, float("inf")):
            return
        self._armed[name] = deadline
        self._at(deadline, lambda: self._fire(name, core, deadline))

    def _fire(self, name: str, core: Core, deadline: float) -> None:
        if self.cores.get(name) is core and name not in self._stalled and self._armed.get(name) == deadline:
            self._tick(name)

    def _tick(self, name: str) -> None:
        self._armed.pop(name, None)
        self.call(name, "tick")

    def _latency(self) -> float:
        return self.random.uniform(0.001, 0.003)

    def _deliver(self, name: str, work: Callable[[], None]) -> None:
        """Now, or when it wakes."""
        if name in self._stalled:
            self._stalled[name].append(work)
        elif name in self.cores:
            work()

    def _carry(self, source: str, target: str, data: bytes) -> None:
        if (
            target in self.refusing
            or target not in self.cores
            or not self.connected(source, target)
            or self.random.random() < self.loss
        ):
            return
        for _ in range(1 + self._is_disordered()):
            late = self.random.uniform(0.1, 0.5) if self._is_disordered() else 0.0
            self._at(
                self.now + self._latency() + late,
                lambda: self._deliver(target, lambda: self.call(target, "handle", data, source)),
            )

    def _is_disordered(self) -> bool:
        return self.disorder > 0 and self.random.random() < self.disorder

    def _exchange(self, name: str, core: Core, exchange: Exchange) -> None:
        """Connect, ask, answer: two round trips; refused or silent where there is nobody."""
        target, number = host(exchange.address), exchange.number
        finished: list[bool] = []

        def finish(data: bytes | None, *, refused: bool = False) -> None:
            if finished or self.cores.get(name) is not core:
                return
            finished.append(True)
            if data is None:
                effects = core.exchange_failed(number, self.now, refused=refused)
            else:
                effects = core.exchanged(number, data, self.now)
            self._do(name, core, effects)

        def arrive() -> None:
            reply, effects = self.cores[target].handle_stream(exchange.data, name, self.now)
            self._do(target, self.cores[target], effects)
            if target in self.cores and (self.udp_only_cuts or self.connected(target, name)):
                self._at(self.now + self._latency(), lambda: self._deliver(name, lambda: finish(reply)))

        self._at(self.now + exchange.timeout, lambda: self._deliver(name, lambda: finish(None)))
        reachable = self.udp_only_cuts or (self.connected(name, target) and self.connected(target, name))
        if target in self.refusing or target not in self.cores:
            if reachable:
                refused = target in self.refusing
                self._at(
                    self.now + 2 * self._latency(), lambda: self._deliver(name, lambda: finish(None, refused=refused))
                )
        elif reachable:
            self._at(self.now + 3 * self._latency(), lambda: self._deliver(target, arrive))


def host(address: str) -> str:
    return address.partition(":")[0]


@pytest.fixture
def network() -> type[Network]:
    """The class: make one with the seed, config and loss of the test."""
    return Network
