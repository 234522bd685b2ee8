"""docs/expectations.md says what the classes do: its table, its examples, its Python."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from sim.scenario.expect import EXPECTATIONS
from sim.scenario.verdict import Verdict
from sim.trace import Event

TEXT = (Path(__file__).parents[4] / "docs/expectations.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` = [^|]*\|([^|]*)\|[^|]*\|([^|]*)\|$", TEXT, re.MULTILINE)
EXAMPLES = [tomllib.loads(block)["expect"][0] for block in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)]


def read_number(kind, value):
    """Durations and shares as a file spells them."""
    if isinstance(value, str):
        number, unit = re.fullmatch(r"([\d.]+)(ms|s|%)", value).groups()
        return float(number) * {"ms": 0.001, "s": 1.0, "%": 0.01}[unit]
    return float(value)


def words(cell):
    return re.findall(r"`(\w+)`", cell)


def test_the_table_has_a_row_for_each_class_in_its_order():
    assert [key for key, _, _ in ROWS] == list(EXPECTATIONS)
    assert len(ROWS) == len(re.findall(r"^\| `", TEXT, re.MULTILINE))


@pytest.mark.parametrize(("key", "more", "measures"), ROWS)
def test_a_row_names_the_keys_and_the_figures_of_its_class(key, more, measures):
    kind = EXPECTATIONS[key]
    if key == "python":
        assert (more.strip(), measures.strip()) == ("any", "what it says")
    else:
        assert set(words(more)) == set(kind.__struct_fields__) - {key, "max"}
        assert tuple(words(measures)) == kind.MEASURES


@pytest.mark.parametrize("table", EXAMPLES, ids=lambda table: next(iter(table)))
def test_an_example_is_read_as_it_stands(table, story):
    key = next(iter(table))
    expectation = msgspec.convert(table, EXPECTATIONS[key], dec_hook=read_number)
    assert getattr(expectation, key) is not None
    if key != "python":
        story.fault(1, "crash", "worker-2").fault(2, "partition", "worker-2", name="split", undone=3).start("worker-2")
        faults = [fault for fault in story.context().faults if "after" in table or fault.verb == "crash"]
        if key == "member_left":
            faults = story.fault(3, "stop", "worker-2").context().faults
        expectation.check(faults, story.select)


def test_each_expectation_has_an_example_of_its_own():
    assert {next(iter(table)) for table in EXAMPLES} == set(EXPECTATIONS)
    assert re.findall(r"^### (\w+)$", TEXT, re.MULTILINE) == list(EXPECTATIONS)


def test_the_python_example_judges():
    names = {}
    exec(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1], names)
    placed = [Event(n, 0.0, "shop", "order_placed", 0, {"order": n}) for n in (1, 2)]
    assert names["every_order_once"](placed, orders=2) is Verdict.HOLDS
    assert names["every_order_once"](placed, orders=3) is Verdict.FAILS
    with pytest.raises(AssertionError, match="twice"):
        names["every_order_once"](placed * 2, orders=4)
