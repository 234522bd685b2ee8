"""Types as the service: a handler's annotations say what it takes, what it gives and in which shape.

`bytes_method` and `typed_method` read one handler; `@service` marks a class whose public asynchronous methods are
methods. Whatever cannot work is refused here, before anything is registered: TypeError for handlers and types,
ValueError for names and shapes. Knows no connection.

AsyncIterator (or AsyncIterable, AsyncGenerator) on either side makes that side a stream.

Tests: tests/rpcnet/test_service.py and, for every kind of handler in both worlds, test_registration.py.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Any, Final, Literal, Never, NoReturn, TypeAlias, TypeVar, Union, get_args, get_origin

from rpcnet.codec import answer_encoder, bytes_answer, decoder
from rpcnet.handler import ABSENT, Gives, Handler, describe, is_asynchronous, look_at, streamed
from rpcnet.kinds import inspected, is_payload
from rpcnet.wire.frame import MAX_METHOD_BYTES, SHAPES

__all__ = [
    "LEFT_OUT",
    "LeftOut",
    "Method",
    "Signature",
    "bytes_method",
    "method_name",
    "method_names",
    "read_signature",
    "service",
    "service_name",
    "service_signature",
    "shape_number",
    "typed_method",
]

_SERVICE = "__rpcnet_service__"
Class = TypeVar("Class", bound=type)


class LeftOut(Enum):
    """Stands for a type that is not given, where None is a type: nil."""

    LEFT_OUT = "left out"


LEFT_OUT: Final = LeftOut.LEFT_OUT
Given: TypeAlias = Any | Literal[LeftOut.LEFT_OUT]


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


def shape_number(shape: Any) -> int:
    if not isinstance(shape, str) or shape not in SHAPES:
        raise ValueError(f"shape {shape!r} is none of {', '.join(SHAPES)}")
    return SHAPES.index(shape)


def method_name(name: Any) -> str:
    """A name under which a method can be called. TypeError where it is no text, ValueError where it cannot travel."""
    if not isinstance(name, str):
        raise TypeError(f"a method's name must be text, not {type(name).__qualname__}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"a method's name must be Unicode text, not {name!r}") from None
    if not 1 <= size <= MAX_METHOD_BYTES:
        raise ValueError(f"a method needs a name of 1 to {MAX_METHOD_BYTES} bytes, not {size}")
    return name


def _looked_at(name: str, handler: Any) -> Handler:
    """What a handler says of itself. TypeError where it cannot be one."""
    if not callable(handler):
        raise TypeError(f"handler of {name!r} must be an asynchronous function, not {describe(handler)}")
    if not is_asynchronous(handler):
        raise TypeError(
            f"handler of {name!r} must be asynchronous (async def); {describe(handler)} is not."
            " Work that takes long belongs into asyncio.to_thread"
        )
    return look_at(handler, name)


def _unwrapped(handler: Any) -> Any:
    while isinstance(handler, staticmethod):
        handler = handler.__func__
    return handler


def bytes_method(name: Any, handler: Any, shape: int) -> Method:
    """A handler of bytes as a method."""
    name = method_name(name)
    handler = _unwrapped(handler)
    seen = _looked_at(name, handler)
    # One that takes bytes serves a stream as well if it never looks at them, as one that only waits or raises.
    takes = ABSENT if is_payload(seen.takes) and inspected(seen.takes).admits_bytes else seen.takes
    _check_requests(name, shape, takes, streamed(takes)[1])
    _check_answers(name, seen, shape, seen.returns)
    return Method(name, shape, handler, None, bytes_answer)


def _check_requests(name: str, shape: int, annotation: Any, is_stream: bool) -> None:
    """Whether a handler takes one request or a stream of them, as its shape needs."""
    if is_stream and not shape & 1:
        raise TypeError(f"handler of {name!r} takes a stream; it cannot be {SHAPES[shape]}")
    if shape & 1 and not is_stream and annotation is not ABSENT and not _may_be_stream(annotation):
        raise TypeError(
            f"handler of {name!r} takes one request, by its annotation {annotation!r}; it cannot be {SHAPES[shape]}"
        )


def _may_be_stream(annotation: Any) -> bool:
    """Whether a handler with this annotation can be given an asynchronous iterator: not if it names something else."""
    origin = get_origin(annotation) or annotation
    if origin in (Union, UnionType):
        return any(map(_may_be_stream, get_args(annotation)))
    if isinstance(origin, type) and origin not in (Any, object):
        return hasattr(origin, "__aiter__")
    return not is_payload(annotation)


def _check_answers(name: str, seen: Handler, shape: int, returns: Any) -> None:
    """Whether a handler gives one answer or a stream of them, as its shape needs."""
    if shape & 2:
        if seen.gives is Gives.AWAITABLE and not streamed(returns)[1]:
            raise TypeError(
                f"handler of {name!r} gives one answer; it cannot be {SHAPES[shape]} unless it is an asynchronous"
                " generator (async def with yield), or is annotated to return an AsyncIterator"
            )
    elif seen.gives is Gives.STREAM or streamed(returns)[1]:
        raise TypeError(f"handler of {name!r} gives a stream; it cannot be {SHAPES[shape]}")


def read_signature(
    handler: Callable[..., Any],
    name: str,
    request: Given = LEFT_OUT,
    response: Given = LEFT_OUT,
    shape: int | None = None,
) -> Signature:
    """Types and shape of a handler with one parameter (`self` aside): as given, else from its annotations.

    TypeError where there is neither, or where they contradict each other or what the handler is.
    """
    seen = _looked_at(name, handler)
    takes = seen.takes if request is LEFT_OUT else request
    returns = seen.returns if response is LEFT_OUT else response
    for kind, what in ((takes, f"parameter {seen.parameter!r}"), (returns, "return value")):
        if kind is ABSENT:
            why = f" ({seen.unreadable})" if seen.unreadable else ""
            raise TypeError(f"handler of {name!r}: its {what} needs an annotation, or give request= and response={why}")
    takes, streams_in = streamed(takes)
    returns, streams_out = streamed(returns)
    if seen.gives is Gives.STREAM and not streams_out and response is LEFT_OUT:
        raise TypeError(f"handler of {name!r} gives a stream; annotate it as AsyncIterator[{returns!r}]")
    streams_in = streams_in or streamed(seen.takes)[1]
    streams_out = streams_out or streamed(seen.returns)[1] or seen.gives is Gives.STREAM
    number = streams_in + 2 * streams_out
    if shape is None:
        shape = number
    _check_requests(name, shape, seen.takes, streams_in)
    _check_answers(name, seen, shape, AsyncIterator if streams_out else returns)
    return Signature(_type(takes), _type(returns), shape)


def _type(kind: Any) -> Any:
    """A type as msgspec understands it: None is that of None, and what never returns has no answer to check."""
    return type(None) if kind in (None, NoReturn, Never) else kind


def typed_method(
    name: Any,
    handler: Any,
    request: Given,
    response: Given,
    shape: str | None,
    max_depth: int,
) -> Method:
    """A handler as a method. Types that are given go before the annotations; None is a type: that of None."""
    name = method_name(name)
    handler = _unwrapped(handler)
    signature = read_signature(handler, name, request, response, None if shape is None else shape_number(shape))
    try:
        decode = decoder(signature.request, max_depth)
    except TypeError as error:
        raise TypeError(f"request of {name!r}: {error}") from None
    try:
        encode = answer_encoder(signature.response, max_depth)
    except TypeError as error:
        raise TypeError(f"answer of {name!r}: {error}") from None
    return Method(name, signature.shape, handler, decode, encode)


def service(cls: Class) -> Class:
    """Mark a class as a service: each of its public async methods becomes `ClassName.method`."""
    if not isinstance(cls, type):
        raise TypeError(f"@service marks a class, not {describe(cls)}")
    if not list(method_names(cls)):
        raise TypeError(f"service {cls.__name__} has no public async method")
    setattr(cls, _SERVICE, cls.__name__)
    return cls


def method_names(cls: type) -> list[str]:
    """The public asynchronous methods of a class, in the order of their names."""
    return [
        name
        for name, member in inspect.getmembers(cls, callable)
        if not name.startswith("_") and not isinstance(member, type) and is_asynchronous(_bound(cls, name))
    ]


def _bound(cls: type, name: str) -> Any:
    """A method as an object of the class has it, without such an object: it is looked at, not called."""
    member = inspect.getattr_static(cls, name)
    bind = getattr(member, "__get__", None)
    if bind is None:
        return member
    try:
        return bind(object(), cls)
    except TypeError:  # a method of a builtin, which binds only its own objects
        return member


def service_name(cls: type) -> str:
    name = getattr(cls, _SERVICE, None)
    if name is None:
        raise TypeError(f"{cls.__name__} is not a service; mark it with @service")
    return str(name)


def service_signature(cls: type, name: str) -> Signature:
    """What a method of a @service class takes and gives, without an instance: only its annotations are read."""
    return read_signature(_bound(cls, name), f"{service_name(cls)}.{name}")
