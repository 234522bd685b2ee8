"""Server and client of Sample and Tiny: written by `rpcnet-gen
tests.rpcnet.codegen.sample:Sample tests.rpcnet.codegen.sample:Tiny`, not by hand.
"""

# isort: skip_file

from builtins import int as int_, list as list_, str as str_
from collections.abc import Mapping
from datetime import datetime
from rpcnet.generated import (
    ABSENT,
    Absent,
    ClientStream,
    DEFAULT,
    ItemsOf,
    Metadata,
    RpcServer,
    Seconds,
    ServiceClient,
    answer_type,
    given,
)
from tests.rpcnet.codegen.sample import (
    Color,
    Options,
    Page,
    Point,
    Sample,
    Tiny,
    UserId,
)
from typing import Any, Literal, TypeAlias
from uuid import UUID

__all__ = ["SampleClient", "SampleServer", "TinyClient", "TinyServer"]

Type1: TypeAlias = dict[
    str_,
    dict[str_, list_[tuple[int_, float, bytes, Point, Color, UserId, Point.Note]]],
]


class SampleServer:
    """A Sample and the server that serves it."""

    def __init__(self, handler: Sample, rpc_server: RpcServer) -> None:
        self.handler = handler
        self.rpc_server = rpc_server

    def register_all(self) -> None:
        """Register every method of the handler."""
        self.rpc_server.register_typed("Sample.add", self.handler.add)
        self.rpc_server.register_typed("Sample.answered", self.handler.answered)
        self.rpc_server.register_typed("Sample.anything", self.handler.anything)
        self.rpc_server.register_typed(
            "Sample.every_fact_that_is_known",
            self.handler.every_fact_that_is_known,
        )
        self.rpc_server.register_typed("Sample.find", self.handler.find)
        self.rpc_server.register_typed("Sample.int", self.handler.int)
        self.rpc_server.register_typed("Sample.last", self.handler.last)
        self.rpc_server.register_typed("Sample.list", self.handler.list)
        self.rpc_server.register_typed("Sample.maybe", self.handler.maybe)
        self.rpc_server.register_typed("Sample.named", self.handler.named)
        self.rpc_server.register_typed("Sample.names", self.handler.names)
        self.rpc_server.register_typed("Sample.negate", self.handler.negate)
        self.rpc_server.register_typed("Sample.nothing", self.handler.nothing)
        self.rpc_server.register_typed("Sample.options", self.handler.options)
        self.rpc_server.register_typed("Sample.page", self.handler.page)
        self.rpc_server.register_typed("Sample.room", self.handler.room)
        self.rpc_server.register_typed("Sample.shifted", self.handler.shifted)
        self.rpc_server.register_typed("Sample.total", self.handler.total)
        self.rpc_server.register_typed("Sample.upto", self.handler.upto)


class SampleClient(ServiceClient):
    """Calls a Sample; each call takes its options by name."""

    async def add(
        self,
        a: int_,
        b: int_ | Absent = ABSENT,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> int_:
        """Add two numbers."""
        return await self.rpc_client.call(
            "Sample.add",
            {"a": a, **given(b=b)},
            response=int_,
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    async def answered(
        self,
        answer: str_,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> str_ | None:
        answer_: str_ | None = await self.rpc_client.call(
            "Sample.answered",
            answer,
            response=answer_type(str_ | None),
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
        return answer_

    async def anything(
        self,
        value: Any,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> object:
        return await self.rpc_client.call(
            "Sample.anything",
            value,
            response=object,
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    async def every_fact_that_is_known(
        self,
        facts_that_are_new: Type1,
        others: Type1 | Absent | None = ABSENT,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> Type1 | bool:
        answer: Type1 | bool = await self.rpc_client.call(
            "Sample.every_fact_that_is_known",
            {"facts_that_are_new": facts_that_are_new, **given(others=others)},
            response=answer_type(Type1 | bool),
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
        return answer

    async def find(
        self,
        key: UserId,
        color: Color | Absent | None = ABSENT,
        *,
        kind: Literal["note", 'with "quotes"'] | Absent = ABSENT,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> Point.Note | None:
        answer: Point.Note | None = await self.rpc_client.call(
            "Sample.find",
            {"key": key, **given(color=color, kind=kind)},
            response=answer_type(Point.Note | None),
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
        return answer

    async def int(
        self,
        str: int_ | Absent = ABSENT,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> int_ | None:
        answer: int_ | None = await self.rpc_client.call(
            "Sample.int",
            given(str=str),
            response=answer_type(int_ | None),
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
        return answer

    async def last(
        self,
        points: ItemsOf[Point],
        *,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> Point | None:
        answer: Point | None = await self.rpc_client.call_client_streaming(
            "Sample.last",
            points,
            response=answer_type(Point | None),
            timeout=timeout,
            idle_timeout=idle_timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
        return answer

    async def list(
        self,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> list_[int_]:
        """Its name hides the builtin's from the methods behind it."""
        answer: list_[int_] = await self.rpc_client.call(
            "Sample.list",
            {},
            response=answer_type(list_[int_]),
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
        return answer

    def maybe(
        self,
        *,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> ClientStream[str_ | None]:
        return self.rpc_client.call_server_streaming(
            "Sample.maybe",
            {},
            response=answer_type(str_ | None),
            timeout=timeout,
            idle_timeout=idle_timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    async def named(
        self,
        *,
        number: int_,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> int_:
        return await self.rpc_client.call(
            "Sample.named",
            number,
            response=int_,
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    def names(
        self,
        numbers: ItemsOf[int_] | None = None,
        *,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> ClientStream[UUID]:
        return self.rpc_client.call_streaming(
            "Sample.names",
            numbers,
            response=UUID,
            timeout=timeout,
            idle_timeout=idle_timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    async def negate(
        self,
        number: int_,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> int_:
        """Turn 1 into -1, "quoted" and with a \\ in it, in a summary that is long
        enough to go on two lines.
        """
        return await self.rpc_client.call(
            "Sample.negate",
            number,
            response=int_,
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    async def nothing(
        self,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> None:
        await self.rpc_client.call(
            "Sample.nothing",
            {},
            response=answer_type(None),
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    async def options(
        self,
        limits: Mapping[str_, int_],
        least: int_,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> Options:
        answer: Options = await self.rpc_client.call(
            "Sample.options",
            {"limits": limits, "least": least},
            response=answer_type(Options),
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
        return answer

    async def page(
        self,
        options: Options,
        when: datetime | Absent = ABSENT,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> Page[int_]:
        answer: Page[int_] = await self.rpc_client.call(
            "Sample.page",
            {"options": options, **given(when=when)},
            response=answer_type(Page[int_]),
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
        return answer

    def room(
        self,
        words: ItemsOf[str_] | None,
        name: str_,
        *,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> ClientStream[str_]:
        return self.rpc_client.call_streaming(
            "Sample.room",
            words,
            arguments={"name": name},
            response=str_,
            timeout=timeout,
            idle_timeout=idle_timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    def shifted(
        self,
        by: int_,
        numbers: ItemsOf[int_] | None = None,
        *,
        label: str_ | Absent = ABSENT,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> ClientStream[str_]:
        return self.rpc_client.call_streaming(
            "Sample.shifted",
            numbers,
            arguments={"by": by, **given(label=label)},
            response=str_,
            timeout=timeout,
            idle_timeout=idle_timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    async def total(
        self,
        numbers: ItemsOf[int_],
        start: int_ | Absent = ABSENT,
        *,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> int_:
        return await self.rpc_client.call_client_streaming(
            "Sample.total",
            numbers,
            arguments=given(start=start),
            response=int_,
            timeout=timeout,
            idle_timeout=idle_timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    def upto(
        self,
        stop: int_,
        start: int_ | Absent = ABSENT,
        *,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> ClientStream[int_]:
        return self.rpc_client.call_server_streaming(
            "Sample.upto",
            {"stop": stop, **given(start=start)},
            response=int_,
            timeout=timeout,
            idle_timeout=idle_timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )


class TinyServer:
    """A Tiny and the server that serves it."""

    def __init__(self, handler: Tiny, rpc_server: RpcServer) -> None:
        self.handler = handler
        self.rpc_server = rpc_server

    def register_all(self) -> None:
        """Register every method of the handler."""
        self.rpc_server.register_typed("Tiny.ping", self.handler.ping)


class TinyClient(ServiceClient):
    """Calls a Tiny; each call takes its options by name."""

    async def ping(
        self,
        *,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> str_:
        return await self.rpc_client.call(
            "Tiny.ping",
            {},
            response=str_,
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
