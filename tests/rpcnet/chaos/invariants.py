"""What must be true of every play, whatever was drawn. Judged when all is quiet; nothing here runs a loop.

The rules are those of the design: a call runs its handler once at most; items arrive in order and whole; an end in
order means that all have come; every call ends in time, and its error is true; afterwards nothing is left.
"""

import asyncio
import logging
import math
from collections.abc import Iterator
from typing import Any

from rpcnet import FailedPrecondition, RpcError, Status, StreamError
from rpcnet.errors import StreamTimeout
from rpcnet.stats import RpcStats
from tests.rpcnet.chaos import limits
from tests.rpcnet.chaos.handlers import METADATA, TRAILERS
from tests.rpcnet.chaos.plan import SERVER, Plan
from tests.rpcnet.chaos.raising import RAISES, ItemsError, OddItemsError, is_on_purpose
from tests.rpcnet.chaos.record import Record, Seen

__all__ = ["counts", "ended", "logged", "quiet", "truthful"]

EARLY = 0.001
"""Seconds by which a deadline may pass before its time: it travels in microseconds."""


OF_FAULTS = ("no sign of life", "handshake_timeout", "goes on although it was cancelled", "the TLS handshake")
"""Words of warnings that faults bring."""

# Every call ends in time.


def ended(record: Record) -> list[str]:
    """Calls that have not ended, or late."""
    return [f"call {seen.call.number}: {text}" for seen in record.seen.values() for text in _lateness(record, seen)]


def _lateness(record: Record, seen: Seen) -> Iterator[str]:
    if seen.ended is None and seen.call.node in record.plan.doomed:
        return
    if seen.began is None:
        yield "it has never begun: its client could not connect"
        return
    by, why = limits.ends_by(record, seen)
    if seen.ended is None:
        yield f"it has not ended by {record.now():.3f} s; it had to by {by:.3f} s ({why})"
    elif seen.ended > by:
        yield f"it ended at {seen.ended:.3f} s; it had to by {by:.3f} s ({why})"


# Every end is true.


def truthful(record: Record) -> list[str]:
    """What is not true of the ends of calls."""
    found = []
    for seen in record.seen.values():
        texts = [*seen.wrong, *_untruths(record.plan, seen)]
        if seen.handler_ended is not None and seen.handler_ended > (by := limits.handler_ends_by(record.plan, seen)):
            texts.append(f"its handler ended at {seen.handler_ended:.3f} s; it had to by {by:.3f} s")
        if seen.runs > 1:
            texts.append(f"its handler ran {seen.runs} times")
        found += [f"call {seen.call.number}: {text}" for text in texts]
    return found


def _untruths(plan: Plan, seen: Seen) -> Iterator[str]:
    if seen.outcome == "ok":
        yield from _of_an_end_in_order(plan, seen)
    elif isinstance(seen.outcome, BaseException):
        yield from _of_an_error(plan, seen, seen.outcome)


def _of_an_end_in_order(plan: Plan, seen: Seen) -> Iterator[str]:
    handling = seen.call.handling
    if not seen.handler_finished:
        yield "it ended in order, and its handler did not"
    if seen.read != len(handling.sends):
        yield f"it ended in order after {seen.read} of {len(handling.sends)} items"
    if limits.timeout(plan, seen.call) == 0 or limits.idle_timeout(plan, seen.call) == 0:
        yield "it ended in order, and had no time at all"
    if seen.trailers is not None and seen.trailers != (TRAILERS if handling.trailers else {}):
        yield f"it ended with trailers {seen.trailers!r}"
    if seen.metadata is not None and seen.metadata != (METADATA if handling.metadata else {}):
        yield f"it came with metadata {seen.metadata!r}"


def _of_an_error(plan: Plan, seen: Seen, error: BaseException) -> Iterator[str]:
    if isinstance(error, asyncio.CancelledError):
        if not seen.cancelled:
            yield "its caller was told that it was cancelled, and was not"
    elif isinstance(error, ItemsError | OddItemsError):
        if not seen.items_raised:
            yield f"it raised {error!r} of items that did not raise"
    elif not isinstance(error, RpcError):
        yield f"it raised {error!r:.300}, which is no RpcError"
    elif seen.let_go == "its client is closed" and isinstance(error, FailedPrecondition):
        pass  # it came to a client that was closed already
    elif seen.call.shape != "unary" and not isinstance(error, StreamError):
        yield f"it raised {error!r:.300}, which is no StreamError"
    elif not _is_the_handlers(seen, error):
        why = _why(plan, seen).get(error.code)
        if why is None:
            yield f"it raised {error!r:.300} with {error.code.name}, for which there is no reason"
        elif why:
            yield f"it raised {error!r:.300}, but {why}"


def _is_the_handlers(seen: Seen, error: RpcError) -> bool:
    """Whether it is what the handler raised, with all its facts."""
    if not seen.handler_raised:
        return False
    raised = RAISES[seen.call.handling.end]
    trailers = {**(TRAILERS if seen.call.handling.trailers else {}), **(raised.trailers or {})}
    return (
        error.code == raised.code
        and raised.message in (None, error.message)
        and raised.details in (None, error.details)
        and (raised.details is None or dict(error.trailers) == trailers)
    )


def _why(plan: Plan, seen: Seen) -> dict[Status, str]:
    """The statuses that there is a reason for; a text says what is wrong with it even so."""
    assert seen.ended is not None and seen.began is not None
    reasons: dict[Status, str] = {}
    if isinstance(seen.outcome, StreamTimeout):
        seconds = limits.idle_timeout(plan, seen.call)
        # A writer's wait may have begun before the last item was read; where nothing is written, none has.
        passed = seen.ended - (seen.read_at if seen.call.shape == "download" else seen.began)
    else:
        seconds, passed = limits.timeout(plan, seen.call), seen.ended - seen.began
    if seconds < math.inf:
        early = passed < seconds - EARLY
        reasons[Status.DEADLINE_EXCEEDED] = f"only {passed:.3f} of {seconds:g} s have passed" if early else ""
    if any(fault.at <= seen.ended for fault in plan.faults) or plan.loss or plan.bandwidth:
        reasons[Status.UNAVAILABLE] = ""
    if seen.runs == 0 and "max_resets" in str(seen.outcome) and "wait_for_ready waits" in str(seen.outcome):
        reasons[Status.UNAVAILABLE] = ""  # a server that closes again and again is left alone for a pause
    if seen.let_go_at is not None or seen.items_raised:
        reasons[Status.CANCELLED] = ""
    if seen.let_go == "its client is closed":
        reasons[Status.FAILED_PRECONDITION] = reasons[Status.UNAVAILABLE] = ""
    sizes = max((*seen.call.sends, *seen.call.handling.sends), default=0)
    if sizes > min(plan.server_config.max_message_bytes, plan.client_config.max_message_bytes):
        reasons[Status.RESOURCE_EXHAUSTED] = ""
    return reasons


# Nothing is left.


def quiet(stage: Any) -> list[str]:
    """What is left when every call has ended and every fault is over."""
    found = [
        f"the handler of call {number} still runs" for boot, number in stage.record.running if _is_now(stage, boot)
    ]
    found += counts(stage.server.stats, "the server")
    for name, client in stage.clients.items():
        if name in stage.plan.doomed:
            continue
        if client is None:
            found.append(f"{name} has no client")
            continue
        found += counts(client.stats, f"client {name}")
        for connection in client._dialer.connections:
            found += _credit(connection, stage.server)
    found += [
        f"a task is left on {node}: {task.get_name()} waits in {place}"
        for node, task, place in stage.simulation.tasks()
        if (node, task.get_name()) != (SERVER, "serve")
    ]
    return found


def _is_now(stage: Any, boot: int) -> bool:
    return bool(boot == stage.record.boots)


def counts(stats: RpcStats, whose: str, connections: int | None = None) -> list[str]:
    """Counts that are not zero."""
    numbers = {name: getattr(stats, name) for name in ("running_handlers", "open_streams", "queued_bytes")}
    if connections is not None:
        numbers["connections"] = stats.connections - connections
    return [f"{whose} has {name} {number}" for name, number in numbers.items() if number]


def _credit(near: Any, server: Any) -> Iterator[str]:
    """Both ends agree about the connection's credit, and nothing of it is held."""
    far = next((each for each in server._connections if each.name == near.name), None)
    if far is None:
        yield f"connection {near.name} of a client is none of the server's"
        return
    for sender, receiver, side in ((near, far, "server"), (far, near, "client")):
        credit = receiver.receive_credit
        if credit.held or credit.allowed + credit.owed != credit.window:
            yield f"the {side}'s end holds {credit.held} of {credit.window} bytes of credit"
        if sender.credit != credit.allowed:
            yield f"the {side}'s end allows {credit.allowed} bytes; its peer believes {sender.credit}"


# Nothing unexpected is logged.


def logged(plan: Plan, records: list[logging.LogRecord]) -> list[str]:
    """Log records that tell of something that nobody did on purpose."""
    return [f"logged by {record.name}: {record.getMessage()}" for record in records if not _is_expected(plan, record)]


def _is_expected(plan: Plan, record: logging.LogRecord) -> bool:
    if record.name != "rpcnet":
        return False
    if record.levelno >= logging.ERROR:
        return record.exc_info is not None and is_on_purpose(record.exc_info[1])
    text = record.getMessage()
    if any(words in text for words in OF_FAULTS):
        return not plan.calm
    return "details exceed" in text or "trailers are not sent" in text or "more than max_resets" in text
