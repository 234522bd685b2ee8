"""What may be sent in each of a call's two directions: two tables, and every pair not listed is a ProtocolError.

A direction knows nothing of the other one. The request direction is the caller's: OPEN puts it where `FIRST` says.
The response direction is the handler's: its END ends the whole call, so that nothing follows it; what the caller had
sent by then arrives at a call that is gone, and is skipped there. A caller that has sent CANCEL goes on to follow
the response direction by this table, and throws away what comes, until END tells it that the handler has really
ended.

Knows no transport and no items. docs/protocol.md draws these tables.

Tests: tests/rpcnet/flow/test_state.py.
"""

from typing import Final

from rpcnet.errors import ProtocolError
from rpcnet.wire.frame import CANCEL, CREDIT, END, FLAG_END, FLAG_ITEM, FLAG_MORE, FLAG_PACKED, ITEM, METADATA, NAMES

__all__ = ["ABORTED", "ENDED", "FIRST", "HALF_NAMES", "OPENED", "PARTIAL", "REQUEST", "RESPONSE", "START", "step"]

START: Final = 0
"""Nothing was sent yet; a server may still send metadata."""
OPENED: Final = 1
PARTIAL: Final = 2
"""In the middle of a message that comes in parts."""
ENDED: Final = 3
ABORTED: Final = 4
"""The caller has let go."""

HALF_NAMES: Final = {START: "START", OPENED: "OPENED", PARTIAL: "PARTIAL", ENDED: "ENDED", ABORTED: "ABORTED"}

# Where the flags of OPEN leave the request direction.
FIRST: Final[dict[int, int]] = {
    0: OPENED,
    FLAG_ITEM: OPENED,
    FLAG_ITEM | FLAG_MORE: PARTIAL,
    FLAG_ITEM | FLAG_END: ENDED,
    FLAG_END: ENDED,
}

FIRST.update({flags | FLAG_PACKED: half for flags, half in list(FIRST.items()) if flags & FLAG_ITEM})

# (state, frame, flags) → state
REQUEST: Final[dict[tuple[int, int, int], int]] = {
    (OPENED, ITEM, 0): OPENED,
    (OPENED, ITEM, FLAG_MORE): PARTIAL,
    (OPENED, ITEM, FLAG_END): ENDED,
    (OPENED, END, 0): ENDED,
    (OPENED, CREDIT, 0): OPENED,
    (OPENED, CANCEL, 0): ABORTED,
    (PARTIAL, ITEM, 0): OPENED,
    (PARTIAL, ITEM, FLAG_MORE): PARTIAL,
    (PARTIAL, ITEM, FLAG_END): ENDED,
    (PARTIAL, CREDIT, 0): PARTIAL,
    # A caller may give up in the middle of a message; ending there is a mistake.
    (PARTIAL, CANCEL, 0): ABORTED,
    # After its last item a caller may still give up on the answer, and goes on to give credit for it.
    (ENDED, CREDIT, 0): ENDED,
    (ENDED, CANCEL, 0): ABORTED,
}

RESPONSE: Final[dict[tuple[int, int, int], int]] = {
    (START, METADATA, 0): OPENED,
    (START, ITEM, 0): OPENED,
    (START, ITEM, FLAG_MORE): PARTIAL,
    (START, ITEM, FLAG_END): ENDED,
    (START, END, 0): ENDED,
    (START, CREDIT, 0): START,
    (OPENED, ITEM, 0): OPENED,
    (OPENED, ITEM, FLAG_MORE): PARTIAL,
    (OPENED, ITEM, FLAG_END): ENDED,
    (OPENED, END, 0): ENDED,
    (OPENED, CREDIT, 0): OPENED,
    (PARTIAL, ITEM, 0): OPENED,
    (PARTIAL, ITEM, FLAG_MORE): PARTIAL,
    (PARTIAL, ITEM, FLAG_END): ENDED,
    (PARTIAL, CREDIT, 0): PARTIAL,
    # A handler may fail, or be cancelled, in the middle of a message. (With status OK it is a mistake.)
    (PARTIAL, END, 0): ENDED,
}


# The first frame of a message says whether it is MessagePack; the parts after it say nothing more.
for _table in (REQUEST, RESPONSE):
    for (_half, _kind, _flags), _after in list(_table.items()):
        if _kind == ITEM and _half != PARTIAL:
            _table[_half, _kind, _flags | FLAG_PACKED] = _after


def step(table: dict[tuple[int, int, int], int], half: int, kind: int, flags: int) -> int:
    """The state after this frame, or ProtocolError."""
    after = table.get((half, kind, flags))
    if after is None:
        raise ProtocolError(f"{NAMES.get(kind, kind)} with flags {flags} is not allowed in state {HALF_NAMES[half]}")
    return after
