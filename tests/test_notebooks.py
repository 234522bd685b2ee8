"""Notebooks run top to bottom from any directory, are in step with their text, and show what they are kept with."""

from itertools import groupby
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OF_SCENARIOS = [path for path in NOTEBOOKS if "sim.Scenario.load" in path.read_text()]
MAX_BYTES = 600_000
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


def kinds(notebook: nbformat.NotebookNode) -> list[list[tuple[str, ...]]]:
    """What each cell shows: streams by name, pictures and tables by what they are.

    A kernel cuts one stream into pieces as it likes.
    """
    cells = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return [
        [kind for kind, _ in groupby((o.output_type, o.get("name", ""), *sorted(o.get("data", {}))) for o in outputs)]
        for outputs in cells
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_what_it_showed_when_it_was_run_from_top_to_bottom(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert any(cell.outputs for cell in cells)
    assert path.stat().st_size < MAX_BYTES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_the_public_api(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert not [line for line in cell.source.splitlines() if line.startswith(("from sim.", "import sim."))]


@pytest.mark.parametrize("path", OF_SCENARIOS, ids=lambda path: path.stem)
def test_a_notebook_of_a_scenario_defines_nothing(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.cell_type != "code" or "def " not in cell.source


@pytest.mark.gate
@pytest.mark.timeout(2 * LIMIT)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_the_root_and_shows_what_is_kept_of_it(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    kept = kinds(notebook)
    run(notebook, ROOT)
    assert kinds(notebook) == kept
    assert not [output for cell in kept for output in cell if "stderr" in output], "warnings on stderr"


@pytest.mark.gate
@pytest.mark.parametrize("path", OF_SCENARIOS, ids=lambda path: path.stem)
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
