"""With which status, text, details and trailers a call ends, whatever its handler raised and put into them.

A call must end whatever a user's values are: an exception whose `__str__`, `message` or `code` raises, text that UTF-8
cannot hold, details that are no bytes, trailers that cannot be encoded or are too large. So each field is read on its
own, what cannot be sent is left out and the text says so, and where even that fails there is a last resort. The class
of an error survives: NotFound stays NotFound.

Knows no call and no connection: values in, an `Ending` out that fits the peer's limits.

Tests: tests/rpcnet/server/test_ending.py, and over both worlds tests/rpcnet/test_errors.py.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rpcnet.errors import RpcError, Status, StreamTimeout
from rpcnet.metadata import checked_metadata, encoded_metadata
from rpcnet.wire.frame import MAX_TEXT_BYTES, Ending

__all__ = ["LAST_RESORT", "Limits", "error_of_group", "fitting", "of_rpc_error", "ran_out_of_a_stream"]

LAST_RESORT: Final = Ending(Status.INTERNAL, "the handler ended with an error that cannot be told")
MAX_LEAVES: Final = 1000
"""Errors of a group that are looked at; a group of more is told as a whole."""
END_BYTES: Final = 32
"""What END takes beside text, details and trailers: heads of MessagePack values, and a status."""


class Limits(msgspec.Struct, frozen=True):
    """What the peer takes, in bytes."""

    max_frame_bytes: int
    max_metadata_bytes: int


def error_of_group(error: BaseException) -> BaseException:
    """The one RpcError that a group of exceptions holds, cancelled tasks aside; else the error itself."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    found: list[BaseException] = []
    groups: list[BaseException] = [error]
    while groups:
        for part in groups.pop().exceptions:  # type: ignore[attr-defined]
            if isinstance(part, BaseExceptionGroup):
                groups.append(part)
            elif not isinstance(part, asyncio.CancelledError):
                found.append(part)
        if len(found) + len(groups) > MAX_LEAVES:
            return error
    return found[0] if len(found) == 1 and isinstance(found[0], RpcError) else error


def ran_out_of_a_stream(error: BaseException) -> bool:
    """Whether StopAsyncIteration, as `receive()` raises it, was let out; a generator makes a RuntimeError of it."""
    return isinstance(error, StopAsyncIteration) or (
        isinstance(error, RuntimeError) and isinstance(error.__cause__, StopAsyncIteration)
    )


def of_rpc_error(error: RpcError, trailers: Mapping[str, str | bytes], limits: Limits) -> Ending:
    """The ending of a call whose handler raised this."""
    notes: list[str] = []
    status = _status(error)
    message = _field(error, "message", "", notes)
    details = _field(error, "details", b"", notes)
    try:
        details = bytes(memoryview(details))  # not bytes(details), which asks a subclass
    except (TypeError, ValueError):
        notes.append(f"details of type {type(details).__name__} were left out: they must be bytes")
        details = b""
    own = _field(error, "trailers", {}, notes)
    joined = dict(trailers)
    try:
        joined.update(checked_metadata(own))
    except RpcError as other:
        notes.append(f"trailers were left out: {other.message}")
    return fitting(status, _text(message), details, joined, limits, notes)


def fitting(
    status: int,
    text: str,
    details: bytes,
    trailers: Mapping[str, str | bytes],
    limits: Limits,
    notes: list[str] | None = None,
) -> Ending:
    """An ending within the peer's limits: text is cut, details and trailers that do not fit are left out, with a note.

    An ending with status OK has no text to say so: it becomes INTERNAL.
    """
    notes = notes or []
    limit = limits.max_metadata_bytes
    if len(details) > limit:
        notes.append(f"details of {len(details)} bytes were left out: max_metadata_bytes is {limit}")
        details = b""
    checked: dict[str, str | bytes] = {}
    trailers_bytes = 0
    if trailers:
        try:
            trailers_bytes = len(encoded_metadata(trailers, limit))
            checked = checked_metadata(trailers)
        except RpcError as error:
            notes.append(f"trailers were left out: {error.message}")
    room = limits.max_frame_bytes - END_BYTES
    if len(details) + trailers_bytes > room:
        notes.append(
            f"details of {len(details)} and trailers of {trailers_bytes} bytes were left out:"
            f" max_frame_bytes is {limits.max_frame_bytes}"
        )
        details, checked, trailers_bytes = b"", {}, 0
    if notes and status == Status.OK:
        status, text = Status.INTERNAL, "the call went well, but its end cannot be told"
    room -= len(details) + trailers_bytes
    return Ending(int(status), _cut("; ".join([text, *notes] if text else notes), room), details, checked)


def _status(error: RpcError) -> int:
    if isinstance(error, StreamTimeout):
        return Status.DEADLINE_EXCEEDED
    try:
        status = Status(error.code)
    except Exception:
        return Status.UNKNOWN
    return Status.UNKNOWN if status == Status.OK else status


def _field(error: RpcError, name: str, missing: Any, notes: list[str]) -> Any:
    """An attribute of an error, which a subclass may have forgotten to set, or made raise."""
    try:
        return getattr(error, name)
    except AttributeError:
        return BaseException.__str__(error) if name == "message" else missing
    except Exception as other:
        notes.append(f"{name} cannot be read: it raised {type(other).__name__}")
        return missing


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    try:
        return str.__str__(value) if isinstance(value, str) else str(value)
    except Exception as error:
        return f"({type(value).__name__}, whose text cannot be made: it raised {type(error).__name__})"


def _cut(text: str, room: int) -> str:
    """So much of a text as fits, whole characters; what UTF-8 cannot hold is written as an escape."""
    encoded = text.encode("utf-8", "backslashreplace")
    return encoded[: max(0, min(MAX_TEXT_BYTES, room))].decode("utf-8", "ignore")
