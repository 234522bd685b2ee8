"""Types as text: what the text means where its imports are made is the type."""

import collections.abc
import datetime
import decimal
import typing
import uuid
from typing import Any, Literal

import pytest

from rpcnet.codegen.names import Names, UnwritableType
from tests.rpcnet.codegen.sample import Color, Facts, Options, Page, Point, UserId

KINDS: list[Any] = [
    *(int, None, bytes | None, int | str | None, None | int, Any, object, list, list[int], typing.List[int]),  # noqa: UP006
    *(dict[str, list[int]], tuple[int, ...], tuple[int, str], tuple[()], collections.abc.Mapping[str, int]),
    *(Literal["a", 'b"', 1, None, Color.RED, b"x"], Color, Point, Point.Note, Options, Page[int]),
    *(Page[Point.Note] | None, UserId, list[UserId], datetime.datetime, uuid.UUID, decimal.Decimal, Facts),
    *(frozenset[str], type(None), typing.List),  # noqa: UP006
]


def meaning(names: Names, text: str) -> Any:
    scope: dict[str, Any] = {}
    exec("\n".join([*names.imports(), *names.aliases()]), scope)
    return eval(text, scope)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("room", [400, 60, 1])
def test_the_text_of_a_type_means_that_type(kind: Any, room: int) -> None:
    for taken in ((), ("int", "list", "Point", "Any", "Type1", "Page")):
        names = Names(taken)
        same = {type(None): None, typing.List: list, typing.List[int]: list[int]}.get(kind, kind)  # noqa: UP006
        assert meaning(names, names.fitting(kind, room)) in (same, kind)
        assert not {line.split()[-1] for line in names.imports()} & set(taken)


def test_two_things_of_one_name_are_told_apart() -> None:
    names = Names(["Point"])
    assert names.imported("one", "Point") == "Point_"
    assert names.imported("two", "Point") == "Point__"
    assert names.imported("one", "Point") == "Point_"
    assert names.imports() == ["from one import Point as Point_", "from two import Point as Point__"]


def test_a_type_that_no_module_can_name_is_refused() -> None:
    class Local: ...

    for kind in (Local, list[Local], int | Local, typing.TypeVar("T"), typing.NewType("Nowhere", int)):
        with pytest.raises(UnwritableType):
            Names(()).text(kind)
