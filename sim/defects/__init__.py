"""Things to break, by name: each defect is a context manager function in a module of this package.

A scenario says in `catches` which defects must turn it red; `--defect NAME` switches one on by hand. A defect patches
one thing for as long as it is entered, in whatever process the application runs. `module:function` names one elsewhere.
Knows no scenario and no world.

Tests: tests/sim/defects/test_find.py.
"""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

__all__ = ["Defect", "UnknownDefect", "find", "names", "reference", "summary", "switched_on"]

Defect = Callable[[], AbstractContextManager[object]]


class UnknownDefect(LookupError):
    """No defect has that name; the text says which is nearest, or why its module cannot be imported."""


def names() -> list[str]:
    """Every defect that this package has, in alphabetical order."""
    return sorted(_all())


def find(name: str) -> Defect:
    """The defect of that name, or the one at `module:function`. Raises UnknownDefect."""
    if ":" in name:
        return _elsewhere(name)
    modules = [info.name for info in pkgutil.iter_modules(__path__)]
    # Most have a module of their own name: the others, and what they patch, need not be imported then.
    if name in modules and name in (own := _defects_of(name)):
        return own[name]
    known = _all()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f' did you mean "{near[0]}"?' if near else ""
        raise UnknownDefect(f'unknown defect "{name}";{hint} known: {", ".join(sorted(known)) or "none"}')
    return known[name]


def reference(name: str) -> str:
    """`module:function` of the defect of that name, for processes that know no names. Raises UnknownDefect."""
    return name if ":" in name else f"{find(name).__module__}:{name}"


def summary(name: str) -> str:
    """What the defect of that name breaks, in a line: the first one of its docstring, or of its module's."""
    defect = find(name)
    text = defect.__doc__ or inspect.getdoc(inspect.getmodule(defect)) or ""
    return text.strip().partition("\n")[0]


@contextmanager
def switched_on(wanted: Iterable[str]) -> Iterator[None]:
    """Enter the defects of these names, in order; leave them in reverse. Raises UnknownDefect before any is entered."""
    found = [find(name) for name in wanted]
    with ExitStack() as stack:
        for defect in found:
            stack.enter_context(defect())
        yield


def _all() -> dict[str, Defect]:
    found: dict[str, Defect] = {}
    for info in pkgutil.iter_modules(__path__):
        found.update(_defects_of(info.name))
    return found


def _defects_of(module_name: str) -> dict[str, Defect]:
    """What `@contextmanager` made in this module: it leaves the generator function it wraps in `__wrapped__`."""
    try:
        module = importlib.import_module(f"{__name__}.{module_name}")
    except Exception as error:
        raise UnknownDefect(f"{__name__}.{module_name} cannot be imported: {type(error).__name__}: {error}") from error
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and inspect.isgeneratorfunction(getattr(value, "__wrapped__", None))
    }


def _elsewhere(name: str) -> Defect:
    module_name, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), function)
    except Exception as error:
        raise UnknownDefect(f'defect "{name}" cannot be imported: {type(error).__name__}: {error}') from error
    if not callable(found):
        raise UnknownDefect(f'defect "{name}" is no function that returns a context manager')
    return found  # type: ignore[no-any-return]
