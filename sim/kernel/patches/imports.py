"""What is done to a module that is patched only where somebody imports it: now, or once that happens.

Knows modules by their names. Tests: tests/sim/kernel/patches/test_imports.py.
"""

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

from sim.kernel.patches import rebind

__all__ = ["when_imported"]


def when_imported(name: str, patch: Callable[[Any], object]) -> None:
    """Call `patch(module)` now, or when it has been imported; never after `rebind.undo`."""
    if name in sys.modules:
        patch(sys.modules[name])
        return
    finder = _Finder(name, patch)
    sys.meta_path.insert(0, finder)
    rebind.on_undo(finder.remove)


class _Finder:
    """Waits until it has been imported: it may be looked for, or its import fail, any number of times before."""

    def __init__(self, name: str, patch: Callable[[Any], object]) -> None:
        self._name, self._patch = name, patch
        self._asks = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self._name or self._asks:
            return None
        self._asks = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._asks = False
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            run = loader.exec_module

            def run_and_patch(module: Any) -> None:
                run(module)
                if self in sys.meta_path:  # it is not undone
                    self.remove()
                    self._patch(module)

            loader.exec_module = run_and_patch
        return spec

    def remove(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
