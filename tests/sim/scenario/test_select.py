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
        ("!client", ["director", *WORKERS]),
        ("!role=worker", ["director", "client"]),
        (["all", "!client"], ["director", *WORKERS]),
        (["!client", "all"], ["director", *WORKERS]),
        (["!client", "!worker-*"], ["director"]),
        (["role=worker", "!worker-2", "director"], ["director", "worker-1", "worker-3"]),
        (["role=worker", "!client"], WORKERS),
        (Pick(pick=3, of="role=worker"), WORKERS),
        (Pick(pick=2, of=["role=worker", "!worker-2"]), ["worker-1", "worker-3"]),
        (Pick(pick=4, of="!director"), [*WORKERS, "client"]),
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
        (Pick(pick="101%"), "allowed: a number, one, minority, majority"),
        (Pick(pick="2"), "did you mean 2? allowed: a number"),
        (Pick(pick=0), "pick = 0 selects nobody"),
        (Pick(pick=-1), "pick = -1 selects nobody"),
        (Pick(pick=4, of="role=worker"), "pick = 4 is more than the 3 nodes there are"),
        (Pick(pick=2, of="client"), "pick = 2 is more than the 1 node there is"),
        ("!clint", 'unknown node "clint"; did you mean "client"?'),
        ("!role=wrker", 'did you mean "role=worker"?'),
        ("!worker", 'did you mean "worker-*" or "worker-1"?'),
        ("!", 'unknown node ""'),
        ("!!client", 'unknown node "!client"; did you mean "client"?'),
        ("!all", "nobody is left: !all"),
        (["client", "!client"], "nobody is left: !client"),
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


PARTS = st.sampled_from(["all", "director", "client", "worker-2", "worker-*", "*-1", "role=worker", "role=client"])


@given(st.lists(st.tuples(st.booleans(), PARTS), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_list_is_what_adds_up_without_what_is_taken_away(parts, random):
    with_ = [part for without, part in parts if not without]
    without = [part for is_without, part in parts if is_without]
    meant = {name for part in with_ or ["all"] for name in select(part, NODES, Random(1))}
    meant -= {name for part in without for name in select(part, NODES, Random(1))}
    written = [f"!{part}" if is_without else part for is_without, part in parts]
    random.shuffle(written)
    if meant:
        assert select(written, NODES, Random(1)) == [name for name in NODES if name in meant]
    else:
        with pytest.raises(SelectError, match="nobody is left"):
            select(written, NODES, Random(1))


@given(st.integers(1, 6), st.integers(1, 6), st.integers())
def test_so_many_are_picked_or_it_is_a_mistake(wanted, count, seed):
    nodes = labels_of([Node(name="n", app="a:b", count=count)])
    if wanted <= count:
        assert len(select(Pick(pick=wanted), nodes, draws(seed, "x"))) == wanted
    else:
        with pytest.raises(SelectError, match="is more than the"):
            select(Pick(pick=wanted), nodes, draws(seed, "x"))


def test_what_a_list_draws_does_not_depend_on_what_it_takes_away():
    """Files from before `!` was a word draw what they drew."""
    plain = select(["client", Pick(pick="one", of="role=worker")], NODES, Random(3))
    assert select(["client", "!director", Pick(pick="one", of="role=worker")], NODES, Random(3)) == plain
