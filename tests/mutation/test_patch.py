"""What can be changed in a live module, and what cannot."""

import sys
from types import ModuleType

import pytest

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.patch import patched

SOURCE = """from contextlib import contextmanager
from functools import lru_cache
A = 1
def plain(a, b=2):
    return a + b
def around(a):
    def inner():
        return a + 1
    return inner()
class K:
    c = 3
    def method(self):
        return 40
    @property
    def prop(self):
        return 50
    @staticmethod
    def static():
        return 60
    @classmethod
    def of_class(cls):
        return 70
    def closes(self):
        super().__init__()
@contextmanager
def manager():
    yield 80
@lru_cache
def cached():
    return 90
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("a_module")
    monkeypatch.setitem(sys.modules, "a_module", module)
    exec(compile(SOURCE, "a_module.py", "exec"), module.__dict__)
    return module


def one(mutant: str) -> Mutant:
    (found,) = (found for found in mutants("a_module.py", SOURCE) if found.mutant == mutant)
    return found


@pytest.mark.parametrize(
    ("mutant", "call", "value"),
    [
        ("return (a - b)", "plain(1)", -1),
        ("return (a - 1)", "around(1)", 0),
        ("return 41", "K().method()", 41),
        ("return 51", "K().prop", 51),
        ("return 61", "K.static()", 61),
        ("return 71", "K.of_class()", 71),
        ("yield 81", "manager().__enter__()", 81),
        ("return 91", "cached()", 91),
    ],
)
def test_a_live_function_takes_the_code_of_a_mutant(module: ModuleType, mutant: str, call: str, value: int) -> None:
    found = patched(one(mutant))
    assert found is not None
    function, code = found
    function.__code__ = code
    assert eval(call, module.__dict__) == value


@pytest.mark.parametrize("mutant", ["A = 2", "c = 4", "def plain(a, b=3):", "def plain(a, b):"])
def test_what_ran_at_import_cannot_be_changed(module: ModuleType, mutant: str) -> None:
    assert patched(one(mutant)) is None


def test_a_function_that_closes_over_less_cannot_be_changed(module: ModuleType) -> None:
    (without_super,) = (found for found in mutants("a_module.py", SOURCE) if found.inside == "K.closes")
    assert patched(without_super) is None
