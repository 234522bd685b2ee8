"""Every fault word at random times upon a cluster: no run breaks, all is undone, and it is the same again."""

from random import Random

import pytest

from sim.scenario.expect import EXPECTATIONS
from sim.scenario.schema import (
    FAULTS,
    Clock,
    Each,
    Held,
    Hold,
    Link,
    LinkChange,
    Node,
    Partition,
    Pick,
    Scenario,
    Slowness,
    SlowReceive,
    Split,
    Stop,
    Wrong,
)

NODES = (
    Node(name="director", app="examples.cluster.director:main"),
    Node(name="worker", count=3, app="examples.cluster.worker:main", labels={"role": "worker"}),
    Node(name="client", app="examples.cluster.client:main", args={"streams": 2}),
)
SOME = Pick(pick="one")
CUTS = {"pause", "block", "partition", "isolate", "link", "hold"}
"""What must end: a node that is told to stop behind a cut takes longer to leave and to drain than its grace."""


def one_fault(random: Random, number: int):
    verb = random.choice(sorted(FAULTS))
    common = {"at": round(random.uniform(0.5, 9.5), 2), "name": f"f{number}"}
    if FAULTS[verb].undoable and (random.random() < 0.8 or verb in CUTS):
        common["for_"] = round(random.uniform(0.1, 4.0), 2)
    match verb:
        case "partition":
            return Partition(
                **common, partition=Split(groups=[Pick(pick="minority"), "all"], one_way=random.random() < 0.5)
            )
        case "link":
            edge = random.choice(
                [
                    {"latency": "200ms"},
                    {"loss": 0.3},
                    {"loss": 1.0},
                    {"jitter": "uniform(0ms, 50ms)", "duplicate": 0.2},
                    {"reorder": 0.3, "corrupt": 0.1},
                    {"bandwidth": "20kB/s", "queue": "8kB"},
                ]
            )
            return Link(**common, link=LinkChange(between=[SOME, "all"], **edge))
        case "hold":
            return Hold(**common, hold=Held(from_=SOME))
        case "slow_receive":
            latency = random.choice(["uniform(0.1s, 2s)", "50ms", "lognormal(100ms, 1)"])
            return SlowReceive(**common, slow_receive=Slowness(node=SOME, latency=latency))
        case "clock":
            offset, drift = random.choice([("3s", None), ("-1h", "200ppm"), (None, "-5%"), (None, "50%")])
            return Clock(**common, clock=Wrong(node=SOME, offset=offset, drift=drift))
        case "heal":
            return FAULTS[verb](**common, heal="all")
        case "stop" if "for_" in common:
            return Stop(**common, stop=Each(each="role=worker", next=random.choice(["ready + 0.5s", "1s"])))
    return FAULTS[verb](**common, **{verb: SOME})


def storm(seed: int) -> Scenario:
    random = Random(seed)
    return Scenario(
        name=f"storm-{seed}",
        duration=14.0,
        seed=seed,
        tie_break=random.choice(["fifo", "random"]),
        node=NODES,
        fault=tuple(one_fault(random, number) for number in range(12)),
        expect=(EXPECTATIONS["no_leaks"](no_leaks=True),),
    )


@pytest.mark.parametrize("seed", [*range(1, 4), *(pytest.param(n, marks=pytest.mark.gate) for n in range(4, 25))])
def test_no_run_breaks_all_is_undone_and_it_is_the_same_again(seed):
    run = storm(seed).run()
    assert run.error is None
    seen = {"fault": [], "leak": [], "run_ended": []}
    for event in run.trace:
        if event.name in seen:
            seen[event.name].append(event.fields)
    assert seen["fault"] and not seen["leak"] and seen["run_ended"]
    assert storm(seed).run().digest == run.digest


def test_the_storms_use_every_word():
    assert {fault.verb for seed in range(1, 25) for fault in storm(seed).fault} == set(FAULTS)
