"""A JSON Schema of scenario files, for editors: made from the structs that the loader reads.

Each verb of a fault and each expectation is a branch of its own, so that an editor tells a mistake at its key, not that
a table is none of fifteen. It knows what a value looks like, and nothing of what values mean together: names of nodes,
times after the end, applications. That is `rpcnet-sim check`, which also knows what JSON Schema cannot say.

Tests: tests/sim/scenario/test_json_schema.py, tests/sim/scenario/test_editor.py.
"""

import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

import msgspec
from msgspec import Struct

from rpcnet.config import ClusterConfig
from sim.network.presets import PRESETS
from sim.network.quantity import BANDWIDTHS, BYTES, SECONDS
from sim.scenario.expect import EXPECTATIONS
from sim.scenario.expect.flag import Flag
from sim.scenario.faults import FAULTS
from sim.scenario.load import unit_of
from sim.scenario.schema import Cluster, Drawn, Duration, Node, Pick, Probability, Scenario, Selector
from sim.scenario.sentences import sentences
from sim.scenario.verdict import Figure

__all__ = ["json_schema"]

Schema = dict[str, Any]


def _quantity(units: Mapping[str, float]) -> str:
    """A pattern of numbers with one of these units."""
    return rf"[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)? *({'|'.join(units)})"


DURATION = _quantity(SECONDS)
DISTRIBUTION = r"(uniform|normal|lognormal|pareto|samples)\(.+\)"
SHARE = _quantity({"%": 0.01})
DRAWN = f"({DURATION}|{DISTRIBUTION})"


def _text(pattern: str) -> Schema:
    return {"type": "string", "pattern": rf"^ *({pattern}) *$"}


VALUES: dict[Any, Schema] = {
    Duration: _text(DURATION),
    Drawn: _text(DRAWN),
    Probability: {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, _text(f"{SHARE}|[.0-9]+")]},
    Figure: {"anyOf": [{"type": "number"}, {"type": "string", "minLength": 1}]},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Any: {},
}
TEXTS: dict[str, Schema] = {
    **dict.fromkeys(("latency", "jitter", "cpu"), _text(DRAWN)),
    "bandwidth": _text(_quantity(BANDWIDTHS)),
    "queue": {"anyOf": [{"type": "integer", "minimum": 0}, _text(_quantity(BYTES))]},
    "offset": _text(f"-?{DURATION}"),
    "drift": _text(f"-?{_quantity({'ppm': 1e-6, '%': 0.01})}"),
    "app": _text(r"[^ :]+:[^ :]+"),
    "next": _text(rf"{DURATION}|ready( *[+] *{DURATION})?"),
}
"""Fields that are text with a grammar of its own, by name."""


def json_schema() -> Schema:
    """The schema of a whole file."""
    schema = _Schema()
    file = schema.table(Scenario, "A scenario of rpcnet-sim.", skip=("origin",))
    properties = file["properties"]
    properties["cluster"] = {"$ref": "#/definitions/cluster"}
    properties["node"] = {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/Node"}}
    for key in ("fault", "expect"):
        properties[key] = {"type": "array", "items": {"$ref": f"#/definitions/{key}"}}
    for key, sentence in sentences(Scenario).items():
        if key in properties:
            properties[key] = {"description": sentence} | properties[key]
    schema.definitions |= {
        "selector": schema.selector(),
        "cluster": _cluster(schema),
        "Node": schema.table(Node, inspect.getdoc(Node)),
        "fault": {"oneOf": [schema.table(kind, inspect.getdoc(kind), title=verb) for verb, kind in FAULTS.items()]},
        "expect": {"oneOf": [_expectation(schema, key, kind) for key, kind in EXPECTATIONS.items()]},
    }
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "scenario of rpcnet-sim"}
    return head | file | {"definitions": dict(sorted(schema.definitions.items()))}


def _cluster(schema: "_Schema") -> Schema:
    """Its own keys, and every field of ClusterConfig."""
    table = schema.table(Cluster, inspect.getdoc(Cluster), skip=("settings",))
    told = sentences(ClusterConfig)
    for field in fields(ClusterConfig):
        value = schema.value(unit_of(field.name, field.type), field.name)
        table["properties"][field.name] = _described(value, told.get(field.name, ""))
    return table


def _expectation(schema: "_Schema", key: str, kind: type[Struct]) -> Schema:
    if not kind.__struct_config__.forbid_unknown_fields:
        return schema.table(kind, inspect.getdoc(kind), title=key, skip=("keys",)) | {"additionalProperties": True}
    return schema.table(kind, inspect.getdoc(kind), title=key)


def _described(value: Schema, sentence: str) -> Schema:
    return {"description": sentence} | value if sentence else value


class _Schema:
    """Collects the definitions that tables refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def table(self, kind: type[Struct], sentence: str | None, *, title: str = "", skip: tuple[str, ...] = ()) -> Schema:
        """The keys of a struct; what is left out of them is a mistake."""
        told = sentences(kind)
        found = [field for field in msgspec.structs.fields(kind) if field.name not in skip]
        properties = {
            field.encode_name: _described(self.value(field.type, field.name), told.get(field.name, ""))
            for field in found
        }
        if title and issubclass(kind, Flag):
            properties[title] = properties[title] | {"enum": [True]}
        return {
            **({"title": title} if title else {}),
            "description": " ".join((sentence or "").split()),
            "type": "object",
            "additionalProperties": False,
            "required": sorted(field.encode_name for field in found if field.required),
            "properties": properties,
        }

    def value(self, kind: Any, name: str) -> Schema:
        """What a value of that type looks like, in a field of that name."""
        if name == "preset" and str in (kind, *typing.get_args(kind)):
            return {"enum": list(PRESETS)}
        if name in TEXTS:
            return TEXTS[name]
        if kind in VALUES:
            return VALUES[kind]
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.value(arguments[1], "")}
        if origin in (list, tuple):
            return {"type": "array", "items": self.value(arguments[0], "")}
        if origin in (typing.Union, types.UnionType):
            return self._one_of([member for member in arguments if member is not types.NoneType])
        return self._struct(kind)

    def _one_of(self, members: list[Any]) -> Schema:
        selectors = typing.get_args(Selector)
        chosen = [member for member in members if member not in selectors] if {*selectors} <= {*members} else members
        found = [self.value(member, "") for member in chosen]
        if len(chosen) < len(members):
            found = [{"$ref": "#/definitions/selector"}, *found]
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _struct(self, kind: type[Struct]) -> Schema:
        name = kind.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # it may speak of itself
            self.definitions[name] = self.table(kind, inspect.getdoc(kind))
        return {"$ref": f"#/definitions/{name}"}

    def selector(self) -> Schema:
        """Text, a pick, or a list of both."""
        one = [{"type": "string", "minLength": 1}, self._struct(Pick)]
        return {"anyOf": [*one, {"type": "array", "minItems": 1, "items": {"anyOf": one}}]}
