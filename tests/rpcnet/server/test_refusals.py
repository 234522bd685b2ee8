"""What a server refuses: every refusal is counted, one line a limit is logged in ten seconds."""

import logging
from typing import Any

from rpcnet.server.refusals import LOG_SECONDS, Refusals


def lines(caplog: Any) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_line_says_how_many_were_refused_since_the_last(caplog: Any) -> None:
    refusals = Refusals()
    with caplog.at_level(logging.WARNING, "rpcnet"):
        for now in (5.0, 6.0, 7.0, 5.0 + LOG_SECONDS, 5.0 + 2 * LOG_SECONDS):
            refusals.call("max_handlers (3)", "10.0.0.1:5", now)
    assert lines(caplog) == [
        "server refused a call of 10.0.0.1:5: max_handlers (3)",
        "server refused a call of 10.0.0.1:5: max_handlers (3) (2 more were refused since the last such line)",
        "server refused a call of 10.0.0.1:5: max_handlers (3)",
    ]
    assert (refusals.calls, refusals.connections) == (5, 0)


def test_each_limit_has_a_line_of_its_own(caplog: Any) -> None:
    refusals = Refusals()
    with caplog.at_level(logging.WARNING, "rpcnet"):
        refusals.call("max_handlers (3)", "10.0.0.1:5", 0.0)
        refusals.call("max_running (1) of 'add'", "10.0.0.1:5", 0.0)
        refusals.connection("max_connections (2)", "", 0.0)
    assert lines(caplog) == [
        "server refused a call of 10.0.0.1:5: max_handlers (3)",
        "server refused a call of 10.0.0.1:5: max_running (1) of 'add'",
        "server refused a connection of (unknown peer): max_connections (2)",
    ]
    assert (refusals.calls, refusals.connections) == (2, 1)
