"""A first scenario: it runs as it is, and nothing that is there is overwritten."""

from pathlib import Path

import pytest

from sim.cli import execute


def test_a_new_scenario_holds_as_it_is(capsys):
    assert execute(["new", "mine/crash.toml"]) == 0
    assert "rpcnet-sim run mine/crash.toml" in capsys.readouterr().out
    assert execute(["run", "mine/crash.toml"]) == 0
    assert execute(["run", "mine/crash.toml", "--defect", "no_suspicion_timeout"]) == 1


def test_a_new_scenario_of_a_program_of_ones_own_holds_as_it_is():
    assert execute(["new", "mine.toml", "--app", "cli_test_app:main"]) == 0
    assert execute(["run", "mine.toml"]) == 0


def test_what_is_commented_out_in_it_is_in_order():
    assert execute(["new", "mine.toml", "--app", "cli_test_app:main"]) == 0
    text = Path("mine.toml").read_text()
    for comment in ("# [[expect]]", "# logged", "# min", "# count"):
        text = text.replace(comment, comment[2:])
    Path("mine.toml").write_text(text.replace('"token"', '"hello"'))
    assert execute(["check", "mine.toml"]) == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["holds.toml"], "is there already, and is left alone"),
        (["crash"], "a scenario file ends in .toml"),
        (["holds.toml/crash.toml"], "holds.toml is no directory"),
        (["crash.toml", "--app", "nowhere:main"], "--app nowhere:main: "),
    ],
)
def test_what_cannot_be_written_is_told_in_a_line(folder, words, why, capsys):
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert execute(["new", *words]) == 2
    err = capsys.readouterr().err
    assert why in err and err.count("\n") == 1
    assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
