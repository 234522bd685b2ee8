"""Synthetic runs: a story is told event by event, and judged as a trace of a real run would be."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sim.scenario.verdict import Context
from sim.trace import Event, Trace


class Story:
    """Events in any order; `context()` sorts them by time, as a trace has them."""

    def __init__(self) -> None:
        self._told: list[tuple[float, str, str, dict[str, Any]]] = []
        self._labels: dict[str, dict[str, str]] = {}

    def at(self, time: float, node: str, name: str, /, **fields: Any) -> "Story":
        self._told.append((time, node, name, fields))
        return self

    def start(self, node: str, time: float = -2.0, labels: dict[str, str] | None = None) -> "Story":
        self._labels[node] = labels or {}
        address = f"10.0.0.{list(self._labels).index(node) + 1}"
        return self.at(time, node, "node_started", address=address, labels=labels or {}, app="app:main")

    def join(self, node: str, time: float = -1.9, run: int = 1, tags: dict[str, str] | None = None) -> "Story":
        """The node starts its cluster and lists itself."""
        self.at(time, node, "cluster_started", member=node, run=run, address=f"{node}:7946")
        return self.sees(time, node, "member_joined", node, run, tags=tags or {})

    def sees(
        self, time: float, observer: str, name: str, member: str, run: int = 1, /, *, version: int = 0, **fields: Any
    ) -> "Story":
        """An observer records something of a member."""
        if name in {"member_joined", "member_recovered", "tags_changed"}:
            fields = {"version": version, "tags": {}} | fields
        return self.at(time, observer, name, member=member, run=run, incarnation=0, **fields)

    def cluster(self, *nodes: str) -> "Story":
        """All of these are up before time zero and list each other."""
        for node in nodes:
            self.start(node).join(node)
        for observer in nodes:
            for member in nodes:
                if member != observer:
                    self.sees(-1.0, observer, "member_joined", member)
        return self

    def fault(
        self, time: float, verb: str, *targets: str, name: str = "", undone: float | None = None, **detail: Any
    ) -> "Story":
        name = name or verb
        self.at(time, "", "fault", name=name, verb=verb, targets=list(targets), detail=detail, line=1)
        if undone is not None:
            self.at(undone, "", "fault_undone", name=name, verb=verb, targets=list(targets))
        return self

    def crash(self, time: float, node: str) -> "Story":
        return self.fault(time, "crash", node).at(time, node, "node_crashed")

    def pause(self, time: float, node: str, seconds: float) -> "Story":
        self.at(time, node, "node_paused", seconds=seconds).at(time + seconds, node, "node_resumed")
        return self.fault(time, "pause", node, undone=time + seconds)

    def partition(self, time: float, *groups: Sequence[str], undone: float | None = None, one_way: bool = False) -> Any:
        everybody = [node for group in groups for node in group]
        lists = [list(group) for group in groups]
        return self.fault(time, "partition", *everybody, undone=undone, groups=lists, one_way=one_way)

    def end(self, time: float, *nodes: str) -> "Story":
        """The run is over: these are stopped and end in order."""
        for node in nodes:
            self.at(time, node, "node_stopping").at(time + 0.1, node, "cluster_left")
            self.at(time + 0.2, node, "node_exited", status="cancelled")
        return self.at(time + 10, "", "run_ended")

    def events(self) -> list[Event]:
        told = sorted(self._told, key=lambda one: one[0])
        return [Event(line, time, node, name, 0, fields) for line, (time, node, name, fields) in enumerate(told, 1)]

    def context(self, duration: float = 40.0, slack: float = 1.0) -> Context:
        return Context(self.events(), select=self.select, duration=duration, slack=slack)

    def written(self, path: Path, duration: float = 40.0) -> Context:
        """The same, read back from a trace file."""
        with Trace(path) as trace:
            for event in self.events():
                trace.record(event.time, event.node, event.name, event.cause, **event.fields)
        return Context(path, select=self.select, duration=duration)

    def select(self, selector: Any) -> list[str]:
        if selector == "all":
            return list(self._labels)
        key, _, value = str(selector).partition("=")
        return [
            n for n, labels in self._labels.items() if fnmatchcase(n, selector) or (value and labels.get(key) == value)
        ]

    def line(self, line: int | None) -> Event:
        assert line is not None
        return self.events()[line - 1]
