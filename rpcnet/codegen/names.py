"""Types as text, and the imports that the text needs.

A name is imported as it is, unless it is taken: by a method or a parameter of the service, which would hide it, or by
another import. Then it has underscores behind it. What is written depends on the types alone, and on the order in which
they are asked for.

Knows nothing of services. Tests: tests/rpcnet/codegen/test_names.py.
"""

import builtins
import importlib
import types
from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin

from rpcnet.codegen.layout import WIDTH, Group, Item, laid_out

__all__ = ["Names", "UnwritableType"]

_BUILTINS: Final = "builtins"
_PART: Final = 24
"""Columns: a longer member of a union that does not fit has a name of its own."""


class UnwritableType(TypeError):
    """A type that no other module can name."""


class Names:
    """The names of one module that is being written."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._imported: dict[tuple[str, str], str] = {}
        self._aliases: dict[str, tuple[str, list[str]]] = {}
        """By text of the type: its name, and the lines that define it."""

    def imported(self, module: str, name: str) -> str:
        """By which name something of another module goes here."""
        known = self._imported.get((module, name))
        if known is None:
            known = name
            while known in self._taken:
                known += "_"
            self._taken.add(known)
            self._imported[module, name] = known
        return known

    def fitting(self, kind: Any, room: int) -> str:
        """The text of a type in at most `room` columns; one that is longer has a name of its own in the module."""
        text = self.text(kind)
        if len(text) <= room:
            return text
        kind = _plain(kind)
        arguments = get_args(kind)
        origin = get_origin(kind)
        if not arguments or origin is Literal:
            return text
        if origin in (Union, types.UnionType):
            arguments = _none_last(arguments)
            parts = " | ".join(self.fitting(one, _PART) for one in arguments)
            if len(parts) <= room:
                return parts
            head = self.imported("typing", "Union")
        else:
            head = self._of_class(origin)
            if len(arguments) == 1:  # no comma may stand behind a single one
                return f"{head}[{self.fitting(arguments[0], room - len(head) - 2)}]"
        return self._alias(text, head, arguments)

    def _alias(self, text: str, head: str, arguments: tuple[Any, ...]) -> str:
        if text not in self._aliases:
            items: list[Item] = [self.fitting(one, WIDTH - 5) for one in arguments]
            number = len(self._aliases) + 1
            while (name := f"Type{number}") in self._taken:
                number += 1
            self._taken.add(name)
            alias = self.imported("typing", "TypeAlias")
            self._aliases[text] = name, laid_out(Group(f"{name}: {alias} = {head}", items, brackets="[]"))
        return self._aliases[text][0]

    def aliases(self) -> list[str]:
        """The lines that define the types with names of their own; each after those that it needs."""
        return [line for _, lines in self._aliases.values() for line in lines]

    def imports(self) -> list[str]:
        """The import statements."""
        by_module: dict[str, list[str]] = {}
        for (module, name), known in self._imported.items():
            if module != _BUILTINS or known != name:
                by_module.setdefault(module, []).append(name if known == name else f"{name} as {known}")
        lines: list[str] = []
        for module in sorted(by_module):
            names = sorted(by_module[module])
            flat = f"from {module} import {', '.join(names)}"
            lines += [flat] if len(flat) <= WIDTH else laid_out(Group(f"from {module} import ", names))
        return lines

    def text(self, kind: Any) -> str:
        """A type as an expression. UnwritableType where no other module can name it."""
        kind = _plain(kind)
        if kind is None or kind is type(None):
            return "None"
        if kind is Any:
            return self.imported("typing", "Any")
        if kind is Ellipsis:
            return "..."
        if isinstance(kind, NewType) or type(kind).__name__ == "TypeAliasType":
            return self._of_module(kind, kind.__module__ or "", kind.__name__)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            return " | ".join(map(self.text, _none_last(arguments)))
        if origin is Literal:
            return f"{self.imported('typing', 'Literal')}[{', '.join(map(self._literal, arguments))}]"
        if origin is not None:
            if not arguments and kind != tuple[()]:
                return self._of_class(origin)  # as typing.List
            inside = ", ".join(map(self.text, arguments)) or "()"
            return f"{self._of_class(origin)}[{inside}]"
        return self._of_class(kind)

    def _literal(self, value: Any) -> str:
        if isinstance(value, Enum):
            return f"{self._of_class(type(value))}.{value.name}"
        return _double_quoted(value) if isinstance(value, str) else repr(value)

    def _of_class(self, kind: Any) -> str:
        if not isinstance(kind, type):
            raise UnwritableType(f"{kind!r} cannot be written as a type of another module")
        return self._of_module(kind, kind.__module__, kind.__qualname__)

    def _of_module(self, kind: Any, module: str, qualified: str) -> str:
        found: Any = builtins if module == _BUILTINS else _imported_module(module)
        for part in qualified.split("."):
            found = getattr(found, part, None)
        if found is not kind:
            raise UnwritableType(
                f"{qualified} of {module} cannot be imported from there; define it at the top of a module"
            )
        first, dot, rest = qualified.partition(".")
        return self.imported(module, first) + dot + rest


def _imported_module(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def _none_last(kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*(one for one in kinds if one is not type(None)), *(one for one in kinds if one is type(None)))


def _plain(kind: Any) -> Any:
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind


def _double_quoted(text: str) -> str:
    quoted = repr(text)
    return quoted if quoted[0] == '"' or '"' in text else f'"{quoted[1:-1]}"'
