"""docs/tutorial.md, followed to the letter: its files are written, its commands run, its output compared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(command: str, directory: Path) -> str:
    """One command line of the page; a comment says with what it exits."""
    line, _, comment = command.partition("#")
    wanted = int(comment.removeprefix(" exits with ")) if comment else 0
    found = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    done = subprocess.run(
        line.split(), cwd=directory, env=os.environ | found, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == wanted, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.gate
@pytest.mark.timeout(300)
def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    python = [text for language, text in BLOCKS if language == "python"]
    program, given_up, replaced, added, imported = python
    scenario, fault = (text for language, text in BLOCKS if language == "toml")
    assert given_up in program
    mended = program.replace(given_up, replaced).replace(
        "\n\nasync def find_till", f"\n\n{added}\n\nasync def find_till"
    )
    mended = re.sub(r"^from rpcnet import .*\n", imported, mended, flags=re.MULTILINE)
    steps = [(program, scenario), (program, f"{scenario}\n{fault}"), (mended, f"{scenario}\n{fault}")]

    commands = [text.splitlines() for language, text in BLOCKS if language == "sh"]
    outputs = [text.splitlines() for language, text in BLOCKS if language == "text"]
    for (code, file), lines, shown in zip(steps, commands, outputs, strict=True):
        (tmp_path / "till.py").write_text(code, encoding="utf-8")
        (tmp_path / "till.toml").write_text(file, encoding="utf-8")
        seen = "".join(run(line, tmp_path) for line in lines)
        for line in shown:
            assert line in seen
    assert (tmp_path / "report" / "index.html").exists()


def test_every_link_of_the_tutorial_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
