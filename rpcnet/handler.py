"""What a callable is, seen from outside: what a call of it gives, what it takes, and what its annotations say.

`look_at` is for one that takes one request, `parameters` for one that may take several, or none.

Looks through `functools.partial`, objects with `__call__`, bound and static methods and `functools.wraps`. Calls
nothing. Knows no payload and no shape of a call (rpcnet/service.py).

Tests: tests/rpcnet/test_handler.py.
"""

import collections.abc
import functools
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin, get_type_hints

__all__ = [
    "ABSENT",
    "Gives",
    "Handler",
    "answers",
    "by_name",
    "describe",
    "is_asynchronous",
    "look_at",
    "parameters",
    "streamed",
]

ABSENT: Final = inspect.Parameter.empty
"""Stands for an annotation that is not there. None is one."""
_STREAMS: Final = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)
_AWAITABLES: Final[dict[Any, int]] = {collections.abc.Awaitable: 0, collections.abc.Coroutine: 2}
"""Annotations of what can be awaited, and which of their arguments it gives then."""
_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_LONGEST_CHAIN: Final = 100
"""Wrappers around wrappers; a chain that leads back to itself ends, too."""


class Gives(Enum):
    """What a call gives."""

    AWAITABLE = "awaitable"
    STREAM = "asynchronous iterator"
    PLAIN = "value"


class Handler(NamedTuple):
    """What a callable says of itself. `takes` and `returns` are annotations or ABSENT."""

    gives: Gives
    parameter: str
    takes: Any
    returns: Any
    """Of what is awaited, where a plain function is annotated to return an awaitable."""
    unreadable: str
    """Why there are no annotations; empty where there are some, or simply none."""


def describe(handler: Any) -> str:
    """For error texts: its name where it has one."""
    name = getattr(handler, "__qualname__", None)
    return name if isinstance(name, str) else f"a {type(handler).__qualname__} object"


def streamed(annotation: Any) -> tuple[Any, bool]:
    """The type of one item, and whether the annotation is a stream of them."""
    plain = _plain(annotation)
    if get_origin(plain) in _STREAMS or plain in _STREAMS:
        arguments = get_args(plain)
        return (arguments[0] if arguments else Any), True
    return annotation, False


def is_asynchronous(handler: Any) -> bool:
    """Whether a call gives something to await or to iterate over asynchronously, as far as can be told from outside."""
    return _given(handler, *_hints(handler))[0] is not Gives.PLAIN


def look_at(handler: Any, name: str) -> Handler:
    """What a callable says of itself. TypeError unless it can be called with one argument."""
    parameter = _parameter(handler, name)
    hints, unreadable = _hints(handler)
    gives, returns = _given(handler, hints, unreadable)
    return Handler(gives, parameter, hints.get(parameter, ABSENT), returns, unreadable)


def answers(handler: Any) -> tuple[Gives, Any, str]:
    """What a call gives, its annotation or ABSENT, and why there are no annotations, as in `Handler`."""
    hints, unreadable = _hints(handler)
    return *_given(handler, hints, unreadable), unreadable


def parameters(handler: Any, name: str) -> list[inspect.Parameter]:
    """What a call takes, with evaluated annotations, or ABSENT ones.

    But for what `functools.partial` gave by name: that is the program's own. TypeError where it cannot be told, or
    where it takes any number of arguments.
    """
    hints, _ = _hints(handler)
    bound = _bound_names(handler)
    found = [
        one.replace(annotation=hints.get(one.name, ABSENT))
        for one in _full_signature(handler, name).parameters.values()
        if one.name not in bound
    ]
    for one in found:
        if one.kind in _VARIADIC:
            raise TypeError(
                f"handler of {name!r} takes any number of arguments ({one}), which no caller can know;"
                " name each parameter, or take a list or a dict"
            )
    return found


def by_name(handler: Any, name: str) -> Callable[[dict[str, Any]], Any]:
    """A function that calls it with arguments by name; those that are left out take their defaults.

    TypeError where it is a wrapper that does not hand on what it wraps takes.
    """
    taken = parameters(handler, name)
    own = _signature(handler, name, follow_wrapped=False)
    positions = [one for one in taken if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    named = [one.name for one in taken if one.kind is inspect.Parameter.KEYWORD_ONLY]
    if _binds(own, [], [one.name for one in taken]):
        return lambda arguments: handler(**arguments)
    if not _binds(own, [one.name for one in positions], named):
        raise TypeError(f"handler of {name!r}: {describe(handler)}{own} does not take what it wraps takes")

    def call(arguments: dict[str, Any]) -> Any:
        values = [arguments.get(one.name, one.default) for one in positions]
        return handler(*values, **{name: arguments[name] for name in named if name in arguments})

    return call


def _binds(signature: inspect.Signature, positions: list[str], names: list[str]) -> bool:
    try:
        signature.bind(*positions, **dict.fromkeys(names))
    except TypeError:
        return False
    return True


def _full_signature(handler: Any, name: str) -> inspect.Signature:
    """Its own; of a wrapper that takes anything that of what it wraps."""
    own = _signature(handler, name, follow_wrapped=False)
    if any(one.kind in _VARIADIC for one in own.parameters.values()):
        return _signature(handler, name, follow_wrapped=True)
    return own


def _bound_names(handler: Any) -> set[str]:
    """What partial objects anywhere inside give by name."""
    found: set[str] = set()
    inner: Any = handler
    for _ in range(_LONGEST_CHAIN):
        if inner is None:
            break
        if isinstance(inner, functools.partial):
            found.update(inner.keywords)
        inner = _within(inner)
    return found


def _given(handler: Any, hints: dict[str, Any], unreadable: str) -> tuple[Gives, Any]:
    """What a call gives, and the annotation of it.

    A plain function that wraps an asynchronous one (`functools.wraps`) gives what that one does; another one what its
    annotation says.
    """
    returns = hints.get("return", ABSENT)
    inner: Any = handler
    for _ in range(_LONGEST_CHAIN):
        if inspect.isasyncgenfunction(inner):
            return Gives.STREAM, returns
        if inspect.iscoroutinefunction(inner):
            return Gives.AWAITABLE, returns
        if inner is None or inspect.isgeneratorfunction(inner) or isinstance(inner, type):
            break
        inner = _within(inner)
    else:
        return Gives.PLAIN, returns
    if inner is not None:
        return Gives.PLAIN, returns
    plain = _plain(returns)
    origin = get_origin(plain) or plain
    index = _AWAITABLES.get(origin) if isinstance(origin, type) else None
    if index is not None:
        arguments = get_args(plain)
        return Gives.AWAITABLE, (arguments[index] if len(arguments) > index else Any)
    return (Gives.STREAM if streamed(returns)[1] else Gives.PLAIN), returns


def _within(outer: Any) -> Any:
    """What a callable hands its calls on to; None where it is a function itself."""
    if isinstance(outer, functools.partial):
        return outer.func
    for name in ("__wrapped__", "__func__"):
        inner = getattr(outer, name, None)
        if callable(inner):
            return inner
    return None if inspect.isroutine(outer) or not callable(outer) else type(outer).__call__


def _plain(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _parameter(handler: Any, name: str) -> str:
    """The parameter that takes the request."""
    own = _first(handler, name, follow_wrapped=False)
    if own.kind is inspect.Parameter.VAR_POSITIONAL:
        return _first(handler, name, follow_wrapped=True).name  # a wrapper that takes anything hands it on
    return own.name


def _signature(handler: Any, name: str, *, follow_wrapped: bool) -> inspect.Signature:
    try:
        return inspect.signature(handler, follow_wrapped=follow_wrapped)
    except (TypeError, ValueError) as error:
        raise TypeError(f"handler of {name!r}: what {describe(handler)} takes cannot be told: {error}") from None


def _first(handler: Any, name: str, *, follow_wrapped: bool) -> inspect.Parameter:
    signature = _signature(handler, name, follow_wrapped=follow_wrapped)
    try:
        signature.bind(None)
    except TypeError:
        needed = sum(one.default is ABSENT for one in signature.parameters.values())
        raise TypeError(
            f"handler of {name!r} must take one parameter, the request; {describe(handler)}{signature} takes {needed}"
        ) from None
    return next(iter(signature.parameters.values()))


def _hints(handler: Any) -> tuple[dict[str, Any], str]:
    """The annotations of a callable, those that are text evaluated; or none, and why."""
    source = handler
    try:
        inspect.unwrap(handler)  # get_type_hints does not end where wrappers lead in a circle; this raises
        while isinstance(source, functools.partial) or not getattr(source, "__annotations__", True):
            source = source.func if isinstance(source, functools.partial) else getattr(source, "__wrapped__", None)
        if not inspect.isroutine(source) and not isinstance(source, type) and callable(source):
            source = type(source).__call__
        return ({} if source is None else get_type_hints(source, include_extras=True)), ""
    except Exception as error:  # an annotation is any expression
        return {}, f"annotations of {describe(handler)} cannot be evaluated: {error}"
