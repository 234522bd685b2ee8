"""Many runs on several processes: the same results as one by one, whatever happens to the processes."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from sim import Scenario
from sim.cli import execute
from sim.scenario.verdict import Verdict
from sim.study import Crash, Refused, SweepError, carry_out, plan
from tests.sim.study.conftest import MATRIX, furnished

pytestmark = pytest.mark.gate


def drawn(seed: int) -> float:
    """What the application of conftest.py draws first."""
    return Random(f"{seed}/one/1").random()


def test_rows_are_those_of_single_runs_in_the_order_of_the_plan(draws, studies):
    scenario = draws()
    study, _ = studies
    assert [(row["network.loss"], row["seed"]) for row in study.rows] == [
        (x, s) for x in (0.0, 0.5) for s in range(1, 6)
    ]
    for row in study.rows:
        run = scenario.run(seed=row["seed"], overrides={"network.loss": row["network.loss"]})
        assert (row["digest"], row["verdict"]) == (run.digest, run.verdict)
        assert {name: row[name] for name in run.measured} == run.measured
    assert study.verdict is Verdict.HOLDS and not study.failures and not study.crashes


def test_the_number_of_processes_changes_nothing(draws, studies):
    of_three, _ = studies
    assert draws().sweep(seeds="1:5", matrix=MATRIX, jobs=1).rows == of_three.rows


def test_a_scenario_that_was_built_in_python_is_swept_too(draws):
    import msgspec

    built = msgspec.structs.replace(draws(), origin=None)
    study = built.sweep(seeds=[4, 9], jobs=1)
    assert [row["digest"] for row in study.rows] == [built.run(seed=seed).digest for seed in (4, 9)]
    assert study.results[0].command is None


@pytest.mark.usefixtures("folder")
def test_failures_are_replayed(studies):
    _, study = studies
    bad = [seed for seed in range(1, 9) if drawn(seed) < 0.5]
    assert bad
    assert [(f.parameters["network.loss"], f.seed) for f in study.failures] == [(x, s) for x in (0.0, 0.5) for s in bad]
    last = study.failures[-1]
    run = last.replay()
    assert run.verdict is Verdict.FAILS and run.seed == bad[-1] and run.scenario.network.loss == 0.5
    assert run.digest == last.row.digest
    assert "ValueError: broken on purpose" in (last.row.error or "")
    assert (
        last.command
        == f"rpcnet-sim run draws.toml --seed {bad[-1]} --set node.one.args.fails=0.5 --set network.loss=0.5"
    )


def test_a_study_as_a_data_frame_and_as_a_page(studies):
    _, study = studies
    frame = study.to_pandas()
    assert list(frame["seed"]) == [row["seed"] for row in study.rows]
    assert set(frame.columns) >= {"seed", "verdict", "digest", "network.loss", "error"}
    page = study._repr_html_()
    assert "network.loss=0.5" in page and "<b>fails</b>" in page


def test_pandas_is_imported_by_to_pandas_alone():
    code = "import sim.study, sys; print('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_summary_counts_verdicts_and_measures_by_cell(studies):
    study, _ = studies
    assert [cell.parameters for cell in study.cells] == [{"network.loss": 0.0}, {"network.loss": 0.5}]
    assert all(cell.count == {Verdict.HOLDS: 5} and cell.runs == 5 for cell in study.cells)
    heads, lines = study.table()
    assert heads == ["", "network.loss=0.0", "network.loss=0.5"]
    assert lines[:3] == [["runs", "5", "5"], ["holds", "5", "5"], ["fails", "0", "0"]]
    for name, figure in study.cells[0].figures.items():
        assert [f"{name} p50 / p99"] == [line[0] for line in lines if line[0].startswith(f"{name} ")]
        assert figure.runs == 5 and figure.p50 <= figure.p99


def test_what_is_in_the_file_is_not_run_again(draws, tmp_path):
    scenario, out = draws(), tmp_path / "kept.jsonl"
    first = scenario.sweep(seeds="1:4", matrix=MATRIX, jobs=1, out=out)
    before = out.read_bytes()
    assert scenario.sweep(seeds="1:4", matrix=MATRIX, jobs=1, out=out).rows == first.rows
    assert out.read_bytes() == before
    more = scenario.sweep(seeds="3:6", matrix=MATRIX, jobs=1, out=out)
    assert [row["seed"] for row in more.rows] == [3, 4, 5, 6] * 2
    assert out.read_bytes().startswith(before) and len(out.read_text().splitlines()) == 13


def test_progress_is_told_of_every_run_those_of_before_included(draws, tmp_path):
    told: list[None] = []
    wanted, out = plan(draws(), seeds="1:4"), tmp_path / "kept.jsonl"
    carry_out(wanted, jobs=2, out=out, advance=lambda: told.append(None))
    assert len(told) == 4
    carry_out(wanted, jobs=2, out=out, advance=lambda: told.append(None))
    assert len(told) == 8


def test_a_run_that_takes_its_process_with_it_is_named_and_the_others_are_done(draws, tmp_path):
    deadly = [seed for seed in range(1, 200) if drawn(seed) < 0.1][:2]
    seeds = sorted({*range(1, 9), *deadly})
    deadly = [seed for seed in seeds if drawn(seed) < 0.1]
    assert 1 <= len(deadly) <= 2
    out = tmp_path / "kept.jsonl"
    study = draws(dies=0.1).sweep(seeds=seeds, jobs=2, out=out)
    assert sorted(crash.seed for crash in study.crashes) == deadly
    assert [row["seed"] for row in study.rows] == [seed for seed in seeds if seed not in deadly]
    assert study.verdict is Verdict.INCONCLUSIVE and study.missing == len(deadly)
    text = str(study.crashes[0])
    assert f"seed {study.crashes[0].seed}: the process that ran it exited with code 7; its last words:" in text
    assert "crashes" not in out.read_text() and "<pre>" in study._repr_html_()


def test_a_run_that_hangs_fails_at_its_wall_limit_and_the_others_go_on(draws, tmp_path):
    hangs = [seed for seed in range(1, 4) if drawn(seed) < 0.3]
    assert 1 <= len(hangs) <= 2
    study = draws(hangs=0.3).sweep(seeds="1:3", jobs=2, out=tmp_path / "kept.jsonl", wall_limit=0.3)
    assert [result.seed for result in study.failures] == hangs
    assert len(study.rows) == 3
    for failure in study.failures:
        assert failure.row.digest is None
        assert "it has run for 0.3 s of real time and may run no longer; at 0 s, one was in main (" in failure.why


def test_a_wall_limit_of_a_sweep_that_is_none_is_refused(draws):
    with pytest.raises(Refused, match="wall_limit is real seconds above 0, not -1"):
        draws().sweep(seeds="1:2", wall_limit=-1)


def test_a_sweep_in_which_every_process_dies_ends(draws):
    with pytest.raises(SweepError, match=r"3 processes were lost, the last one here: seed \d+: .*exited with code 7"):
        draws(dies=1.0).sweep(seeds=range(1, 100), jobs=2)


def test_a_signal_is_named():
    crash = Crash(17, {"duration": "1s"}, "was ended by SIGKILL", "")
    assert str(crash) == "seed 17, duration=1s: the process that ran it was ended by SIGKILL"


def test_a_killed_worker_is_known_by_its_seed(draws, tmp_path):
    wanted, killed = plan(draws(work=300_000), seeds="1:12"), []

    def kill_one() -> None:
        if not killed:
            (worker,) = workers_of(os.getpid())
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    study = carry_out(wanted, jobs=1, advance=kill_one)
    (crash,) = study.crashes
    assert crash.how == "was ended by SIGKILL"
    assert {row["seed"] for row in study.rows} | {crash.seed} == set(range(1, 13))


def test_a_run_that_cannot_be_done_ends_the_sweep_with_its_seed(draws):
    scenario = draws()
    # Imported here already; the worker will not be able to.
    Path("sweep_apps.py").write_text("raise RuntimeError('the second import fails')\n")
    with pytest.raises(SweepError, match=r"seed 1 could not be run: ScenarioError"):
        scenario.sweep(seeds="1:3", jobs=1)


@pytest.mark.parametrize("jobs", [0, -1, 100_000])
def test_a_number_of_processes_that_makes_no_sense_is_refused(draws, jobs):
    with pytest.raises(Refused, match="jobs is the number of processes"):
        draws().sweep(seeds="1:2", jobs=jobs)


# --- the command ------------------------------------------------------------------------------------------------------


class Done(NamedTuple):
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(draws, capsys, monkeypatch):
    """`rpcnet-sim sweep draws.toml` in this process: starting another takes longer than what it is to do."""
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: str) -> Done:
        return Done(execute(["sweep", "draws.toml", *words]), *capsys.readouterr())

    return command


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3])]), "COLUMNS": "200"}


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"sim.study.worker" in Path(f"/proc/{child}/cmdline").read_bytes()]


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def seeds_in(out: Path) -> list[int]:
    return [json.loads(line)["seed"] for line in out.read_text().splitlines()[1:]]


def test_plan_says_how_many_runs_there_are_and_runs_none(draws, command):
    draws('\n[sweep]\nseeds = "1:5000"\n[sweep.matrix]\n"network.loss" = ["0%", "5%"]\n')
    done = command("--plan")
    assert done.returncode == 0
    assert "2 cells x 5000 seeds (1:5000) = 10000 runs" in done.stdout
    assert "network.loss=5%" in done.stdout and "10000 are to be run" in done.stdout
    assert not Path("reports").exists()


def test_the_command_prints_a_summary_and_keeps_the_results(command):
    line = [sys.executable, "-m", "sim.cli", "sweep", "draws.toml", "--seeds", "1:6", "--jobs", "2"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    assert "6 runs: holds" in done.stdout
    (out,) = Path("reports/sweeps").glob("draws-*.jsonl")
    assert sorted(seeds_in(out)) == [1, 2, 3, 4, 5, 6]
    again = command("--seeds", "1:6", "--jobs", "2")
    assert again.stdout == done.stdout and sorted(seeds_in(out)) == [1, 2, 3, 4, 5, 6]


def test_a_sweep_as_json_has_a_line_a_run_and_its_figures_last(draws, command):
    planned = json.loads(command("--seeds", "1:4", "--plan", "--json").stdout)
    assert planned["runs"] == planned["remaining"] == 4
    done = command("--seeds", "1:4", "--jobs", "1", "--set", "node.one.args.fails=1.0", "--json")
    assert done.returncode == 1
    *runs, last = map(json.loads, done.stdout.splitlines())
    assert [run["seed"] for run in runs] == [1, 2, 3, 4]
    assert runs[0]["command"] == "rpcnet-sim run draws.toml --seed 1 --set node.one.args.fails=1.0"
    assert all(run["verdict"] == "fails" and run["why"] for run in runs)
    assert last["verdict"] == "fails" and last["missing"] == 0
    assert last["cells"][0]["verdicts"] == {"holds": 0, "fails": 4, "inconclusive": 0}


def test_exit_codes_of_sweeps(draws, command):
    fails = command("--seeds", "1:4", "--jobs", "1", "--set", "node.one.args.fails=1.0")
    assert fails.returncode == 1
    assert "run it again: rpcnet-sim run draws.toml --seed 1 --set node.one.args.fails=1.0" in fails.stdout
    assert command("--seeds", "4:1").returncode == 2
    assert command("--seeds", "1:2", "--out", "draws.toml").returncode == 2
    assert command("--seeds", "1:2", "--jobs", "1", "--set", "node.one.args.dies=1.0").returncode == 3
    full = command("--seeds", "1:2", "--jobs", "1", "--out", "/dev/full")
    assert full.returncode == 3 and "No space left on device" in full.stderr
    draws('\n[[expect]]\nstreams_aborted = "one"\n')
    assert command("--seeds", "1:2", "--jobs", "1").returncode == 4


def test_a_sweep_with_runs_missing_does_not_hold_and_tells_the_command_that_runs_them(command):
    seeds = range(1, 30)
    deadly = min(seeds, key=drawn)
    settings = f"node.one.args.dies={drawn(deadly) + 0.001}"
    words = ("--seeds", "1:29", "--jobs", "1", "--out", "a b.jsonl", "--set", settings)
    done = command(*words)
    assert done.returncode == 3 and f"seed {deadly}: the process that ran it" in done.stderr
    assert "✓" not in done.stdout
    *_, verdict, again = done.stdout.splitlines()
    assert verdict == "? draws  28 of 29 runs: inconclusive, 1 run is missing  results: a b.jsonl"
    assert again == f"run what is missing: rpcnet-sim sweep draws.toml {shlex.join(words)}"
    all_die = command("--seeds", "1:9", "--jobs", "1", "--set", "node.one.args.dies=1.0")
    assert "run what is missing: rpcnet-sim sweep draws.toml --seeds 1:9 --jobs 1 --set" in all_die.stderr


WORK = 400_000


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The rows of the sweep that is killed next."""
    with furnished(tmp_path_factory.mktemp("uninterrupted")):
        return Scenario.load("draws.toml", {"node.one.args.work": WORK}).sweep(seeds="1:60", jobs=1).rows


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_sweep_that_was_killed_goes_on_with_the_same_command(draws, command, uninterrupted, tmp_path, how, code):
    scenario = draws(work=WORK)
    out = tmp_path / "kept.jsonl"
    words = ["--seeds", "1:60", "--jobs", "2", "--out", str(out), "--set", f"node.one.args.work={WORK}"]
    first = subprocess.Popen(
        [sys.executable, "-m", "sim.cli", "sweep", "draws.toml", *words],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    try:
        while not (out.exists() and len(out.read_text().splitlines()) > 5):
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        first.send_signal(how)
        _, said = first.communicate(timeout=30)
    finally:
        first.kill()
    assert first.returncode == code
    before = out.read_text()
    assert 5 <= len(seeds_in(out)) < 60
    if how == signal.SIGINT:
        assert "the same command goes on from there" in said
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert out.read_text().startswith(before[: before.rindex("\n") + 1])
    assert sorted(seeds_in(out)) == list(range(1, 61))
    study = scenario.sweep(seeds="1:60", jobs=2, out=out)
    assert study.rows == uninterrupted


@pytest.mark.usefixtures("interruptible")
def test_one_interrupt_of_a_sweep_names_the_lines_of_programs_that_spin(draws):
    draws()
    line = ["--seeds", "1:9", "--jobs", "2", "--set", "node.one.args.stuck=true"]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "sim.cli", "sweep", "draws.toml", *line],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    try:
        while len(list(Path().glob("stuck-*"))) < 2:
            assert sweep.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        sweep.send_signal(signal.SIGINT)
        _, said = sweep.communicate(timeout=60)
    finally:
        sweep.kill()
    assert sweep.returncode == 130
    named = re.search(r"interrupted: (.*)", said)
    assert named is not None, said
    assert re.fullmatch(r"(seed \d: at 0 s, one was in main \(.*sweep_apps.py:\d+\), task main(; )?){2}", named[1])


def test_nothing_is_left_of_a_killed_sweep_even_in_a_run_that_never_ends(draws):
    draws()
    line = ["--seeds", "1:9", "--jobs", "2", "--set", "node.one.args.stuck=true"]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "sim.cli", "sweep", "draws.toml", *line],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(list(Path().glob("stuck-*"))) < 2:
        assert sweep.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    busy = workers_of(sweep.pid)
    assert len(busy) == 2
    sweep.kill()
    sweep.wait(timeout=30)
    while any(Path(f"/proc/{pid}/stat").exists() and state_of(pid) != "Z" for pid in busy):
        assert time.monotonic() < deadline
        time.sleep(0.01)
