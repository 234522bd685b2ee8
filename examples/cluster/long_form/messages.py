"""The messages of ../messages.py, written and read by hand: bytes are all that a plain handler gets."""

import json
from dataclasses import dataclass
from typing import Any

from examples.cluster.messages import Prompt, Token, WorkerFound

__all__ = [
    "GetWorker",
    "decode_get_worker",
    "decode_prompt",
    "decode_token",
    "decode_worker_found",
    "encode_get_worker",
    "encode_prompt",
    "encode_token",
    "encode_worker_found",
]


@dataclass(frozen=True, slots=True)
class GetWorker:
    """A client asks the director for a worker, but for those that fell silent on it."""

    avoid: list[str]


def encode_get_worker(request: GetWorker) -> bytes:
    return json.dumps({"avoid": request.avoid}).encode()


def decode_get_worker(payload: bytes) -> GetWorker:
    values = decode_object(payload)
    avoid = values.get("avoid", [])
    if not isinstance(avoid, list):
        raise ValueError(f"avoid must be a list, not {type(avoid).__name__}")
    for name in avoid:
        if not isinstance(name, str):
            raise ValueError(f"avoid must hold text, not {type(name).__name__}")
    return GetWorker(avoid=avoid)


def encode_worker_found(found: WorkerFound) -> bytes:
    return json.dumps({"name": found.name, "address": found.address}).encode()


def decode_worker_found(payload: bytes) -> WorkerFound:
    values = decode_object(payload)
    return WorkerFound(name=text(values, "name"), address=text(values, "address"))


def encode_prompt(prompt: Prompt) -> bytes:
    return json.dumps({"text": prompt.text, "start": prompt.start, "count": prompt.count}).encode()


def decode_prompt(payload: bytes) -> Prompt:
    values = decode_object(payload)
    return Prompt(text=text(values, "text"), start=number(values, "start"), count=number(values, "count"))


def encode_token(token: Token) -> bytes:
    return json.dumps({"index": token.index, "text": token.text}).encode()


def decode_token(payload: bytes) -> Token:
    values = decode_object(payload)
    return Token(index=number(values, "index"), text=text(values, "text"))


def decode_object(payload: bytes) -> dict[str, Any]:
    try:
        values = json.loads(payload)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"expected an object, not {type(values).__name__}")
    return values


def text(values: dict[str, Any], field: str) -> str:
    value = values.get(field)
    if not isinstance(value, str):
        raise ValueError(f"{field} must be text, not {type(value).__name__}")
    return value


def number(values: dict[str, Any], field: str) -> int:
    value = values.get(field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{field} must be a whole number, not {type(value).__name__}")
    return value
