"""Types as the service: a handler's annotations say what it takes, what it gives and in which shape.

`typed_method` reads one handler; `@service` marks a class whose public coroutine methods and async generators are
methods. Knows no connection. AsyncIterator (or AsyncIterable, AsyncGenerator) on either side makes that side a
stream.
"""

import collections.abc
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rpcnet.codec import decoder, encode
from rpcnet.wire.frame import SHAPES

__all__ = [
    "Method",
    "Signature",
    "method_names",
    "read_signature",
    "service",
    "service_name",
    "shape_number",
    "typed_method",
]

_STREAMS = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)
_SERVICE = "__rpcnet_service__"
Class = TypeVar("Class", bound=type)


@dataclass(frozen=True, slots=True)
class Method:
    """What is registered under a name."""

    name: str
    shape: int
    handler: Callable[[Any], Any]
    decode: Callable[[bytes, int], Any] | None
    """From a payload and its layout; None: bytes as they come."""
    encode: Callable[[Any], tuple[bytes, int]]
    """An answer to its payload and layout; PayloadError where it is none of its type."""


class Signature:
    """What a typed handler takes and gives."""

    __slots__ = ("request", "response", "shape")

    def __init__(self, request: Any, response: Any, shape: int) -> None:
        self.request = request
        self.response = response
        self.shape = shape


def shape_number(shape: str) -> int:
    if shape not in SHAPES:
        raise ValueError(f"shape {shape!r} is none of {', '.join(SHAPES)}")
    return SHAPES.index(shape)


def _item_type(annotation: Any) -> tuple[Any, bool]:
    """The type of one payload, and whether the annotation is a stream of them."""
    if get_origin(annotation) in _STREAMS or annotation in _STREAMS:
        arguments = get_args(annotation)
        return (arguments[0] if arguments else Any), True
    return annotation, False


def read_signature(handler: Callable[..., Any], name: str) -> Signature:
    """Types and shape from the annotations of a handler with one parameter (`self` aside)."""
    parameters = list(inspect.signature(handler).parameters.values())
    if len(parameters) != 1:
        raise TypeError(f"handler of {name!r} must take one parameter, the request; it takes {len(parameters)}")
    hints = get_type_hints(handler, include_extras=True)
    parameter = parameters[0].name
    for needed, what in ((parameter, f"parameter {parameter!r}"), ("return", "return value")):
        if needed not in hints:
            raise TypeError(f"handler of {name!r}: its {what} needs an annotation, or give request= and response=")
    request, streams_in = _item_type(hints[parameter])
    response, streams_out = _item_type(hints["return"])
    return Signature(request, response, streams_in + 2 * streams_out)


def typed_method(
    name: str,
    handler: Callable[..., Any],
    request: Any,
    response: Any,
    shape: str | None,
    max_depth: int,
) -> Method:
    """A handler as a method. Types that are given go before the annotations; `shape` is needed where there are none."""
    if request is None or (response is None and shape is None):
        signature = read_signature(handler, name)
        request = signature.request if request is None else request
        number = signature.shape
    else:
        number = 2 if inspect.isasyncgenfunction(handler) else 0
    if shape is not None:
        number = shape_number(shape)
    kind: Any = type(None) if request is None else request
    return Method(name, number, handler, decoder(kind, max_depth), encode)


def service(cls: Class) -> Class:
    """Mark a class as a service: each of its public async methods becomes `ClassName.method`."""
    if not list(method_names(cls)):
        raise TypeError(f"service {cls.__name__} has no public async method")
    setattr(cls, _SERVICE, cls.__name__)
    return cls


def method_names(cls: type) -> list[str]:
    """The public async methods of a class, in the order of their names."""
    return [
        name
        for name, member in inspect.getmembers(cls, callable)
        if not name.startswith("_") and (inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member))
    ]


def service_name(cls: type) -> str:
    name = getattr(cls, _SERVICE, None)
    if name is None:
        raise TypeError(f"{cls.__name__} is not a service; mark it with @service")
    return str(name)
