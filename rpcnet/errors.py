"""What can go wrong with a call, as exceptions that a caller would catch separately.

RpcError                          a call ended with a status other than OK
├── Cancelled … Unauthenticated   one class for each of gRPC's sixteen statuses
└── StreamError                   reading or writing a stream
    ├── StreamTimeout             the peer was silent for idle_timeout (a DeadlineExceeded too)
    ├── StreamTransportError      the connection broke (an Unavailable and a ConnectionError too); `.cause`
    └── StreamApplicationError    the handler, or a deadline, ended it; `.code .message .payload`
        └── StreamNotFound …      one class for each status, an instance of that status's class too
Whatever the shape of a call, `except NotFound` catches that status. A deadline is a TimeoutError everywhere.
ProtocolError                     the peer broke a rule of docs/protocol.md; its connection is closed

Knows no transport. The peer sees a status and a short text, never a traceback.

Tests: tests/rpcnet/test_errors.py.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar, TypeAlias

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Cancelled",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "Metadata",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "ProtocolError",
    "ResourceExhausted",
    "RpcError",
    "Status",
    "StreamApplicationError",
    "StreamError",
    "StreamTimeout",
    "StreamTransportError",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "status_name",
]

Metadata: TypeAlias = Mapping[str, str | bytes]


class Status(IntEnum):
    """How a call ended: gRPC's numbers, known to every user."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_NUMBERS = frozenset(Status)


def status_name(status: int) -> str:
    """The name of a status that came as a number; one that this version does not know is UNKNOWN."""
    return Status(status).name if status in _NUMBERS else "UNKNOWN"


class RpcError(Exception):
    """A call ended with a status other than OK. Raise a subclass in a handler; the caller catches the same class."""

    code: Status = Status.UNKNOWN
    message: str
    details: bytes
    """Bytes for programs, beside the text for people."""
    trailers: Metadata
    """Metadata that came with the end of the call."""
    metadata: Metadata
    """What the handler sent with `send_metadata` before it raised."""

    def __init__(self, message: str = "", *, details: bytes = b"", trailers: Metadata | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.trailers = trailers or {}
        self.metadata = {}

    def __str__(self) -> str:
        return str(self.message) if self.message else self.code.name  # a handler may have given it anything

    @staticmethod
    def of(code: int, message: str, details: bytes = b"", trailers: Metadata | None = None) -> "RpcError":
        """The error of a status that came from a peer; one we do not know is UNKNOWN."""
        return STATUS_ERRORS.get(code, Unknown)(message, details=details, trailers=trailers)


class Cancelled(RpcError):
    """The caller let go, or the server cancelled its handler."""

    code = Status.CANCELLED


class Unknown(RpcError):
    """A status from a peer that this version does not know."""

    code = Status.UNKNOWN


class InvalidArgument(RpcError):
    """The request is wrong whatever the state of the server; typed handlers answer so to what does not fit the type."""

    code = Status.INVALID_ARGUMENT


class DeadlineExceeded(RpcError, TimeoutError):
    """The call's deadline passed."""

    code = Status.DEADLINE_EXCEEDED


class NotFound(RpcError):
    """What was asked for does not exist."""

    code = Status.NOT_FOUND


class AlreadyExists(RpcError):
    """What was to be made exists."""

    code = Status.ALREADY_EXISTS


class PermissionDenied(RpcError):
    """The caller is known and may not do this."""

    code = Status.PERMISSION_DENIED


class ResourceExhausted(RpcError):
    """A limit was reached; the text names it."""

    code = Status.RESOURCE_EXHAUSTED


class FailedPrecondition(RpcError):
    """The server, or the stream, is not in a state in which this can be done."""

    code = Status.FAILED_PRECONDITION


class Aborted(RpcError):
    """Given up because of a conflict; may be tried again from the start."""

    code = Status.ABORTED


class OutOfRange(RpcError):
    """Past the end of what exists."""

    code = Status.OUT_OF_RANGE


class Unimplemented(RpcError):
    """The server has no such method, or has it in another shape."""

    code = Status.UNIMPLEMENTED


class Internal(RpcError):
    """A handler raised something unexpected; the text holds an id that is in the server's log as well."""

    code = Status.INTERNAL


class Unavailable(RpcError):
    """The server cannot be reached, went away, or is shutting down."""

    code = Status.UNAVAILABLE


class DataLoss(RpcError):
    """Data is lost or damaged for good."""

    code = Status.DATA_LOSS


class Unauthenticated(RpcError):
    """The caller is not known."""

    code = Status.UNAUTHENTICATED


STATUS_ERRORS: dict[int, type[RpcError]] = {
    error.code: error
    for error in (
        Cancelled,
        Unknown,
        InvalidArgument,
        DeadlineExceeded,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        Unimplemented,
        Internal,
        Unavailable,
        DataLoss,
        Unauthenticated,
    )
}


class StreamError(RpcError):
    """What reading or writing any stream raises. After it the stream is over."""

    # Also exported flat, because a nested class made so is no annotation for type checkers.
    Timeout: "ClassVar[type[StreamTimeout]]"
    Transport: "ClassVar[type[StreamTransportError]]"
    Application: "ClassVar[type[StreamApplicationError]]"


class StreamTimeout(StreamError, DeadlineExceeded):
    """The peer was silent for `idle_timeout` while something was awaited of it."""

    code = Status.DEADLINE_EXCEEDED


class StreamTransportError(StreamError, Unavailable, ConnectionError):
    """The connection broke before the stream's end; `cause` says how."""

    code = Status.UNAVAILABLE
    cause: RpcError

    def __init__(self, message: str = "", *, cause: RpcError | None = None) -> None:
        super().__init__(message)
        self.cause = cause if cause is not None else Unavailable(message)


class StreamApplicationError(StreamError):
    """The stream was ended with a status other than OK: by its handler, a deadline, or an abort at this end.

    What is made is an instance of the status's own class too: `StreamApplicationError("…", code=Status.NOT_FOUND)` is a
    NotFound.
    """

    code: Status
    payload: bytes
    """The `details` of what the handler raised."""

    def __new__(cls, message: str = "", *, code: int = Status.UNKNOWN, **_: Any) -> "StreamApplicationError":
        wanted = _STREAM_STATUS_ERRORS.get(code, cls) if cls is StreamApplicationError else cls
        # The base of a deadline is OSError: the way to __new__ is that of the class that is made.
        return super(StreamApplicationError, wanted).__new__(wanted, message)

    def __init__(
        self, message: str = "", *, code: int = Status.UNKNOWN, payload: bytes = b"", trailers: Metadata | None = None
    ) -> None:
        super().__init__(message, details=payload, trailers=trailers)
        self.code = Status(code) if code in STATUS_ERRORS else Status.UNKNOWN
        self.payload = payload


def _of_status(base: type[RpcError]) -> type[StreamApplicationError]:
    """The class of streams that ended with this status."""
    name = f"Stream{base.__name__}"
    facts = {"__doc__": f"A stream ended with {base.code.name}.", "__module__": __name__}
    made: type[StreamApplicationError] = type(name, (StreamApplicationError, base), facts)
    globals()[name] = made  # errors are pickled by the name of their class
    return made


_STREAM_STATUS_ERRORS: dict[int, type[StreamApplicationError]] = {
    code: _of_status(base) for code, base in STATUS_ERRORS.items()
}

StreamError.Timeout = StreamTimeout
StreamError.Transport = StreamTransportError
StreamError.Application = StreamApplicationError


class ProtocolError(Exception):
    """The peer broke a rule of the wire protocol. Its connection is closed; no other is touched."""
