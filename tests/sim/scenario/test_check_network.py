"""What is wrong with zones, links and graphs is told at its place, with what was probably meant."""

from pathlib import Path

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario import ScenarioError
from sim.scenario.load import load_text

GOOD = """\
name = "x"
duration = "40s"

[network]
preset = "lan"
zones = "region"

[[network.link]]
between = ["eu", "us"]
latency = "40ms"

[[network.link]]
between = ["us", "ap"]
preset = "wan"

[[node]]
name = "eu-node"
count = 2
app = "sim.apps.member:main"
labels = { region = "eu", role = "a" }

[[node]]
name = "us-node"
app = "sim.apps.member:main"
labels = { region = "us", role = "a" }

[[node]]
name = "ap-node"
app = "sim.apps.member:main"
labels = { region = "ap", role = "b" }

[[fault]]
at = "1s"
link = { between = ["eu", "us"], loss = "100%" }

[[fault]]
at = "2s"
isolate = ["ap"]

[[fault]]
at = "3s"
partition = { groups = [["eu", "ap-node"], "us"] }

[[fault]]
at = "4s"
hold = { from = "eu" }
"""


def mistakes(text):
    with pytest.raises(ScenarioError) as caught:
        load_text(text, Path("x.toml"))
    return str(caught.value).splitlines()


def place(text, part):
    before = text[: text.index(part)]
    return f"x.toml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "


def test_what_is_right_is_read():
    scenario = load_text(GOOD, Path("x.toml"))
    assert [link.between for link in scenario.network.links] == [["eu", "us"], ["us", "ap"]]
    assert scenario.network.links[1].edge() == {"preset": "wan"}


MISTAKES = {  # old text, new text, where the mistake is, what it says
    "zones of no label": (
        'zones = "region"',
        'zones = "regoin"',
        '"regoin"',
        'the label "regoin"; did you mean "region"?',
    ),
    "a node without a zone": (
        '{ region = "us", role = "a" }',
        '{ role = "a" }',
        '"region"',
        '"us-node" has no label "region", and so no zone',
    ),
    "a zone called like a node": (
        'region = "ap"',
        'region = "us-node"',
        '"region"',
        '"us-node" would be both a zone and a node',
    ),
    "a zone called all": ('region = "ap"', 'region = "all"', '"region"', '"all" cannot name a zone'),
    "zones and a graph": (
        'zones = "region"',
        'zones = "region"\ngraph = "star_graph(9)"',
        "graph",
        "give either zones or graph",
    ),
    "machines without a graph": (
        'zones = "region"',
        'zones = "region"\nmachines = "label"',
        "machines",
        "there is no graph",
    ),
    "an unknown zone": ('["us", "ap"]', '["us", "asia"]', '["us", "asia"]', 'unknown node "asia"'),
    "a link without ends": ('between = ["eu", "us"]\n', "", "[[network.link]]", "say where: either from and to"),
    "a link with one end": ('between = ["eu", "us"]', 'from = "eu"', "[[network.link]]", "to is missing"),
    "a link with three ends": ('between = ["eu", "us"]', 'between = ["eu"]', '["eu"]', "between takes two, not 1"),
    "a link that says nothing": (
        'latency = "40ms"\n',
        "",
        "[[network.link]]",
        "says nothing of the link; allowed: preset",
    ),
    "a link without a latency": ('latency = "40ms"', "loss = 0.1", "[[network.link]]", 'latency = "40ms", or a preset'),
    "a misspelt setting": (
        'latency = "40ms"',
        'latncy = "40ms"',
        "latncy",
        'unknown key "latncy"; did you mean "latency"?',
    ),
    "a wrong quantity": ('latency = "40ms"', 'latency = "40"', '"40"', "latency: '40' is not a duration"),
    "a bandwidth as others spell it": (
        'latency = "40ms"',
        'latency = "40ms"\nbandwidth = "10Mbps"',
        '"10Mbps"',
        'did you mean "10Mbit/s" (1.25MB/s)?',
    ),
    "an unknown preset": ('preset = "wan"', 'preset = "wam"', '"wam"', 'did you mean "wan"?'),
    "a zone without a way": (
        '["us", "ap"]',
        '["us", "region=ap"]',
        '"region"',
        'no way from "eu" to "ap"; give a [[network.link]]',
    ),
    "a link of one zone": (
        '["us", "ap"]',
        '["us", "us"]',
        '[[network.link]]\nbetween = ["us"',
        "nobody has a link to itself",
    ),
    "a link that there is not": (
        '["eu", "us"], loss',
        '["eu", "ap"], loss',
        '{ between = ["eu"',
        'no link leads from "eu" to "ap"; from "eu" to: us',
    ),
    "nodes and zones isolated": (
        'isolate = ["ap"]',
        'isolate = ["ap", "us-node"]',
        '["ap", "us-node"]',
        "either nodes or zones",
    ),
    "a crash of a zone": (
        'isolate = ["ap"]',
        'crash = "eu"',
        '"eu"\n',
        '"eu" is a zone of the network, and nodes are meant here; did you mean "region=eu"?',
    ),
    "a crash of some of a zone": (
        'isolate = ["ap"]',
        'crash = { pick = "one", of = "eu" }',
        "{ pick",
        'did you mean "region=eu"?',
    ),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_at_its_place(case):
    old, new, at, says = case
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    (told,) = mistakes(text)
    assert told.startswith(place(text, at)), told
    assert says in told


def test_a_link_between_zones_is_given_once():
    text = GOOD.replace(
        '[[node]]\nname = "eu', '[[network.link]]\nfrom = "us"\nto = "eu"\npreset = "wan"\n\n[[node]]\nname = "eu'
    )
    (told,) = mistakes(text)
    assert told.startswith(place(text, "[[network.link]]\nfrom"))
    assert 'the link from "us" to "eu" is given twice, here and by the 1st [[network.link]]' in told


def links(*tables):
    head, rest = GOOD[: GOOD.index("zones")], GOOD[GOOD.index("[[node]]") : GOOD.index("[[fault]]")]
    return head + "\n" + "\n".join(f"[[network.link]]\n{table}\n" for table in tables) + "\n" + rest


def test_a_link_of_which_nothing_is_left_is_refused():
    special, general = 'between = ["us-node", "ap-node"]\nloss = 0.5', 'between = ["region=us", "all"]\nloss = 0.1'
    load_text(links(general, special), Path("x.toml"))
    (told,) = mistakes(text := links(special, general))
    assert told.startswith(place(text, "[[network.link]]")) and "put the general ones first" in told
    load_text(links(special.replace("loss", "reorder"), general), Path("x.toml"))
    load_text(links(special, 'from = "us-node"\nto = "ap-node"\nloss = 0.1'), Path("x.toml"))
    forth, back = 'from = "us-node"\nto = "ap-node"\nloss = 0.1', 'from = "ap-node"\nto = "us-node"\npreset = "wan"'
    assert len(mistakes(links(special, forth, back))) == 1


def test_a_graph_s_nodes_that_do_not_match_are_told_where_it_is_said(tmp_path):
    graph = networkx.path_graph(["n0", "n1", "n2", "n3", "n4"])
    networkx.set_node_attributes(
        graph, dict(zip(graph, ["eu-node-1", "eu-node-2", "core", "us-node", "ap-node"], strict=True)), "site"
    )
    networkx.write_graphml(graph, file := tmp_path / "x.graphml")
    text = links().replace('preset = "lan"', f'preset = "lan"\ngraph = "{file}"')
    (told,) = mistakes(text)
    assert told.startswith(place(text, f'"{file}"')) and 'write machines = "site"' in told
    load_text(text.replace("[[node]]", 'machines = "site"\n[[node]]', 1), Path("x.toml"))
    (told,) = mistakes(wrong := text.replace("[[node]]", 'machines = "sight"\n[[node]]', 1))
    assert told.startswith(place(wrong, '"sight"'))
    (told,) = mistakes(wrong := text.replace("[[node]]", '[network.machines]\nn0 = "eu-node"\n[[node]]', 1))
    assert told.startswith(place(wrong, '"eu-node"\n[[node]]')) and 'unknown node "eu-node"' in told
    table = '[network.machines]\nn0 = "eu-node-1"\nn1 = "eu-node-2"\nn3 = "us-node"\nn4 = "ap-node"\n'
    fault = '\n[[fault]]\nat = "1s"\nlink = { between = ["n2", "us-node"], loss = 1.0 }\n'
    load_text(text.replace("[[node]]", f"{table}[[node]]", 1) + fault, Path("x.toml"))


def test_what_is_wrong_with_the_network_hides_no_unknown_node():
    text = GOOD.replace('latency = "40ms"', 'latency = "40"') + '\n[[fault]]\nat = "5s"\ncrash = "nobody-*"\n'
    assert [told.split(": ", 1)[1].split(";")[0] for told in mistakes(text)] == [
        "latency: '40' is not a duration",
        'unknown node "nobody-*"',
    ]


@given(
    st.lists(
        st.sampled_from(
            [
                '"eu"',
                '"us"',
                '"ap"',
                '"region=eu"',
                '"us-*"',
                '"all"',
                '"!eu"',
                '"x"',
                '["eu", "us-node"]',
                '{ pick = "one" }',
            ]
        ),
        min_size=2,
        max_size=2,
    ),
    st.sampled_from(["between", "from"]),
    st.sampled_from(['latency = "1ms"', "loss = 0.5", 'preset = "lan"', 'bandwidth = "1MB"']),
)
def test_any_link_is_read_or_refused_at_a_line(ends, how, setting):
    where = f"between = [{ends[0]}, {ends[1]}]" if how == "between" else f"from = {ends[0]}\nto = {ends[1]}"
    text = GOOD.replace("[[node]]", f"[[network.link]]\n{where}\n{setting}\n\n[[node]]", 1)
    try:
        load_text(text, Path("x.toml"))
    except ScenarioError as error:
        lines = [mistake.line for mistake in error.mistakes]
    else:
        lines = []
    assert all(lines)
