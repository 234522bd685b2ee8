"""What a page answers first: of each thing that is not as it should be what happened, when, to whom, and why.

Made of a result (what an expectation saw, which lines it looked at) and of the tables of its trace (what was in effect
then, in which state the nodes were, what they said last). States what was recorded and draws no conclusion beyond it.

Tests: tests/sim/report/test_answers.py.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.history import FaultSeen
from sim.report.keeping import NETWORK
from sim.report.rows import Node
from sim.report.tables import Tables
from sim.report.words import at, counted, dropped, fault_label, seconds, value
from sim.trace import Event

__all__ = ["Answer", "answers", "lasted", "lines_of"]

MAX_WHO = 8
"""Nodes that an answer names."""
MAX_FAULTS = 5
WHOM = frozenset({"pairs", "groups", "routed", "cut", "one_way", "seconds", "healed"})
"""Keys of a fault's detail that say whom it struck and for how long, which is said by itself."""
MAX_LOGS = 3
MAX_TOLD = 3
"""Nodes of which it is told what was dropped, and what they recorded last."""
MAX_WAITING = 4
"""Tasks of which it is said where they wait."""
AROUND = 5.0
"""Seconds before the moment in question in which dropped messages are counted, and in which faults ended lately."""
SILENT = 1.0
"""Seconds without a record of a node after which it is said what it did last."""
SHOWN = 30
"""Trace lines of evidence."""


@dataclass(slots=True)
class Answer:
    """One thing that is not as it should be, or that was expected and came."""

    verdict: str
    name: str
    what: str
    when: str = ""
    time: float | None = None
    who: list[tuple[str, str]] = field(default_factory=list)
    """Node, and its state then."""
    others: int = 0
    """Nodes beyond those."""
    why: list[str] = field(default_factory=list)
    traceback: str = ""
    looked_at: list[Event] = field(default_factory=list)
    """The events that the expectation looked at."""
    led: list[tuple[Event | None, Mapping[str, Any]]] = field(default_factory=list)
    """What led to the last of them: the event, as far as the trace has it, and what the result says of it."""
    wanted: Mapping[str, Any] = field(default_factory=dict)
    """The expectation as the result has it."""
    letter: str = ""

    @property
    def bad(self) -> bool:
        return self.verdict != "holds"


def lines_of(result: Mapping[str, Any]) -> set[int]:
    """The trace lines that a page of this result must show."""
    lines: set[int] = set()
    for wanted in result.get("expectations") or ():
        lines.update(_looked_at(wanted)[:SHOWN])
        lines.update(cause["line"] for cause in wanted.get("causes") or ())
    return lines


def answers(result: Mapping[str, Any], tables: Tables) -> list[Answer]:
    """Those that do not hold first, in the order in which a reader asks; lettered."""
    found = [*_failures(result, tables), *_idle(result, tables)]
    wanted = [_of_expectation(each, tables) for each in result.get("expectations") or ()]
    found += [answer for answer in wanted if answer.bad]
    for answer in found:
        answer.why += _waiting(answer, result, tables)
    for number, answer in enumerate(found):
        answer.letter = chr(65 + number) if number < 26 else str(number + 1)
    return found + [answer for answer in wanted if not answer.bad]


def lasted(fault: FaultSeen, tables: Tables) -> str:
    """Until when a fault lasted, in words."""
    if fault.undone is None or (tables.ending is not None and fault.undone >= tables.ending - 1e-6):
        return "never: it lasted until the run was ended"
    return at(fault.undone)


# --- one answer ---


def _of_expectation(wanted: Mapping[str, Any], tables: Tables) -> Answer:
    answer = Answer(str(wanted.get("verdict")), str(wanted.get("name")), str(wanted.get("saw") or ""), wanted=wanted)
    known = tables.keeper.wanted
    answer.looked_at = sorted(
        (known[line] for line in _looked_at(wanted)[:SHOWN] if line in known), key=lambda event: event.line
    )
    answer.led = [(known.get(cause["line"]), cause) for cause in wanted.get("causes") or ()]
    answer.time = wanted.get("time")
    if answer.time is None and answer.looked_at:
        answer.time = answer.looked_at[-1].time
    if answer.bad:
        _explain(answer, _named(f"{answer.what} {answer.name}", tables, answer.looked_at), tables)
    return answer


def _failures(result: Mapping[str, Any], tables: Tables) -> Iterator[Answer]:
    """Applications that raised, those that raised the same together; then what else kept the run from going on."""
    same: dict[str, list[Event]] = {}
    for event in tables.failures:
        text = str(event.fields.get("traceback") or event.fields.get("error") or "").strip()
        same.setdefault(text, []).append(event)
    for text, events in same.items():
        first, nodes = events[0], list(dict.fromkeys(event.node for event in events))
        whose = nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes"
        error = str(first.fields.get("error") or text.rpartition("\n")[2])
        answer = Answer("fails", "application", f"The application of {whose} raised {error}", time=first.time)
        answer.traceback, answer.looked_at = text, events[:SHOWN]
        _explain(answer, nodes, tables)
        app = tables.nodes[first.node].app if first.node in tables.nodes else ""
        place = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', text)
        if place:
            file, line, function = place[-1]
            answer.why.insert(0, f"it was raised in {function}, {file}:{line}{f' (application {app})' if app else ''}")
        yield answer
    error = str(result.get("error") or "").strip()
    if error and not any(text and text in error for text in same):
        head, _, rest = error.partition("\n")
        answer = Answer("fails", "run", head, time=tables.end)
        answer.traceback = error if rest else ""
        _explain(answer, _named(error, tables, ()), tables)
        if tables.nodes and not tables.events["zero"] and result.get("backend") == "sim":
            answer.why.insert(
                0, "time zero never came: a run begins when every node is ready, so nothing else was tried or judged"
            )
        yield answer


def _idle(result: Mapping[str, Any], tables: Tables) -> Iterator[Answer]:
    """Faults that touched nothing: mistakes in the file, most likely."""
    warnings = [str(warning) for warning in result.get("warnings") or ()]
    for fault in tables.faults:
        if fault.idle and (str(result.get("verdict")) != "holds" or warnings):
            label = f'The fault "{fault.name or fault.verb}" had no effect'
            answer = Answer("inconclusive", "fault", label, time=fault.time, why=[fault.idle])
            told = [warning for warning in warnings if f'"{fault.name}"' in warning]
            _explain(answer, _named(" ".join([fault.idle, *told, *fault.targets]), tables, ()), tables)
            answer.why += [warning for warning in told if fault.idle not in warning]
            yield answer


def _looked_at(wanted: Mapping[str, Any]) -> list[int]:
    return [line for line in dict.fromkeys([wanted.get("trace_line"), *(wanted.get("looked_at") or ())]) if line]


def _named(text: str, tables: Tables, events: Iterable[Event]) -> list[str]:
    """The nodes that a text names, then those of events and the members that these are about."""
    words = [word.strip(".-") for word in re.findall(r"[\w.-]+", text)]
    found = [word for word in words if word in tables.nodes]
    for event in events:
        member = str(event.fields.get("member", ""))
        found += [name for name in (event.node, tables.members.get(member, member)) if name in tables.nodes]
    return list(dict.fromkeys(found))


def _explain(answer: Answer, nodes: Sequence[str], tables: Tables) -> None:
    """When, who, and what was so at that time."""
    time = answer.time
    answer.others = max(0, len(nodes) - MAX_WHO)
    shown = [tables.nodes[name] for name in nodes[:MAX_WHO] if name in tables.nodes]
    answer.who = [(node.name, "" if time is None else _state(node, time, tables)) for node in shown]
    struck = [fault for fault in tables.faults if not fault.idle]
    if time is None:
        answer.when = "in the whole run"
        answer.why += [_fault(fault, None, tables) for fault in struck[:MAX_FAULTS]] or [
            "no fault took effect in this run"
        ]
        return
    answer.when = f"at {at(time)}"
    before = [fault for fault in struck if fault.time <= time + 1e-9]
    if before:
        last = before[-1]
        answer.when += f", {seconds(time - last.time)} after fault {last.number} ({fault_label(last)})"
    if tables.ending is not None and time > tables.ending:
        answer.when += f"; the run was being ended since {at(tables.ending)}, when every node is asked to stop"
    chosen = [f for f in before if f.undone is None or f.undone > time - AROUND]
    chosen.sort(key=lambda f: (set(f.targets).isdisjoint(nodes), -f.time))
    answer.why += [_fault(fault, time, tables) for fault in chosen[:MAX_FAULTS]]
    if not before and not tables.faults:
        answer.why.append("no fault was injected in this run")
    elif not chosen:
        answer.why.append("no fault was in effect at that time")
    answer.why += _dropped(shown[:MAX_TOLD], time, tables)
    logs = [e for e in tables.logs if e.node in nodes and abs(e.time - time) <= 2.0]
    answer.why += [f"{event.node} {tables.say(event)}, at {at(event.time)}" for event in logs[:MAX_LOGS]]
    answer.why += _silences(shown[:MAX_TOLD], time, tables)


def _state(node: Node, time: float, tables: Tables) -> str:
    """In which state a node was at a time, in words."""
    for span in node.spans:
        if span.start <= time + 1e-9 and (span.end is None or time <= span.end + 1e-9):
            if span.state == "up":
                return "up"
            if span.state == "starting":
                return f"not ready since it started at {at(span.start)}"
            return f"{span.state} since {at(span.start)}"
    ended = [(when, how) for when, how in node.ends if when <= time]
    if ended:
        when, how = ended[-1]
        return f"down: {how} at {at(when)}"
    return "not started yet" if node.first > time else "up"


def _fault(fault: FaultSeen, time: float | None, tables: Tables) -> str:
    name = f' "{fault.name}"' if fault.name and fault.name != fault.verb else ""
    said = ", ".join(f"{key} {value(each)}" for key, each in fault.detail.items() if key and key not in WHOM)
    label = f"{fault_label(fault)}, with {said}" if said else fault_label(fault)
    text = f"fault {fault.number}{name} ({label}) struck at {at(fault.time)}"
    until = lasted(fault, tables)
    if until.startswith("never"):
        return f"{text} and was never undone: it lasted until the run was ended"
    if time is not None and fault.undone is not None and fault.undone > time:
        return f"{text} and was in effect then; it was undone at {until}"
    return f"{text} and was undone at {until}"


def _dropped(nodes: Sequence[Node], time: float, tables: Tables) -> Iterator[str]:
    for node in nodes:
        bins = tables.drops_of.get(node.name)
        if bins is None:
            continue
        counts: dict[str, int] = {}
        for start, cell in bins.cells():
            if time - AROUND < start + bins.width and start <= time:
                for reason, count in cell.items():
                    counts[str(reason)] = counts.get(str(reason), 0) + count
        if counts:
            total = counted(sum(counts.values()), "message")
            reasons = ", ".join(f"{count} {dropped(reason)}" for reason, count in sorted(counts.items()))
            yield f"{total} from or to {node.name} were dropped in the {AROUND:g} s before: {reasons}"


def _waiting(answer: Answer, result: Mapping[str, Any], tables: Tables) -> Iterator[str]:
    """Of what is wrong at the run's end, or never began: where the tasks of its nodes waited, applications' first."""
    if answer.time is None or (tables.ending is not None and answer.time < tables.ending - 1e-3):
        return
    who = {name for name, _ in answer.who}
    found = [(node, task, where) for node, task, where in result.get("waiting") or () if node in who]
    found.sort(key=lambda each: bool(re.search(r"\b(rpcnet|sim/kernel|sim/backends)/", each[2])))
    for node, task, where in found[:MAX_WAITING]:
        yield f"{node}: its task {task} waited in {where} when the run was ended"
    if len(found) > MAX_WAITING:
        yield f"{len(found) - MAX_WAITING} more tasks of these nodes waited too: they are listed below, at “Waiting”"


def _ends(event: Event, tables: Tables) -> bool:
    """Whether it is of the run's end."""
    return tables.ending is not None and event.time >= tables.ending - 1e-6


def _silences(nodes: Sequence[Node], time: float, tables: Tables) -> Iterator[str]:
    """What nodes recorded last that recorded nothing for a while: where one waits, or is gone."""
    wanted = {node.name for node in nodes}
    last: dict[str, Event] = {}
    for event in tables.keeper.chosen(tables.nodes) if wanted else ():
        if event.node in wanted and event.time <= time and event.name not in NETWORK and not _ends(event, tables):
            last[event.node] = event
    for node in nodes:
        latest = last.get(node.name)
        if latest is not None and time - latest.time > SILENT:
            yield f"{node.name} had recorded nothing but messages since {at(latest.time)}, when it {tables.say(latest)}"
