"""The messages, written and read by hand: bytes are all that a plain handler gets."""

import json
from dataclasses import asdict, dataclass
from typing import TypeAlias, TypeVar

__all__ = ["GetWorker", "Prompt", "Token", "WorkerFound", "decode", "encode"]


@dataclass(frozen=True, slots=True)
class GetWorker:
    avoid: list[str]


@dataclass(frozen=True, slots=True)
class WorkerFound:
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One turn of a conversation: `count` tokens about `text`, from number `start` on."""

    text: str
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Token:
    index: int
    text: str


Message: TypeAlias = GetWorker | WorkerFound | Prompt | Token
T = TypeVar("T", GetWorker, WorkerFound, Prompt, Token)


def encode(message: Message) -> bytes:
    return json.dumps(asdict(message)).encode()


def decode(kind: type[T], payload: bytes) -> T:
    """ValueError where the payload has other fields. Their types are not looked at."""
    try:
        return kind(**json.loads(payload))
    except (TypeError, ValueError) as error:
        raise ValueError(f"it is no {kind.__name__}: {error}") from error
