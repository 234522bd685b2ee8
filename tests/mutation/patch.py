"""Gives a live function the code that a mutant has for it, so that nothing need be imported or collected anew.

Only what stands in the body of a function can be changed so: defaults, decorators, constants and bodies of classes were
run when their module was imported.

Tests: tests/mutation/test_patch.py.
"""

import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from tests.mutation.mutants import Mutant

__all__ = ["patched"]


def patched(mutant: Mutant) -> tuple[FunctionType, CodeType] | None:
    """The live function and its code in the mutant; None where the change is not within one that can be found."""
    function = _function(mutant)
    if function is None:
        return None
    old = function.__code__
    module = compile(mutant.text, old.co_filename, "exec", dont_inherit=True)
    found = [code for code in _codes(module) if code.co_qualname == old.co_qualname]
    # Of overloads the last is the function itself. One that closes over other names cannot take the code.
    if not found or found[-1].co_freevars != old.co_freevars:
        return None
    return function, found[-1]


def _function(mutant: Mutant) -> FunctionType | None:
    """The outermost function around the change."""
    here: Any = sys.modules.get(mutant.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    for name in mutant.inside.split("."):
        here = vars(here).get(name) if hasattr(here, "__dict__") else None
        if isinstance(here, property):
            here = here.fget if here.fset is None else None
        elif isinstance(here, staticmethod | classmethod):
            here = here.__func__
        if isinstance(here, type):
            continue
        plain = None if here is None else inspect.unwrap(here)
        # A name that is bound to another function than the one that is defined there is not to be changed.
        is_it = isinstance(plain, FunctionType) and plain.__code__.co_name == name
        return plain if is_it and isinstance(plain, FunctionType) else None
    return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
