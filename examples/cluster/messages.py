"""What director, worker and client say to each other. Plain dataclasses: rpcnet encodes and validates them."""

from dataclasses import dataclass

__all__ = ["Prompt", "Token", "WorkerFound"]


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
