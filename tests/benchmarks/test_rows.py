"""The rows of figures at small size: ours holds, and what plain SWIM does makes them fail."""

from dataclasses import replace
from math import e

import pytest

from benchmarks.swim import results, traffic, workloads
from benchmarks.swim.arena import Arena
from benchmarks.swim.results import Store
from benchmarks.swim.rows import ROWS, Cell, config_of, percentile
from rpcnet.cluster.swim.event import MemberSuspected


def runs_of(run, arm, seeds, **keys):
    return [run(config_of(arm), seed, **keys) for seed in range(1, seeds + 1)]


def figures_of(number, cell, arm, runs):
    return {figure.what: figure for figure in ROWS[number].judge({(cell, arm): runs})}


def test_a_crash_is_found_in_time_and_by_memberlists_values_not():
    runs = runs_of(workloads.crash, "ours", 2, members=100)
    assert all(figure.holds is not False for figure in figures_of(1, "n=100", "ours", runs).values())
    late = runs_of(workloads.crash, "memberlist", 1, members=100)
    assert any(figure.holds is False for figure in figures_of(1, "n=100", "ours", late).values())


def test_a_stalled_tenth_judges_nobody_and_by_plain_swim_does():
    keys = {"members": 30, "seconds": 10.0, "share": 0.1}
    runs = runs_of(workloads.stall, "ours", 2, **keys)
    assert [(run["by_stopped"], run["others"]) for run in runs] == [(0, 0)] * 2
    plain = runs_of(workloads.stall, "plain", 2, **keys)
    assert sum(run["by_stopped"] for run in plain) > 0


def test_a_deaf_member_goes_twice_and_undamped_each_time():
    keys = {"kind": "flip_flop", "members": 16, "faulty": 1, "lasts": 130.0}
    runs = runs_of(workloads.network_faults, "ours", 2, **keys)
    assert all(figure.holds for figure in figures_of(7, "flip_flop", "ours", runs).values())
    undamped = figures_of(7, "flip_flop", "ours", runs_of(workloads.network_faults, "undamped", 1, **keys))
    assert [what for what, figure in undamped.items() if not figure.holds] == ["flip_flop ours: exits of a faulty one"]


def test_random_targets_detect_as_the_formulas_say():
    (run,) = runs_of(workloads.false_detections, "formula", 1, delivered=0.9, helpers=1)
    figures = figures_of(14, "q=0.9 k=1", "formula", [run])
    assert [figure.holds for figure in figures.values()] == [True]
    (run,) = runs_of(workloads.first_detections, "formula", 1, members=20, rounds=60)
    assert abs(sum(run["periods"]) / len(run["periods"]) / (e / (e - 1)) - 1) < 0.25
    tripled = {"failed": 600, "probes": 3000, "probed": 1900}
    assert [figure.holds for figure in figures_of(14, "q=0.9 k=1", "formula", [tripled]).values()] == [False]


@pytest.mark.parametrize("arm", ["ours", "memberlist"])
def test_two_probes_of_a_pair_are_at_most_2n_minus_1_apart(arm):
    (run,) = runs_of(workloads.probe_gaps, arm, 1, members=8)
    assert run["pairs"] == run["of"]
    assert run["gap"] <= run["limit"]


def test_members_that_read_late_are_hardly_suspected():
    ours = config_of("ours")
    keys = {"members": 50, "slow": 0.02, "seconds": 8.0, "after": 5.0}
    quiet, few = traffic.measure(ours, 1, **keys)
    loud, many = traffic.measure(replace(ours, accuse_at=0.0), 1, **keys)
    assert few.deaths(MemberSuspected) == 0
    assert many.deaths(MemberSuspected) > 1
    assert loud.bytes["Suspect"] > loud.bytes["Ping"]
    assert quiet.bytes.total() * 2 < loud.bytes.total()


def test_traffic_by_kind_is_all_that_is_sent():
    arena = Arena(seed=1, config=config_of("ours"), loss=0.05)
    counted = traffic.Traffic(arena)
    arena.add("member-0")
    for number in range(1, 6):
        arena.add(f"member-{number}", seeds=[arena.hosts["member-0"].address])
    arena.run(20.0)
    assert counted.bytes.total() == sum(host.bytes for host in arena.hosts.values())
    assert counted.messages["State"] >= 10, "each has joined"
    assert counted.bytes["State"] > counted.bytes["Nack"]


def test_what_plain_swim_must_do_worse_is_said_of_the_whole_grid():
    run, whole = (
        {"times": [1.0], "missed": 0, "false": 1},
        [cell.name for cell in ROWS[3].cells if " 0 slow" not in cell.name],
    )
    for cells, limit in ((whole[:3], "> 0"), (whole, "≥ 1500")):
        results = {(cell, arm): [run | {"false": arm == "plain"}] for cell in cells for arm in ("ours", "plain")}
        plain = next(figure for figure in ROWS[3].judge(results) if figure.what.startswith("plain"))
        assert (plain.limit, plain.holds) == (limit, True)
        results = {key: [run | {"false": 0}] for key in results}
        assert not next(figure for figure in ROWS[3].judge(results) if figure.what.startswith("plain")).holds


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    cell = Cell("n=2", workloads.crash, {"members": 2})
    store = Store(tmp_path)
    store.add(1, cell, "ours", [{"seed": 1, "cpu": 0.1}])
    store.add(1, cell, "ours", [{"seed": 2, "cpu": 0.1}])
    assert set(Store(tmp_path).read(1, cell, "ours")) == {1, 2}
    (path,) = tmp_path.rglob("*.jsonl")
    path.write_text(path.read_text() + '{"seed": 3, "c')
    assert set(Store(tmp_path).read(1, cell, "ours")) == {1, 2}
    assert Store(tmp_path).read(1, Cell("n=2", workloads.crash, {"members": 3}), "ours") == {}


@pytest.mark.parametrize(("theirs", "ours", "held"), [("a", "a", {1}), ("a", "b", set()), (None, "a", set())])
def test_results_of_other_code_count_if_it_does_the_same(tmp_path, monkeypatch, theirs, ours, held):
    cell = Cell("n=2", workloads.crash, {"members": 2})
    monkeypatch.setattr(results, "code", lambda: "older")
    store = Store(tmp_path)
    if theirs is not None:
        store.recognize(lambda: theirs)
    store.add(1, cell, "ours", [{"seed": 1, "cpu": 0.1}])
    monkeypatch.setattr(results, "code", lambda: "newer")
    assert Store(tmp_path).read(1, cell, "ours") == {}
    store = Store(tmp_path)
    store.recognize(lambda: ours)
    assert set(store.read(1, cell, "ours")) == held
    store.recognize(lambda: pytest.fail("it is known"))


def test_percentiles_are_nearest_rank():
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([5], 0.99) == 5
