"""Every fault word at random times upon a cluster: no run breaks, all is undone, and it is the same again."""

from importlib import import_module
from random import Random

import pytest

from examples.cluster import client
from sim import Scenario
from sim.scenario.expect import EXPECTATIONS
from sim.scenario.faults import FAULTS, Kind
from sim.scenario.schema import Node

NODES = (
    Node(name="director", app="examples.cluster.director:main"),
    Node(name="worker", count=3, app="examples.cluster.worker:main", labels={"role": "worker"}),
    Node(name="client", app="examples.cluster.client:main", args={"streams": 2}),
)
ENDING = {Kind.STALL, Kind.CUT, Kind.DELAY}
"""What must end: a node that is told to stop behind a cut takes longer to leave and to drain than its grace."""


@pytest.fixture(autouse=True)
def patient_client(monkeypatch):
    """It gives up after some silence, as it should: several faults in a row are no mistake of the simulator's."""
    monkeypatch.setattr(client, "SILENCE", 60.0)


def one_fault(random: Random, number: int):
    kind = FAULTS[random.choice(sorted(FAULTS))]
    common = {"at": round(random.uniform(0.5, 9.5), 2), "name": f"f{number}"}
    ends = kind.undoable and (random.random() < 0.8 or kind.kind in ENDING)
    if ends:
        common["for_"] = round(random.uniform(0.1, 4.0), 2)
    example = import_module(f"tests.sim.scenario.faults.test_{kind.verb}").example
    return kind(**common, **{kind.verb: example(random, ends)})


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
