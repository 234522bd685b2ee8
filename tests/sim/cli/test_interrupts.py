"""Ctrl-C: exit code 130, no process left, and what was found so far is kept."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sim.cli import execute
from sim.scenario import run as running
from tests.sim.cli.talk import FILE, command


@pytest.mark.gate
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("backend", ["sim", "sockets"])
def test_interrupt_ends_with_130_and_leaves_no_process(folder, backend):
    tells, marker = folder / "started", f"CLI_TEST={folder}"
    (folder / "long.toml").write_text(FILE.replace('"3s"', '"1h"').replace(":main", ":tells"))
    words = ["run", "long.toml", "--backend", backend, "--trace", "x.trace"]
    with started(*words, CLI_TEST=str(folder)) as process:
        while process.poll() is None and not tells.exists():
            time.sleep(0.02)
        assert len(_with_environment(marker)) == (1 if backend == "sim" else 2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert _with_environment(marker) == []


@pytest.mark.gate
@pytest.mark.usefixtures("interruptible")
def test_one_interrupt_ends_a_run_that_spins_and_names_its_line(folder):
    (folder / "spins.toml").write_text(FILE.replace(":main", ":spins"))
    with started("run", "spins.toml") as process:
        while process.poll() is None and not (folder / "started").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert re.search(
        r"^rpcnet-sim: interrupted: at 0 s, one was in spins \(.*cli_test_app.py:\d+\), task main$", err, re.M
    )


def test_a_run_that_hangs_fails_at_its_wall_limit(folder, capsys):
    (folder / "spins.toml").write_text(FILE.replace(":main", ":spins"))
    assert execute(["run", "spins.toml", "holds.toml", "--wall-limit", "200ms"]) == 1
    out = capsys.readouterr().out
    assert (
        "the run cannot go on: it has run for 0.2 s of real time and may run no longer; at 0 s, one was in spins" in out
    )
    assert "✓ holds" in out


def test_an_interrupt_that_python_drops_in_the_only_run_is_noticed_after_it(folder, capsys):
    (folder / "drops.toml").write_text(FILE.replace(":main", ":drops"))
    assert execute(["run", "drops.toml"]) == 130
    assert capsys.readouterr().err.endswith("rpcnet-sim: interrupted\n")


def interrupt_third(monkeypatch):
    """Ctrl-C as the third run begins."""
    real, seeds = running.run, []

    def run(*args, seed, **more):
        seeds.append(seed)
        if len(seeds) == 3:
            raise KeyboardInterrupt
        return real(*args, seed=seed, **more)

    monkeypatch.setattr(running, "run", run)


def test_interrupted_seeds_are_not_told_as_holding(monkeypatch, capsys):
    interrupt_third(monkeypatch)
    assert execute(["run", "holds.toml", "--seeds", "1:20"]) == 130
    out, err = capsys.readouterr()
    assert "? talk  2 seeds: 2 hold, 18 were not run" in out and "✓" not in out
    assert err == "rpcnet-sim: interrupted\n"


def test_interrupted_seeds_end_json_with_what_is_missing(monkeypatch, capsys):
    interrupt_third(monkeypatch)
    assert execute(["run", "holds.toml", "--seeds", "1:20", "--json"]) == 130
    *rows, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [row["seed"] for row in rows] == [1, 2]
    assert last == {"scenario": "talk", "verdict": "inconclusive", "interrupted": True, "done": 2, "missing": 18}


@pytest.mark.gate
@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_check_keeps_what_it_found_and_says_so():
    with started("check-determinism", "holds.toml", "--seeds", "1:100000") as process:
        first = process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert "holds.toml seed 1: the same twice" in first
    assert (process.returncode, err) == (130, "rpcnet-sim: interrupted\n")


@pytest.mark.gate
def test_a_run_started_with_sigint_ignored_keeps_ignoring_it(folder):
    """As a shell's background job is, and every asyncio program in it."""
    (folder / "long.toml").write_text(FILE.replace('"3s"', '"1h"').replace(":main", ":tells"))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with started("run", "long.toml") as process:
            while process.poll() is None and not (folder / "started").exists():
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.returncode == -signal.SIGTERM


@contextmanager
def started(*words: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """The command in a session of its own; a test that fails leaves none of its processes."""
    with subprocess.Popen(**command(*words, **environment), start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


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
