"""An application and a scenario file to begin with, for every test of the format."""

from pathlib import Path

import pytest

APP = '''
"""An application of the tests."""
from contextlib import contextmanager


async def main(node, *, streams: int = 4, label: str = "x") -> None: ...
async def strict(node, *, needed: float) -> None: ...
async def plain() -> None: ...
def not_async(node) -> None: ...


@contextmanager
def defect():
    yield
'''


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an importable module with the applications above."""
    name = "scenario_test_app"
    (tmp_path / f"{name}.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name
