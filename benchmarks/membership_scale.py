"""What n members cost: real `Cluster` objects in one simulation, LAN preset, joining over 10 s, then at rest.

python benchmarks/membership_scale.py [N …] [--rest 30] [--seed 1] [--keyed] [--profile FILE [--part rest]] [--json]

Each member is a machine of its own that joins at the first one, the starts spread evenly over 10 s. Links take
uniform(1 ms, 3 ms) and lose nothing. Printed for each n (default 100, 300, 1000), each in a process of its own:

* join: CPU seconds of the first 20 virtual ones, and the virtual second in which all first saw all;
* rest: virtual seconds a CPU second (× real time) over `--rest` virtual seconds from 20 s on;
* MiB: most memory the process has used;
* bytes: what a member sends a second while at rest, datagrams and streams, without headers below them.

--keyed seals all that they exchange. --profile keeps a cProfile of one part, for `python -m pstats FILE`.
"""

import argparse
import asyncio
import cProfile
import json
import logging
import multiprocessing
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from rpcnet.cluster import Cluster, Keyring
from rpcnet.config import ClusterConfig
from sim import Simulation

JOIN, SETTLED = 10.0, 20.0
PORT = 7946
LINK = {"latency": "uniform(1ms, 3ms)"}


def sent(clusters: list[Cluster]) -> int:
    return sum(cluster.stats.bytes_sent + cluster.stats.stream_bytes_sent for cluster in clusters)


def start(simulation: Simulation, count: int, keyed: bool) -> list[Cluster]:
    """Add that many members, which join as said above; each is in the list once it has joined."""
    logging.disable(logging.WARNING)
    config = replace(ClusterConfig.lan(), insecure=True)
    clusters: list[Cluster] = []
    keyring = Keyring(b"k" * 32) if keyed else None
    simulation.network.default_link(**LINK)
    nodes = [simulation.add_node(f"member-{number}") for number in range(count)]
    seeds = [f"{nodes[0].host.ip}:{PORT}"]

    async def member(number: int) -> None:
        await asyncio.sleep(number * JOIN / count)
        node = nodes[number]
        cluster = Cluster(node.name, f"{node.host.ip}:{PORT}", join=seeds, config=config, keyring=keyring)
        async with cluster:
            clusters.append(cluster)
            await cluster.register_self({"role": "member", "number": str(number)})
            await asyncio.Event().wait()

    for number, node in enumerate(nodes):
        node.start(member, number)
    return clusters


def measure(
    count: int, seed: int, rest: float, keyed: bool, profiles: Mapping[str, cProfile.Profile]
) -> dict[str, Any]:
    with Simulation(seed=seed) as simulation:
        clusters = start(simulation, count, keyed)
        joining = all_saw_all = 0.0
        for half in range(1, int(SETTLED * 2) + 1):
            began = time.process_time()
            with profiles.get("join", nullcontext()):
                simulation.run(until=half / 2)
            joining += time.process_time() - began
            if not all_saw_all and len(clusters) == count and all(len(c.members()) == count for c in clusters):
                all_saw_all = half / 2
        bytes_before, began = sent(clusters), time.process_time()
        with profiles.get("rest", nullcontext()):
            simulation.run(until=SETTLED + rest)
        resting = time.process_time() - began
        assert all(len(cluster.members()) == count for cluster in clusters), "somebody is missing"
        per_second = (sent(clusters) - bytes_before) / count / rest
    return {
        "members": count,
        "join_cpu_seconds": round(joining, 2),
        "all_saw_all": all_saw_all,
        "rest_times_real_time": round(rest / resting, 2),
        "rest_cpu_ms_a_second": round(resting / rest * 1000, 1),
        "mebibytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "bytes_a_member_a_second": round(per_second),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="*", default=[100, 300, 1000], metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rest", type=float, default=30.0, help="virtual seconds that are measured at rest")
    parser.add_argument("--keyed", action="store_true", help="with a keyring")
    parser.add_argument("--profile", help="keep a cProfile of one part there (one N)")
    parser.add_argument("--part", choices=["join", "rest"], default="join", help="which part is profiled")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.profile:
        profile = cProfile.Profile()
        print(json.dumps(measure(options.count[0], options.seed, options.rest, options.keyed, {options.part: profile})))
        profile.dump_stats(options.profile)
        return
    rows = []
    for count in options.count:
        # A process each: the memory used is that of its run alone.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measure, (count, options.seed, options.rest, options.keyed, {})))
        if not options.json:
            print(" · ".join(f"{value} {key.replace('_', ' ')}" for key, value in rows[-1].items()), flush=True)
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
