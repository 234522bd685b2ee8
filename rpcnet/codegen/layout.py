"""Lines of Python as a formatter leaves them, whatever length of line it is set to, from `WIDTH` on.

What fits into `WIDTH` columns goes on one line. What does not goes on a line an item with a comma behind the last one,
which formatters (ruff, black) keep as it is, also where they would allow longer lines.

Knows nothing of services. Tests: tests/rpcnet/codegen/test_layout.py.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["WIDTH", "Group", "docstring", "laid_out"]

WIDTH: Final = 88
"""The default of ruff and black."""
INDENT: Final = "    "


@dataclass(frozen=True, slots=True)
class Group:
    """Items in brackets, with what stands before and behind: a call, a signature, a dict, a list of imports."""

    head: str
    items: "Sequence[Item]"
    tail: str = ""
    brackets: str = "()"

    def __str__(self) -> str:
        return f"{self.head}{self.brackets[0]}{', '.join(map(str, self.items))}{self.brackets[1]}{self.tail}"


Item: TypeAlias = str | Group


def laid_out(item: Item, depth: int = 0, behind: str = "") -> list[str]:
    """The lines of one statement, or one item of it; `behind` follows it on its last line."""
    margin = INDENT * depth
    flat = f"{margin}{item}{behind}"
    if isinstance(item, str) or not item.items or len(flat) <= WIDTH:
        return [flat]
    inside = [line for one in item.items for line in laid_out(one, depth + 1, ",")]
    return [f"{margin}{item.head}{item.brackets[0]}", *inside, f"{margin}{item.brackets[1]}{item.tail}{behind}"]


def docstring(text: str, depth: int) -> list[str]:
    """A docstring of one paragraph."""
    margin = INDENT * depth
    text = " ".join(text.split()).replace("\\", "\\\\").replace('"""', r"\"\"\"")
    if len(margin) + len(text) + 6 <= WIDTH and not text.endswith('"'):
        return [f'{margin}"""{text}"""']
    whole = textwrap.TextWrapper(
        WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )
    return [*whole.wrap(f'"""{text}'), f'{margin}"""']
