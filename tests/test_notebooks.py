"""Notebooks run top to bottom from any directory, are in step with their text, and carry no output."""

from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIMIT = 120
"""Seconds for all cells; on an idle machine they take about a quarter of a minute."""


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Each cell in turn, in a kernel that stands in that folder; a cell that raises ends it."""
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", resources=resources).execute()


def test_every_notebook_has_its_text_and_every_text_its_notebook() -> None:
    texts = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert texts == {path.stem for path in NOTEBOOKS}
    assert texts


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_in_step_with_its_text(path: Path) -> None:
    notebook, text = nbformat.read(path, as_version=4), jupytext.read(path.with_suffix(".py"))
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in text.cells
    ], f"bring them in step: jupytext --sync {path}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_output(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_the_public_api_and_defines_nothing(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert "def " not in cell.source
            assert not [line for line in cell.source.splitlines() if line.startswith(("from sim.", "import sim."))]


@pytest.mark.gate
@pytest.mark.timeout(2 * LIMIT)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_the_root_and_shows_its_pictures(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    run(notebook, ROOT)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    assert not [output for output in outputs if output.get("name") == "stderr"], "warnings on stderr"


@pytest.mark.gate
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_finds_the_project_from_any_folder_of_it(path: Path) -> None:
    """One kernel goes from folder to folder: to start it takes longer than the cell."""
    notebook = nbformat.read(path, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    forget = f"""
import os
folder = {str(ROOT / "notebooks")!r}
assert (str(root), sys.path.pop(0), os.getcwd()) == ({str(ROOT)!r}, {str(ROOT)!r}, folder)
os.chdir({str(ROOT / "tests" / "sim")!r})
del root, scenario
"""
    found = f"assert str(root) == sys.path[0] == {str(ROOT)!r} and scenario.summary"
    notebook.cells = [first, nbformat.v4.new_code_cell(forget), first.copy(), nbformat.v4.new_code_cell(found)]
    run(notebook, ROOT / "notebooks")
