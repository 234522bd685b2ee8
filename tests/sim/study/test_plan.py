"""What a sweep would run, and what it refuses before anything runs."""

import msgspec
import pytest

from sim.scenario.load import load
from sim.scenario.mistake import ScenarioError
from sim.study import Refused, load_to_sweep, plan

SWEEP = """
[sweep]
seeds = "1:50"

[sweep.matrix]
"network.loss" = ["0%", "5%"]
"duration" = ["1s", "2s", "3s"]
"""


def test_every_cell_is_run_with_every_seed_cell_by_cell(draws):
    wanted = plan(draws(), seeds=range(1, 4), matrix={"network.loss": [0.0, 0.5]})
    assert len(wanted) == 6
    assert list(wanted.tasks()) == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    assert [cell.scenario.network.loss for cell in wanted.cells] == [0.0, 0.5]
    assert str(wanted) == "draws: 2 cells x 3 seeds (1:3) = 6 runs"
    assert str(plan(draws(), seeds=[9])) == "draws: 1 seed (9) = 1 run"
    assert str(plan(draws(), seeds=[9], matrix={"network.loss": [0.5]})) == "draws: 1 cell x 1 seed (9) = 1 run"


def test_what_is_left_out_is_as_the_file_says(draws):
    wanted = plan(draws(SWEEP))
    assert len(wanted) == 300
    assert {cell.scenario.duration for cell in wanted.cells} == {1.0, 2.0, 3.0}
    assert [cell.parameters for cell in wanted.cells][:2] == [
        {"network.loss": "0%", "duration": "1s"},
        {"network.loss": "0%", "duration": "2s"},
    ]
    assert len(plan(draws(SWEEP), seeds="7:8", matrix={})) == 2


def test_without_a_word_of_seeds_it_is_the_one_of_the_file(draws):
    assert list(plan(draws()).seeds) == [3]


def test_durations_of_the_file_need_a_unit_and_those_from_python_do_not(draws):
    assert plan(draws(), matrix={"duration": [2.5]}).cells[0].scenario.duration == 2.5
    with pytest.raises(ScenarioError, match="a duration is text with a unit"):
        plan(draws('\n[sweep.matrix]\n"duration" = [2.5]\n'))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seeds": []}, "no seeds"),
        ({"seeds": range(5, 5)}, "no seeds"),
        ({"seeds": "5:1"}, "the first must not be above the last"),
        ({"seeds": "many"}, "write it as A:B"),
        ({"seeds": [1, "2"]}, "a seed is a whole number, not '2'"),
        ({"seeds": [True]}, "a seed is a whole number, not True"),
        ({"seeds": 20}, "seeds are a range, a list, or text"),
        ({"seeds": range(10**30)}, "a seed is between"),
        ({"seeds": [2**63]}, "a seed is between"),
        ({"matrix": {"seed": [1, 2]}}, "seed is set by `seeds`"),
        ({"matrix": {"duration": []}}, "duration has no values"),
        ({"matrix": {"duration": "1s"}}, "duration needs a list of values, not '1s'"),
        ({"matrix": {"duration": ["1s", "1s"]}}, "the value '1s' twice"),
        ({"seeds": range(10**8)}, "100000000 runs are more than one sweep takes"),
        ({"defects": ["no_such"]}, 'unknown defect "no_such"'),
    ],
)
def test_what_makes_no_sense_is_refused_with_words(draws, arguments, words):
    with pytest.raises(Refused, match=words):
        plan(draws(), **arguments)


def test_an_application_of_the_script_that_sweeps_is_refused_before_anything_runs(draws, monkeypatch):
    async def mine(node, **arguments):
        node.ready()

    monkeypatch.setattr("__main__.mine", mine, raising=False)
    with pytest.raises(Refused, match=r"__main__:mine is of the script or notebook that sweeps.*put it into a module"):
        plan(draws(), matrix={"node.one.app": ["__main__:mine"]})


def test_seeds_of_numpy_are_seeds(draws):
    import numpy

    assert list(plan(draws(), seeds=numpy.arange(1, 4)).seeds) == [1, 2, 3]


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ({"node.two.count": [1]}, 'there is no node "two"'),
        ({"network.los": [0.1]}, 'unknown key "los"; did you mean "loss"'),
        ({"network.loss": [0.1, 7]}, "7"),
    ],
)
def test_every_cell_is_checked_before_anything_runs(draws, matrix, words):
    with pytest.raises(ScenarioError, match=words):
        plan(draws(), matrix=matrix)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('seeds = "5:1"', "the first must not be above the last"),
        ("seeds = 5", "expected text"),
        ("seed = 5", 'unknown key "seed"; did you mean "seeds"'),
        ("[sweep.matrix]\nduration = []", "duration has no values"),
        ("[sweep.matrix]\nduration = 3", "expected a list"),
    ],
)
def test_a_table_that_makes_no_sense_is_a_mistake_in_the_file(draws, table, words):
    with pytest.raises(ScenarioError, match=words):
        draws(f"\n[sweep]\n{table}\n")


def test_the_tables_interleaving_holds_for_all_runs_and_an_argument_beats_it(draws):
    table = '[sweep]\nseeds = "1:2"\ninterleaving = "pct"\n'
    assert [cell.scenario.interleaving for cell in plan(draws(table)).cells] == ["pct"]
    assert draws(table).interleaving == "fifo"
    assert [cell.scenario.interleaving for cell in plan(draws(table), interleaving="pos").cells] == ["pos"]


def test_a_scenario_from_no_file_is_swept_with_an_interleaving_too(draws):
    built = msgspec.structs.replace(draws(), origin=None)
    assert plan(built, interleaving="surw").cells[0].scenario.interleaving == "surw"
    with pytest.raises(Refused, match="interleaving is one of fifo, random, pct, pos, surw, mix, not 'lifo'"):
        plan(built, interleaving="lifo")


def test_mistakes_of_a_matrix_are_told_with_those_of_the_rest_of_the_file(draws, tmp_path):
    text = draws().origin.text.replace("duration", "duratoin")
    file = tmp_path / "both.toml"
    matrix = (
        '\n[sweep.matrix]\n"network.los" = ["1%"]\n"node.one.count" = [2, 0]\nseed = [1]\n"network.loss" = [5, 5]\n'
    )
    file.write_text(text + matrix + '"network.preset" = 3\n')
    with pytest.raises(ScenarioError) as caught:
        load_to_sweep(file)
    told = [mistake.message for mistake in caught.value.mistakes]
    for words in (
        'unknown key "duratoin"',
        'unknown key "los"',
        "node.one.count=0: count must be from 1",
        "seed is set by `seeds`",
        "network.loss has the value 5 twice",
        "network.loss=5: loss",
        "network.preset: expected a list",
    ):
        assert len([message for message in told if words in message]) == 1, (words, told)
    assert all(mistake.line for mistake in caught.value.mistakes)


def test_a_file_in_order_is_loaded_to_be_swept_as_it_is(draws):
    origin = draws().origin
    assert load_to_sweep(origin.file, ["duration=2s"]) == load(origin.file, ["duration=2s"])


def test_mistakes_of_all_cells_are_told_at_the_matrix(draws):
    scenario = draws('\n[sweep.matrix]\n"network.los" = ["1%"]\n"node.one.count" = [0, -1]\n')
    line = scenario.origin.text.splitlines().index("[sweep.matrix]") + 1
    with pytest.raises(ScenarioError) as caught:
        plan(scenario, seeds="1:2")
    assert [mistake.line for mistake in caught.value.mistakes] == [line] * 3
    assert caught.value.mistakes[2].message.startswith("node.one.count=-1: count must be from 1")
