"""The blocks of docs/howto/notebooks.md run, one after the other, as the cells of a notebook do."""

import asyncio
import re
from pathlib import Path

import sim
from sim.notebook import Picture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "notebooks.md").read_text()


def test_the_blocks_of_the_page_run(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    one, many, own = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    cells = {"asyncio": asyncio, "sim": sim}
    exec(one, cells)
    assert cells["run"].verdict == "holds"
    for name in re.findall(r"`run\.(\w+)", PAGE):
        assert hasattr(cells["run"], name)
    *before, last = many.replace('"1:50"', '"1:2"').strip().splitlines()
    exec("\n".join(before), cells)
    assert isinstance(eval(last, cells), Picture)
    for name in re.findall(r"`study\.(\w+)", PAGE):
        assert hasattr(cells["study"], name)
    exec(own, cells)


def test_the_notebooks_of_the_page_are_those_that_there_are():
    named = re.findall(r"notebooks/(\w+)\.ipynb\)", PAGE)
    assert named == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
