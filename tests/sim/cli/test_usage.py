"""Wrong usage, help, the list of scenarios and defects, and errors of the command itself."""

import json
from importlib import metadata

import pytest

from sim.cli import execute
from tests.sim.cli.talk import FILE


def test_list_names_scenarios_and_defects(folder, capsys):
    (folder / "scenarios").mkdir()
    (folder / "scenarios" / "talk.toml").write_text(FILE)
    assert execute(["list"]) == 0
    out, _ = capsys.readouterr()
    assert "scenarios/talk.toml" in out and "Does everybody speak?" in out and "no_idle_timeout" in out


def test_list_as_json_is_one_object_each(folder, capsys):
    (folder / "scenarios").mkdir()
    for name in ("holds.toml", "wrong.toml"):
        (folder / name).rename(folder / "scenarios" / name)
    assert execute(["list", "--json"]) == 0
    holds, wrong, *defects = map(json.loads, capsys.readouterr().out.splitlines())
    assert holds == {"file": "scenarios/holds.toml", "scenario": "talk", "summary": "Does everybody speak?"}
    assert wrong["scenario"] is None and wrong["mistake"] == '"duration" is missing'
    assert "no_gossip" in {each["defect"] for each in defects}


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["run"], "name at least one scenario file"),
        (["run", "holds.toml", "--sed", "3"], "Did you mean --seed"),
        (["rnu"], 'Did you mean "run"'),
        (["run", "holds.toml", "--backend", "sokets"], 'Did you mean "sockets"'),
        (["run", "holds.toml", "--seed", "x"], "Invalid value for --seed: 'x' is no whole number"),
        (["run", "holds.toml", "--seed", "1.5"], "Invalid value for --seed: '1.5' is no whole number"),
        (["sweep", "holds.toml", "--jobs", "1.5"], "Invalid value for --jobs: '1.5' is no whole number"),
        (["run", "holds.toml", "--jobs", "2"], "--jobs is for --seeds in virtual time"),
        (["run", "holds.toml", "--seeds", "1:2", "--jobs", "0"], "number of processes, from 1 to 1024, not 0"),
        (["sweep", "holds.toml", "fails.toml"], "more than the command takes: fails.toml"),
        (["run", "holds.toml", "--trace", "holds.toml"], "this file is not of ours"),
        (["run", "holds.toml", "--seeds", "3:1"], "is empty"),
        (["run", "holds.toml", "--seeds", "a:b"], "write it as A:B"),
        (["run", "holds.toml", "--seed", "9" * 20], "a seed is between -2**63 and 2**63 - 1"),
        (["run", "holds.toml", "--seeds", "1:" + "9" * 20], "a seed is between -2**63 and 2**63 - 1"),
        (["run", "holds.toml", "--set", "seed=" + "9" * 20], "a seed is between -2**63 and 2**63 - 1"),
        (["run", "holds.toml", "--seeds", f"{-(2**63)}:{2**63 - 1}"], "are too many"),
        (["sweep"], '"sweep" parameter FILE requires an argument'),
        (["run", "holds.toml", "--seed", "1", "--seeds", "1:2"], "not both"),
        (["run", "holds.toml", "--slack", "0", "--backend", "sockets"], "--slack must be above 0"),
        (["run", "holds.toml", "--slack", "2"], "--slack is for --backend sockets"),
        (
            ["run", "holds.toml", "--wall-limit", "30"],
            "--wall-limit: '30' is not a duration: it has no unit; did you mean \"30s\"?",
        ),
        (["sweep", "holds.toml", "--wall-limit", "0s"], "--wall-limit must be above 0"),
        (["run", "holds.toml", "--wall-limit", "1s", "--backend", "sockets"], "--wall-limit is for virtual time"),
        (["run", "holds.toml", "--defect", "no_idle_timeot"], 'did you mean "no_idle_timeout"'),
        (["run", "holds.toml", "--set", "node.two.count=2"], 'there is no node "two"'),
        (["run", "holds.toml", "--trace", "."], "--trace .: is a directory; name a file"),
        (["report", "nothing"], "no such trace"),
        (["check"], "name at least one scenario file"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_one_line_and_no_traceback(tokens, words, capsys):
    assert execute(tokens) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert out == "" and "Traceback" not in err and err.count("\n") == 1


def test_without_a_command_the_help_is_shown(capsys):
    assert execute([]) == 2
    assert "check-determinism" in capsys.readouterr().out
    assert execute(["--help"]) == 0


def test_the_version_is_that_of_the_distribution(capsys):
    assert execute(["--version"]) == 0
    assert capsys.readouterr().out.strip() == metadata.version("rpcnet")


def test_an_error_of_our_own_is_exit_code_3(monkeypatch, capsys):
    monkeypatch.setattr("sim.cli.output.run", lambda *_: 1 / 0)
    assert execute(["run", "holds.toml"]) == 3
    assert "internal error" in capsys.readouterr().err
