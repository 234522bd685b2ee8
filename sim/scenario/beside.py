"""Modules that a scenario names are found beside its file, wherever the command was started.

The working directory and what is installed come first: a directory is added to the end of `sys.path`, where a module of
that name lies in it. Of two files in two directories the later one's comes first. Knows no scenario.

Tests: tests/sim/scenario/test_beside.py.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["make_importable"]

_added: list[str] = []
"""Directories, the latest first."""


def make_importable(file: Path, name: str) -> str | None:
    """Let the module of `module:function` be imported from the file's directory, where it is there.

    Returns what is wrong where one of that name is loaded already that lies beside another file.
    """
    module = name.partition(":")[0].partition(".")[0]
    folder = str(file.resolve().parent)
    if not module or not (Path(folder, f"{module}.py").is_file() or Path(folder, module).is_dir()):
        return None
    _add(folder)
    loaded = sys.modules.get(module)
    found = [getattr(loaded, "__file__", None) or "", *getattr(loaded, "__path__", ())]
    places = [Path(place) for place in found if place]
    others = [other for other in _added if other != folder]
    if _any_below(places, others) and not _any_below(places, [folder]):
        return f"the module {module!r} that is loaded lies beside another file, not beside this one; run them apart"
    return None


def _any_below(places: Iterable[Path], folders: Sequence[str]) -> bool:
    return any(place.is_relative_to(folder) for place in places for folder in folders)


def _add(folder: str) -> None:
    if folder in sys.path:
        return
    first = next((sys.path.index(other) for other in _added if other in sys.path), len(sys.path))
    sys.path.insert(first, folder)
    _added.insert(0, folder)
