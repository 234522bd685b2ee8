"""The header of each module names its tests, and those exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [
    path
    for path in sorted((ROOT / "rpcnet").rglob("*.py"))
    if path.name not in ("__init__.py", "app.py", "cli.py", "peer.py") and "cluster" not in path.parts
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_module_names_tests_that_exist(path: Path) -> None:
    header = ast.get_docstring(ast.parse(path.read_text())) or ""
    _, found, named = header.partition("Tests")
    assert found, "it names no tests"
    folder = Path("tests/rpcnet")
    for name in re.findall(r"[\w/]*test_\w+\.py|tests/[\w/]+/", named):
        given = Path(name)
        if "/" in name:
            folder = given if name.endswith("/") else given.parent
        assert (ROOT / (given if "/" in name else folder / given)).exists() or (
            ROOT / "tests/rpcnet" / name
        ).exists(), name
