"""Between JSON, which people type, and the values that travel.

In JSON bytes are base64 and each key is text. So where a JSON Schema is known (rpcnet/schema.py), text becomes bytes, a
key a number, and a number without fraction an integer, where the schema says so. Everything else is the server's to
judge, which names the path. Without a schema the value is sent as it is written.

Knows no call. Tests: tests/rpcnet/cli/test_values.py.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from rpcnet.cli.exits import FAILED, CommandError

__all__ = ["as_json", "from_json", "parsed"]

Schema = Mapping[str, Any]
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
_INTEGERS: Final = range(-(2**63), 2**64)
"""Those that MessagePack has. What is beyond is sent as it is written, and the server says that it is none."""
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def parsed(text: str | bytes, where: str) -> Any:
    """JSON → Python. CommandError, which begins with `where`."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError, RecursionError) as error:
        shown = text.decode(errors="replace") if isinstance(text, bytes) else text
        hint = "; text is written in quotes, as '\"text\"'" if re.fullmatch(r"\s*[^\W\d][\w .-]*", shown) else ""
        raise CommandError(f"{where} is no JSON: {_reason(error)}{hint}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError) or "UTF-8" in str(error):  # msgspec has its own word since 0.23
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).removeprefix("JSON is malformed: ").lower().replace("input data was truncated", "it is cut short")


def from_json(value: Any, schema: Schema | None, where: str, path: str = "$") -> Any:
    """What a JSON value stands for, by its schema. CommandError names the path of what cannot be."""
    if schema is None:
        return value
    return _Reader(schema.get("$defs", {}), where).read(value, schema, path)


class _Reader:
    """One value and its definitions."""

    def __init__(self, definitions: Mapping[str, Schema], where: str) -> None:
        self._definitions = definitions
        self._where = where

    def read(self, value: Any, schema: Any, path: str) -> Any:
        schema = self._fitting(value, schema)
        if isinstance(value, str):
            return self._bytes(value, path) if "contentEncoding" in schema else value
        if isinstance(value, float):
            is_integer = schema.get("type") == "integer" and value.is_integer() and int(value) in _INTEGERS
            return int(value) if is_integer else value
        if isinstance(value, list):
            places = schema.get("prefixItems", ())
            rest = schema.get("items")
            return [
                self.read(one, places[number] if number < len(places) else rest, f"{path}[{number}]")
                for number, one in enumerate(value)
            ]
        if isinstance(value, dict):
            fields, others, names = (
                schema.get("properties", {}),
                schema.get("additionalProperties"),
                schema.get("propertyNames"),
            )
            return {
                self._key(key, names, path): self.read(one, fields.get(key, others), f"{path}.{key}")
                for key, one in value.items()
            }
        return value

    def _bytes(self, text: str, path: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            what = f"bytes are written in base64, which {text[:40]!r} is not"
            raise CommandError(f"{self._where}: {what} - at `{path}`") from None

    def _key(self, key: str, names: Any, path: str) -> Any:
        if not isinstance(names, dict):
            return key
        if "contentEncoding" in names:
            return self._bytes(key, path)
        if names.get("type") == "integer" and _INTEGER.fullmatch(key) and int(key) in _INTEGERS:
            return int(key)
        if names.get("type") == "number":
            try:
                return float(key)
            except ValueError:
                return key
        return key

    def _fitting(self, value: Any, schema: Any) -> Schema:
        """The schema itself, behind its reference; of several the one that a value of this kind can be of."""
        options = [option for option in self._options(value, schema) if self._admits(option, value)]
        return options[0] if options else {}

    def _options(self, value: Any, schema: Any) -> Iterator[Schema]:
        if not isinstance(schema, dict):
            return
        if isinstance(reference := schema.get("$ref"), str):
            yield from self._options(value, self._definitions.get(reference.rpartition("/")[2]))
        elif "anyOf" in schema:
            named = schema.get("discriminator")
            if isinstance(named, dict) and isinstance(value, dict):
                chosen = named.get("mapping", {}).get(value.get(named.get("propertyName")))
                yield from self._options(value, {"$ref": chosen} if chosen is not None else None)
                return
            for option in schema["anyOf"]:
                yield from self._options(value, option)
        else:
            yield schema

    def _admits(self, schema: Schema, value: Any) -> bool:
        kind = schema.get("type")
        if kind is None:
            return True
        kinds = _TYPES.get(kind, ())
        return isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds)


def as_json(value: Any) -> bytes:
    """What came, in one line of JSON: bytes in base64, times as text, numbers that JSON has not as null."""
    try:
        return msgspec.json.encode(value, enc_hook=_extension)
    except (TypeError, ValueError, RecursionError) as error:
        raise CommandError(
            f"the answer cannot be written as JSON: {error}; --bytes writes it as it came", FAILED
        ) from None


def _extension(value: Any) -> Any:
    if isinstance(value, msgspec.msgpack.Ext):
        return {"extension": value.code, "data": bytes(value.data)}
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")
