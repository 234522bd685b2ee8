"""Names select in one grammar, and what is drawn comes from the seed."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.schema import Node, Pick
from sim.scenario.select import SelectError, draws, labels_of, select

NODES = labels_of(
    [
        Node(name="director", app="a:b"),
        Node(name="worker", app="a:b", count=3, labels={"role": "worker", "zone": "a"}),
        Node(name="client", app="a:b", labels={"role": "client"}),
    ]
)
WORKERS = ["worker-1", "worker-2", "worker-3"]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("worker-2", ["worker-2"]),
        ("worker-*", WORKERS),
        ("*", list(NODES)),
        ("worker-[13]", ["worker-1", "worker-3"]),
        ("role=worker", WORKERS),
        ("role = worker", WORKERS),
        ("all", list(NODES)),
        (["client", "director", "client"], ["director", "client"]),
        (["role=worker", "client"], [*WORKERS, "client"]),
    ],
)
def test_selector_means_these_nodes_in_the_order_of_the_file(selector, names):
    assert select(selector, NODES, Random(1)) == names


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("wroker-2", 'did you mean "worker-2"?'),
        ("worker", 'did you mean "worker-*" or "worker-1"?'),
        ("x-*", "there are: director, worker-1"),
        ("role=wrker", 'did you mean "role=worker"?'),
        ([], "selects nobody"),
        (Pick(pick="minorty"), 'did you mean "minority"?'),
        (Pick(pick="101%"), "allowed: one, minority, majority"),
        (Pick(pick="0%"), "is nobody"),
        (Pick(pick="minority", of="client"), '"minority" of 1 node is nobody'),
        ({"pick": "one", "off": "all"}, "has the keys pick and of"),
    ],
)
def test_selector_that_selects_nobody_is_refused(selector, words):
    with pytest.raises(SelectError) as caught:
        select(selector, NODES, Random(1))
    assert words in str(caught.value)


def test_a_table_selects_as_a_pick_does():
    table, pick = {"pick": "one", "of": "role=worker"}, Pick(pick="one", of="role=worker")
    assert select(table, NODES, Random(5)) == select(pick, NODES, Random(5))


@given(st.integers(), st.sampled_from(["one", "minority", "majority", "30%", "100%"]), st.integers(3, 40))
def test_a_pick_has_its_size_and_comes_from_the_seed(seed, pick, count):
    nodes = labels_of([Node(name="n", app="a:b", count=count)])
    picked = select(Pick(pick=pick), nodes, draws(seed, "x"))
    assert picked == select(Pick(pick=pick), nodes, draws(seed, "x"))
    assert picked == [name for name in nodes if name in picked]
    least, most = {
        "one": (1, 1),
        "minority": (count / 2 - 1, count / 2 - 0.5),
        "majority": (count / 2 + 0.5, count / 2 + 1),
        "30%": (count * 0.3 - 0.5, count * 0.3 + 0.5),
        "100%": (count, count),
    }[pick]
    assert least <= len(picked) <= most


def test_seeds_differ_and_purposes_differ():
    nodes = labels_of([Node(name="n", app="a:b", count=50)])
    assert len({tuple(select(Pick(pick="one"), nodes, draws(seed, "x"))) for seed in range(50)}) > 10
    assert len({tuple(select(Pick(pick="one"), nodes, draws(1, f"fault {i}"))) for i in range(50)}) > 10
