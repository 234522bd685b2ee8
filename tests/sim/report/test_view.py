"""sim.report.view: what the script draws."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim.report import tabulate
from sim.report.timeline import MAX_LANES
from sim.report.view import DOWN, ENDED, ROWS, view
from sim.trace import read


def test_every_event_that_another_one_answers_can_be_followed(trace: Path) -> None:
    drawn = view(tabulate(read(trace)), [])
    lines = {event[0] for event in drawn["events"]}
    assert drawn["whole"]
    assert {event[3] for event in drawn["events"] if event[3]} <= lines
    assert all(0 <= event[4] < len(drawn["texts"]) for event in drawn["events"])


def test_all_nodes_have_their_life_and_few_a_lane(story: Callable[..., Any]) -> None:
    tables = tabulate(read(story(workers=60).write()), duration=39.5)
    drawn = view(tables, [])
    names = [node[0] for node in drawn["nodes"]]
    assert len(names) == 62 and all(node[3] for node in drawn["nodes"])
    assert names.index("worker-2") in drawn["lanes"] and len(drawn["lanes"]) <= MAX_LANES
    density = drawn["density"]
    assert len(density["states"]) <= ROWS
    assert {len(row) for row in density["states"] + density["levels"]} == {len(density["states"][0])}
    row = density["states"][names.index("worker-2") // density["each"]]
    crash = round((10 - density["start"]) / density["width"])
    assert str(DOWN) not in row[: crash - 1] and set(row[crash + 1 : crash + 6]) == {str(DOWN)}
    assert row[-1] == str(ENDED)


def test_few_nodes_need_no_picture_of_all(trace: Path) -> None:
    drawn = view(tabulate(read(trace)), [])
    assert drawn["density"] is None
    assert len(drawn["lanes"]) == len(drawn["nodes"]) == 5


def test_a_fault_stands_on_the_nodes_that_it_struck(trace: Path) -> None:
    drawn = view(tabulate(read(trace)), [])
    ((number, label, time, undone, targets),) = drawn["faults"]
    assert (number, label, time, undone) == (1, "crash worker-2", 10, None)
    assert [drawn["nodes"][index][0] for index in targets] == ["worker-2"]


def test_it_is_json(trace: Path) -> None:
    json.dumps(view(tabulate(read(trace)), []), allow_nan=False)
