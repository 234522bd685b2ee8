"""From a text to a Scenario: TOML, overrides, structs; every mistake with its place.

tomllib reads the text, msgspec converts the values, field by field. What the values mean together is checked in
check.py, also where some could not be read: those are left out, or something stands in for them, so that one look finds
the mistakes of all layers. Nothing is run here, but applications are imported to see their arguments.

Tests: tests/sim/scenario/test_load.py, tests/sim/scenario/test_load_fuzz.py.
"""

import functools
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from rpcnet.config import ClusterConfig, is_duration
from sim.network.latency import Distribution
from sim.network.quantity import parse_bandwidth, parse_bytes, parse_probability, parse_seconds
from sim.network.spelling import near
from sim.scenario import locate
from sim.scenario.beside import make_importable
from sim.scenario.check import Draft, check
from sim.scenario.expect import EXPECTATIONS
from sim.scenario.faults import FAULTS, Fault
from sim.scenario.mend import mend
from sim.scenario.mistake import Mistake, ScenarioError, nearest
from sim.scenario.override import Override, OverrideError, Overrides, apply, parse
from sim.scenario.schema import (
    Cluster,
    Drawn,
    Duration,
    Network,
    Node,
    Origin,
    Probability,
    Scenario,
    parse_drawn,
    parse_duration,
)
from sim.scenario.verdict import Expectation, Figure

__all__ = ["load", "load_text", "matrix_of", "read_number", "text_of", "unit_of"]

T = TypeVar("T", bound=msgspec.Struct)

MAX_MENDED = 20
"""Lines of wrong syntax that are told at once."""
MAX_BYTES_MENDED = 1_000_000
"""A longer file is read once: for each such line it would be read anew."""
SHORTEST = 1e-9
"""Seconds that stand in for a `for` which could not be read: nothing that needs one misses it."""

_AT = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_EXPECTED = re.compile(r"Expected `(.+?)`(.*?)(?:, got `(.+)`)?$")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "",
}


def load(path: str | Path, overrides: Overrides = ()) -> Scenario:
    """Read and check a file. Raises ScenarioError with every mistake that was found."""
    return load_text(text_of(path), Path(path), overrides)


def text_of(path: str | Path) -> str:
    """What a file holds. Raises ScenarioError."""
    file = Path(path)
    try:
        raw = file.read_bytes()
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()
        raise ScenarioError([Mistake(str(path), 0, 0, why)]) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig")
        place = locate.place_of_offset(before, len(before))
        message = f"not UTF-8: byte 0x{raw[error.start]:02x}; a scenario is TOML, and TOML is UTF-8"
        raise ScenarioError([Mistake(str(path), *place, message)]) from error


def load_text(text: str, file: Path, overrides: Overrides = (), *, before: Iterable[str] = ()) -> Scenario:
    """As `load`, from a text that was read before. `file` is what it is called; `before` is overridden first."""
    try:
        return _reader(text, file).scenario(before, overrides)
    except RecursionError as error:
        raise ScenarioError([Mistake(str(file), 1, 1, "lists or tables are nested too deeply")]) from error


def matrix_of(text: str, file: Path, overrides: Overrides = ()) -> dict[str, list[Any]]:
    """What `[sweep.matrix]` of a text says, as far as it can be read, whatever is wrong with the rest of it."""
    try:
        return _reader(text, file).matrix(overrides)
    except (ScenarioError, RecursionError):
        return {}


def _reader(text: str, file: Path) -> "_Reader":
    """Of a text whose syntax is in order, or could be mended. Raises ScenarioError."""
    text = text.replace("\r\n", "\n")
    mistakes: list[Mistake] = []
    while True:
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            place, message = locate.place_of_syntax_error(text, error)
            mistakes.append(Mistake(str(file), *place, f"TOML syntax: {message}"))
            mended = mend(text, place.line) if len(mistakes) < MAX_MENDED and len(text) < MAX_BYTES_MENDED else None
            if mended is None:
                raise ScenarioError(mistakes) from error
            text = mended
        else:
            return _Reader(str(file), text, data, mistakes)


class _Reader:
    """Turns one document into structs and collects what is wrong with it."""

    def __init__(self, file: str, text: str, data: dict[str, Any], mistakes: Iterable[Mistake]) -> None:
        self.file, self.text, self.data = file, text, data
        self.places = locate.locate(text)
        self.mistakes = list(mistakes)
        lines = {mistake.line for mistake in self.mistakes}
        values = self.places.values if lines else {}
        self.mended = {path for path, offset in values.items() if self.places.at(offset).line in lines}
        """What a line of wrong syntax was to set: what stands there now means nothing."""
        self.values: dict[str, Any] = {}
        """What stands at the top, tables aside."""
        self.set_by: dict[locate.Path, Override] = {}
        """What was not in the text."""
        self.unread: set[locate.Path] = set()
        """What is missing or could not be read, although it may have been meant: nothing can be said about it."""

    def is_unread(self, path: locate.Path) -> bool:
        """Whether something there, around it or in it could not be read."""
        return any(path[: len(other)] == other[: len(path)] for other in self.unread)

    def blame_meaning(self, path: locate.Path, message: str, *, key: bool = False) -> None:
        """Note a mistake of what was read; what could not be read has its own."""
        if not (path and isinstance(path[-1], str) and self.is_unread(path)):
            self.blame(path, message, key=key)

    def blame(self, path: locate.Path, message: str, *, key: bool = False) -> None:
        """Note a mistake at the value (or the key) at that path."""
        if any(path[:length] in self.mended for length in range(1, len(path) + 1)):
            self.unread.add(path)
            return
        for length in range(len(path), 0, -1):
            if override := self.set_by.get(path[:length]):
                self.mistakes.append(Mistake(f"--set {override.written}", 0, 0, message))
                return
        place = self.places.key(path) if key else self.places.value(path)
        self.mistakes.append(Mistake(self.file, *place, message))

    def scenario(self, *overrides: Overrides) -> Scenario:
        for some in overrides:
            self._override(some)
        draft = self._draft()
        self._look_beside(draft)
        check(draft, self.blame_meaning)
        if self.mistakes:
            raise ScenarioError(self.mistakes)
        lines = {
            f"{kind}[{index}]": self.places.key((kind, index)).line
            for kind in ("node", "fault", "expect")
            for index in range(len(self.data.get(kind, ())))
        }
        origin = Origin(Path(self.file), self.text, lines, tuple(o.written for o in self.set_by.values()))
        return Scenario(
            **self.values,
            network=draft.network,
            cluster=draft.cluster,
            node=tuple(draft.nodes.values()),
            fault=tuple(draft.faults.values()),
            expect=tuple(draft.expectations.values()),
            origin=origin,
        )

    def matrix(self, overrides: Overrides) -> dict[str, list[Any]]:
        """The keys of `[sweep.matrix]` that have lists of values."""
        self._override(overrides)
        sweep = self.data.get("sweep")
        matrix = sweep.get("matrix") if isinstance(sweep, dict) else None
        found = matrix.items() if isinstance(matrix, dict) else ()
        return {key: values for key, values in found if isinstance(values, list) and values}

    def _draft(self) -> Draft:
        tables = {"network", "cluster", "node", "fault", "expect"}
        plain = {key: value for key, value in self.data.items() if key not in tables}
        self.values = self._fields(plain, Scenario, (), skip=frozenset(tables | {"origin"}), known=frozenset(tables))
        if "node" not in self.data:
            self.blame((), "a scenario needs at least one [[node]]", key=True)
        nodes = {
            i: node
            for i, table in self._tables("node")
            if (node := self.table(table, Node, ("node", i), app="")) is not None
        }
        # A misspelt [[node]] would make all its names unknown: one mistake, not ten.
        strange = any(isinstance(self.data[key], list) for key in plain.keys() - {*Scenario.__struct_fields__})
        named = not any(self.is_unread(("node", i, key)) for i in nodes for key in ("name", "count"))
        faults = {i: fault for i, table in self._tables("fault") if (fault := self._fault(table, ("fault", i)))}
        expectations = {
            i: expectation
            for i, table in self._tables("expect")
            if (expectation := self._expectation(table, ("expect", i))) is not None
        }
        return Draft(
            duration=self.values.get("duration", float("inf")),
            seed=self.values.get("seed", 1),
            catches=self.values.get("catches", ()),
            network=self.table(self.data.get("network", {}), Network, ("network",)) or Network(),
            cluster=self._cluster(self.data.get("cluster", {})),
            nodes=nodes,
            faults=faults,
            expectations=expectations,
            names_are_known=named and not strange and len(nodes) == len(self._list("node")),
            labels_are_known=not any(self.is_unread(("node", i, "labels")) for i in nodes),
            unread_faults=[_name_of(table) for i, table in self._tables("fault") if i not in faults],
            is_unread=self.is_unread,
            sweep=self.values.get("sweep_"),
            name=self.values.get("name", "x"),
        )

    def _look_beside(self, draft: Draft) -> None:
        file = Path(self.file)
        for index, node in draft.nodes.items():
            if problem := make_importable(file, node.app):
                self.blame(("node", index, "app"), problem)
                self.unread.add(("node", index, "app"))
        functions = (getattr(expectation, "python", None) for expectation in draft.expectations.values())
        for name in (*filter(None, functions), *(name for name in draft.catches if ":" in name)):
            make_importable(file, name)

    def _override(self, overrides: Overrides) -> None:
        """Change the document as `--set` says."""
        wanted: list[Override] = []
        for some in (overrides,) if isinstance(overrides, Mapping) else ([text] for text in overrides):
            try:
                wanted += parse(some)
            except OverrideError as error:
                self.mistakes.append(Mistake("--set", 0, 0, str(error)))
        for override in wanted:
            try:
                path = apply(self.data, override)
            except OverrideError as error:
                self.mistakes.append(Mistake(f"--set {override.written}", 0, 0, str(error)))
            else:
                self.set_by.pop(path, None)  # the last one to set it is last
                self.set_by[path] = override

    # --- shapes -------------------------------------------------------------------------------------------------------

    def _list(self, key: str) -> list[Any]:
        value = self.data.get(key, [])
        if isinstance(value, list):
            return value
        self.blame((key,), f"{key}: expected a list of tables, each under [[{key}]]", key=True)
        self.data[key] = []
        return []

    def _tables(self, key: str) -> list[tuple[int, Any]]:
        return list(enumerate(self._list(key)))

    def table(self, table: Any, kind: type[T], path: locate.Path, **standing_in: Any) -> T | None:
        """A struct of what could be read of a table; None where it needs more than that, and than what stands in."""
        values = standing_in | self._fields(table, kind, path)
        needed = {field.name for field in _fields_of(kind) if field.required}
        return kind(**values) if needed <= values.keys() else None

    def _fields(
        self,
        table: Any,
        kind: type[msgspec.Struct],
        path: locate.Path,
        *,
        skip: frozenset[str] = frozenset(),
        known: frozenset[str] = frozenset(),
    ) -> dict[str, Any]:
        """The values of a struct's fields, as far as they are in order. `known` are keys that others read."""
        if not isinstance(table, dict):
            self.blame(path, f"{_dotted(path)}: expected a table, got {_word_of(table)}")
            self.unread.add(path)
            return {}
        found = {f.encode_name: f for f in _fields_of(kind) if f.name not in skip}
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in found:
                self.blame((*path, key), f'unknown key "{key}"{nearest(key, {*found, *known})}', key=True)
                self.unread.update((*path, meant) for meant in _meant(key, value, found.keys() - table.keys()))
            elif (converted := self.value(value, found[key].type, (*path, key))) is not None:
                values[found[key].name] = converted
        for key, field in found.items():
            if field.required and key not in table:
                where = f" in {_dotted(path)}" if path else ""
                self.blame(path, f'"{key}" is missing{where}', key=True)
                self.unread.add((*path, key))
        return values

    def value(self, value: Any, kind: Any, path: locate.Path) -> Any:
        """A value of that type, or None with a mistake noted."""
        if path in self.mended:
            self.unread.add(path)
            return None
        kind, struct = _narrowed(kind, value)
        if struct is not None and isinstance(value, dict):
            return self.table(value, struct, path)
        if typing.get_origin(kind) is tuple and isinstance(value, list) and _is_struct(typing.get_args(kind)[0]):
            tables = [self.table(each, typing.get_args(kind)[0], (*path, i)) for i, each in enumerate(value)]
            return tuple(each for each in tables if each is not None)
        if typing.get_origin(kind) is dict and isinstance(value, dict):
            inner = typing.get_args(kind)[1]
            found = {key: self.value(each, inner, (*path, key)) for key, each in value.items()}
            return {key: each for key, each in found.items() if each is not None}
        if typing.get_origin(kind) is Literal:
            allowed = typing.get_args(kind)
            if value not in allowed:
                self.blame(path, f"{path[-1]} = {value!r} is unknown{nearest(value, allowed)}")
                self.unread.add(path)
                return None
            return value

        def read(wanted: type, given: Any) -> Any:
            override = self.set_by.get(path)
            if override is not None and override.from_python and wanted in (Duration, Drawn) and _is_number(given):
                # From here on it can be given on a command line as well.
                self.set_by[path] = override._replace(written=f"{override.key}={given}s")
                return float(given)
            return read_number(wanted, given)

        try:
            return msgspec.convert(value, kind, dec_hook=read)
        except msgspec.ValidationError as error:
            self._blame_value(str(error), path)
            self.unread.add(path)
            return None

    def _blame_value(self, text: str, path: locate.Path) -> None:
        inside: list[str | int] = []
        if match := _AT.search(text):
            text = text[: match.start()]
            inside = [key or int(index) for key, index in _STEP.findall(match[1]) if index != "..."]
        place = (*path, *inside)
        if place not in self.places.values:
            place = path
        self.blame(place, f"{_dotted(place[-1:])}: {_in_words(text)}")

    # --- tables that know themselves by a key -------------------------------------------------------------------------

    def _fault(self, table: Any, path: locate.Path) -> Fault | None:
        common = {field.encode_name for field in _fields_of(Fault)}
        kind = self._kind(table, FAULTS, common, "fault", path)
        if kind is None:
            return None
        fault = self.table(table, kind, path, at=0.0)
        if fault is not None and fault.for_ is None and self.is_unread((*path, "for")):
            return msgspec.structs.replace(fault, for_=SHORTEST)
        return fault

    def _expectation(self, table: Any, path: locate.Path) -> Expectation | None:
        common = {f.encode_name for kind in EXPECTATIONS.values() for f in _fields_of(kind)} - {*EXPECTATIONS}
        kind = self._kind(table, EXPECTATIONS, common, "expectation", path)
        if kind is None:
            return None
        if kind.__struct_config__.forbid_unknown_fields:
            return self.table(table, kind, path)
        # One that takes keys of its own.
        named = {f.encode_name for f in _fields_of(kind)} - {"keys"}
        found = self.table({key: value for key, value in table.items() if key in named}, kind, path)
        own = {key: value for key, value in table.items() if key not in named}
        return None if found is None else msgspec.structs.replace(found, keys=own)

    def _kind(
        self, table: Any, kinds: Mapping[str, type[T]], common: set[str], what: str, path: locate.Path
    ) -> type[T] | None:
        if not isinstance(table, dict):
            self.blame(path, f"expected a table under [[{path[0]}]], got {_word_of(table)}")
            return None
        found = [key for key in table if key in kinds]
        if len(found) == 1:
            return kinds[found[0]]
        if found:
            self.blame((*path, found[1]), f"one {what} a table: {found[0]} and {found[1]} need one each", key=True)
            return None
        strange = [key for key in table if key not in common]
        if strange:
            self.blame((*path, strange[0]), f'unknown {what} "{strange[0]}"{nearest(strange[0], kinds)}', key=True)
        else:
            self.blame(path, f"this table names no {what}; allowed: {', '.join(sorted(kinds))}", key=True)
        return None

    def _cluster(self, table: Any) -> Cluster:
        """`preset` and `join` beside any field of ClusterConfig."""
        if not isinstance(table, dict):
            self.blame(("cluster",), f"cluster: expected a table, got {_word_of(table)}")
            return Cluster()
        kinds = {field.name: field.type for field in fields(ClusterConfig)}
        values = self._fields(
            {key: value for key, value in table.items() if key not in kinds},
            Cluster,
            ("cluster",),
            skip=frozenset({"settings"}),
            known=frozenset(kinds),
        )
        settings: dict[str, Any] = {}
        for key, value in table.items():
            if key in kinds:
                path = ("cluster", key)
                if (converted := self.value(value, unit_of(key, kinds[key]), path)) is not None:
                    settings[key] = converted
        return Cluster(**values, settings=settings)


# --- values -----------------------------------------------------------------------------------------------------------


def _meant(key: str, value: Any, missing: Iterable[str]) -> list[str]:
    """What an unknown key may stand for: a key of a like name; where there is none, one that names nodes otherwise."""
    shapes = {"count": isinstance(value, int), "labels": isinstance(value, dict)}
    return near(key, missing) or [name for name in missing if shapes.get(name)]


@functools.cache
def _fields_of(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Its fields; msgspec looks all annotations up anew each time, which a file of many tables waits for."""
    return msgspec.structs.fields(kind)


def _name_of(table: Any) -> str | None:
    """What a table calls itself, where it does."""
    name = table.get("name") if isinstance(table, dict) else None
    return name if isinstance(name, str) else None


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _narrowed(kind: Any, value: Any) -> tuple[Any, type[msgspec.Struct] | None]:
    """The type without the structs of a union, and the struct that a table would be: the one whose keys are there."""
    if _is_struct(kind):
        return kind, kind
    members = typing.get_args(kind) if typing.get_origin(kind) in {typing.Union, types.UnionType} else ()
    some = [member for member in members if member is not types.NoneType]  # TOML has no null
    if len(some) == 1:
        return _narrowed(some[0], value)
    structs = [m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct)]
    if len(structs) < 2:
        return kind, structs[0] if structs else None
    keys = set(value) if isinstance(value, dict) else set()
    needed = {s: {f.encode_name for f in _fields_of(s) if f.required} for s in structs}
    fitting = next((s for s in structs if needed[s] <= keys), structs[0])
    others = [m for m in members if m not in structs] + [fitting]
    return typing.Union[tuple(others)], fitting  # noqa: UP007 - made at run time


def read_number(kind: Any, value: Any) -> float | Distribution:
    """msgspec's dec_hook: numbers that a file spells with a unit."""
    if kind is Duration:
        return parse_duration(value)
    if kind is Drawn:
        return parse_drawn(value)
    if kind is Probability:
        return parse_probability(value)
    if kind is Figure:
        return _figure(value)
    raise TypeError(f"no way to read a {kind.__name__} from a file")


def _figure(value: Any) -> float:
    """A limit of something measured: a number, a duration, a share, a size or a bandwidth."""
    if _is_number(value):
        return float(value)
    for read in (parse_seconds, parse_probability, parse_bytes, parse_bandwidth):
        try:
            return read(value)
        except ValueError:
            continue
    raise ValueError(f'a limit is a number, or text like "50ms", "5%", "64KB" or "1MB/s", not {value!r}')


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def unit_of(setting: str, kind: Any) -> Any:
    """The type of a ClusterConfig field as a file spells it."""
    return Duration if is_duration(setting) else kind


def _in_words(text: str) -> str:
    """msgspec's message in words that a user of TOML knows."""
    match = _EXPECTED.fullmatch(text)
    if not match:
        return text
    wanted = [word for part in match[1].split(" | ") if (word := _WORDS.get(part, part))]
    got = f", got {_WORDS.get(match[3], match[3])}" if match[3] else ""
    return f"expected {' or '.join(wanted)}{match[2]}{got}"


def _word_of(value: Any) -> str:
    name = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else type(value).__name__
    return _WORDS.get(name, name)


def _dotted(path: locate.Path) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
