"""`python`: a function of one's own judges: `function(trace, **keys)`.

`trace` is the run's Context: iterating over it gives its events, `trace.history` and the rest are there as well. `keys`
are the other keys of the table. The function answers with a Judgement, a Verdict, or True or False; an AssertionError
is a verdict too.

Tests: tests/sim/scenario/expect/test_python.py.
"""

import importlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import msgspec

from sim.scenario.verdict import (
    Context,
    DeclaredFault,
    Expectation,
    ExpectationError,
    Judgement,
    Select,
    Verdict,
)

__all__ = ["Python"]


class Python(Expectation, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Judged by a function. Measures what its Judgement measures."""

    KEY: ClassVar[str] = "python"
    MEASURES: ClassVar[tuple[str, ...] | None] = None

    python: str
    """`module:function`."""
    keys: dict[str, Any] = msgspec.field(default_factory=dict)
    """Its keyword arguments: in a file, the other keys of the table."""

    def mistakes(self, faults: Sequence[DeclaredFault], select: Select) -> Iterator[ExpectationError]:
        yield from super().mistakes(faults, select)
        try:
            self._function()
        except ExpectationError as error:
            yield error

    def examine(self, context: Context) -> Judgement:
        function = self._function()
        try:
            answer = function(context, **self.keys)
        except AssertionError as error:
            said = next(iter(str(error).splitlines()), "")
            return self.answer(Verdict.FAILS, said or f"an assertion failed: {_where(error)}")
        except Exception as error:
            # A judge that breaks has not judged in favour: say what broke, keep the other verdicts.
            return self.answer(Verdict.FAILS, f"{self.python} raised {type(error).__name__}: {error} ({_where(error)})")
        if isinstance(answer, Judgement):
            return replace(answer, name=self.title)
        if isinstance(answer, bool):
            answer = Verdict.HOLDS if answer else Verdict.FAILS
        if isinstance(answer, Verdict):
            return self.answer(answer, f"{self.python} says that it {_SAYS[answer]}")
        text = f"{self.python} returned {answer!r:.60}, not a Judgement, a Verdict or a bool"
        return self.answer(Verdict.FAILS, text)

    def _function(self) -> Callable[..., object]:
        """The function. Raises ExpectationError."""
        module, _, name = self.python.partition(":")
        if not module or not name or module.startswith("."):
            raise ExpectationError(f'python = "{self.python}" is not of the form "module:function"', key="python")
        try:
            function = getattr(importlib.import_module(module), name)
        except Exception as error:  # whatever the module's own code raises
            raise ExpectationError(f'python = "{self.python}" cannot be imported: {error}', key="python") from error
        if not callable(function):
            raise ExpectationError(f'python = "{self.python}" is not a function', key="python")
        return function  # type: ignore[no-any-return]


_SAYS = {Verdict.HOLDS: "holds", Verdict.FAILS: "fails", Verdict.INCONCLUSIVE: "is inconclusive"}


def _where(error: BaseException) -> str:
    """`file:line` of where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
