"""A module that is patched once somebody imports it, whatever happens before that."""

import importlib
import importlib.util
import sys

import pytest

from sim.kernel import patches
from sim.kernel.patches.imports import when_imported


@pytest.fixture
def late(tmp_path, monkeypatch):
    """The file of a module that nobody has imported, and a list of what was patched."""
    monkeypatch.syspath_prepend(tmp_path)
    patched = []
    patches.install()
    when_imported("imported_late", patched.append)
    yield tmp_path / "imported_late.py", patched
    patches.undo()
    sys.modules.pop("imported_late", None)


def test_a_module_is_patched_when_it_is_imported(late):
    file, patched = late
    file.write_text("")
    assert patched == []
    module = importlib.import_module("imported_late")
    assert patched == [module]
    importlib.reload(module)
    assert patched == [module]


def test_to_look_whether_a_module_is_installed_is_no_import(late):
    file, patched = late
    file.write_text("")
    assert importlib.util.find_spec("imported_late") is not None
    module = importlib.import_module("imported_late")
    assert patched == [module]


def test_a_module_is_patched_after_an_import_that_failed(late):
    file, patched = late
    file.write_text("import there_is_no_such_module")
    with pytest.raises(ImportError):
        importlib.import_module("imported_late")
    file.write_text("# another text")
    importlib.invalidate_caches()
    module = importlib.import_module("imported_late")
    assert patched == [module]


def test_nothing_is_patched_after_undo(late):
    file, patched = late
    file.write_text("")
    patches.undo()
    importlib.import_module("imported_late")
    assert patched == []
