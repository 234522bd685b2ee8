"""A race that no seed finds first come, first served: found, told, replayed and compared by the command."""

import json

import pytest

from sim.cli import execute
from sim.scenario.load import load
from sim.study import plan

APP = """
import asyncio


async def main(node) -> None:
    buyers = []
    node.ready()

    async def buy(number):
        for _ in range(2 * number):
            await asyncio.sleep(0)
        if not buyers:
            await asyncio.sleep(0)
            buyers.append(number)
            node.record("sold", buyer=number)

    await asyncio.gather(*(buy(number) for number in range(5)))
"""
FILE = """\
name = "seat"
duration = "1s"

[[node]]
name = "shop"
app = "seat_app:main"

[[expect]]
logged = "sold"
max_count = 1
"""


@pytest.fixture(autouse=True)
def seat(folder):
    (folder / "seat_app.py").write_text(APP)
    (folder / "seat.toml").write_text(FILE)
    (folder / "chosen.toml").write_text(f'interleaving = "random"\n{FILE}')


def outcomes(capsys, *words):
    code = execute(["run", *words, "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return code, {row["seed"]: row["verdict"] for row in rows}, [row["digest"] for row in rows]


def test_an_interleaving_finds_what_fifo_never_finds(capsys):
    code, verdicts, _ = outcomes(capsys, "seat.toml", "--seeds", "1:30")
    assert (code, set(verdicts.values())) == (0, {"holds"})
    code, verdicts, _ = outcomes(capsys, "seat.toml", "--seeds", "1:30", "--interleaving", "random")
    assert (code, set(verdicts.values())) == (1, {"holds", "fails"})


def test_the_key_of_the_file_is_as_the_option(capsys):
    by_option = outcomes(capsys, "seat.toml", "--seeds", "1:10", "--interleaving", "random")
    assert outcomes(capsys, "chosen.toml", "--seeds", "1:10") == by_option
    assert outcomes(capsys, "chosen.toml", "--seeds", "1:10", "--interleaving", "fifo")[0] == 0


def failing_seed(capsys):
    _, verdicts, _ = outcomes(capsys, "seat.toml", "--seeds", "1:30", "--interleaving", "random")
    return next(seed for seed, verdict in verdicts.items() if verdict == "fails")


def test_the_command_that_replays_a_failure_names_the_interleaving(capsys, folder):
    seed = failing_seed(capsys)
    words = ["run", "seat.toml", "--seed", str(seed), "--interleaving", "random"]
    assert execute([*words, "--report", "page"]) == 1
    told = capsys.readouterr().out
    assert f"run it again: rpcnet-sim {' '.join(words)}" in told
    result = json.loads((folder / "page" / "result.json").read_text())
    assert result["interleaving"] == "random"
    assert execute(result["command"].split()[1:]) == 1


def test_of_many_seeds_the_choice_that_only_the_failing_one_made_is_told(capsys):
    execute(["run", "seat.toml", "--seeds", "1:30", "--interleaving", "random"])
    told = capsys.readouterr().out
    assert "made a choice that seed" in told
    assert "chosen" in told and "buy (seat_app.py:" in told


def test_diff_names_the_choice_that_mattered(capsys):
    _, verdicts, _ = outcomes(capsys, "chosen.toml", "--seeds", "1:30")
    for verdict in ("holds", "fails"):
        seed = next(seed for seed, found in verdicts.items() if found == verdict)
        execute(["run", "chosen.toml", "--seed", str(seed), "--trace", f"{verdict}.trace"])
    capsys.readouterr()
    assert execute(["diff", "fails.trace", "holds.trace"]) == 1
    told = capsys.readouterr().out
    assert "fails.trace (seed" in told and "made a choice that the other did not" in told
    assert "buy (seat_app.py:" in told


def test_records_of_choices_are_no_records_of_the_application(capsys):
    """`buy` is in the trace, as where a task goes on."""
    text = FILE.replace('"sold"', '"buy ("').replace("max_count = 1", "max_count = 0")
    with open("buy.toml", "w", encoding="utf-8") as file:
        file.write(text)
    assert outcomes(capsys, "buy.toml", "--seeds", "1:5", "--interleaving", "random")[0] == 0


def test_on_sockets_an_interleaving_is_refused(capsys):
    assert execute(["run", "seat.toml", "--backend", "sockets", "--interleaving", "mix"]) == 2
    assert "on sockets the machine decides" in capsys.readouterr().err


def test_a_sweep_takes_the_interleaving_of_its_table_or_its_option(capsys, folder):
    (folder / "swept.toml").write_text(f'{FILE}\n[sweep]\nseeds = "1:20"\ninterleaving = "random"\n')
    assert execute(["sweep", "swept.toml", "--jobs", "1"]) == 1
    told = capsys.readouterr().out
    assert "rpcnet-sim run swept.toml --seed" in told and "--interleaving random" in told
    assert execute(["sweep", "swept.toml", "--jobs", "1", "--interleaving", "fifo"]) == 0
    assert execute(["run", "swept.toml"]) == 0


def test_a_matrix_may_go_over_interleavings(folder):
    more = '\n[sweep]\nseeds = "1:2"\n[sweep.matrix]\n"interleaving" = ["random", "pct"]\n'
    (folder / "matrix.toml").write_text(FILE + more)
    assert [cell.scenario.interleaving for cell in plan(load("matrix.toml")).cells] == ["random", "pct"]


def test_an_unknown_interleaving_is_a_mistake_of_the_file(capsys, folder):
    (folder / "seat.toml").write_text(f'interleaving = "lifo"\n{FILE}')
    assert execute(["check", "seat.toml"]) == 2
    assert "surw" in capsys.readouterr().err
