"""What the cores do in short runs of the workloads, packet by packet: one digest.

A figure that was measured with other code still counts where that code does just the same. Any other draw, packet or
verdict gives another digest. It takes some ten CPU seconds, and is asked for only where the source differs.

Tests: tests/benchmarks/test_fingerprint.py.
"""

from functools import cache
from hashlib import blake2b
from unittest.mock import patch

from benchmarks.swim import workloads
from benchmarks.swim.arena import Arena, Host
from benchmarks.swim.rows import config_of
from rpcnet.cluster.swim.effect import Send

__all__ = ["behaviour"]

RUNS = (
    lambda config: workloads.crash(config, 1, members=30),
    lambda config: workloads.kill(config, 1, members=16, back=0.3, loss=0.05),
    lambda config: workloads.starved(config, 1, members=30, loss=0.05, slow=3),
    lambda config: workloads.loss(config, 1, members=20, loss=0.3, seconds=30.0),
    lambda config: workloads.joins(config, 1, seconds=70.0),
    lambda config: workloads.stall(config, 1, members=16, seconds=10.0, share=0.1),
    lambda config: workloads.blocks(config, 1, blocked=4, seconds=2.0, members=24, lasts=20.0),
    lambda config: workloads.network_faults(config, 1, kind="flip_flop", members=16, faulty=2, lasts=160.0),
    lambda config: workloads.bootstrap(config, 1, members=50, loss=0.01),
    lambda config: workloads.tags(config, 1, members=30),
    lambda config: workloads.partition(config, 1, few=4, seconds=60.0, members=16),
    lambda config: workloads.restart(config, 1, after=1.0, moves=True, members=16),
    lambda config: workloads.cost(config, 1, members=20, slow=0.1, seconds=30.0),
)


@cache
def behaviour() -> str:
    digest, send = blake2b(digest_size=8), Arena._send

    def sent(arena: Arena, host: Host, effect: Send) -> None:
        digest.update(f"{arena.now!r} {host.name} {effect.address} ".encode() + effect.data)
        send(arena, host, effect)

    with patch.object(Arena, "_send", sent):
        for arm in ("ours", "plain"):
            for run in RUNS:
                digest.update(repr(run(config_of(arm))).encode())
    return digest.hexdigest()
