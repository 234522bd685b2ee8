"""Ctrl-C: exit code 130, no process left, and what was found so far is kept."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sim.cli import execute
from tests.sim.cli.talk import FILE, command


@pytest.mark.gate
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("backend", ["sim", "sockets"])
def test_interrupt_ends_with_130_and_leaves_no_process(folder, backend):
    started, marker = folder / "started", f"CLI_TEST={folder}"
    (folder / "long.toml").write_text(FILE.replace('"3s"', '"1h"').replace(":main", ":tells"))
    words = ["run", "long.toml", "--backend", backend, "--trace", "x.trace"]
    with subprocess.Popen(**command(*words, CLI_TEST=str(folder)), start_new_session=True) as process:
        while process.poll() is None and not started.exists():
            time.sleep(0.02)
        assert len(_with_environment(marker)) == (1 if backend == "sim" else 2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert _with_environment(marker) == []


def test_an_interrupt_that_python_drops_in_the_only_run_is_noticed_after_it(folder, capsys):
    (folder / "drops.toml").write_text(FILE.replace(":main", ":drops"))
    assert execute(["run", "drops.toml"]) == 130
    assert capsys.readouterr().err.endswith("rpcnet-sim: interrupted\n")


@pytest.mark.gate
def test_an_interrupted_check_keeps_what_it_found_and_says_so():
    with subprocess.Popen(
        **command("check-determinism", "holds.toml", "--seeds", "1:100000"), start_new_session=True
    ) as process:
        first = process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert "holds.toml seed 1: the same twice" in first
    assert (process.returncode, err) == (130, "rpcnet-sim: interrupted\n")


def _with_environment(marker):
    """Processes that were started by a test, whatever session they are in."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(folder.name)
        except OSError:
            continue
    return found
