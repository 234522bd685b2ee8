"""The header of each module of sim names its tests, and those exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [
    path
    for path in sorted((ROOT / "sim").rglob("*.py"))
    if "This file is a list" not in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "sim").as_posix())
def test_each_module_names_tests_that_exist(path: Path) -> None:
    header = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    _, found, named = header.partition("Tests:")
    assert found, "it names no tests"
    mirrored = (ROOT / "tests" / path.relative_to(ROOT)).parent
    folder = mirrored.relative_to(ROOT)
    names = re.findall(r"tests/[\w/]+(?:\.py)?|\w+\.py", named)
    assert names, f"no name of a test in {named!r}"
    for name in names:
        if name.startswith("tests/"):
            folder = Path(name).parent
            assert (ROOT / name).exists(), name
        else:
            assert (ROOT / folder / name).exists() or (mirrored / name).exists(), name
