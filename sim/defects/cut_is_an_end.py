"""A connection that breaks is taken for the end of its streams: readers and handlers believe that they have all.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.client.call import ClientCall
from rpcnet.errors import Unavailable
from rpcnet.server.call import ServedCall

__all__ = ["cut_is_an_end"]


@contextmanager
def cut_is_an_end() -> Iterator[None]:
    cut, cancel = ClientCall.cut, ServedCall.cancel

    def end(call: ClientCall, error: Unavailable) -> None:
        if call.reply is None and not call.finished:
            call.complete()
        else:
            cut(call, error)

    def end_input(call: ServedCall, status: int) -> None:
        if call.connection.closed and not call.finished:
            call.end_input()
        else:
            cancel(call, status)

    with patch.object(ClientCall, "cut", end), patch.object(ServedCall, "cancel", end_input):
        yield
