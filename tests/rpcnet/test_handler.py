"""What a callable says of itself, whatever it is wrapped in."""

import functools
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Annotated, Any
from unittest.mock import AsyncMock

import pytest

from rpcnet.handler import ABSENT, Gives, describe, is_asynchronous, look_at, streamed


async def plus(request: int) -> int:
    return request + 1


async def count(request: int) -> AsyncIterator[int]:
    yield request


def sync(request: int) -> int:
    return request


def sync_generator(request: int) -> Iterator[int]:
    yield request


def promise(request: int) -> Awaitable[int]:
    return plus(request)


def coroutine(request: int) -> Coroutine[Any, Any, int]:
    return plus(request)


def stream(request: int) -> Annotated[AsyncIterator[int], "of numbers"]:
    return count(request)


async def later_stream(request: int) -> AsyncIterator[int]:
    return count(request)


def promised_stream(request: int) -> Awaitable[AsyncIterator[int]]:
    return later_stream(request)


def passing(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    return wrapper


def bare_passing(function):
    @functools.wraps(function)
    def wrapper(*arguments, **options):
        return function(*arguments, **options)

    return wrapper


def injecting(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def wrapper(request: Any) -> Any:
        return function(request, 7)

    return wrapper


class Methods:
    async def bound(self, request: int) -> int:
        return request

    @classmethod
    async def of_class(cls, request: int) -> int:
        return request

    @staticmethod
    async def static(request: int) -> int:
        return request

    async def many(self, request: int) -> AsyncIterator[int]:
        yield request


class Callee:
    async def __call__(self, request: int) -> int:
        return request


class StreamCallee:
    async def __call__(self, request: int) -> AsyncIterator[int]:
        yield request


class SyncCallee:
    def __call__(self, request: int) -> int:
        return request


async def two(request: int, factor: int) -> int:
    return request * factor


async def with_default(request: int, factor: int = 2) -> int:
    return request * factor


@pytest.mark.parametrize(
    ("handler", "gives", "returns"),
    [
        (plus, Gives.AWAITABLE, int),
        (count, Gives.STREAM, AsyncIterator[int]),
        (sync, Gives.PLAIN, int),
        (sync_generator, Gives.PLAIN, Iterator[int]),
        (promise, Gives.AWAITABLE, int),
        (coroutine, Gives.AWAITABLE, int),
        (stream, Gives.STREAM, Annotated[AsyncIterator[int], "of numbers"]),
        (later_stream, Gives.AWAITABLE, AsyncIterator[int]),
        (promised_stream, Gives.AWAITABLE, AsyncIterator[int]),
        (passing(plus), Gives.AWAITABLE, int),
        (passing(passing(count)), Gives.STREAM, AsyncIterator[int]),
        (passing(sync), Gives.PLAIN, int),
        (injecting(two), Gives.AWAITABLE, int),
        (Methods().bound, Gives.AWAITABLE, int),
        (Methods.of_class, Gives.AWAITABLE, int),
        (Methods.static, Gives.AWAITABLE, int),
        (Methods().many, Gives.STREAM, AsyncIterator[int]),
        (Callee(), Gives.AWAITABLE, int),
        (StreamCallee(), Gives.STREAM, AsyncIterator[int]),
        (SyncCallee(), Gives.PLAIN, int),
        (functools.partial(two, factor=3), Gives.AWAITABLE, int),
        (functools.partial(functools.partial(two), factor=3), Gives.AWAITABLE, int),
        (functools.partial(Callee()), Gives.AWAITABLE, int),
        (functools.partial(sync), Gives.PLAIN, int),
        (bare_passing(functools.partial(two, factor=3)), Gives.AWAITABLE, int),
        (with_default, Gives.AWAITABLE, int),
    ],
)
def test_what_a_call_gives_is_told_from_outside(handler: Any, gives: Gives, returns: Any) -> None:
    seen = look_at(handler, "name")
    assert seen.gives is gives
    assert is_asynchronous(handler) is (gives is not Gives.PLAIN)
    assert (seen.parameter, seen.takes, seen.unreadable) == ("request", int, "")
    assert seen.returns == returns


def test_a_sync_wrapper_without_annotations_gives_what_it_wraps() -> None:
    bare = passing(lambda request: None)
    assert look_at(bare, "name")[:4] == (Gives.PLAIN, "request", ABSENT, ABSENT)
    assert look_at(AsyncMock(), "name").gives is Gives.AWAITABLE


def test_a_class_gives_an_object_of_it() -> None:
    class Made:
        def __init__(self, request: int) -> None: ...

        async def __call__(self, request: int) -> int:
            return request

    assert look_at(Made, "name").gives is Gives.PLAIN


def test_wrappers_that_lead_in_a_circle_end() -> None:
    def first(request: int) -> Awaitable[int]: ...

    first.__wrapped__ = first  # type: ignore[attr-defined]
    assert not is_asynchronous(first)
    assert "wrapper loop" in look_at(first, "name").unreadable


async def none() -> int:
    return 1


async def only_named(*, request: int) -> int:
    return request


async def needs_named(request: int, *, factor: int) -> int:
    return request


async def anything(*requests: int) -> int:
    return len(requests)


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (two, r"two\(request: int, factor: int\) -> int takes 2"),
        (none, "takes 0"),
        (only_named, "takes 1"),
        (needs_named, "takes 2"),
        (passing(two), "takes 2"),
        (Methods.bound, "takes 2"),
        (functools.partial(plus, 1), "takes 0"),
        (functools.partial(plus, request=1), "takes 0"),
        (max, "what max takes cannot be told"),
    ],
)
def test_what_cannot_be_called_with_one_argument_is_refused(handler: Any, text: str) -> None:
    with pytest.raises(TypeError, match=f"'name'.*{text}"):
        look_at(handler, "name")


def test_any_number_of_arguments_takes_one() -> None:
    assert look_at(anything, "name").takes is int


def test_annotations_that_are_text_are_evaluated() -> None:
    async def handler(request: "int") -> "AsyncIterator[Callee]":
        yield Callee()

    seen = look_at(handler, "name")
    assert (seen.takes, seen.returns) == (int, AsyncIterator[Callee])


def test_annotations_that_cannot_be_evaluated_are_told() -> None:
    async def handler(request: "Nowhere") -> int:  # type: ignore[name-defined]  # noqa: F821
        return 1

    seen = look_at(handler, "name")
    assert (seen.takes, seen.returns) == (ABSENT, ABSENT)
    assert "handler cannot be evaluated: name 'Nowhere' is not defined" in seen.unreadable


@pytest.mark.parametrize(
    ("annotation", "item"),
    [
        (AsyncIterator[int], int),
        (AsyncIterable[int], int),
        (AsyncGenerator[int, None], int),
        (AsyncIterator, Any),
        (Annotated[Annotated[AsyncIterator[int], 1], 2], int),
        (AsyncIterator[AsyncIterator[int]], AsyncIterator[int]),
    ],
)
def test_annotations_of_streams_are_known(annotation: Any, item: Any) -> None:
    assert streamed(annotation) == (item, True)


@pytest.mark.parametrize("annotation", [int, None, list[int], Iterator[int], Any, "AsyncIterator", ABSENT, [1]])
def test_other_annotations_are_no_streams(annotation: Any) -> None:
    assert streamed(annotation) == (annotation, False)


def test_a_callable_is_described_by_its_name() -> None:
    assert describe(plus) == "plus"
    assert describe(Methods().bound) == "Methods.bound"
    assert describe(Callee()) == "a Callee object"
    assert describe(functools.partial(plus)) == "a partial object"
    assert describe(3) == "a int object"
