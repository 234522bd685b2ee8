"""Where the bytes go: what the members of a cluster send, by kind of message, and how often each suspects.

python -m benchmarks.swim.traffic [--members 50] [--slow 0.1] [--loss 0] [--seconds 120] [--seed 1] [--arm ours]

The workload of row 13: some of them read each packet 0.5 to 2.5 s late. A packet's head and seal count as `head`, the
rows of tables as what carries them.
"""

import argparse
from collections import Counter
from random import Random

from benchmarks.swim.arena import LENGTH, SEAL, Arena, Host
from benchmarks.swim.rows import config_of
from benchmarks.swim.workloads import Seen
from rpcnet.cluster.swim.event import MemberFailed, MemberSuspected
from rpcnet.cluster.swim.message import Rows, State, decode, encode_message
from rpcnet.cluster.swim.outbox import FRAME
from rpcnet.config import ClusterConfig

__all__ = ["Traffic", "measure"]


class Traffic:
    """Bytes and messages by kind, since `clear`."""

    def __init__(self, arena: Arena) -> None:
        self.bytes: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        arena.on_send = lambda now, host, effect: self._count(effect.data, SEAL)
        arena.on_stream = lambda now, host, data: self._count(data, SEAL + LENGTH)

    def clear(self) -> None:
        self.bytes.clear()
        self.messages.clear()

    def _count(self, data: bytes, seal: int) -> None:
        messages = decode(data).messages
        tables = [message for message in messages if isinstance(message, Rows | State)]
        sizes = {type(message).__name__: 0 for message in tables}
        for message in messages:
            if message not in tables:
                kind = type(message).__name__
                sizes[kind] = sizes.get(kind, 0) + len(encode_message(message)) + FRAME
        rest = len(data) + seal - sum(sizes.values())
        sizes[type(tables[0]).__name__ if tables else "head"] = rest
        self.bytes.update(sizes)
        self.messages.update(type(message).__name__ for message in messages)
        self.messages["head"] += 1


def measure(
    config: ClusterConfig,
    seed: int,
    *,
    members: int,
    slow: float = 0.1,
    loss: float = 0.0,
    seconds: float = 120.0,
    after: float = 30.0,
) -> tuple[Traffic, Seen]:
    """`after`: seconds in which all of it begins, and nothing is counted."""
    arena = Arena(seed=seed, config=config, loss=loss)
    hosts: list[Host] = arena.form(members)
    seen, traffic = Seen(arena, MemberSuspected, MemberFailed), Traffic(arena)
    for host in Random(seed ^ 0x5EED).sample(hosts, round(members * slow)):
        arena.starve(host)
    arena.run(after)
    traffic.clear()
    seen.events.clear()
    arena.run(after + seconds)
    return traffic, seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--slow", type=float, default=0.1)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--arm", default="ours")
    options = parser.parse_args()
    traffic, seen = measure(
        config_of(options.arm),
        options.seed,
        members=options.members,
        slow=options.slow,
        loss=options.loss,
        seconds=options.seconds,
    )
    scale = options.members * options.seconds
    print(f"{'a member a second':20} {'bytes':>10} {'messages':>10}")
    for kind, count in traffic.bytes.most_common():
        print(f"{kind:20} {count / scale:10.1f} {traffic.messages[kind] / scale:10.2f}")
    print(f"{'all':20} {traffic.bytes.total() / scale:10.1f} {traffic.messages['head'] / scale:10.2f} packets")
    print(f"{seen.deaths(MemberSuspected)} suspicions, {seen.deaths()} deaths, each counted once")


if __name__ == "__main__":
    main()
