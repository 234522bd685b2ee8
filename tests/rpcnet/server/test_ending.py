"""An ending is made of any exception whatsoever, and fits the peer's limits."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet import Internal, NotFound, RpcError, StreamApplicationError, StreamError
from rpcnet.errors import STATUS_ERRORS, Status
from rpcnet.server.ending import END_BYTES, Limits, error_of_group, fitting, of_rpc_error, ran_out_of_a_stream
from rpcnet.wire import writer
from rpcnet.wire.frame import HEADER_BYTES, Ending, decode_ending

USUAL = Limits(100_000, 65_536)


class Raises:
    """A value of which nothing can be read."""

    def __str__(self) -> str:
        raise ValueError("no text")

    def __repr__(self) -> str:
        return "Raises()"

    def __len__(self) -> int:
        raise OSError("no length")


class NoInit(NotFound):
    def __init__(self, key: str) -> None:
        self.key = key


class AllRaise(NotFound):
    @property
    def message(self) -> str:  # type: ignore[override]
        raise KeyError("message")

    @message.setter
    def message(self, value: str) -> None: ...

    @property
    def details(self) -> bytes:  # type: ignore[override]
        raise RuntimeError("details")

    @details.setter
    def details(self, value: bytes) -> None: ...

    @property
    def trailers(self) -> dict[str, str]:  # type: ignore[override]
        raise RuntimeError("trailers")

    @trailers.setter
    def trailers(self, value: Any) -> None: ...


class CodeRaises(RpcError):
    @property
    def code(self) -> Status:  # type: ignore[override]
        raise ValueError("code")


def released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


VALUES = st.one_of(
    st.builds(released),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=50),
    st.text(st.characters(categories=["Cs", "L"]), max_size=20),
    st.binary(max_size=50),
    st.just(bytes(70_000)),
    st.just("x" * 70_000),
    st.builds(Raises),
    st.builds(KeyError, st.text(max_size=3)),
    st.dictionaries(st.text(max_size=5) | st.integers(), st.text(max_size=5) | st.binary(max_size=5) | st.none()),
    st.lists(st.integers(), max_size=3),
)
CLASSES = st.sampled_from([*STATUS_ERRORS.values(), RpcError, StreamError.Timeout, StreamApplicationError])
LIMITS = st.builds(Limits, st.integers(1024, 10_000), st.integers(0, 100_000))


def read_back(ending: Ending, limits: Limits) -> Ending:
    """What the peer reads; it must fit what the peer takes."""
    frame = writer.end(1, ending)
    assert len(frame) - HEADER_BYTES <= limits.max_frame_bytes
    read = decode_ending(frame[HEADER_BYTES:])
    assert len(read.details) <= limits.max_metadata_bytes
    assert len(msgspec.msgpack.encode(read.trailers)) <= max(1, limits.max_metadata_bytes)
    return read


@given(CLASSES, VALUES, VALUES, VALUES, VALUES, LIMITS)
def test_any_rpc_error_becomes_an_ending_that_fits(
    kind: type[RpcError], message: Any, details: Any, trailers: Any, code: Any, limits: Limits
) -> None:
    error = kind("")
    for name, value in {"message": message, "details": details, "trailers": trailers}.items():
        setattr(error, name, value)
    status = error.code
    if kind is RpcError:
        error.code = code  # any value at all
        status = Status.UNKNOWN
    read = read_back(of_rpc_error(error, {"own": "1"}, limits), limits)
    if kind is RpcError:
        assert read.status in set(Status) - {Status.OK}
    else:
        assert read.status == status
    if isinstance(details, bytes) and details and details != read.details:
        assert "left out" in read.message or len(read.message) > 900, "what is left out is told"


@given(
    st.sampled_from(list(Status)),
    st.text(st.characters(), max_size=100) | st.just("é" * 5000),
    st.binary(max_size=2000),
    st.dictionaries(st.text(max_size=20), st.text(max_size=200) | st.binary(max_size=200), max_size=20),
    LIMITS,
)
def test_what_fits_is_sent_as_it_is(
    status: int, text: str, details: bytes, trailers: dict[str, str | bytes], limits: Limits
) -> None:
    read = read_back(fitting(status, text, details, trailers, limits), limits)
    size = len(msgspec.msgpack.encode(trailers)) if trailers else 0
    if (
        max(len(details), size) <= limits.max_metadata_bytes
        and len(details) + size <= limits.max_frame_bytes - END_BYTES
    ):
        assert (read.status, read.details, read.trailers) == (status, details, trailers)
    else:
        assert read.status == (status or Status.INTERNAL)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (NotFound(404), Status.NOT_FOUND, "404"),  # type: ignore[arg-type]
        (NotFound("no file \udcff"), Status.NOT_FOUND, "no file \\udcff"),
        (NoInit("k"), Status.NOT_FOUND, "k"),
        (AllRaise("x"), Status.NOT_FOUND, "cannot be read"),
        (CodeRaises("x"), Status.UNKNOWN, "x"),
        (NotFound(Raises()), Status.NOT_FOUND, "whose text cannot be made"),  # type: ignore[arg-type]
        (NotFound("x", details="text"), Status.NOT_FOUND, "details of type str were left out"),  # type: ignore[arg-type]
        (NotFound("x", details=bytes(70_000)), Status.NOT_FOUND, "max_metadata_bytes is 65536"),
        (NotFound("x", details=released()), Status.NOT_FOUND, "details of type memoryview were left out"),  # type: ignore[arg-type]
        (NotFound("x", trailers={"k": 5}), Status.NOT_FOUND, "trailers were left out"),  # type: ignore[dict-item]
    ],
)
def test_the_class_of_an_error_survives_its_values(error: RpcError, status: int, text: str) -> None:
    read = read_back(of_rpc_error(error, {}, USUAL), USUAL)
    assert read.status == status
    assert text in read.message


def test_an_end_that_cannot_be_told_is_internal() -> None:
    read = read_back(fitting(Status.OK, "", b"", {"k": "\ud800"}, USUAL), USUAL)
    assert read.status == Status.INTERNAL
    assert "trailers were left out" in read.message


def test_details_may_fill_a_frame_but_for_32_bytes() -> None:
    limits = Limits(1000, 65_536)
    assert fitting(Status.NOT_FOUND, "", bytes(968), {}, limits).details == bytes(968)
    ending = fitting(Status.NOT_FOUND, "", bytes(969), {}, limits)
    assert ending.details == b""
    assert "details of 969 and trailers of 0 bytes were left out: max_frame_bytes is 1000" in ending.message


def test_a_text_fills_what_details_and_trailers_leave() -> None:
    limits = Limits(1000, 65_536)
    assert len(fitting(Status.NOT_FOUND, "x" * 2000, bytes(500), {}, limits).message) == 468
    assert len(fitting(Status.NOT_FOUND, "x" * 2000, bytes(969), {}, limits).message) == 968, "they were left out"


@pytest.mark.parametrize(("others", "is_found"), [(999, True), (1000, False)])
def test_a_group_of_more_than_a_thousand_is_told_as_a_whole(others: int, is_found: bool) -> None:
    """It may be a user's, and large: nobody searches it without bound."""
    cancelled = [BaseExceptionGroup("g", [asyncio.CancelledError()]) for _ in range(others)]
    group = BaseExceptionGroup("g", [NotFound("x"), *cancelled])
    assert isinstance(error_of_group(group), NotFound) == is_found


def test_one_rpc_error_in_a_group_is_that_error() -> None:
    found = NotFound("x")
    assert error_of_group(ExceptionGroup("g", [found])) is found
    nested = BaseExceptionGroup("g", [asyncio.CancelledError(), ExceptionGroup("h", [found])])
    assert error_of_group(nested) is found
    assert error_of_group(found) is found


@pytest.mark.parametrize(
    "group",
    [
        ExceptionGroup("g", [NotFound("a"), NotFound("b")]),
        ExceptionGroup("g", [NotFound("a"), ValueError("b")]),
        ExceptionGroup("g", [ValueError("b")]),
        BaseExceptionGroup("g", [asyncio.CancelledError()]),
        ExceptionGroup("g", [ValueError("b")] * 5000),
    ],
)
def test_any_other_group_is_told_as_a_whole(group: BaseException) -> None:
    assert error_of_group(group) is group


def test_the_end_of_a_stream_that_was_let_out_is_known() -> None:
    error = RuntimeError("async generator raised StopAsyncIteration")
    assert not ran_out_of_a_stream(error)
    error.__cause__ = StopAsyncIteration()
    assert ran_out_of_a_stream(error)
    assert ran_out_of_a_stream(StopAsyncIteration())
    assert not ran_out_of_a_stream(Internal("x"))
