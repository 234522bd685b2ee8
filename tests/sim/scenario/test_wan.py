"""Zones, routers and links between them, from the file to what programs see of them, in both worlds."""

import json
import sys
from pathlib import Path
from statistics import median

import networkx
import pytest

from sim.scenario.load import load_text
from sim.scenario.run import run as run_once

BOTH = pytest.mark.parametrize("backend", ["sim", pytest.param("sockets", marks=pytest.mark.gate)])

APP = """
import asyncio


class Port(asyncio.DatagramProtocol):
    def __init__(self, node):
        self.node = node

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        word, peer, began = data.decode().split()
        if word == "ping":
            self.transport.sendto(f"pong {self.node.name} {began}".encode(), addr)
        else:
            seconds = asyncio.get_running_loop().time() - float(began)
            self.node.record("pong", peer=peer, seconds=seconds)


async def main(node, *, peers: list[str] = []):
    loop = asyncio.get_running_loop()
    host, _, port = node.address("rpc").rpartition(":")
    transport, _ = await loop.create_datagram_endpoint(lambda: Port(node), local_addr=(host, int(port)))
    node.ready()
    while True:
        for peer in peers:
            address = (await loop.getaddrinfo(peer, int(port)))[0][4]
            transport.sendto(f"ping {node.name} {loop.time()!r}".encode(), address)
        await asyncio.sleep(0.05)
"""

WAN = """\
name = "wan"
duration = "3s"

[network]
latency = "1ms"
zones = "region"

[[network.link]]
between = ["eu", "us"]
latency = "40ms"

[[network.link]]
between = ["us", "ap"]
latency = "60ms"

[[network.link]]
between = ["eu", "ap"]
latency = "80ms"

[[node]]
name = "eu"
count = 2
app = "wan_app:main"
args = { peers = ["us-1", "eu-2", "ap-1"] }
labels = { region = "eu" }

[[node]]
name = "us"
count = 2
app = "wan_app:main"
labels = { region = "us" }

[[node]]
name = "ap"
count = 1
app = "wan_app:main"
labels = { region = "ap" }
"""

GRAPH = """\
name = "graph"
duration = "3s"

[network]
latency = "1ms"
graph = "GRAPHML"
machines = "label"

[[node]]
name = "a"
app = "wan_app:main"
args = { peers = ["b"] }

[[node]]
name = "b"
app = "wan_app:main"
"""


@pytest.fixture(autouse=True)
def _app(tmp_path, monkeypatch):
    (tmp_path / "wan_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("wan_app", None)


@pytest.fixture
def routers(tmp_path):
    """a – core-1 – core-2 – b, and a longer way round by core-3."""
    graph = networkx.Graph([("n0", "n1"), ("n1", "n2"), ("n2", "n3"), ("n1", "n4"), ("n4", "n2")])
    names = {"n0": "a", "n1": "core-1", "n2": "core-2", "n3": "b", "n4": "core-3"}
    networkx.set_node_attributes(graph, names, "label")
    networkx.set_edge_attributes(graph, {("n1", "n4"): {"latency": "50ms"}, ("n1", "n2"): {"latency": "10ms"}})
    networkx.write_graphml(graph, path := tmp_path / "net.graphml")
    return GRAPH.replace("GRAPHML", str(path))


def play(text, backend="sim"):
    run = run_once(load_text(text, Path("wan.toml")), backend=backend)
    assert run.error is None
    return run


def of(run, name):
    return [event for event in run.trace if event.name == name]


def told(run):
    """The fields of the one fault."""
    (seen,) = of(run, "fault")
    return json.loads(json.dumps(seen.fields))


def pongs(run, node, peer, since=-1.0, until=60.0):
    """Seconds there and back of what was sent well within that time."""
    found = [e for e in of(run, "pong") if e.node == node and e.fields["peer"] == peer]
    return [e.fields["seconds"] for e in found if since < e.time - e.fields["seconds"] and e.time < until]


def is_about(seconds, wanted):
    """The median, as the machine of a real network is late at times."""
    return bool(seconds) and wanted - 0.001 <= median(seconds) <= wanted + 0.03


def fault(lines):
    return f"\n[[fault]]\n{lines}\n"


@BOTH
def test_a_way_between_zones_takes_the_link_between_them(backend):
    run = play(WAN, backend)
    assert is_about(pongs(run, "eu-1", "eu-2"), 0.002)
    assert is_about(pongs(run, "eu-1", "us-1"), 0.082)
    assert is_about(pongs(run, "eu-2", "ap-1"), 0.162)


@BOTH
def test_the_link_between_two_zones_is_cut_and_gone_round(backend):
    cut = 'name = "cable"\nat = "1s"\nfor = "1s"\nlink = { between = ["eu", "us"], loss = "100%" }'
    run = play(WAN + fault(cut), backend)
    assert is_about(pongs(run, "eu-1", "us-1", until=1.0), 0.082)
    assert is_about(pongs(run, "eu-1", "us-1", 1.2, 2.0), 0.282)
    assert is_about(pongs(run, "eu-1", "us-1", 2.2), 0.082)
    assert told(run)["targets"] == ["eu-1", "eu-2", "us-1", "us-2"]
    assert (told(run)["detail"]["places"], told(run)["detail"]["cut"]) == (["eu", "us"], [])
    assert [event.fields["name"] for event in of(run, "fault_undone")] == ["cable"]
    assert run.warnings == ()


@BOTH
def test_an_isolated_zone_has_only_itself(backend):
    run = play(WAN + fault('at = "1s"\nfor = "1s"\nisolate = "eu"'), backend)
    assert pongs(run, "eu-1", "us-1", 1.2, 2.0) == []
    assert is_about(pongs(run, "eu-1", "eu-2", 1.2, 2.0), 0.002)
    assert is_about(pongs(run, "eu-1", "us-1", 2.2), 0.082)
    assert told(run)["targets"] == ["eu-1", "eu-2"]
    assert len(told(run)["detail"]["cut"]) == 2 * 3 * 2
    assert [len(event.fields["pairs"]) for event in of(run, "apart")] == [12, 0]


@BOTH
def test_a_partition_of_zones_is_one_of_their_nodes(backend):
    run = play(WAN + fault('at = "1s"\nfor = "1s"\npartition = { groups = [["eu"], ["us"]] }'), backend)
    assert pongs(run, "eu-1", "us-1", 1.2, 2.0) == []
    assert is_about(pongs(run, "eu-1", "ap-1", 1.2, 2.0), 0.162)
    assert told(run)["detail"]["groups"] == [["eu-1", "eu-2"], ["us-1", "us-2"]]


@BOTH
def test_a_hold_between_zones_is_one_of_their_nodes(backend):
    run = play(WAN + fault('at = "1s"\nfor = "1s"\nhold = { from = "eu", to = "us" }'), backend)
    late = [e.fields["seconds"] for e in of(run, "pong") if e.fields["peer"] == "us-1" and e.fields["seconds"] > 0.5]
    assert late and max(late) <= 1.5
    assert ["eu-2", "us-1"] in told(run)["detail"]["pairs"]


@BOTH
def test_a_preset_in_a_link_is_its_keys(backend):
    links = 'at = "1s"\nlink = { between = ["eu-1", "eu-2"], preset = "cross-region", latency = "30ms", loss = 0 }'
    run = play(WAN + fault(links), backend)
    assert is_about(pongs(run, "eu-1", "eu-2", 1.2), 0.060)
    assert told(run)["detail"]["latency"] == "30ms"


@BOTH
def test_links_between_nodes_lie_on_top_of_each_other(backend):
    text = WAN[: WAN.index("zones")] + WAN[WAN.index("[[node]]") :]
    links = """\
[[network.link]]
between = ["region=eu", "all"]
latency = "30ms"

[[network.link]]
from = "eu-1"
to = "us-1"
latency = "70ms"

"""
    run = play(text.replace("[[node]]", links + "[[node]]", 1), backend)
    assert is_about(pongs(run, "eu-1", "us-1"), 0.1)
    assert is_about(pongs(run, "eu-2", "us-1"), 0.06)
    assert is_about(pongs(run, "eu-1", "eu-2"), 0.06)


@BOTH
def test_a_link_between_routers_is_cut_and_gone_round(backend, routers):
    cut = 'at = "1s"\nfor = "1s"\nlink = { between = ["core-1", "core-2"], loss = "100%" }'
    run = play(routers + fault(cut), backend)
    assert is_about(pongs(run, "a", "b", until=1.0), 0.024)
    assert is_about(pongs(run, "a", "b", 1.2, 2.0), 0.106)
    assert is_about(pongs(run, "a", "b", 2.2), 0.024)
    assert told(run)["targets"] == ["a", "b"]


def test_an_isolated_router_parts_who_is_behind_it(routers):
    run = play(routers + fault('at = "1s"\nfor = "1s"\nisolate = "core-2"'))
    assert pongs(run, "a", "b", 1.0, 2.0) == []
    assert told(run)["detail"]["cut"] == [["a", "b"], ["b", "a"]]
    run = play(routers + fault('at = "1s"\nfor = "1s"\nisolate = "core-3"'))
    assert is_about(pongs(run, "a", "b", 1.2, 2.0), 0.024)


def test_a_node_is_cut_from_its_router(routers):
    run = play(routers + fault('at = "1s"\nfor = "1s"\nlink = { from = "a", to = "core-1", loss = "100%" }'))
    assert pongs(run, "a", "b", 1.0, 2.0) == []
    assert told(run)["targets"] == ["a"]


def test_the_file_changes_an_edge_of_the_graph(routers):
    link = '[[network.link]]\nbetween = ["core-1", "core-2"]\nlatency = "20ms"\n\n'
    run = play(routers.replace("[[node]]", link + "[[node]]", 1))
    assert is_about(pongs(run, "a", "b"), 0.044)


def test_no_false_failure_is_seen_where_a_zone_is_alone():
    text = WAN.replace("wan_app:main", "sim.apps.member:main").replace('"3s"', '"60s"')
    text = text.replace('args = { peers = ["us-1", "eu-2", "ap-1"] }\n', "")
    text += fault('at = "5s"\nfor = "25s"\nisolate = "ap"')
    text += "\n[[expect]]\nno_false_failures = true\n"
    text += '\n[[expect]]\nmember_failed = "ap-1"\nby = "!ap-1"\nwithin = "20s"\n'
    run = play(text)
    assert str(run.verdict) == "holds", [judgement.saw for judgement in run.expectations]
