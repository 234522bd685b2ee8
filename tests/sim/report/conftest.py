"""Synthetic traces: a worker's death as a simulator would record it, with messages, suspicion, failure and streams."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sim.trace import Event, Trace, read

CRASH = 10.0


class Story:
    """Writes what happens to a cluster whose second worker loses power at 10 s, in order of time."""

    def __init__(self, path: Path, workers: int = 3, end: float = 40.0, backend: str = "sim") -> None:
        self.path, self.end, self.backend = path, end, backend
        self.names = ["director", *(f"worker-{i + 1}" for i in range(workers)), "client"]
        self.address = {name: f"10.0.0.{i + 1}" for i, name in enumerate(self.names)}
        self.happenings: list[tuple[float, str, str, dict[str, Any]]] = []
        self.random = random.Random(7)

    def at(self, time: float, node: str, event: str, /, **fields: Any) -> None:
        self.happenings.append((time, node, event, fields))

    def write(self) -> Path:
        self.tell()
        happenings = sorted(self.happenings, key=lambda h: h[0])
        with Trace(self.path) as trace:
            sent: dict[int, int] = {}
            for time, node, name, fields in happenings:
                key = fields.pop("key", None)
                line = trace.record(time, node, name, sent.get(key, 0) if name != "sent" else 0, **fields)
                if name == "sent":
                    sent[key] = line
        return self.path

    def tell(self) -> None:
        self.at(-0.2, "", "run_started", scenario="worker-death", seed=7, backend=self.backend)
        self.at(0.0, "", "zero")
        for name in self.names:
            role = {"role": name.split("-")[0]}
            app = f"examples.cluster.{role['role']}:main"
            self.at(-0.19, name, "node_started", address=self.address[name], labels=role, app=app)
            self.at(-0.15, name, "cluster_started", member=name, run=1, address=self.address[name] + ":7946")
            self.at(-0.01, name, "node_ready")
        self.crash("worker-2")
        self.streams()
        if self.backend == "sim":
            self.gossip()
        self.at(self.end, "", "run_ended")
        for name in self.names:
            if name != "worker-2":
                self.at(self.end - 0.5, name, "node_stopping")
                self.at(self.end - 0.4, name, "node_exited", status="ok")
                self.at(self.end - 0.4, name, "leaks_checked", found=0)

    def crash(self, victim: str) -> None:
        self.at(CRASH, "", "fault", name="death", verb="crash", targets=[victim], detail={}, line=30)
        self.at(CRASH, victim, "node_crashed")
        for i, name in enumerate(n for n in self.names if n != victim):
            self.at(CRASH + 1.2 + 0.08 * i, name, "member_suspected", member=victim, run=1, incarnation=0)
            self.at(CRASH + 5.0 + 0.3 * i, name, "member_failed", member=victim, run=1, incarnation=0)

    def streams(self) -> None:
        for i, (start, stop, peer, status) in enumerate(
            [(0.5, 12.1, "worker-2", "TIMEOUT"), (1.0, 8.0, "worker-1", "OK"), (12.2, 18.5, "worker-3", "OK"),
             (9.0, 25.0, "worker-1", "OK"), (20.0, 21.0, "worker-3", "CANCELLED"), (30.0, 33.0, "worker-1", "OK")]
        ):  # fmt: skip
            call = {"connection": f"c{i}", "stream": 1, "method": "generate", "shape": "server_streaming"}
            self.at(start, "client", "call_started", peer=f"{self.address[peer]}:7000", **call)
            self.at(stop, "client", "call_ended", status=status, seconds=stop - start, **call)
        for i in range(40):
            call = {"connection": "d", "stream": i, "method": "pick", "shape": "unary"}
            self.at(0.3 + i * 0.9, "client", "call_started", peer=f"{self.address['director']}:7000", **call)
            self.at(
                0.31 + i * 0.9, "client", "call_ended", status="OK" if i % 9 else "UNAVAILABLE", seconds=0.01, **call
            )

    def gossip(self) -> None:
        key, time = 0, 0.0
        up = list(self.names)
        while time < self.end - 1:
            time += self.random.expovariate(3.0 * len(up))
            if time > CRASH and "worker-2" in up:
                up.remove("worker-2")
            source = self.random.choice(up)
            target = self.random.choice([n for n in self.names if n != source])
            key += 1
            protocol = "udp" if key % 3 else "tcp"
            self.at(time, source, "sent", key=key, to=target, protocol=protocol, bytes=120, crc=key)
            if target in up and self.random.random() > 0.02:
                delay = self.random.uniform(0.0005, 0.002) + (0.2 if protocol == "tcp" and key % 50 == 0 else 0)
                self.at(time + delay, target, "received", key=key, **{"from": source}, protocol=protocol, bytes=120)
            else:
                reason = "loss" if target in up else "down"
                self.at(time + 0.001, source, "dropped", key=key, to=target, protocol=protocol, reason=reason)


@pytest.fixture
def story(tmp_path: Path) -> Callable[..., Story]:
    """Makes a Story that writes below the test's directory."""
    return lambda **how: Story(tmp_path / "story.msgpack", **how)


@pytest.fixture
def trace(story: Callable[..., Story]) -> Path:
    """The trace of a worker's death among five nodes."""
    return story().write()


@pytest.fixture
def events(trace: Path) -> Iterator[Event]:
    return read(trace)


@pytest.fixture
def result() -> dict[str, Any]:
    """What a runner says of that run, as rpcnet-sim writes it."""
    return {
        "scenario": "worker-death",
        "summary": "A worker loses power mid-stream. Everyone must notice, the client must move on.",
        "seed": 7,
        "backend": "sim",
        "verdict": "holds",
        "digest": "9f8b1c0d",
        "virtual_seconds": 40.0,
        "wall_seconds": 1.25,
        "expectations": [
            {"name": "member_failed", "line": 34, "verdict": "holds", "saw": "4 of 4 observers recorded it",
             "time": 15.9, "trace_line": 1100, "measured": {"detection_p50": 5.45, "detection_max": 5.9}},
            {"name": "no_false_failures", "line": 39, "verdict": "holds", "saw": "4 of a node that was down",
             "time": None, "trace_line": None, "measured": {}},
        ],
        "error": None,
        "command": "rpcnet-sim run scenarios/worker_death.toml --seed 7",
        "report": None,
        "defects": [],
        "overrides": [],
        "measured": {"detection_p50": 5.45, "detection_max": 5.9},
        "warnings": [],
        "nodes": {"director": {}, "worker-1": {"role": "worker"}},
        "faults": [],
        "python": "3.11.2",
        "versions": {"rpcnet": "0.1.0"},
    }  # fmt: skip
