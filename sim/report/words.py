"""Figures with their units, and events as sentences for somebody who has not seen the code.

An event that is not in SAID was recorded by an application (docs/trace.md lists the others): it is told by its name and
fields. Knows no page.

Tests: tests/sim/report/test_words.py.
"""

import json
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sim.history import FaultSeen
from sim.history.lives import host_of
from sim.scenario.faults import kind_of
from sim.scenario.figures import unit, with_unit
from sim.trace import Event

__all__ = [
    "SAID",
    "at",
    "counted",
    "dropped",
    "fault_label",
    "fields",
    "figure",
    "number",
    "seconds",
    "sentence",
    "value",
]

LONGEST = 160
"""Characters of a field's value."""
DROPPED = {
    "loss": "lost on the way",
    "cut": "cut off",
    "down": "to a host that was down",
    "no_listener": "with nobody listening",
    "queue_full": "as the link's queue was full",
    "buffer_full": "as the receiver's buffer was full",
}
"""Reasons of a `dropped` event."""

Fields = Mapping[str, Any]


def number(of: Any) -> str:
    """A figure as people read it; one that is no number is null in JSON, and reads alike from there."""
    if of is None:
        return "none"
    if isinstance(of, bool) or not isinstance(of, (int, float)):
        return value(of)
    if isinstance(of, int) or (of.is_integer() and abs(of) < 1e15):
        return f"{int(of):,}"
    return f"{of:,.4g}" if math.isfinite(of) else "none"


def counted(count: int, noun: str) -> str:
    """So many of them, in words that fit one as well."""
    return f"{number(count)} {noun}{'s' if count != 1 else ''}"


def at(time: float | None) -> str:
    """A moment of the run."""
    return "" if time is None else f"{round(time, 3) + 0.0:.3f} s"  # no "-0"


def seconds(of: float | None) -> str:
    """A duration in the unit that suits it."""
    if of is None:
        return ""
    if of >= 1:
        return f"{of:.4g} s" if of < 1e4 else f"{of:,.0f} s"
    return f"{of * 1e3:.3g} ms" if of >= 1e-6 else "0 ms"


def figure(name: str, of: Any) -> str:
    """A measured figure with its unit; where there is none (it never happened), `none`."""
    if isinstance(of, bool) or not isinstance(of, (int, float)) or not math.isfinite(of):
        return number(of)
    return seconds(of) if unit(name) == "s" else with_unit(name, of)


def value(of: Any) -> str:
    if isinstance(of, str):
        return of
    return json.dumps(of, ensure_ascii=False, default=_text)


def _text(of: object) -> str:
    return of.decode("utf-8", "backslashreplace") if isinstance(of, bytes) else str(of)


def fields(of: Fields, longest: int = LONGEST) -> str:
    """The fields of an event on one line, values that are too long cut."""
    return ", ".join(f"{key} {_cut(value(each), longest)}" for key, each in of.items())


def dropped(reason: str) -> str:
    """Why a message was dropped, in words."""
    return DROPPED.get(reason, reason.replace("_", " "))


def fault_label(fault: FaultSeen) -> str:
    """`crash worker-2`; of many targets how many."""
    return f"{fault.verb} {kind_of(fault.verb).whom(fault.targets, fault.detail)}".strip()


def sentence(event: Event, nodes: Mapping[str, str] = MappingProxyType({})) -> str:
    """What happened, its node left out: `recorded worker-2 as failed`. `nodes`: names by the host of an address."""
    say, told = SAID.get(event.name), event.fields
    peer = nodes.get(host_of(str(told.get("peer", ""))))
    try:
        text = say(told | {"peer": f"{peer} ({told['peer']})"} if peer else told) if say else ""
    except (TypeError, ValueError):  # an application gave an event of its own this name
        text = ""
    return text or f"recorded {event.name}: {fields(event.fields)}".removesuffix(": ")


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _get(of: Fields, key: str) -> str:
    return _cut(value(of.get(key, "?")))


def _seconds(of: Fields, key: str) -> str:
    number = of.get(key)
    return seconds(float(number)) if isinstance(number, (int, float)) else "?"


def _where(of: Fields) -> str:
    return f" ({_get(of, 'where')})" if of.get("where") else ""


def _tags(of: Fields) -> str:
    tags = of.get("tags") or {}
    return ", ".join(f"{key}={value(each)}" for key, each in dict(tags).items()) or "none"


def _call(of: Fields, who: str) -> str:
    waited = of.get("queue_seconds")
    told = f" {of['status']} after {_seconds(of, 'seconds')}" if "status" in of else ""
    if isinstance(waited, (int, float)) and waited >= 1e-3:
        told += f", having waited {seconds(waited)} before"
    peer = f" {'at' if who == 'call' else 'for'} {of['peer']}" if of.get("peer") else ""
    shape = _get(of, "shape").replace("_", " ")
    return f"{who} of {_get(of, 'method')} ({shape}, stream {_get(of, 'stream')}){peer}{told}"


def _fault(of: Fields) -> str:
    targets = [str(target) for target in of.get("targets") or ()]
    whom = ", ".join(targets[:4]) + (f" and {len(targets) - 4} more" if len(targets) > 4 else "")
    name, verb = str(of.get("name") or ""), str(of.get("verb") or "")
    return f"{verb or name}{f' ({name})' if name and name != verb else ''}{f' of {whom}' if whom else ''}"


def _member(what: str) -> Callable[[Fields], str]:
    return lambda of: f"recorded {_get(of, 'member')} as {what}"


def _of_call(what: str, who: str) -> Callable[[Fields], str]:
    return lambda of: f"{what} {_call(of, who)}"


SAID: dict[str, Callable[[Fields], str]] = {
    "run_started": lambda of: f"the run started with seed {_get(of, 'seed')}",
    "zero": lambda _: "every node that starts at once was ready: time zero",
    "quiet": lambda _: "it was quiet: no fault was in effect any more",
    "run_ended": lambda _: "the run ended",
    "apart": lambda of: f"cuts leave {len(of.get('pairs') or ())} pairs of nodes without a way through the graph",
    "fault": lambda of: f"fault: {_fault(of)}",
    "fault_undone": lambda of: f"the end of the fault {_fault(of)}",
    "fault_idle": lambda of: f"the fault {_get(of, 'name')} had no effect: {_get(of, 'why')}",
    "node_started": lambda of: f"started {_get(of, 'app')} at {_get(of, 'address')}",
    "node_ready": lambda _: "was ready: its application called node.ready()",
    "node_crashed": lambda _: "crashed: lost power",
    "node_killed": lambda _: "was killed: its process died, its host lives on",
    "node_stopping": lambda _: "was asked to stop (SIGTERM)",
    "node_exited": lambda of: f"ended: {_get(of, 'status')}",
    "node_failed": lambda of: f"failed: {_get(of, 'error')}",
    "node_paused": lambda of: f"was paused for {_seconds(of, 'seconds')}: the whole process stands still",
    "node_blocked": lambda of: f"had its event loop blocked for {_seconds(of, 'seconds')}",
    "node_resumed": lambda _: "went on after its pause or block",
    "log": lambda of: f"logged {_get(of, 'level')}: {_cut(value(of.get('text', '')), 400)}",
    "chosen": lambda of: f"let the task {_get(of, 'task')} go on before {_get(of, 'passed')}",
    "unhandled": lambda of: f"had an exception that nobody handled: {_get(of, 'message')}: {_get(of, 'error')}",
    "leak": lambda of: f"left a {_get(of, 'kind')} behind: {_cut(value(of.get('what', '?')), 400)}{_where(of)}",
    "leaks_checked": lambda of: f"was looked at for leaks when it had ended: {_get(of, 'found')} found",
    "sent": lambda of: f"sent {_get(of, 'bytes')} bytes ({_get(of, 'protocol')}) to {_get(of, 'to')}",
    "received": lambda of: f"received {_get(of, 'bytes')} bytes ({_get(of, 'protocol')}) from {_get(of, 'from')}",
    "dropped": lambda of: (
        f"a message ({_get(of, 'protocol')}) to {_get(of, 'to')} was dropped: {dropped(_get(of, 'reason'))}"
    ),
    "tcp_connected": lambda of: f"connected to {_get(of, 'to')} (TCP)",
    "tcp_refused": lambda of: f"was refused a connection by {_get(of, 'to')} (TCP)",
    "tcp_reset": lambda of: f"had its connection with {_get(of, 'to')} reset (TCP)",
    "tcp_closed": lambda of: f"closed its connection with {_get(of, 'to')} (TCP)",
    "call_started": _of_call("started its", "call"),
    "call_ended": _of_call("saw the end of its", "call"),
    "handler_started": _of_call("started the", "handler"),
    "handler_ended": _of_call("ended the", "handler"),
    "connection_opened": lambda of: f"opened an rpcnet connection with {_get(of, 'peer')}, as its {_get(of, 'side')}",
    "connection_closed": lambda of: f"closed its rpcnet connection with {_get(of, 'peer')}: {_get(of, 'reason')}",
    "rpc_closed": lambda of: (
        f"closed an rpcnet {_get(of, 'side')}, which still held {_get(of, 'handlers')} handlers, {_get(of, 'streams')} "
        f"streams, {_get(of, 'connections')} connections and {_get(of, 'queued_bytes')} bytes"
    ),
    "cluster_started": lambda of: f"became a member of the cluster as {_get(of, 'member')}",
    "member_joined": lambda of: (
        f"recorded {_get(of, 'member')} as joined (tags {_tags(of)}; version {_get(of, 'version')})"
    ),
    "member_recovered": _member("recovered"),
    "member_suspected": _member("suspected"),
    "member_failed": _member("failed"),
    "member_left": _member("left in order"),
    "tags_published": lambda of: f"published its tags {_tags(of)} (version {_get(of, 'version')})",
    "tags_changed": lambda of: f"saw the tags of {_get(of, 'member')}: {_tags(of)} (version {_get(of, 'version')})",
    "services_changed": lambda of: f"saw the services of {_get(of, 'member')}: {_get(of, 'services')}",
    "held_down": lambda of: (
        f"stays out of the cluster for {_seconds(of, 'seconds')}: it failed {_get(of, 'failures')} times of late"
    ),
    "released": lambda _: "may come back into the cluster",
    "partitioned": lambda of: f"sees too few members: {_get(of, 'up')} of {_get(of, 'expected')} expected",
    "healed": lambda of: f"sees a majority again: {_get(of, 'up')} of {_get(of, 'expected')}",
    "cluster_left": lambda _: "left the cluster in order",
}  # fmt: skip
"""By name of the event."""
