"""A short run of each fuzzer with atheris, which `make test` makes; CONTRIBUTING.md says how to run one for long."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SECONDS = {"server": 6, "client": 5, "parser": 2, "sealed": 3, "packet": 4}


@pytest.mark.gate
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this platform")
@pytest.mark.parametrize("target", SECONDS)
def test_some_seconds_of_fuzzing_find_nothing(target: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.fuzz", target, "--seconds", str(SECONDS[target])]
    done = subprocess.run(
        [*command, "--found", str(tmp_path)], cwd=root, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Done " in done.stderr, "it has run for its time"
