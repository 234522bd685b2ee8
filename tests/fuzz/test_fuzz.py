"""A short run of each fuzzer with atheris, which `make test` makes; CONTRIBUTING.md says how to run one for long."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.mark.gate
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this platform")
def test_some_seconds_of_fuzzing_each_target_find_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.fuzz", "all", "--seconds", "4", "--found", str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    targets = len(list(tmp_path.iterdir()))
    assert done.stderr.count("\nDone ") == targets == 5, "each has run for its time"
