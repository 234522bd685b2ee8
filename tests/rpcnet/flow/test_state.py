"""Every state × frame × flags: listed, or a ProtocolError; and two ends that obey never meet one."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rpcnet.errors import ProtocolError
from rpcnet.flow.state import ABORTED, ENDED, FIRST, HALF_NAMES, OPENED, PARTIAL, REQUEST, RESPONSE, START, step
from rpcnet.wire.frame import (
    CANCEL,
    CREDIT,
    END,
    FLAG_END,
    FLAG_ITEM,
    FLAG_MORE,
    FLAG_PACKED,
    ITEM,
    METADATA,
    NAMES,
)

# What each state allows and where it leads, by the frame's name; PACKED is left out, see the test below.
ITEMS = {(ITEM, 0): OPENED, (ITEM, FLAG_MORE): PARTIAL, (ITEM, FLAG_END): ENDED}
CALLER_MAY = {
    OPENED: {**ITEMS, (END, 0): ENDED, (CREDIT, 0): OPENED, (CANCEL, 0): ABORTED},
    PARTIAL: {**ITEMS, (CREDIT, 0): PARTIAL, (CANCEL, 0): ABORTED},
    ENDED: {(CREDIT, 0): ENDED, (CANCEL, 0): ABORTED},
}
HANDLER_MAY = {
    START: {(METADATA, 0): OPENED, **ITEMS, (END, 0): ENDED, (CREDIT, 0): START},
    OPENED: {**ITEMS, (END, 0): ENDED, (CREDIT, 0): OPENED},
    PARTIAL: {**ITEMS, (CREDIT, 0): PARTIAL, (END, 0): ENDED},
}


@pytest.mark.parametrize(("table", "may"), [(REQUEST, CALLER_MAY), (RESPONSE, HANDLER_MAY)], ids=["caller", "handler"])
def test_each_state_allows_these_frames_and_no_other(table, may) -> None:
    for half in HALF_NAMES:
        allowed = {(kind, flags): after for (before, kind, flags), after in table.items() if before == half}
        plain = may.get(half, {})
        # Only the first frame of a message says whether it is packed.
        packed = {(ITEM, flags | FLAG_PACKED): after for (kind, flags), after in plain.items() if kind == ITEM}
        assert allowed == plain | (packed if half != PARTIAL else {})


def test_the_flags_of_open_say_where_a_caller_begins() -> None:
    first_item = {FLAG_ITEM: OPENED, FLAG_ITEM | FLAG_MORE: PARTIAL, FLAG_ITEM | FLAG_END: ENDED}
    packed = {flags | FLAG_PACKED: after for flags, after in first_item.items()}
    assert {0: OPENED, FLAG_END: ENDED, **first_item, **packed} == FIRST


def test_an_error_names_frame_flags_and_state() -> None:
    for half, name in enumerate(["START", "OPENED", "PARTIAL", "ENDED", "ABORTED"]):
        with pytest.raises(ProtocolError, match=f"CREDIT with flags 7 is not allowed in state {name}$"):
            step(REQUEST, half, CREDIT, 7)
    with pytest.raises(ProtocolError, match="99 with flags 0"):
        step(REQUEST, OPENED, 99, 0)


@pytest.mark.parametrize("table", [REQUEST, RESPONSE], ids=["request", "response"])
def test_every_pair_is_listed_or_an_error(table) -> None:
    for half in HALF_NAMES:
        for kind in (*NAMES, 99):
            for flags in range(16):
                if (half, kind, flags) in table:
                    assert step(table, half, kind, flags) in HALF_NAMES
                else:
                    with pytest.raises(ProtocolError, match="not allowed in state"):
                        step(table, half, kind, flags)


def test_nothing_leads_out_of_an_end() -> None:
    for table in (REQUEST, RESPONSE):
        for (before, _, _), after in table.items():
            assert before != ABORTED
            assert before != ENDED or after in (ENDED, ABORTED)


def test_a_message_that_was_begun_is_finished_or_given_up() -> None:
    assert (PARTIAL, END, 0) not in REQUEST
    assert REQUEST[PARTIAL, CANCEL, 0] == ABORTED
    assert RESPONSE[PARTIAL, END, 0] == ENDED
    assert (PARTIAL, METADATA, 0) not in RESPONSE


def test_metadata_comes_once_and_first() -> None:
    assert [half for half, kind, _ in RESPONSE if kind == METADATA] == [START]


class TwoEnds(RuleBasedStateMachine):
    """A caller and a handler that send what they may, over a wire that delivers late: neither ever sees an error.

    The server forgets a call once it has sent END, and skips what still comes; the caller goes on to follow until END.
    """

    def __init__(self) -> None:
        super().__init__()
        self.caller = self.caller_seen = OPENED
        self.handler = self.handler_seen = START
        self.to_handler: list[tuple[int, int]] = []
        self.to_caller: list[tuple[int, int]] = []

    @rule(kind=st.sampled_from([ITEM, END, CANCEL, CREDIT]), flags=st.sampled_from([0, FLAG_END, FLAG_MORE]))
    def caller_sends(self, kind: int, flags: int) -> None:
        if self.handler_seen != ENDED and (self.caller, kind, flags) in REQUEST:
            self.caller = REQUEST[self.caller, kind, flags]
            self.to_handler.append((kind, flags))

    @rule(kind=st.sampled_from([ITEM, END, METADATA, CREDIT]), flags=st.sampled_from([0, FLAG_END, FLAG_MORE]))
    def handler_sends(self, kind: int, flags: int) -> None:
        if (self.handler, kind, flags) in RESPONSE:
            self.handler = RESPONSE[self.handler, kind, flags]
            self.to_caller.append((kind, flags))

    @precondition(lambda self: self.to_handler)
    @rule()
    def handler_reads(self) -> None:
        kind, flags = self.to_handler.pop(0)
        if self.handler != ENDED:
            self.caller_seen = step(REQUEST, self.caller_seen, kind, flags)

    @precondition(lambda self: self.to_caller)
    @rule()
    def caller_reads(self) -> None:
        kind, flags = self.to_caller.pop(0)
        self.handler_seen = step(RESPONSE, self.handler_seen, kind, flags)

    @invariant()
    def ends_agree_once_the_wire_is_empty(self) -> None:
        if not self.to_caller:
            assert self.handler_seen == self.handler
        if not self.to_handler and self.handler != ENDED:
            assert self.caller_seen == self.caller


TestTwoEnds = TwoEnds.TestCase
