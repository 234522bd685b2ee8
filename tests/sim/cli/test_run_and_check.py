"""`run`, `check` and `check-determinism`: what they print, their exit codes, digests."""

import dataclasses
import inspect
import json
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

import pytest

import sim.cli.run
import sim.scenario.run
from sim.cli import execute
from sim.cli.exits import WORST_FIRST, worst
from tests.sim.cli.talk import FILE, command


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (["holds.toml"], 0),
        (["fails.toml"], 1),
        (["raises.toml"], 1),
        (["wrong.toml"], 2),
        (["missing.toml"], 2),
        (["unsure.toml"], 4),
        (["mute.toml"], 4),
        (["holds.toml", "unsure.toml"], 4),
        (["unsure.toml", "fails.toml", "holds.toml"], 1),
        (["fails.toml", "wrong.toml", "holds.toml"], 2),
    ],
)
def test_exit_code_says_how_it_came_out(files, code):
    assert execute(["run", *files]) == code


def test_of_several_codes_the_worst_counts():
    assert WORST_FIRST == (130, 3, 2, 1, 4, 0)
    assert worst([0, 4, 1, 2, 3, 130]) == 130
    assert worst([]) == 0


def test_a_run_is_told_on_stdout(capsys):
    execute(["run", "holds.toml"])
    out, err = capsys.readouterr()
    assert "talk  seed 7  sim" in out
    assert "✓ logged hello" in out
    assert "✓ holds" in out and "digest " in out
    assert err == ""


def test_a_failure_names_what_was_seen_and_the_command_that_runs_it_again(capsys):
    execute(["run", "fails.toml", "--set", "duration=2s"])
    out, _ = capsys.readouterr()
    assert "✗ logged good-bye" in out
    assert "run it again: rpcnet-sim run fails.toml --seed 7 --set duration=2s" in out


def test_an_application_that_raises_is_told_with_its_traceback(capsys):
    execute(["run", "raises.toml"])
    out, _ = capsys.readouterr()
    assert "one" in out and "ValueError: the disk is on fire" in out and "Traceback" in out


def test_files_in_order_run_although_another_one_is_wrong(capsys):
    assert execute(["run", "wrong.toml", "holds.toml"]) == 2
    out, err = capsys.readouterr()
    assert "✓ holds" in out
    assert 'wrong.toml:3:1: unknown key "duratoin"; did you mean "duration"' in err


def test_json_is_one_object_a_run_one_a_line(capsys):
    execute(["run", "holds.toml", "fails.toml", "--seeds", "1:2", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["seed"], row["verdict"]) for row in rows] == [(1, "holds"), (2, "holds"), (1, "fails"), (2, "fails")]
    assert rows[0]["expectations"][0]["line"] == 10


def test_seeds_are_summed_up_and_failures_shown(capsys):
    assert execute(["run", "holds.toml", "--seeds", "1:3"]) == 0
    assert "talk  3 seeds: 3 hold" in capsys.readouterr().out
    assert execute(["run", "fails.toml", "--seeds", "1:2"]) == 1
    out, _ = capsys.readouterr()
    assert out.count("run it again") == 2 and "2 seeds: 2 fail" in out and "(seeds 1, 2)" in out


def test_a_failure_is_told_with_what_led_to_it(capsys):
    execute(["run", "fickle.toml", "--seeds", "1:10", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["verdict"] for row in rows} == {"holds", "fails"}
    for row in rows:
        causes = row["expectations"][0].get("causes", [])
        assert [one["event"] for one in causes] == (
            ["node_started", "node_ready", "broke"] * (row["verdict"] == "fails")
        )
    seed = next(row["seed"] for row in rows if row["verdict"] == "fails")
    assert execute(["run", "fickle.toml", "--seed", str(seed)]) == 1
    out, _ = capsys.readouterr()
    told = [line.split()[-1] for line in out.partition("what led to trace line ")[2].splitlines()[2:4]]
    assert told == ["node_ready", "broke"]
    assert f"run it again: rpcnet-sim run fickle.toml --seed {seed}" in out


def test_an_application_that_raises_is_told_with_what_led_to_it(capsys):
    execute(["run", "raises.toml"])
    assert "one  node_failed error='ValueError: the disk is on fire'" in capsys.readouterr().out


def test_of_many_seeds_the_first_that_fails_is_compared_with_the_nearest_that_holds(capsys):
    execute(["run", "fickle.toml", "--seeds", "1:10"])
    out, _ = capsys.readouterr()
    told = out.partition("the first that only one of them has:")[2].splitlines()
    assert told[1].endswith("one  broke") and told[2].endswith("one  kept")
    execute(["run", "holds.toml", "fails.toml", "--seeds", "1:2"])
    assert "only one of them" not in capsys.readouterr().out


def test_same_seed_same_digest_other_seed_other_digest(capsys):
    digests = []
    for seed in ("7", "7", "8"):
        execute(["run", "holds.toml", "--json", "--seed", seed])
        digests.append(json.loads(capsys.readouterr().out)["digest"])
    assert digests[0] == digests[1] != digests[2]


def test_without_an_expectation_a_run_is_inconclusive_and_says_so(folder, capsys):
    why = "the file has no [[expect]], so nothing was judged"
    execute(["run", "mute.toml", "--report", "page"])
    out, _ = capsys.readouterr()
    assert f"  {why}\n? inconclusive" in out
    assert f"<strong>Inconclusive:</strong> {why}." in (folder / "page" / "index.html").read_text()
    execute(["run", "mute.toml", "--json"])
    row = json.loads(capsys.readouterr().out)
    assert (row["verdict"], row["why"]) == ("inconclusive", why)
    assert execute(["sweep", "mute.toml", "--seeds", "1:2", "--jobs", "1"]) == 4
    assert f"? seed 1: {why}" in capsys.readouterr().out
    assert execute(["check", "mute.toml"]) == 0
    assert "it has no [[expect]]" in capsys.readouterr().out


def test_an_application_that_raises_fails_without_an_expectation(folder):
    (folder / "loud.toml").write_text((folder / "mute.toml").read_text().replace(":main", ":raises"))
    assert execute(["run", "loud.toml"]) == 1


def test_check_reads_and_runs_nothing(capsys):
    assert execute(["check", "holds.toml"]) == 0
    assert execute(["check", "holds.toml", "wrong.toml"]) == 2
    out, err = capsys.readouterr()
    assert "holds.toml: talk is in order" in out and "wrong.toml:3:1" in err


@pytest.mark.gate
def test_digest_does_not_depend_on_the_process_or_its_hash_seed():
    digests = {
        json.loads(subprocess.run(**command("run", "holds.toml", "--json", PYTHONHASHSEED=h), check=True).stdout)[
            "digest"
        ]
        for h in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.gate
def test_check_determinism_holds_and_names_the_event_that_differs(folder, capfd):
    (folder / "unsteady.toml").write_text(FILE.replace(":main", ":unsteady").replace("hello", "one"))
    assert execute(["check-determinism", "holds.toml", "--seeds", "1:2"]) == 0
    assert capfd.readouterr().out.count("the same twice") == 2
    assert execute(["check-determinism", "unsteady.toml"]) == 1
    out, _ = capfd.readouterr()
    assert "two runs differ" in out and "one run: " in out and "said" in out
    assert "because of line " in out and "probably escaped: " in out


OTHERWISE = {
    "seed": ("--seed", "-5"),
    "slack": ("--slack", "1.23456789"),
    "settings": ("--set", "node.one.args.word=a b"),
    "defects": ("--defect", "no_idle_timeout"),
    "interleaving": ("--interleaving", "pct"),
    "wall_limit": ("--wall-limit", "123.456s"),
    "backend": ("--backend", "sockets"),
}
"""Options of `run` that make another run of it."""
ABOUT_IT = {"files", "seeds", "jobs", "report", "trace", "json"}
"""And those that do not."""


@pytest.mark.parametrize("option", OTHERWISE)
def test_the_command_that_replays_a_run_has_all_its_options(option, monkeypatch, capsys):
    assert set(inspect.signature(sim.cli.run.run).parameters) == OTHERWISE.keys() | ABOUT_IT
    asked = []

    def run(scenario, **how):
        how.pop("follow")  # whose clock it shows
        asked.append((scenario.node, scenario.interleaving, how["trace"] is None, how | {"trace": None}))
        # What is asked of sockets takes its time; the command does not depend on what came of it.
        return dataclasses.replace(original(scenario, **how | {"backend": "sim"}), backend=how["backend"])

    original = sim.scenario.run.run
    monkeypatch.setattr(sim.scenario.run, "run", run)
    of_sockets = ("--backend", "sockets") if option == "slack" else ()
    assert execute(["run", "fails.toml", *OTHERWISE[option], *of_sockets]) == 1
    again = capsys.readouterr().out.partition("run it again: rpcnet-sim ")[2].splitlines()[0]
    assert execute(shlex.split(again)) == 1
    assert asked[0] == asked[1]


def test_a_sweep_tells_the_wall_limit_of_its_runs(capsys):
    assert execute(["sweep", "fails.toml", "--jobs", "1", "--wall-limit", "2m"]) == 1
    assert "rpcnet-sim run fails.toml --seed 7 --wall-limit 120s" in capsys.readouterr().out


def test_seeds_that_processes_share_are_told_as_one_after_the_other(capsys):
    told = {}
    for jobs in ("1", "2"):
        assert execute(["run", "fickle.toml", "holds.toml", "--seeds", "1:6", "--jobs", jobs]) == 1
        told[jobs] = re.sub(r"\bin \d+\.\d s", "in … s", capsys.readouterr().out)
    assert told["1"] == told["2"] and "the first that only one of them has" in told["1"]


def test_seeds_that_processes_share_each_have_their_object_and_their_page(capsys):
    assert execute(["run", "fails.toml", "--seeds", "1:3", "--jobs", "2", "--json", "--report", "pages"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["seed"] for row in rows] == [1, 2, 3]
    assert [row["report"] for row in rows] == [f"pages/seed-{seed}/index.html" for seed in (1, 2, 3)]
    assert sorted(path.name for path in Path("pages/seed-2").iterdir()) == [
        "index.html",
        "result.json",
        "trace.msgpack",
    ]
    assert rows[1]["expectations"][0]["saw"] and rows[1]["digest"]


def test_a_run_that_takes_its_process_with_it_is_told_and_the_others_are_done(folder, capsys):
    (folder / "deadly.toml").write_text(FILE.replace(":main", ":deadly"))
    assert execute(["run", "deadly.toml", "--seeds", "1:4", "--jobs", "2"]) == 3
    out, err = capsys.readouterr()
    assert "seed 2: the process that ran it exited with code 5" in err
    assert "3 seeds: 3 hold, 1 was not run" in out
    assert not list(Path(tempfile.gettempdir()).glob("rpcnet-run-*"))


def test_check_says_all_mistakes_as_json(capsys):
    assert execute(["check", "holds.toml", "mute.toml", "wrong.toml", "missing.toml", "--json"]) == 2
    out, err = capsys.readouterr()
    holds, mute, wrong, missing = map(json.loads, out.splitlines())
    assert holds == {
        "file": "holds.toml",
        "in_order": True,
        "scenario": "talk",
        "judged": True,
        "sweep_runs": None,
        "mistakes": [],
    }
    assert not mute["judged"]
    assert {(each["line"], each["column"]) for each in wrong["mistakes"]} == {(1, 1), (3, 1)}
    assert missing["mistakes"][0]["message"] == "no such file" and err == ""
