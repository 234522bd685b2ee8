"""A path that cannot be written is refused by every option alike, before anything is run."""

import os

import pytest

from sim.cli import execute
from sim.paths import Unwritable, writable_directory, writable_file

FILES = (["run", "holds.toml", "--trace"], ["sweep", "holds.toml", "--seeds", "1:2", "--out"])
DIRECTORIES = (["run", "holds.toml", "--report"], ["report", "kept.trace", "--out"])


@pytest.fixture
def trace(folder):
    """Of a run that was kept; whatever runs from here on is a mistake."""
    assert execute(["run", "holds.toml", "--trace", "kept.trace"]) == 0


def refused(words, path, capsys):
    capsys.readouterr()
    assert execute([*words, path]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


@pytest.mark.usefixtures("trace")
@pytest.mark.parametrize("words", [*FILES, *DIRECTORIES], ids=lambda words: f"{words[0]}-{words[-1]}")
def test_a_path_below_a_file_is_refused_with_its_option(words, capsys, monkeypatch):
    monkeypatch.setattr("sim.backends.runner", None)
    for path, why in (("holds.toml/x", "holds.toml is no directory"), ("x" * 300, "File name too long")):
        assert refused(words, path, capsys) == f"rpcnet-sim: {words[-1]} {path}: {why}\n"


@pytest.mark.usefixtures("trace")
def test_a_directory_is_no_file_and_a_file_no_directory(folder, capsys):
    (folder / "full").mkdir()
    for words in FILES:
        assert refused(words, "full", capsys) == f"rpcnet-sim: {words[-1]} full: is a directory; name a file\n"
    for words in DIRECTORIES:
        assert refused(words, "holds.toml", capsys) == f"rpcnet-sim: {words[-1]} holds.toml: is no directory\n"


@pytest.mark.usefixtures("trace")
@pytest.mark.parametrize("words", [*FILES, *DIRECTORIES], ids=lambda words: f"{words[0]}-{words[-1]}")
def test_directories_that_are_missing_are_made(words, folder):
    assert execute([*words, "new/deep/place"]) == 0
    assert (folder / "new" / "deep" / "place").exists()


@pytest.mark.parametrize("place", ["/dev/null", "pipe"])
def test_a_trace_is_kept_where_it_can_be_read_again(place, monkeypatch, capsys):
    monkeypatch.setattr("sim.backends.runner", None)
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        err = refused(["run", "holds.toml", "--trace"], place, capsys)
    finally:
        os.close(reader)
    assert err == f"rpcnet-sim: --trace {place}: what is written there cannot be read again; name a file\n"


def test_looking_leaves_a_file_as_it_was(tmp_path):
    (tmp_path / "old").write_text("kept")
    writable_file("--trace", tmp_path / "old")
    writable_file("--trace", tmp_path / "new")
    writable_directory("--report", tmp_path)
    assert (tmp_path / "old").read_text() == "kept"
    assert not (tmp_path / "new").exists()


def test_nobody_waits_at_a_pipe_that_nobody_reads(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unwritable, match=r"--trace .*/pipe: No such device or address"):
        writable_file("--trace", tmp_path / "pipe")


def test_a_working_directory_that_is_gone_is_no_obstacle_to_a_file_elsewhere(folder, monkeypatch, capsys):
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert execute(["run", str(folder / "holds.toml")]) == 0
    assert execute(["run", "holds.toml"]) == 2
    assert "holds.toml: no such file" in capsys.readouterr().err
    for words in FILES:
        words = [str(folder / word) if word == "holds.toml" else word for word in words]
        assert refused(words, "kept", capsys) == f"rpcnet-sim: {words[-1]} kept: No such file or directory\n"
