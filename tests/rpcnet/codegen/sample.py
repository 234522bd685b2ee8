"""A service with everything that a signature can hold; tests write its server and client (sample_rpc.py)."""

import datetime
import enum
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NewType, TypedDict, TypeVar

import msgspec

from rpcnet import service

T = TypeVar("T")
UserId = NewType("UserId", int)
Text = str
Number = int
Numbers = list[int]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: int = 0

    @dataclass
    class Note:
        text: str


class Options(TypedDict):
    limit: int


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


Facts = dict[str, dict[str, list[tuple[int, float, bytes, Point, Color, UserId, Point.Note]]]]


@service
class Sample:
    """Answers with what it was given, mostly."""

    async def add(self, a: int, b: int = 0) -> int:
        """Add two numbers.

        This paragraph is not of the summary.
        """
        return a + b

    async def negate(self, number: int) -> int:
        r"""Turn 1 into -1, "quoted" and with a \ in it, in a summary that is long enough to go on two lines."""
        return -number

    async def named(self, *, number: int) -> int:
        return number

    async def nothing(self) -> None:
        return None

    async def find(
        self, key: UserId, color: Color | None = None, *, kind: Literal["note", 'with "quotes"'] = "note"
    ) -> Point.Note | None:
        return None if color is None else Point.Note(f"{key} {color.value} {kind}")

    async def page(self, options: Options, when: datetime.datetime = datetime.datetime.min) -> Page[int]:
        return Page([options["limit"], when.year])

    async def options(self, limits: Mapping[str, int], least: Annotated[int, msgspec.Meta(ge=0)]) -> Options:
        return {"limit": max(least, *limits.values())}

    async def anything(self, value: Any) -> object:
        return value

    async def every_fact_that_is_known(self, facts_that_are_new: Facts, others: Facts | None = None) -> Facts | bool:
        return facts_that_are_new or others or False

    async def list(self) -> Numbers:
        """Its name hides the builtin's from the methods behind it."""
        return [1, 2]

    async def int(self, str: Number = 1) -> Number | None:
        return str

    async def upto(self, stop: Number, start: Number = 0) -> AsyncIterator[Number]:
        for number in range(start, stop):
            yield number

    async def maybe(self) -> AsyncIterator[Text | None]:
        yield None
        yield "x"

    async def total(self, numbers: AsyncIterator[Number], start: Number = 0) -> Number:
        return sum([number async for number in numbers], start)

    async def last(self, points: AsyncIterator[Point]) -> Point | None:
        seen = [point async for point in points]
        return seen[-1] if seen else None

    async def shifted(self, by: Number, numbers: AsyncIterator[Number], *, label: Text = "") -> AsyncIterator[Text]:
        async for number in numbers:
            yield f"{label}{number + by}"

    async def names(self, numbers: AsyncIterator[Number]) -> AsyncIterator[uuid.UUID]:
        async for number in numbers:
            yield uuid.UUID(int=number)

    async def room(self, words: AsyncIterator[Text], name: Text) -> AsyncIterator[Text]:
        async for word in words:
            yield f"{name}: {word}"

    async def answered(self, answer: Text) -> Text | None:
        return answer


@service
class Tiny:
    async def ping(self) -> str:
        return "pong"
