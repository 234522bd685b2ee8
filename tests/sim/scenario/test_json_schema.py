"""The JSON Schema of scenario files says what the loader reads."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from sim.cli import execute
from sim.scenario.expect import EXPECTATIONS
from sim.scenario.faults import FAULTS
from sim.scenario.json_schema import json_schema

ROOT = Path(__file__).parents[3]
SCHEMA = json_schema()
SHIPPED = sorted((ROOT / "scenarios").rglob("*.toml"))


def mistakes(document: Any) -> list[str]:
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(document)]


def with_a(table: str, **keys: Any) -> dict[str, Any]:
    node = {"name": "a", "app": "m:f"}
    return {"name": "x", "duration": "10s", "node": [node], table: [keys]}


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_scenario_that_ships_fits(path: Path) -> None:
    assert mistakes(tomllib.loads(path.read_text())) == []


@pytest.mark.parametrize("page", ["scenarios", "faults", "expectations"])
def test_the_examples_of_the_pages_fit(page: str) -> None:
    text = (ROOT / f"docs/{page}.md").read_text()
    for block in re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        document = tomllib.loads(block)
        if not document.keys() <= {"expect", "fault"}:
            assert mistakes(document) == []
        for kind in ("expect", "fault"):
            for table in document.get(kind, ()):
                assert mistakes(with_a(kind, **table)) == []


def test_every_verb_and_every_expectation_is_a_branch_of_its_own() -> None:
    for key, kinds in (("fault", FAULTS), ("expect", EXPECTATIONS)):
        branches = SCHEMA["definitions"][key]["oneOf"]
        assert [branch["title"] for branch in branches] == list(kinds)
        assert all(branch["title"] in branch["required"] for branch in branches)
        assert all(branch["description"] for branch in branches)


def test_every_key_of_a_fault_and_of_a_node_has_its_sentence() -> None:
    node = SCHEMA["definitions"]["Node"]["properties"]
    tables = [node, SCHEMA["properties"], *(b["properties"] for b in SCHEMA["definitions"]["fault"]["oneOf"])]
    assert not [key for table in tables for key, value in table.items() if not value.get("description")]


@pytest.mark.parametrize(
    ("fault", "fits"),
    [
        ({"at": "1s", "crash": "a"}, True),
        ({"at": "1.5m", "for": "uniform(1s, 2s)", "crash": {"pick": 2, "of": "!b"}}, True),
        ({"at": ".5e1s", "crash": ["a", "!b", {"pick": "30%"}]}, True),
        ({"at": "1s", "stop": {"each": "all", "next": "2s"}}, True),
        ({"at": "1s", "link": {"between": ["a", "b"], "loss": "5%", "latency": "20ms"}}, True),
        ({"at": "1s", "clock": {"node": "a", "offset": "-3s", "drift": "-2%"}}, True),
        ({"at": 1, "crash": "a"}, False),
        ({"crash": "a"}, False),
        ({"at": "1s"}, False),
        ({"at": "1s", "crash": "a", "kill": "a"}, False),
        ({"at": "1s", "crash": "a", "fro": "1s"}, False),
        ({"at": "1s", "crash": {"pik": 2}}, False),
        ({"at": "1s", "link": {"between": ["a", "b"], "loss": 5}}, False),
        ({"at": "1 sec", "crash": "a"}, False),
    ],
)
def test_which_faults_fit(fault: dict[str, Any], fits: bool) -> None:
    assert (mistakes(with_a("fault", **fault)) == []) is fits


def test_a_judge_in_python_takes_any_key_and_others_do_not() -> None:
    assert mistakes(with_a("expect", python="m:f", orders=100)) == []
    assert mistakes(with_a("expect", no_leaks=True, orders=100))


def test_settings_of_a_cluster_have_units_as_in_a_file() -> None:
    fits = with_a("fault", at="1s", crash="a") | {"cluster": {"probe_interval": "500ms", "suspicion_multiplier": 2}}
    assert mistakes(fits) == []
    assert mistakes(fits | {"cluster": {"probe_interval": 0.5}})
    assert mistakes(fits | {"cluster": {"probe_intervall": "1s"}})


def test_the_command_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
