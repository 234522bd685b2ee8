"""What stands below the fields of a struct in its source: the sentences that pages and editors show.

Tests: tests/sim/scenario/test_docs.py, tests/sim/scenario/test_json_schema.py.
"""

import ast
import inspect
from itertools import pairwise

__all__ = ["sentences"]


def sentences(kind: type) -> dict[str, str]:
    """Field → its sentence, of a class and of those of ours that it is made from."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] in ("rpcnet", "sim"):
            found |= _own(base)
    return found


def _own(kind: type) -> dict[str, str]:
    (body,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
