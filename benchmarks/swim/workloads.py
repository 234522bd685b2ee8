"""The workloads of the fourteen rows, and of a picture: one run of a seed each, as plain numbers that fit into a file.

Each is a function of (config, seed, the parameters of its cell). Every seed is another network and another victim.
Times are seconds from the fault, rounded to a millisecond. Knows no limit that a figure must hold: rows.py does.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import ceil
from random import Random
from typing import Any

from benchmarks.swim.arena import SEAL, Arena, Host
from rpcnet.cluster.swim.effect import Send
from rpcnet.cluster.swim.event import ClusterEvent, MemberFailed, MemberJoined, MemberSuspected, TagsChanged
from rpcnet.cluster.swim.member import MemberStatus
from rpcnet.cluster.swim.message import Alive, Dead, Ping, Suspect, decode, encode, encode_message
from rpcnet.config import ClusterConfig

__all__ = [
    "blocks",
    "bootstrap",
    "cost",
    "crash",
    "false_detections",
    "first_detections",
    "joins",
    "kill",
    "loss",
    "network_faults",
    "partition",
    "phi",
    "probe_gaps",
    "restart",
    "stall",
    "starved",
    "tags",
]

Result = dict[str, Any]
SETTLE = 5.0


class Seen:
    """What the members of an arena tell, of these kinds."""

    def __init__(self, arena: Arena, *kinds: type[ClusterEvent]) -> None:
        self.events: list[tuple[float, Host, ClusterEvent]] = []
        self._kinds = kinds or (MemberFailed,)
        arena.on_event = self._event

    def _event(self, now: float, host: Host, event: ClusterEvent) -> None:
        if type(event) in self._kinds:
            self.events.append((now, host, event))

    def first(self, kind: type[ClusterEvent], name: str, since: float = 0.0) -> dict[str, float]:
        """When each observer first saw such an event about that member."""
        found: dict[str, float] = {}
        for now, host, event in self.events:
            if type(event) is kind and event.member.name == name and now >= since:
                found.setdefault(host.name, now)
        return found

    def deaths(self, kind: type[ClusterEvent] = MemberFailed, *, but: Iterable[str] = ()) -> int:
        """False ones, counted once for each (member, run, incarnation)."""
        names = set(but)
        return len(
            {
                (event.member.name, event.member.run, event.member.incarnation)
                for _, _, event in self.events
                if type(event) is kind and event.member.name not in names
            }
        )


def begin(config: ClusterConfig, seed: int, members: int, loss: float = 0.0) -> tuple[Arena, list[Host], Random]:
    arena = Arena(seed=seed, config=config, loss=loss)
    return arena, arena.form(members), Random(seed ^ 0x5EED)


def settle(arena: Arena, random: Random, config: ClusterConfig) -> None:
    arena.run(arena.now + SETTLE + random.random() * 5 * config.probe_interval)


def rounded(times: Iterable[float]) -> list[float]:
    return sorted(round(time, 3) for time in times)


def all_alive(arena: Arena, count: int) -> Callable[[], bool]:
    """Whether each that runs holds so many for alive, and none for suspect."""

    def holds() -> bool:
        for host in arena.hosts.values():
            if host.core is not None:
                members = host.core.members()
                if len(members) != count or any(member.status is not MemberStatus.ALIVE for member in members):
                    return False
        return True

    return holds


# 1, 2, 10: one member ends.


def crash(
    config: ClusterConfig, seed: int, *, members: int, loss: float = 0.01, host_up: bool = False, within: float = 90.0
) -> Result:
    """One is gone at a random moment: with its machine, or while that refuses streams."""
    arena, hosts, random = begin(config, seed, members, loss)
    seen = Seen(arena)
    settle(arena, random, config)
    victim, began = random.choice(hosts), arena.now
    (arena.kill if host_up else arena.crash)(victim)
    arena.run_until(
        lambda: len(seen.events) >= members - 1 == len(seen.first(MemberFailed, victim.name)), within=within
    )
    times = seen.first(MemberFailed, victim.name)
    return {
        "times": rounded(time - began for time in times.values()),
        "missed": members - 1 - len(times),
        "false": seen.deaths(but=[victim.name]),
    }


def kill(config: ClusterConfig, seed: int, *, members: int, back: float = 0.0, loss: float = 0.0) -> Result:
    """back: it starts again after so long."""
    if not back:
        return crash(config, seed, members=members, loss=loss, host_up=True)
    arena, hosts, random = begin(config, seed, members, loss)
    seen = Seen(arena)
    settle(arena, random, config)
    victim = random.choice(hosts)
    arena.kill(victim)
    arena.run(arena.now + random.uniform(0.1, 1.0) * back)
    arena.add(victim.name, seeds=[next(host for host in hosts if host is not victim).address])
    arena.run(arena.now + 20.0)
    return {"false": seen.deaths()}


# 3, 4: slow readers, and losses.


def starved(config: ClusterConfig, seed: int, *, members: int, loss: float, slow: int) -> Result:
    """kinship's grid: so many read each packet 0.5 to 2.5 s late; at 60 s a healthy one crashes; 120 s in all."""
    arena, hosts, random = begin(config, seed, members, loss)
    seen = Seen(arena, MemberFailed, MemberSuspected)
    *late, victim = random.sample(hosts, slow + 1)
    for host in late:
        arena.starve(host)
    arena.run(60.0)
    arena.crash(victim)
    arena.run(120.0)
    times = seen.first(MemberFailed, victim.name, since=60.0)
    before = sum(1 for now, _, event in seen.events if type(event) is MemberFailed and now < 60.0)
    return {
        "times": rounded(time - 60.0 for time in times.values()),
        "missed": members - 1 - len(times),
        "false": seen.deaths(but=[victim.name]) + (before if any(n == victim.name for n in _early(seen)) else 0),
        "suspicions": seen.deaths(MemberSuspected, but=[victim.name]),
        "bytes": round(sum(host.bytes for host in hosts) / members / 120.0),
    }


def _early(seen: Seen) -> list[str]:
    return [event.member.name for now, _, event in seen.events if type(event) is MemberFailed and now < 60.0]


def loss(config: ClusterConfig, seed: int, *, members: int, loss: float, seconds: float) -> Result:
    arena, _, _ = begin(config, seed, members, loss)
    seen = Seen(arena, MemberFailed, MemberSuspected)
    arena.run(seconds)
    return {"false": seen.deaths(), "suspicions": seen.deaths(MemberSuspected)}


def joins(config: ClusterConfig, seed: int, *, loss: float = 0.1, members: int = 17, seconds: float = 175.0) -> Result:
    """SWIM's own experiment (§5.3): one after another, at 10 % loss."""
    arena = Arena(seed=seed, config=config, loss=loss)
    seen = Seen(arena)
    first = arena.add("member-0")
    for number in range(1, members):
        arena.run(number * 2.0)
        arena.add(f"member-{number}", seeds=[first.address])
    least = members
    while arena.now < seconds:
        arena.run(arena.now + 1.0)
        if arena.now > 60.0:
            least = min(least, *(len(host.core.members()) for host in arena.hosts.values() if host.core is not None))
    return {"least": least, "false": seen.deaths()}


# 5, 6: members that do nothing for a while.


def stall(config: ClusterConfig, seed: int, *, members: int, seconds: float, share: float = 0.0) -> Result:
    """One, or a share of all, is stopped for so long."""
    arena, hosts, random = begin(config, seed, members, 0.0)
    seen = Seen(arena)
    settle(arena, random, config)
    stopped = random.sample(hosts, max(1, round(members * share)))
    for host in stopped:
        arena.stall(host, seconds)
    arena.run(arena.now + seconds)
    back = arena.run_until(all_alive(arena, members), within=60.0, step=0.02)
    woke = arena.now - (back or 60.0)
    arena.run(woke + 10.0)
    return {
        "deaths": seen.deaths(),
        "by_stopped": sum(1 for _, host, _ in seen.events if host in stopped),
        "others": seen.deaths(but=[host.name for host in stopped]),
        "back": None if back is None else round(back, 3),
    }


def blocks(
    config: ClusterConfig, seed: int, *, blocked: int, seconds: float, members: int = 128, lasts: float = 120.0
) -> Result:
    """Lifeguard's grid: so many block for so long, are free for half of that, and again."""
    arena, hosts, random = begin(config, seed, members, 0.0)
    seen = Seen(arena)
    settle(arena, random, config)
    chosen = random.sample(hosts, blocked)
    end = arena.now + lasts
    while arena.now < end:
        for host in chosen:
            arena.stall(host, seconds)
        arena.run(arena.now + seconds * 1.5)
    names = {host.name for host in chosen}
    false = [host for _, host, event in seen.events if event.member.name not in names]
    return {"total": len(false), "healthy": sum(1 for host in false if host.name not in names)}


# 7: machines whose network is bad.


def network_faults(
    config: ClusterConfig, seed: int, *, kind: str, members: int = 1000, faulty: int = 10, lasts: float = 410.0
) -> Result:
    """Rapid's: some lose all they receive, 20 s on, 20 s off; or 80 % of what they receive, or send."""
    arena, hosts, random = begin(config, seed, members)
    arena.run(10.0)
    seen = Seen(arena, MemberFailed, MemberSuspected, MemberJoined)
    bad = random.sample(hosts, faulty)
    names = {host.name for host in bad}
    began = arena.now
    while arena.now < began + lasts:
        for host in bad:
            if kind == "flip_flop":
                arena.impair(host, loss_in=1.0)
            else:
                arena.impair(host, **{"loss_in" if kind == "80_in" else "loss_out": 0.8})
        arena.run(min(began + lasts, arena.now + 20.0))
        if kind == "flip_flop":
            for host in bad:
                arena.impair(host)
            arena.run(min(began + lasts, arena.now + 20.0))
    healthy = [(now, host.name, event) for now, host, event in seen.events if host.name not in names]
    about = [event for _, _, event in healthy if event.member.name not in names]
    exits: dict[tuple[str, str], int] = {}
    waves: dict[tuple[str, int], list[float]] = {}
    for now, observer, event in healthy:
        if type(event) is MemberFailed and event.member.name in names:
            count = exits[observer, event.member.name] = exits.get((observer, event.member.name), 0) + 1
            waves.setdefault((event.member.name, count), []).append(now)
    return {
        "changes": sum(1 for event in about if type(event) is not MemberSuspected),
        "suspicions": sum(1 for event in about if type(event) is MemberSuspected),
        "exits": max(exits.values(), default=0),
        "spread": round(max((max(times) - min(times) for times in waves.values()), default=0.0), 3),
        "removed": len({name for _, name in exits}),
    }


# 8: all come at once.


def bootstrap(config: ClusterConfig, seed: int, *, members: int, loss: float = 0.0, spread: float = 0.0) -> Result:
    """One seed, ten seconds later all others, within `spread` seconds. From the last start until all see all."""
    arena = Arena(seed=seed, config=config, loss=loss)
    joined = [0]

    def count(now: float, host: Host, event: ClusterEvent) -> None:
        joined[0] += type(event) is MemberJoined

    arena.on_event = count
    first = arena.add("member-0")
    arena.run(10.0)
    for number in range(1, members):
        if spread:
            arena.run(10.0 + spread * number / members)
        arena.add(f"member-{number}", seeds=[first.address])
    arena.run(10.0 + spread)
    began = arena.now
    done = lambda: joined[0] >= members * members and arena.sees_all(members)  # noqa: E731
    took = arena.run_until(done, within=120.0)
    sent = sum(host.bytes for host in arena.hosts.values())
    return {"took": None if took is None else round(took, 3), "bytes": round(sent / members), "at": round(began, 3)}


# 9: tags.


def tags(config: ClusterConfig, seed: int, *, members: int = 100, loss: float = 0.01) -> Result:
    """One update; then ten within 100 ms, of which the last must arrive, whole, and none older after a newer one."""
    arena, hosts, random = begin(config, seed, members, loss)
    seen = Seen(arena, TagsChanged)
    settle(arena, random, config)
    writer = random.choice(hosts)

    def update(value: int) -> None:
        arena.call(writer, "set_tags", {"a": str(value), "b": str(value)})

    def reached(value: str) -> int:
        return sum(1 for host in hosts if (host.core.member(writer.name).tags.get("a")) == value)  # type: ignore[union-attr]

    began = arena.now
    update(1)
    arena.run_until(lambda: len(seen.events) >= members, within=60.0)
    times = seen.first(TagsChanged, writer.name)
    for number in range(10):
        arena.run(arena.now + 0.01)
        update(10 + number)
    arena.run_until(lambda: reached("19") == members, within=60.0)
    wrong = 0
    last: dict[str, int] = {}
    for _, host, event in seen.events:
        member = event.member
        wrong += member.version < last.get(host.name, 0) or len(set(member.tags.values())) != 1
        last[host.name] = member.version
    return {
        "last": round(max(times.values()) - began, 3) if len(times) == members else None,
        "wrong": wrong,
        "missed": members - reached("19"),
    }


# 11: a cut.


def partition(config: ClusterConfig, seed: int, *, few: int, seconds: float, members: int = 100) -> Result:
    """`few` are cut off for so long, and tags set on each side. From the end of the cut until all is right."""
    arena, hosts, random = begin(config, seed, members)
    settle(arena, random, config)
    shuffled = random.sample(hosts, members)
    arena.cut(shuffled[:few])
    arena.run(arena.now + seconds / 2)
    expected = {}
    for host in (shuffled[0], shuffled[-1]):
        expected[host.name] = {"side": host.name}
        arena.call(host, "set_tags", expected[host.name])
    arena.run(arena.now + seconds / 2)
    arena.heal()
    whole = all_alive(arena, members)

    def right() -> bool:
        return whole() and all(
            host.core.member(name).tags == held  # type: ignore[union-attr]
            for host in hosts
            for name, held in expected.items()
        )

    took = arena.run_until(right, within=120.0, step=0.1)
    return {"took": None if took is None else round(took, 3)}


# 12: a new run under an old name.


def restart(config: ClusterConfig, seed: int, *, after: float, moves: bool, members: int = 100) -> Result:
    arena, hosts, random = begin(config, seed, members)
    seen = Seen(arena)
    settle(arena, random, config)
    victim = random.choice(hosts)
    old = victim.core.me  # type: ignore[union-attr]
    (arena.crash if moves else arena.kill)(victim)
    arena.run(arena.now + after)
    began = arena.now
    seeds = [host.address for host in hosts if host is not victim][:2]
    host = arena.add(victim.name, seeds=seeds, address="10.9.9.9:7946" if moves else "")
    arena.call(host, "set_tags", {"run": "new"})
    others = [each for each in hosts if each is not victim]

    def holds(each: Host) -> bool:
        held, me = each.core.member(victim.name), host.core.me  # type: ignore[union-attr]
        return held is not None and (held.run, held.address, held.tags) == (me.run, host.address, {"run": "new"})

    times = {}
    while len(times) < len(others) and arena.now < began + 30.0:
        arena.run(arena.now + 0.02)
        for each in others:
            if each.name not in times and holds(each):
                times[each.name] = arena.now - began
    # Rumours of the old run come again, to some.
    sender = others[0]
    claims = [
        Dead(old.name, old.run, old.incarnation + 5, sender.name),
        Suspect(old.name, old.run, old.incarnation + 6, sender.name),
        Alive(old.name, old.run, old.incarnation + 7, old.address, {}, 9, {"run": "old"}),
    ]
    run = sender.core.me.run  # type: ignore[union-attr]
    packet = encode(config.cluster_name, sender.name, run, [encode_message(claim) for claim in claims])
    for each in random.sample(others[1:], 10):
        arena._handle(each, packet, sender.address)
    arena.run(arena.now + 5.0)
    new = host.core.me.run  # type: ignore[union-attr]
    return {
        "times": rounded(times.values()),
        "missed": len(others) - len(times),
        "dead": sum(1 for _, _, event in seen.events if event.member.run == new),
        "undone": sum(not holds(each) for each in others),
    }


# 13: nothing happens.


def cost(config: ClusterConfig, seed: int, *, members: int, slow: float = 0.0, seconds: float = 120.0) -> Result:
    arena, hosts, random = begin(config, seed, members)
    for host in random.sample(hosts, round(members * slow)):
        arena.starve(host)
    arena.run(30.0)
    sent, packets = sum(host.bytes for host in hosts), sum(host.packets for host in hosts)
    arena.run(30.0 + seconds)
    per = members * seconds
    return {
        "bytes": round((sum(host.bytes for host in hosts) - sent) / per, 1),
        "packets": round((sum(host.packets for host in hosts) - packets) / per * config.probe_interval, 3),
    }


# 14: the formulas.


class Probes:
    """Who begins to probe whom, when: the first ping that a member sends in a turn of its own."""

    def __init__(self, arena: Arena) -> None:
        self.begun: list[tuple[float, str, str]] = []
        self._arena, self._counts = arena, {}
        arena.on_send = self._sent

    def _sent(self, now: float, host: Host, effect: Send) -> None:
        core = host.core
        assert core is not None, "one that does not run has sent"
        if core.stats.probes == self._counts.get(host.name, 0):
            return
        for message in decode(effect.data).messages:
            if isinstance(message, Ping):
                self._counts[host.name] = core.stats.probes
                self.begun.append((now, host.name, message.target))


def first_detections(config: ClusterConfig, seed: int, *, members: int = 60, rounds: int = 40) -> Result:
    """Periods from a crash until a probe of the dead begins, by anybody; the period of that probe counts as whole."""
    arena, hosts, random = begin(config, seed, members)
    probes = Probes(arena)
    periods = []
    for _ in range(rounds):
        arena.run(arena.now + 3.0 + random.random())
        victim, began = random.choice(hosts), arena.now
        arena.impair(victim, loss_in=1.0, loss_out=1.0)
        probes.begun.clear()
        while not (found := [at for at, who, whom in probes.begun if whom == victim.name != who]):
            arena.run(arena.now + 0.1)
        periods.append(max(1, ceil((found[0] - began) / config.probe_interval)))
        arena.impair(victim)
    return {"periods": periods}


def false_detections(config: ClusterConfig, seed: int, *, delivered: float, helpers: int, members: int = 50) -> Result:
    """Failed probes of living members, and how often a member was probed in a period at all."""
    # What is told of failed probes does not matter here: hardly any gossip, or it would take most of the time.
    quiet = {"gossip_interval": 10.0, "retransmit_multiplier": 1, "crowded_transmissions": 1}
    config = replace(config, indirect_probes=helpers, suspicion_multiplier=1000.0, **quiet)
    arena, hosts, _ = begin(config, seed, members, 1.0 - delivered)
    probes = Probes(arena)
    arena.run(2.0)
    before = sum(host.core.stats.failed_probes for host in hosts if host.core is not None)
    probes.begun.clear()
    periods = 60
    arena.run(2.0 + periods * config.probe_interval)
    failed = sum(host.core.stats.failed_probes for host in hosts if host.core is not None) - before
    probed = {(int((at - 2.0) / config.probe_interval), whom) for at, _, whom in probes.begun}
    return {"failed": failed, "probes": len(probes.begun), "probed": len(probed)}


def probe_gaps(config: ClusterConfig, seed: int, *, members: int = 16) -> Result:
    """The most periods between two probes of one target by one member."""
    arena, _, _ = begin(config, seed, members)
    probes = Probes(arena)
    arena.run(8.0 * members)
    last: dict[tuple[str, str], int] = {}
    turns: dict[str, int] = {}
    most = 0
    for _, who, whom in probes.begun:
        turn = turns[who] = turns.get(who, 0) + 1
        most = max(most, turn - last.get((who, whom), turn))
        last[who, whom] = turn
    return {"gap": most, "limit": 2 * members - 1, "pairs": len(last), "of": members * (members - 1), "seal": SEAL}


# No row: how unusual the silence of a member is to another.


def phi(config: ClusterConfig, seed: int, *, members: int = 5, loss: float = 0.01) -> Result:
    """At one member, of one that crashes after it was heard for long, and of one that is well."""
    arena, (observer, crashed, healthy, *_), _ = begin(config, seed, members, loss)
    seen = Seen(arena, MemberFailed, MemberSuspected)
    core = observer.core
    assert core is not None
    core.phi(crashed.name, arena.now)  # it counts from the first question on
    arena.run(100.0)
    began = arena.now + 25.0
    result: Result = {"times": [], "crashed": [], "healthy": []}
    while arena.now < began + 10.0:
        if crashed.core is not None and arena.now >= began:
            arena.crash(crashed)
        arena.run(arena.now + 0.05)
        result["times"].append(round(arena.now - began, 3))
        for name, host in (("crashed", crashed), ("healthy", healthy)):
            figure = core.phi(host.name, arena.now)
            result[name].append(None if figure is None else round(figure, 3))
    for name, kind in (("suspected", MemberSuspected), ("failed", MemberFailed)):
        result[name] = round(seen.first(kind, crashed.name, began)[observer.name] - began, 3)
    return result
