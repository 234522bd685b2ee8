"""Writes docs/compatibility.md from the tests that ran: `python -m tests.sim.compatibility.page`.

Three kinds: CPython's own tests on simulated loops, twins of programs over real sockets, third-party programs. Only
what passed is counted. A test of the conformance room holds the page to what it would write now. The counts of other
projects' own suites, which take half an hour, are those that `python benchmarks/suites` has written to suites.json.
"""

import json
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "compatibility.md"
SUITES = Path(__file__).parent / "suites.json"
COMMAND = "python -m tests.sim.compatibility.page"
LIBRARIES = {
    "test_aiohttp": ("aiohttp",),
    "test_websockets": ("websockets",),
    "test_grpclib": ("grpclib", "protobuf"),
    "test_smtp": ("aiosmtpd", "aiosmtplib"),
}
TWINS = {
    "test_streams": "TCP: transports, protocols, streams, servers",
    "test_datagrams": "UDP",
    "test_tls": "TLS",
    "test_tls_by_hand": "TLS over sockets of one's own: `wrap_socket`",
    "test_sockets": "`sock_*`, sockets of one's own",
    "test_shutdown": "`shutdown`: connections, listeners, datagrams",
    "test_descriptors": "descriptors: `detach`, `dup`, `fromfd`, `socket(fileno=)`",
    "test_descriptor_calls": "descriptors given to `os`, `fcntl` and `socket`",
    "test_polling": "`select`, `poll`, `epoll`, `selectors`",
    "test_socket_options": "options of sockets",
    "test_socket_refusals": "what a socket refuses",
    "test_addresses": "ports and addresses",
    "test_names": "names of hosts and services",
    "test_unix_sockets": "Unix sockets",
    "test_loop": "order of callbacks, timers, tasks, executor, contexts, signals",
    "test_threads": "threads, their locks and queues, pools",
    "test_blocking_sockets": "sockets that block, in threads and where there is nothing to wait for",
}

REFUSED = {
    "subprocesses": "a node of its own",
    "`connect_read_pipe`, `connect_write_pipe`": "a socket between two nodes, a queue within one",
    "`add_reader`, `add_writer` with what is no socket, or one that is connected": (
        "streams, `loop.sock_*`, sockets made on the node"
    ),
    "what blocks on the thread of an event loop, and has to wait: `connect` to another machine, `accept`, `recv`, …": (
        "streams, `loop.sock_*`, the same in a thread (`asyncio.to_thread`)"
    ),
    "`select`, `poll`, `epoll` and `selectors` that would wait on the thread of an event loop": "a timeout of 0, "
    "`loop.add_reader`, `loop.sock_*`, the same in a thread",
    "those that would wait, anywhere, for sockets and for other descriptors (a pipe) at once": "a pair of sockets "
    "in the place of the pipe",
    "an event loop in a thread of a node (`asyncio.run`, `uvicorn.Server.run`, blocking portals)": "a task, or a node "
    "of its own",
    "a thread that was begun off the nodes and calls into one, a real socket that connects to a simulated server": "a "
    "thread begun on the node, a client that is a node",
    "raw sockets, Unix sockets that are no streams, sockets connected to a real peer": "TCP, UDP and Unix sockets of "
    "the node",
    "multicast": "a datagram to each node",
}
DIFFERENT = (
    "one thread of a node runs at a time, until it waits: one that spins until another has set a variable, without a "
    "lock or a sleep, never ends",
    "two listeners cannot share a port (`reuse_port`)",
    "the file of a Unix socket is its machine's alone: it makes none in the real directory",
    "a server on all addresses has its sockets in the order of `getaddrinfo`, asyncio's in that of a set, which "
    "another process walks in another order",
)

SUITES_ELSE = {
    "refused": "need what is refused, see below",
    "deviates": "fail otherwise",
    "hangs": "wait for what never comes",
}

Results = dict[str, list[str]]
"""Module → names of the tests that passed, in order."""


def words(test: str) -> str:
    """test_a_unary_call → a unary call"""
    return test.removeprefix("test_").replace("_", " ")


def render(conformance: dict[str, Any], twins: Results, programs: Results) -> str:
    """The page. `conformance` is what the worker prints."""
    ran = Counter(name.split(".")[0] for name in conformance["ran"])
    excluded = Counter(conformance["reasons"])
    lines = [
        "# Compatibility",
        "",
        f"What runs on simulated machines as it does on real ones. This page is written by the tests: `{COMMAND}`.",
        "",
        "## CPython's own asyncio tests",
        "",
        f"{sum(ran.values())} tests of CPython 3.11 run on simulated loops, and pass. A test counts where a simulated "
        f"loop really ran during it; {len(conformance['passed_without'])} more pass that need none.",
        "",
        "| module | tests |",
        "|---|---:|",
        *(f"| `{module}` | {count} |" for module, count in sorted(ran.items())),
        "",
        f"{sum(excluded.values())} are left out:",
        "",
        "| because of | tests |",
        "|---|---:|",
        *(
            f"| {reason} | {count} |"
            for reason, count in sorted(excluded.items(), key=lambda item: (-item[1], item[0]))
        ),
        "",
        "## Twins",
        "",
        f"{sum(len(found) for found in twins.values())} small programs run over real sockets and in the simulator, and "
        "each end logs the same events in both.",
        "",
    ]
    for module, about in TWINS.items():
        lines += [f"**{about}** ({len(twins[module])}): {'; '.join(map(words, twins[module]))}.", ""]
    lines += ["## Third-party programs", "", "Unmodified, both ends simulated, on two machines 5 ms apart.", ""]
    for module, packages in LIBRARIES.items():
        versions = ", ".join(f"{name} {version(name)}" for name in packages)
        lines += [f"**{versions}**: {'; '.join(map(words, programs[module]))}.", ""]
    lines += [
        *suites(json.loads(SUITES.read_text(encoding="utf-8"))),
        "## What is refused, or not the same",
        "",
        "What a simulated machine does not have raises `sim.NotSimulated` at the call, which says what to use instead.",
        "",
        "| what | instead |",
        "|---|---|",
        *(f"| {what} | {instead} |" for what, instead in REFUSED.items()),
        "",
        f"Not the same: {'; '.join(DIFFERENT)}.",
    ]
    return "\n".join(lines).rstrip() + "\n"


def suites(table: dict[str, Any]) -> list[str]:
    """What the suites of other projects have shown."""
    counts = {kind: sum(row[kind] for row in table.values()) for kind in ("tests", "same", *SUITES_ELSE)}
    return [
        "## Other projects' own test suites",
        "",
        "Run twice by `python benchmarks/suites`, from the source distributions: on asyncio's own loop, and with every "
        f"loop made by `sim.new_event_loop()`. Of {counts['tests']} tests that run on a loop and pass on asyncio's, "
        f"{counts['same']} pass on ours.",
        "",
        f"| project | tests | pass | {' | '.join(SUITES_ELSE.values())} |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {name} {row['version']} | {row['tests']} | {row['same']} | "
            f"{' | '.join(str(row[kind]) for kind in SUITES_ELSE)} |"
            for name, row in table.items()
        ),
        "",
    ]


def passed(folder: str) -> Results:
    """Run the tests of a folder; what passed. A test of several parameters stands once."""
    report = ROOT / "reports" / f"{Path(folder).name}.xml"
    report.parent.mkdir(exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", folder, f"--junitxml={report}"], cwd=ROOT, check=True, timeout=300
    )
    results: Results = {}
    for case in ElementTree.parse(report).iter("testcase"):
        if not len(case):
            names = results.setdefault(case.attrib["classname"].split(".")[-1], [])
            name = case.attrib["name"].partition("[")[0]
            if name not in names:
                names.append(name)
    report.unlink()
    return results


def conformance(modules: list[str]) -> dict[str, Any]:
    worker = ROOT / "tests" / "sim" / "conformance" / "worker.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(worker), *modules],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def main() -> None:
    from tests.sim.conformance.modules import MODULES

    outcome = conformance(MODULES)
    if outcome["failed"]:
        raise SystemExit("these fail, so the page stays as it is: " + ", ".join(outcome["failed"]))
    text = render(outcome, passed("tests/sim/twins"), passed("tests/sim/compatibility"))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
