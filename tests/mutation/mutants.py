"""One source file in, its mutants out: each differs from the file in one node of its syntax tree.

Knows Python's syntax only: no test, no process. The rest of the file stays as it is, byte by byte, so that a mutant can
be shown as a short diff. What no test can or should notice is left alone: annotations, docstrings, `__all__`,
`__slots__`, assertions (they say what cannot happen), texts, overloads (type checkers alone read them), and what is
written to the log at level debug.

Tests: tests/mutation/test_mutants.py.
"""

import ast
import copy
import difflib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Mutant", "mutants"]

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.BitXor: ast.BitAnd,
}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}
REMOVABLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Raise, ast.Delete)
SKIPPED_NAMES = {"__all__", "__slots__"}


@dataclass(frozen=True)
class Mutant:
    """One change of one file. `inside` is the function or class around it, "" at the top of the module."""

    file: str
    inside: str
    first: int
    last: int
    """Lines of the statement that was changed, by which tests are chosen."""
    original: str
    text: str

    @cached_property
    def diff(self) -> str:
        lines = difflib.unified_diff(self.original.splitlines(), self.text.splitlines(), "before", "after", "", "", n=1)
        return "\n".join(line.rstrip() for line in list(lines)[2:])

    @cached_property
    def line(self) -> str:
        """The lines that it changes, without their indentation."""
        return self._changed("-")

    @cached_property
    def mutant(self) -> str:
        """What stands there instead."""
        return self._changed("+")

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names a mutant as long as its line and the function around it stay what they are."""
        return self.file, self.inside, self.line, self.mutant

    def _changed(self, sign: str) -> str:
        return " ".join(line[1:].strip() for line in self.diff.splitlines() if line.startswith(sign))


def mutants(file: str, source: str, inside: Container[str] | None = None) -> list[Mutant]:
    """Every mutant of a file that compiles, in the order of its lines; `inside`: of these functions alone."""
    found: dict[str, Mutant] = {}
    for mutant in _Walk(file, source).run():
        if inside is not None and mutant.inside not in inside:
            continue
        if mutant.text not in found and mutant.text != source and _compiles(mutant.text):
            found[mutant.text] = mutant
    return sorted(found.values(), key=lambda mutant: mutant.first)


def _compiles(text: str) -> bool:
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


class _Walk:
    """Goes down the tree and notes the statement and function that it is in."""

    def __init__(self, file: str, source: str) -> None:
        self._file, self._source = file, source
        self._bytes = source.encode()
        self._starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._inside: list[str] = []
        self._statement: ast.stmt | None = None

    def run(self) -> Iterator[Mutant]:
        yield from self._body(ast.parse(self._source).body)

    def _body(self, statements: list[ast.stmt]) -> Iterator[Mutant]:
        for place, statement in enumerate(statements):
            if place == 0 and _is_text(statement):
                continue
            yield from self._visit_statement(statement)

    def _visit_statement(self, statement: ast.stmt) -> Iterator[Mutant]:
        if _is_left_alone(statement):
            return
        before, self._statement = self._statement, statement
        yield from self._of_statement(statement)
        for name, value in ast.iter_fields(statement):
            if name in ("annotation", "returns", "decorator_list", "type_params", "bases", "keywords"):
                continue
            if name in ("body", "orelse", "finalbody") and isinstance(value, list):
                named = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                if named:
                    self._inside.append(statement.name)
                yield from self._body(value)
                if named:
                    self._inside.pop()
                self._statement = statement
            else:
                yield from self._visit_field(value)
        self._statement = before

    def _visit_field(self, value: object) -> Iterator[Mutant]:
        if isinstance(value, list):
            for part in value:
                yield from self._visit_field(part)
        elif isinstance(value, ast.ExceptHandler | ast.match_case):
            if isinstance(value, ast.match_case) and value.guard is not None:
                yield from self._visit(value.guard)
            yield from self._body(value.body)
        elif isinstance(value, ast.arguments):
            yield from self._of_arguments(value)
        elif isinstance(value, ast.withitem):
            yield from self._visit(value.context_expr)
        elif isinstance(value, ast.expr):
            yield from self._visit(value)

    def _visit(self, node: ast.AST) -> Iterator[Mutant]:
        # Places inside a formatted text are wrong before Python 3.12.
        if isinstance(node, ast.JoinedStr):
            return
        if isinstance(node, ast.arguments):
            yield from self._of_arguments(node)
            return
        if isinstance(node, ast.expr):
            yield from self._of_expression(node)
        for child in ast.iter_child_nodes(node):
            yield from self._visit(child)

    # What is made of a node.

    def _of_statement(self, node: ast.stmt) -> Iterator[Mutant]:
        declares = isinstance(node, ast.AnnAssign) and node.value is None
        if isinstance(node, REMOVABLE) and not declares and (self._inside or isinstance(node, ast.Expr)):
            yield self._spliced(node, "pass")
        if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
            yield self._spliced(node.value, "None")
        if isinstance(node, ast.Break):
            yield self._spliced(node, "continue")
        if isinstance(node, ast.Continue):
            yield self._spliced(node, "break")
        if isinstance(node, ast.If | ast.While):
            yield from self._negated(node.test)
        if isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
            changed = copy.copy(node)
            changed.op = ARITHMETIC[type(node.op)]()
            yield self._spliced(node, ast.unparse(changed))

    def _of_expression(self, node: ast.expr) -> Iterator[Mutant]:
        match node:
            case ast.Compare():
                for place, operator in enumerate(node.ops):
                    for other in COMPARISONS[type(operator)]:
                        changed = copy.copy(node)
                        changed.ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
                        yield self._replaced(node, changed)
            case ast.BoolOp():
                other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
                yield self._replaced(node, ast.BoolOp(other, node.values))
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
                yield self._replaced(node, node.operand)
            case ast.BinOp() if type(node.op) in ARITHMETIC:
                yield self._replaced(node, ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right))
            case ast.IfExp():
                yield from self._negated(node.test)
            case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS:
                yield self._spliced(node.func, FUNCTIONS[name])
            case ast.Constant(value=bool(value)):
                yield self._spliced(node, str(not value))
            case ast.Constant(value=int(value) | float(value)):
                yield self._spliced(node, str(value + 1))
                yield self._spliced(node, str(value - 1))
            case ast.Dict():
                yield from self._without_an_entry(node)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                for generator in node.generators:
                    for test in generator.ifs:
                        yield from self._negated(test)

    def _without_an_entry(self, node: ast.Dict) -> Iterator[Mutant]:
        keys = [key for key in node.keys if key is not None]
        if len(keys) < len(node.keys):
            return  # there is `**other` among them
        starts = [self._place(key.lineno, key.col_offset) for key in keys]
        ends = [self._end(value) for value in node.values]
        for place, start in enumerate(starts):
            if place + 1 < len(starts):
                yield self._cut(start, starts[place + 1], "")
            elif place:
                yield self._cut(ends[place - 1], ends[place], "")
            else:
                yield self._cut(start, self._end(node) - 1, "")

    def _negated(self, test: ast.expr) -> Iterator[Mutant]:
        if not isinstance(test, ast.Compare) and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            yield self._replaced(test, ast.UnaryOp(ast.Not(), test))

    def _of_arguments(self, arguments: ast.arguments) -> Iterator[Mutant]:
        """Defaults: changed as any expression, and missing."""
        positional = [*arguments.posonlyargs, *arguments.args]
        pairs = [
            *zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]
        for argument, default in pairs:
            if default is not None:
                start = self._place(argument.end_lineno, argument.end_col_offset)
                yield self._cut(start, self._end(default), "")
                yield from self._visit(default)

    # How it is written.

    def _replaced(self, node: ast.expr, new: ast.expr) -> Mutant:
        return self._spliced(node, f"({ast.unparse(ast.fix_missing_locations(new))})")

    def _spliced(self, node: ast.AST, text: str) -> Mutant:
        return self._cut(self._place(node.lineno, node.col_offset), self._end(node), text)  # type: ignore[attr-defined]

    def _cut(self, start: int, stop: int, text: str) -> Mutant:
        statement = self._statement
        assert statement is not None, "every node is part of a statement"
        changed = (self._bytes[:start] + text.encode() + self._bytes[stop:]).decode()
        last = statement.end_lineno or statement.lineno
        body = getattr(statement, "body", None)
        if isinstance(body, list) and body:
            last = max(statement.lineno, body[0].lineno - 1)  # the head of a compound statement
        return Mutant(self._file, ".".join(self._inside), statement.lineno, last, self._source, changed)

    def _place(self, line: int | None, column: int | None) -> int:
        assert line is not None and column is not None, "the parser gives every node its place"
        return self._starts[line - 1] + column

    def _end(self, node: ast.AST) -> int:
        return self._place(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_left_alone(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assert | ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal) or _is_text(
        statement
    ):
        return True
    if isinstance(statement, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id in SKIPPED_NAMES for target in statement.targets)
    if isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING":
        return True
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return any(isinstance(one, ast.Name) and one.id == "overload" for one in statement.decorator_list)
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and ast.unparse(statement.value.func) == "log.debug"
    )
