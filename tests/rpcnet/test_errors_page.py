"""docs/errors.md: a row for each class of errors that rpcnet exports, and blocks that do what the page says."""

import asyncio
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from rpcnet import Aborted, InvalidArgument, RpcClient, RpcError, RpcServer, Status, Unavailable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text()
MODULES = ("rpcnet", "rpcnet.errors", "rpcnet.address", "rpcnet.cluster")
AGAIN = {"safe", "only if idempotent", "after a wait", "no"}


def classes() -> dict[str, type[BaseException]]:
    """The errors that users can import."""
    found: dict[str, type[BaseException]] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for exported in module.__all__:
            value = getattr(module, exported)
            if isinstance(value, type) and issubclass(value, BaseException):
                found.setdefault(exported, value)
    return found


def rows() -> list[list[str]]:
    """Error, status, who and when, what to do, again."""
    lines = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line] for line in lines]


def test_each_class_has_a_row_and_each_row_a_class() -> None:
    named = [row[0].strip("`") for row in rows()]
    assert len(named) > 25
    assert sorted(named) == sorted(classes())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0].strip("`"))
def test_a_row_is_whole_and_has_the_status_of_its_class(row: list[str]) -> None:
    name, status, when, todo, again = row
    error = classes()[name.strip("`")]
    assert status == (error.code.name if issubclass(error, RpcError) else "–")
    assert len(when) > 20
    assert todo
    assert again in AGAIN
    for base in (OSError, ValueError, TimeoutError, ConnectionError):
        if re.search(rf"\ba `{base.__name__}`|an? `{base.__name__}` too", when):
            assert issubclass(error, base) or name == "`StreamApplicationError`"


def test_each_status_has_its_row() -> None:
    in_rows = {row[1] for row in rows()}
    assert {status.name for status in Status if status is not Status.OK} <= in_rows


def test_the_answers_of_the_last_column_are_explained() -> None:
    assert set(re.findall(r"^\* \*\*([\w ]+)\*\*: ", PAGE, re.MULTILINE)) == AGAIN


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


@pytest.fixture
def names() -> dict[str, Any]:
    """What the blocks of the page define, run one after another in one module."""
    defined: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "errors.md", "exec"), defined)
    return defined


@pytest.mark.parametrize(
    ("error", "idempotent", "attempts"),
    [
        (Unavailable, True, 3),
        (Unavailable, False, 1),
        (Aborted, False, 3),
        (InvalidArgument, True, 1),
    ],
)
def test_a_call_is_made_again_where_its_error_allows(
    world: Any, names: dict[str, Any], error: type[RpcError], idempotent: bool, attempts: int
) -> None:
    async def main() -> None:
        seen: list[int] = []

        async def fail(number: int) -> int:
            seen.append(number)
            if len(seen) < 3:
                raise error("not now")
            return number

        server = RpcServer("127.0.0.1:0")
        server.register_typed("fail", fail)
        async with server, RpcClient.connect(server.address) as client:
            call = names["call_until_it_works"](client, "fail", 7, idempotent=idempotent, response=int)
            if attempts == 3:
                assert await call == 7
            else:
                with pytest.raises(error):
                    await call
            assert len(seen) == attempts

    world.run(main())


def test_a_payment_whose_answer_was_lost_is_taken_once(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        till = names["Till"]()
        answered = asyncio.Event()

        async def lose_the_first(call: Any, proceed: Any) -> Any:
            reply = await proceed()
            if not answered.is_set():
                answered.set()
                raise Unavailable("the answer is lost")
            return reply

        server = RpcServer("127.0.0.1:0", interceptors=[lose_the_first])
        server.register_service(till)
        async with server, RpcClient.connect(server.address) as client:
            assert await names["pay"](client, "payment-1", 250) == 250
            assert answered.is_set()
            assert await names["pay"](client, "payment-2", 250) == 500

    world.run(main())
