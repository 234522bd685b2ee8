"""What director, worker and client say to each other. Plain dataclasses: rpcnet encodes and validates them."""

from dataclasses import dataclass, field

__all__ = ["GetWorker", "Prompt", "Token", "WorkerFound"]


@dataclass(frozen=True, slots=True)
class GetWorker:
    """A client asks the director for a worker."""

    avoid: list[str] = field(default_factory=list)
    """Workers that fell silent on this client. It knows before the cluster does."""


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
