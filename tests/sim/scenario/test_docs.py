"""docs/scenarios.md and docs/faults.md say what the structs say: their tables are made from them.

`python tests/sim/scenario/test_docs.py` writes the tables anew.
"""

import dataclasses
import inspect
import re
import types
import typing
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from rpcnet.config import ClusterConfig
from sim.scenario import schema
from sim.scenario.faults import FAULTS, Fault
from sim.scenario.load import load_text, unit_of
from sim.scenario.sentences import sentences

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "scenarios.md"
STRUCTS = {
    **{
        name: getattr(schema, name)
        for name in ("Scenario", "Sweep", "Network", "Between", "Cluster", "Node", "Pick", "Each")
    },
    "Fault": Fault,
}
NOT_KEYS = {"origin", "settings"}
WORDS: dict[Any, str] = {
    schema.Duration: "duration",
    schema.Drawn: "duration or drawn",
    schema.Probability: "share",
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
}


def word(kind: Any) -> str:
    """A type, as a user of TOML would call it."""
    if kind == schema.Selector:
        return "selector"
    if kind in WORDS:
        return WORDS[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in {typing.Union, types.UnionType}:
        members = [a for a in arguments if a is not type(None)]
        if set(typing.get_args(schema.Selector)) <= set(members):
            rest = [a for a in members if a not in typing.get_args(schema.Selector)]
            return " or ".join(["selector", *map(word, rest)])
        return " or ".join(dict.fromkeys(map(word, members)))
    if origin in {list, tuple}:
        inner = word(arguments[0])
        return "tables" if inner == "table" else f"list of {inner}s"
    if isinstance(kind, type) and issubclass(kind, schema.Each):
        return "`each`"
    return "table"


def default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "**needed**"
    value = field.default
    said = isinstance(value, bool | int | float | str) and value != ""
    return f" = `{shown(value)}`" if said else ""


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "0s" if value == 0.0 and isinstance(value, float) else str(value)


def table_of(kind: type[msgspec.Struct]) -> str:
    beside = issubclass(kind, schema.Edge) and kind is not schema.Network  # the keys of [network] are told there
    own = {f.name for f in msgspec.structs.fields(schema.Edge)} if beside else set()
    text = sentences(kind)
    rows = [
        f"| `{f.encode_name}` | {word(f.type)} {default(f)} | {text[f.name]} |".replace("  |", " |").replace(
            "  =", " ="
        )
        for f in msgspec.structs.fields(kind)
        if f.name not in NOT_KEYS | own
    ]
    return "\n".join(["| key | value | meaning |", "|---|---|---|", *rows])


def value_of(kind: type[Fault]) -> Any:
    """The type of what stands behind the verb."""
    return next(f.type for f in msgspec.structs.fields(kind) if f.name == kind.verb)


def verbs() -> str:
    rows = [f"| `{verb}` | {word(value_of(kind))} | {inspect.getdoc(kind)} |" for verb, kind in FAULTS.items()]
    return "\n".join(["| verb | value | what happens |", "|---|---|---|", *rows])


def values() -> str:
    """The tables of the verbs that take one."""
    found = [(verb, value_of(kind)) for verb, kind in FAULTS.items()]
    return "\n\n".join(
        f"`{verb}`: {inspect.getdoc(kind)}\n\n{table_of(kind)}"
        for verb, kind in found
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    )


def settings() -> str:
    text = sentences(ClusterConfig)
    rows = []
    for field in dataclasses.fields(ClusterConfig):
        kind = unit_of(field.name, field.type)
        value = f"{field.default:g}s" if isinstance(field.default, float) and kind is schema.Duration else field.default
        said = "" if value is None else f" = `{shown(value)}`"
        rows.append(f"| `{field.name}` | {word(kind)}{said} | {text.get(field.name, '')} |")
    return "\n".join(["| key | value, in the lan preset | meaning |", "|---|---|---|", *rows])


def shipped() -> str:
    """The scenarios of this repository: what each asks, and what must turn it red."""
    rows = []
    for path in sorted((PAGE.parents[1] / "scenarios").glob("*.toml")):
        scenario = load_text(path.read_text(encoding="utf-8"), path)
        caught = " ".join(f"`{defect}`" for defect in scenario.catches)
        rows.append(f"| [{path.stem}](../scenarios/{path.name}) | {scenario.summary} | {caught} |")
    return "\n".join(["| file | what happens, and what must hold | red with |", "|---|---|---|", *rows])


def tables() -> dict[str, str]:
    """What stands between `<!-- name -->` and `<!-- end -->`, on whichever page has it."""
    named = {"verbs": verbs(), "values": values(), "ClusterConfig": settings(), "shipped": shipped()}
    return {name: table_of(kind) for name, kind in STRUCTS.items()} | named


PAGES = [PAGE, DOCS / "faults.md"]


@pytest.mark.parametrize("name", [*STRUCTS, "verbs", "values", "ClusterConfig", "shipped"])
def test_table_says_what_the_struct_says(name):
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    found = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- end -->", text, re.DOTALL)
    assert found and found[1] == tables()[name], "python tests/sim/scenario/test_docs.py writes it anew"


def test_the_example_is_a_scenario():
    example = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert load_text(example[1], PAGE).name == "split"


def write() -> None:
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        for name, table in tables().items():
            begin, end = f"<!-- {name} -->\n", "<!-- end -->"
            if begin in page:
                before, _, rest = page.partition(begin)
                page = f"{before}{begin}{table}\n{end}{rest.partition(end)[2]}"
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    write()
