"""The scenarios that ship: each holds, in both worlds, and each fails when what it guards is broken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sim
from sim.defects import names
from sim.scenario.run import Run

ROOT = Path(__file__).parent.parent
SCENARIOS = sorted((ROOT / "scenarios").glob("*.toml"))
LARGE = sorted((ROOT / "scenarios" / "large").glob("*.toml"))
CAUGHT = [(path, defect) for path in SCENARIOS for defect in sim.Scenario.load(path).catches]
CAUGHT_LARGE = [(path, defect) for path in LARGE for defect in sim.Scenario.load(path).catches]
SHORTEST = min(SCENARIOS, key=lambda path: sim.Scenario.load(path).duration)

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def stem(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(value)


def what_went_wrong(run: Run) -> str:
    """One line an expectation, for the message of a failed assertion."""
    return "\n".join(f"{e.verdict}: {e.name}: {e.saw}" for e in run.expectations) + f"\nerror: {run.error}"


def test_every_scenario_names_a_defect_and_every_defect_has_its_scenario() -> None:
    assert {path for path, _ in CAUGHT} == set(SCENARIOS)
    assert {path for path, _ in CAUGHT_LARGE} == set(LARGE)
    assert {defect for _, defect in CAUGHT} == set(names())


def test_every_scenario_opens_with_its_question_and_says_what_turns_it_red() -> None:
    for path in SCENARIOS + LARGE:
        opening = path.read_text().partition("\n\n")[0]
        assert all(line.startswith("#") for line in opening.splitlines()), path
        assert "?" in opening, f"{path.name} asks nothing"
        assert "Red when" in opening, f"{path.name} does not say which change of the code turns it red"


@pytest.mark.gate
@pytest.mark.parametrize("path", SCENARIOS, ids=stem)
def test_a_scenario_holds_in_the_simulator(path: Path) -> None:
    run = sim.Scenario.load(path).run()
    assert run.verdict == "holds", what_went_wrong(run)


@pytest.mark.gate
@pytest.mark.parametrize(("path", "defect"), CAUGHT, ids=stem)
def test_a_scenario_fails_with_each_defect_that_it_catches(path: Path, defect: str) -> None:
    run = sim.Scenario.load(path).run(defects=[defect])
    assert run.verdict == "fails", what_went_wrong(run)
    # It must fail because an expectation saw the defect, not because the run broke down.
    assert run.error is None
    assert any(e.verdict == "fails" and e.saw for e in run.expectations)


@pytest.mark.gate
def test_a_short_scenario_holds_over_sockets() -> None:
    run = sim.Scenario.load(SHORTEST).run(backend="sockets")
    assert run.verdict == "holds", what_went_wrong(run)


def digests(paths: list[Path], hash_seed: int, *more: str) -> dict[str, str]:
    """Run these scenarios in one process of its own; their digests by name."""
    command = [str(Path(sys.executable).with_name("rpcnet-sim")), "run", *map(str, paths), "--json", *more]
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    return {run["scenario"]: run["digest"] for run in runs}


@pytest.mark.gate
@pytest.mark.parametrize(
    "paths", [SCENARIOS[::3], pytest.param(SCENARIOS, marks=pytest.mark.slow)], ids=["each third", "all"]
)
def test_the_same_seed_gives_the_same_run_in_any_process_and_another_seed_another(paths: list[Path]) -> None:
    first = digests(paths, 1)
    assert len(first) == len(paths)
    assert digests(paths, 2) == first
    other = digests(paths, 1, "--seed", "1000003")
    assert [name for name in first if other[name] == first[name]] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", LARGE, ids=stem)
def test_a_large_scenario_holds_in_the_simulator(path: Path) -> None:
    run = sim.Scenario.load(path).run()
    assert run.verdict == "holds", what_went_wrong(run)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("path", "defect"), CAUGHT_LARGE, ids=stem)
def test_a_large_scenario_fails_with_each_defect_that_it_catches(path: Path, defect: str) -> None:
    run = sim.Scenario.load(path).run(defects=[defect])
    assert run.verdict == "fails", what_went_wrong(run)
    assert run.error is None


@pytest.mark.slow
@pytest.mark.parametrize("path", SCENARIOS, ids=stem)
def test_a_scenario_holds_over_sockets(path: Path) -> None:
    run = sim.Scenario.load(path).run(backend="sockets")
    assert run.verdict == "holds", what_went_wrong(run)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 201, 25))
@pytest.mark.parametrize("path", SCENARIOS, ids=stem)
def test_a_scenario_holds_with_200_seeds(path: Path, first: int) -> None:
    scenario = sim.Scenario.load(path)
    for seed in range(first, first + 25):
        run = scenario.run(seed=seed)
        assert run.verdict == "holds", f"seed {seed}: {what_went_wrong(run)}"
