"""What the README shows is what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sim

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The code blocks of the README in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_readme_has_two_commands_and_both_are_targets() -> None:
    (commands,) = blocks("sh")
    makefile = (ROOT / "Makefile").read_text()
    assert commands.splitlines() == ["make run", "make test"]
    for command in commands.splitlines():
        assert re.search(rf"^{command.removeprefix('make ')}:", makefile, re.MULTILINE)


def test_every_link_of_the_readme_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(targets) > 5
    for target in targets:
        assert (ROOT / target).exists(), target


@pytest.mark.gate
def test_the_scenario_of_the_readme_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (scenario,) = blocks("toml")
    (tmp_path / "first_look.toml").write_text(scenario)
    run = sim.Scenario.load(tmp_path / "first_look.toml").run()
    assert run.verdict == "holds", [(e.name, e.saw) for e in run.expectations]


def test_the_service_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (service,) = blocks("python")
    assert len([line for line in service.splitlines() if line]) <= 16
    (tmp_path / "service.py").write_text(service)
    done = subprocess.run(
        [sys.executable, "-W", "error", tmp_path / "service.py"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("3\n2\n1\n", "")
