"""What a server has: each method with its shape, parameters, types and a line of text, for people and programs.

`rpcnet.reflection/list` and `/describe` answer with it, and the shell's `rpcnet list` and `rpcnet call` read it. Knows
no server: a `Method` in, a description out. docs/protocol.md, "Built-in methods".

Tests: tests/rpcnet/test_reflection.py.
"""

import functools
import inspect
import types
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from rpcnet.schema import json_schema
from rpcnet.service import LEFT_OUT, Method, Signature
from rpcnet.wire.frame import SHAPES

__all__ = ["DESCRIBE", "LIST", "MethodDescription", "ParameterDescription", "TypeDescription", "described"]

LIST: Final = "rpcnet.reflection/list"
DESCRIBE: Final = "rpcnet.reflection/describe"
LONGEST_DEFAULT: Final = 60
"""Characters of a default in a signature; a longer one is left out."""
LONGEST_DOC: Final = 500
"""Characters of a line of documentation."""


@dataclass(frozen=True)
class TypeDescription:
    """A type of payloads."""

    text: str
    """As Python writes it, without the names of modules."""
    schema: dict[str, Any] | None = None
    """JSON Schema, where there is one. Maps whose keys are no text have `propertyNames` (rpcnet/schema.py)."""


@dataclass(frozen=True)
class ParameterDescription:
    """One of the arguments that travel in a map."""

    name: str
    type: TypeDescription
    optional: bool = False
    """It has a default."""


@dataclass(frozen=True)
class MethodDescription:
    """A method, and how it is called."""

    name: str
    shape: str
    """unary, client_streaming, server_streaming or bidirectional."""
    signature: str = ""
    """For people: `(key: str, stars: int = 0) -> Note`."""
    doc: str = ""
    """The first line of the handler's docstring."""
    is_bytes: bool = False
    """Bytes in, bytes out: it has no types."""
    takes_map: bool = False
    """The request is a map of `arguments`, maybe an empty one. Beside a stream they are always a map."""
    request: TypeDescription | None = None
    """Of the request, or of one item where the caller streams; None for bytes, and where the request is a map."""
    response: TypeDescription | None = None
    """Of the answer, or of one item where the handler streams; None for bytes."""
    arguments: list[ParameterDescription] = field(default_factory=list)


def described(method: Method) -> MethodDescription:
    """What is to be known of a registered method."""
    shape, doc = SHAPES[method.shape], _doc_line(method.source)
    signature = method.signature
    if signature is None:
        text = f"({_bytes('payload', method.shape & 1)}) -> {_streamed('bytes', method.shape & 2)}"
        return MethodDescription(method.name, shape, text, doc, is_bytes=True)
    return MethodDescription(
        method.name,
        shape,
        _signature_text(signature),
        doc,
        takes_map=signature.takes_map,
        request=None if signature.takes_map else _type(signature.request),
        response=_type(signature.response),
        arguments=[
            ParameterDescription(one.name, _type(one.annotation), one.default is not one.empty)
            for one in signature.arguments
        ],
    )


def _type(kind: Any) -> TypeDescription:
    return TypeDescription(_text(kind), json_schema(kind))


def _bytes(name: str, is_stream: int) -> str:
    return f"items: {_streamed('bytes', True)}" if is_stream else f"{name}: bytes"


def _streamed(text: str, is_stream: int) -> str:
    return f"AsyncIterator[{text}]" if is_stream else text


def _signature_text(signature: Signature) -> str:
    written: list[str] = []
    for one in signature.parameters:
        if one.kind is one.KEYWORD_ONLY and "*" not in written:
            written.append("*")
        is_only = signature.request is not LEFT_OUT and not signature.stream
        if one.name == signature.stream or is_only:
            text = _streamed(_text(signature.request), signature.shape & 1)
        else:
            text = _text(one.annotation)
        default = "" if one.default is one.empty else f" = {_default(one.default)}"
        written.append(f"{one.name}: {text}{default}")
    if not written and signature.request is not LEFT_OUT:
        written.append(f"request: {_streamed(_text(signature.request), signature.shape & 1)}")
    return f"({', '.join(written)}) -> {_streamed(_text(signature.response), signature.shape & 2)}"


def _default(value: Any) -> str:
    """A default as text; only of types whose text says what they are, and calls no code of the user's."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if type(value) in (int, float, bool, str, bytes, type(None)):
        text = repr(value)
        return text if len(text) <= LONGEST_DEFAULT else "…"
    return "…"


def _text(kind: Any) -> str:
    """A type as Python writes it, without modules."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if kind is None or kind is type(None):
        return "None"
    if kind is Ellipsis:
        return "..."
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " | ".join(map(_text, arguments))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None and arguments:
        return f"{_text(origin)}[{', '.join(map(_text, arguments))}]"
    name = getattr(kind, "__qualname__", None) or getattr(kind, "__name__", None)
    return name.replace("<locals>.", "").rpartition(".")[2] if isinstance(name, str) else str(kind)


def _doc_line(handler: Any) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    try:
        lines = (inspect.getdoc(handler) or "").strip().splitlines()
    except Exception:  # of a `__doc__` that is anything
        return ""
    return lines[0].strip()[:LONGEST_DOC] if lines else ""
