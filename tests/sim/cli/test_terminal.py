"""Where output goes: terminals with and without colours, pipes that are closed, full disks."""

import errno
import fcntl
import json
import os
import pty
import re
import resource
import struct
import subprocess
import sys
import termios

import pytest

from sim.cli import execute
from tests.sim.cli.talk import FILE, ROOT, command


@pytest.mark.gate
def test_a_terminal_without_a_check_mark_is_no_error():
    done = subprocess.run(**command("run", "holds.toml", PYTHONIOENCODING="ascii"), check=True)
    assert "\\u2713 holds" in done.stdout


@pytest.mark.gate
def test_no_color_is_honoured_and_output_can_be_cut_short():
    done = subprocess.run(**command("run", "holds.toml", NO_COLOR="1", FORCE_COLOR="1"), check=True)
    assert "\x1b[3" not in done.stdout
    process = subprocess.Popen(**command("run", "holds.toml", "--json"))
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def on_a_terminal(*words, **streams):
    """Run a command whose stderr is a terminal; returns what it said there, and what came through a pipe."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    order = command(*words, TERM="xterm") | {"stderr": theirs, "text": False}
    order |= dict.fromkeys(streams, theirs)
    said = b""
    with subprocess.Popen(**order) as process:
        os.close(theirs)
        try:
            while more := os.read(ours, 65536):
                said += more
        except OSError:
            pass  # EIO: the other end is closed
        finally:
            os.close(ours)
        piped = process.stdout.read() if process.stdout else b""
    return process.returncode, said.decode(), piped.decode()


@pytest.mark.gate
@pytest.mark.parametrize("seeds", [[], ["--seeds", "1:3"]])
def test_data_goes_to_a_pipe_also_where_a_bar_is_on_the_terminal(seeds):
    code, said, piped = on_a_terminal("run", "holds.toml", "--json", *seeds)
    assert code == 0
    assert "talk (sim)" in said and '"verdict"' not in said
    assert [json.loads(line)["verdict"] for line in piped.splitlines()] == ["holds"] * (3 if seeds else 1)


@pytest.mark.gate
@pytest.mark.parametrize("words", [["fails.toml", "--seeds", "1:3"], ["holds.toml"], ["holds.toml", "--json"]])
def test_data_on_a_terminal_does_not_stand_in_one_line_with_the_bar(words):
    _, said, _ = on_a_terminal("run", *words, stdout=True)
    assert "talk (sim)" in said
    shown = [line.rpartition("\x1b[2K")[2] for line in said.splitlines()]
    assert not [line for line in shown if "talk (sim)" in line and ("seed" in line or "verdict" in line)]


@pytest.mark.gate
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["list"], 0),
        (["run", "holds.toml"], 0),
        (["run", "fails.toml"], 1),
        (["--help"], 0),
        (["run", "--help"], 0),
        (["--version"], 0),
        ([], 2),
    ],
)
def test_output_that_is_cut_short_changes_no_exit_code(words, code):
    with subprocess.Popen(**command(*words)) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == code


def test_a_full_disk_under_the_trace_ends_the_run_in_one_line():
    """With the limit on the size of a file in the place of a full disk."""
    done = subprocess.run(
        **command("run", "holds.toml", "--trace", "kept.trace"),
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)),
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1), done.stderr
    assert "File too large: the trace kept.trace cannot be written on; free some space" in done.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run", "the trace, a temporary file in {folder}, cannot be written; free some space, or write it elsewhere"),
        ("check-determinism", "the traces of two runs, in {folder}/"),
    ],
)
def test_temporary_files_that_find_no_room_are_one_line_and_gone(command, words, folder):
    """With the limit on the size of a file in the place of a full disk."""
    (folder / "much.toml").write_text(FILE.replace(":main", ":tells_much"))
    (folder / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "sim.cli", command, "much.toml"],
        env=os.environ | {"TMPDIR": str(folder / "temporary"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1), done.stderr
    assert "File too large: " + words.format(folder=folder / "temporary") in done.stderr
    assert list((folder / "temporary").iterdir()) == []


def test_a_full_disk_under_the_page_of_a_report_names_the_directory(monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sim.report.write_report", full)
    assert execute(["run", "holds.toml", "--report", "here"]) == 3
    assert "rpcnet-sim: here: No space left on device: the page cannot be written; free" in capsys.readouterr().err


@pytest.mark.gate
@pytest.mark.parametrize("backend", ["sim", "sockets"])
def test_a_single_run_says_how_much_of_its_time_is_over(folder, backend):
    (folder / "slow.toml").write_text(FILE.replace(":main", ":slow").replace('"3s"', '"1s"'))
    _, said, _ = on_a_terminal("run", "slow.toml", "--backend", backend)
    reached = {float(text) for text in re.findall(r"(\d+\.\d) of 1 s", said)}
    assert len(reached) > 2 and max(reached) <= 1.0
    assert re.search(r"of 1 s, some \d s left", said)
