"""Every test of the command stands in a directory with scenarios."""

import sys

import pytest

from tests.sim.cli.talk import APP, FILE


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory with an application and scenarios of every outcome."""
    (tmp_path / "cli_test_app.py").write_text(APP)
    (tmp_path / "holds.toml").write_text(FILE)
    (tmp_path / "fails.toml").write_text(FILE.replace("hello", "good-bye"))
    (tmp_path / "raises.toml").write_text(FILE.replace(":main", ":raises"))
    (tmp_path / "unsure.toml").write_text(FILE.replace('logged = "hello"', 'python = "cli_test_app:never"'))
    (tmp_path / "mute.toml").write_text(FILE.partition("[[expect]]")[0])
    (tmp_path / "fickle.toml").write_text(
        FILE.replace(":main", ":fickle").replace('logged = "hello"', 'logged = "broke"\nmax_count = 0')
    )
    (tmp_path / "wrong.toml").write_text(FILE.replace("duration", "duratoin"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("cli_test_app", None)
