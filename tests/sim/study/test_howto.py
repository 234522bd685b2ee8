"""docs/howto/sweeps.md: its Python runs and its matrix is one."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "howto" / "sweeps.md").read_text(encoding="utf-8")


@pytest.mark.gate
def test_the_python_of_the_page_runs_and_its_rows_are_as_it_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "sweeps.md", "exec"), names)
    study = names["study"]
    assert len(study.rows) == 8
    assert set(study.rows[0]) >= {"seed", "verdict", "digest", "cluster.suspicion_multiplier", "detection_p99", "error"}


def test_the_matrix_of_the_page_is_as_many_runs_as_it_says(draws):
    from sim.study import plan

    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(plan(draws(block))) == 600
    assert tomllib.loads(block)["sweep"]["seeds"] == "1:100"
