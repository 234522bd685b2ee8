"""Types as the service: a handler's annotations say what it takes, what it gives and in which shape.

`bytes_method` and `typed_method` read one handler; `@service` marks a class whose public asynchronous methods are
methods. Whatever cannot work is refused here, before anything is registered: TypeError for handlers and types,
ValueError for names and shapes. Knows no connection.

AsyncIterator (or AsyncIterable, AsyncGenerator) on either side makes that side a stream. Beside that, one parameter
without default is the request itself, and none, several or any default is a map of arguments by name
(docs/protocol.md, "Arguments").

Tests: tests/rpcnet/test_service.py and, for every kind of handler in both worlds, test_registration.py.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Any, Final, Literal, Never, NoReturn, TypeAlias, TypeVar, Union, get_args, get_origin

from rpcnet.codec import Decode, answer_encoder, arguments_decoder, bytes_answer, decoder
from rpcnet.handler import (
    ABSENT,
    Gives,
    Handler,
    answers,
    by_name,
    describe,
    is_asynchronous,
    look_at,
    parameters,
    streamed,
)
from rpcnet.kinds import inspected, is_payload
from rpcnet.wire.frame import MAX_METHOD_BYTES, SHAPES

__all__ = [
    "LEFT_OUT",
    "OPTIONS",
    "RESERVED",
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
RESERVED: Final = "rpcnet."
"""Names that begin so are those of built-in methods: docs/protocol.md."""
OPTIONS: Final = ("timeout", "idle_timeout", "metadata", "response", "wait_for_ready")
"""Options of calls, by whose names no parameter can go: a call through a proxy could not tell them apart."""
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
    handler: Callable[..., Any]
    """Takes the request, or the stream of them; and a dict of arguments where there is `arguments`."""
    decode: Decode | None
    """From a payload and its layout; None: bytes as they come."""
    encode: Callable[[Any], tuple[bytes, int]]
    """An answer to its payload and layout; PayloadError where it is none of its type."""
    arguments: Decode | None = None
    """Of what is taken beside a stream; None where the stream is all."""
    signature: "Signature | None" = None
    """Its types; None where it is one of bytes."""
    source: Any = None
    """What was registered; its docstring describes the method."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a typed handler takes and gives."""

    request: Any
    """Type of the request, or of one item where the caller streams; LEFT_OUT where it is a map of arguments."""
    response: Any
    """Type of the answer, or of one item."""
    shape: int
    parameters: tuple[inspect.Parameter, ...] = ()
    """All that it takes, in order; none where the types were given, as it is called with one value then."""
    stream: str = ""
    """The parameter that is the stream; empty where there is none, or no other."""
    arguments: tuple[inspect.Parameter, ...] = ()
    """Those that travel in a map."""

    @property
    def takes_map(self) -> bool:
        """Whether the request is a map of arguments, maybe an empty one."""
        return self.request is LEFT_OUT


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


def _check_asynchronous(name: str, handler: Any) -> None:
    if not callable(handler):
        raise TypeError(f"handler of {name!r} must be an asynchronous function, not {describe(handler)}")
    if not is_asynchronous(handler):
        raise TypeError(
            f"handler of {name!r} must be asynchronous (async def); {describe(handler)} is not."
            " Work that takes long belongs into asyncio.to_thread"
        )


def _looked_at(name: str, handler: Any) -> Handler:
    """What a handler that takes one request says of itself. TypeError where it cannot be one."""
    _check_asynchronous(name, handler)
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
    return Method(name, shape, handler, None, bytes_answer, source=handler)


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
    """Types and shape of a handler (`self` aside): as given, else from its annotations.

    With `request` given it takes one value. TypeError where there are no types, or where they contradict each other or
    what the handler is.
    """
    taken: tuple[inspect.Parameter, ...] = ()
    if request is LEFT_OUT:
        _check_asynchronous(name, handler)
        taken = tuple(parameters(handler, name))
        for one in taken:
            if one.name in OPTIONS:
                raise TypeError(
                    f"handler of {name!r}: its parameter {one.name!r} is named as an option of calls; rename it"
                )
        if len(taken) != 1 or taken[0].default is not ABSENT or taken[0].kind is inspect.Parameter.KEYWORD_ONLY:
            return _read_parameters(handler, name, taken, response, shape)
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
    return Signature(_type(takes), _type(returns), shape, taken)


def _read_parameters(
    handler: Callable[..., Any], name: str, taken: tuple[inspect.Parameter, ...], response: Given, shape: int | None
) -> Signature:
    """The signature of a handler that is called by name: it takes no parameter, several, or one with a default."""
    _check_parameters(name, taken)
    gives, returns, unreadable = answers(handler)
    returns = returns if response is LEFT_OUT else response
    nameless = [f"parameter {one.name!r}" for one in taken if one.annotation is ABSENT]
    for what in [*nameless, *(["return value"] if returns is ABSENT else [])]:
        why = f" ({unreadable})" if unreadable else ""
        raise TypeError(f"handler of {name!r}: its {what} needs an annotation{why}")
    streams = [one for one in taken if streamed(one.annotation)[1]]
    if len(streams) > 1:
        raise TypeError(f"handler of {name!r} takes {len(streams)} streams; a call has one")
    if streams and streams[0].default is not ABSENT:
        raise TypeError(f"handler of {name!r}: the stream {streams[0].name!r} cannot have a default")
    returns, streams_out = streamed(returns)
    if gives is Gives.STREAM and not streams_out and response is LEFT_OUT:
        raise TypeError(f"handler of {name!r} gives a stream; annotate it as AsyncIterator[{returns!r}]")
    number = len(streams) + 2 * (streams_out or gives is Gives.STREAM)
    if shape is not None and shape != number:
        raise TypeError(f"handler of {name!r} is {SHAPES[number]} by its annotations; it cannot be {SHAPES[shape]}")
    rest = tuple(one for one in taken if one not in streams)
    if streams:
        return Signature(
            _type(streamed(streams[0].annotation)[0]), _type(returns), number, taken, streams[0].name, rest
        )
    if len(rest) == 1 and rest[0].default is ABSENT:
        return Signature(_type(rest[0].annotation), _type(returns), number, taken)
    return Signature(LEFT_OUT, _type(returns), number, taken, arguments=rest)


def _check_parameters(name: str, taken: tuple[inspect.Parameter, ...]) -> None:
    for one in taken:
        if one.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise TypeError(
                f"handler of {name!r}: its parameter {one.name!r} is positional only, but arguments travel by name;"
                " leave out the `/`"
            )


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
        encode = answer_encoder(signature.response, max_depth)
    except TypeError as error:
        raise TypeError(f"answer of {name!r}: {error}") from None
    told: dict[str, Any] = {"signature": signature, "source": handler}
    arguments = _arguments(name, signature, max_depth) if signature.takes_map or signature.arguments else None
    if arguments is not None and signature.takes_map:
        return Method(name, signature.shape, by_name(handler, name), arguments, encode, **told)
    try:
        decode = decoder(signature.request, max_depth)
    except TypeError as error:
        raise TypeError(f"request of {name!r}: {error}") from None
    if arguments is not None:
        call = _with_stream(by_name(handler, name), signature.stream)
        return Method(name, signature.shape, call, decode, encode, arguments, **told)
    taken = signature.parameters
    if taken and taken[0].kind is inspect.Parameter.KEYWORD_ONLY:
        handler = _with_one(by_name(handler, name), taken[0].name)
    return Method(name, signature.shape, handler, decode, encode, **told)


def _arguments(name: str, signature: Signature, max_depth: int) -> Decode:
    kinds = {one.name: (_type(one.annotation), one.default is not ABSENT) for one in signature.arguments}
    for parameter, (kind, _) in kinds.items():
        try:
            inspected(kind)
        except TypeError as error:
            raise TypeError(f"parameter {parameter!r} of {name!r}: {error}") from None
    return arguments_decoder(kinds, max_depth)


def _with_stream(call: Callable[[dict[str, Any]], Any], stream: str) -> Callable[[Any, dict[str, Any]], Any]:
    return lambda items, arguments: call({stream: items, **arguments})


def _with_one(call: Callable[[dict[str, Any]], Any], parameter: str) -> Callable[[Any], Any]:
    return lambda request: call({parameter: request})


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
