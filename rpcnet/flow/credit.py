"""Credit: how many bytes a sender may have on the way and unread, for one stream or one connection.

The sending side is one integer, kept where it is used. This is the receiving side: what was granted, what is held
unread, and when what has been read is granted again. Up to `hold_back` bytes are not told at once, so that CREDIT
frames are few; a sender that is nearly out of credit hears at most every `STARVED_INTERVAL` seconds of less, so that
the clock of its wait restarts while a slow reader moves.

A stream holds back half of its window, and the connection hears of its bytes when the stream's peer does, or when the
stream ends. A connection holds back an eighth of a *stream's* window beside that, however large its own is: where all
other streams are full and unread, what is left of the connection's window is one stream's, and a writer that waits for
more than three eighths of it would wait for ever.

Knows no frame and no transport; the clock is a function that is given.

Tests: tests/rpcnet/flow/test_credit.py.
"""

from collections.abc import Callable
from typing import Final

from rpcnet.errors import ProtocolError

__all__ = ["MAX_CREDIT", "STARVED_INTERVAL", "ReceiveCredit", "beyond_credit", "granted", "of_connection", "of_stream"]

MAX_CREDIT: Final = 2**31 - 1
"""As in HTTP/2: a peer that grants more is wrong, or wants our integers to overflow somewhere."""
STARVED_INTERVAL: Final = 0.1


class ReceiveCredit:
    """allowed + owed + held = window, always: what the peer may send, what was read and not told, what is unread."""

    __slots__ = ("_clock", "_hold_back", "_told", "allowed", "owed", "window")

    def __init__(self, window: int, hold_back: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.window = window
        self.allowed = window
        self.owed = 0
        self._hold_back = hold_back
        self._told = float("-inf")

    @property
    def held(self) -> int:
        """Bytes that have come and are unread, with what each item costs beside them."""
        return self.window - self.allowed - self.owed

    def charge(self, cost: int) -> None:
        """Something of this cost has arrived."""
        if cost > self.allowed:
            raise beyond_credit(cost, self.allowed, self.window)
        self.allowed -= cost

    def release(self, cost: int) -> int:
        """It was read, or thrown away. Returns what to grant the peer now, often 0."""
        owed = self.owed + cost
        if owed < self._hold_back and (self.allowed * 8 > self.window or self._clock() - self._told < STARVED_INTERVAL):
            self.owed = owed
            return 0
        self.owed = 0
        self.allowed += owed
        self._told = self._clock()
        return owed


def of_stream(window: int, clock: Callable[[], float]) -> ReceiveCredit:
    """What a stream with this window may send."""
    return ReceiveCredit(window, window // 2, clock)


def of_connection(window: int, stream_window: int, clock: Callable[[], float]) -> ReceiveCredit:
    """What all streams of a connection may send together."""
    return ReceiveCredit(window, stream_window // 8, clock)


def beyond_credit(cost: int, allowed: int, window: int) -> ProtocolError:
    """The error of a peer that sent more than it was granted."""
    return ProtocolError(f"peer sent {cost} bytes with {allowed} bytes of credit left (window {window})")


def granted(credit: int, amount: int) -> int:
    """The sender's credit after a CREDIT of this amount."""
    if amount == 0 or credit + amount > MAX_CREDIT:
        raise ProtocolError(f"CREDIT of {amount} on top of {credit} is outside 1 to {MAX_CREDIT}")
    return credit + amount
