"""What handlers and callers raise on purpose, and as what it has to arrive."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from rpcnet import FailedPrecondition, InvalidArgument, NotFound, OutOfRange, PermissionDenied, RpcError
from rpcnet.errors import Aborted, Status

__all__ = ["RAISES", "ItemsError", "OddItemsError", "Raised", "is_on_purpose", "marked"]


class ItemsError(Exception):
    """Raised by a caller's own items."""


class OddItemsError(RpcError):
    """Raised by a caller's own items: an RpcError that cannot be made from its text alone."""

    code = Status.ABORTED

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this error has no text")


class _Odd(RpcError):
    code = Status.DATA_LOSS

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


@dataclass(frozen=True, slots=True)
class Raised:
    """How to make an error, and how its caller has to see it."""

    make: Callable[[], Exception]
    code: Status
    message: str | None = None
    """None: any text."""
    details: bytes | None = None
    """None: any, as they may be over the limit."""
    trailers: Mapping[str, str] | None = None


_DETAILS = bytes(range(256)) * 2

RAISES: Final[dict[str, Raised]] = {
    "NotFound": Raised(lambda: NotFound("no such thing"), Status.NOT_FOUND, "no such thing", b""),
    "details": Raised(
        lambda: FailedPrecondition("see details", details=_DETAILS),
        Status.FAILED_PRECONDITION,
        "see details",
        _DETAILS,
    ),
    "large details": Raised(lambda: PermissionDenied("large", details=bytes(200_000)), Status.PERMISSION_DENIED),
    "long text": Raised(lambda: Aborted("long " * 5_000), Status.ABORTED),
    "trailers": Raised(
        lambda: OutOfRange("with trailers", trailers={"k": "v"}), Status.OUT_OF_RANGE, "with trailers", b"", {"k": "v"}
    ),
    "large trailers": Raised(
        lambda: InvalidArgument("large trailers", trailers={"k": "v" * 100_000}), Status.INVALID_ARGUMENT
    ),
    "own constructor": Raised(lambda: _Odd(1, 2), Status.DATA_LOSS, "1 and 2", b""),
    "ValueError": Raised(lambda: ValueError("a secret"), Status.INTERNAL),
    "unprintable": Raised(_Unprintable, Status.INTERNAL),
    "group": Raised(lambda: ExceptionGroup("of a task group", [NotFound("in a group")]), Status.NOT_FOUND),
    "group of two": Raised(
        lambda: ExceptionGroup("of a task group", [NotFound("one"), ValueError("two")]), Status.INTERNAL
    ),
}


def marked(error: Exception) -> Exception:
    """An error that the log may speak of."""
    error.on_purpose = True  # type: ignore[attr-defined]
    return error


def is_on_purpose(error: object) -> bool:
    return getattr(error, "on_purpose", False) is True
