"""A program of calls and faults as plain values: what is drawn, told and replayed. Nothing here runs or draws.

A plan is a list of operations; each has a number, which stays the same when others are left out (`without`). So a
failing plan is made smaller by leaving out operations, not by drawing again.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from rpcnet import RpcConfig

__all__ = ["CLIENTS", "SERVER", "Call", "Fault", "Handling", "Plan"]

SERVER: Final = "server"
CLIENTS: Final = ("near", "beside")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """What the handler of one call does."""

    reads: str = "all"
    """all: everything first; some: one item, then answers; none; each: one answer for each item."""
    before: float = 0.0
    """Seconds before the first answer."""
    pause: float = 0.0
    """Seconds before each further answer."""
    sends: tuple[int, ...] = (0,)
    """Sizes of the answers, in bytes; one for a single answer."""
    end: str = "ok"
    """ok, never (waits until it is cancelled), stubborn (then it answers all the same), or one of raising.RAISES."""
    cleanup: float = 0.0
    """Seconds that its `finally` takes."""
    metadata: bool = False
    trailers: bool = False

    @property
    def waits_for_ever(self) -> bool:
        return self.end in ("never", "stubborn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: what its caller does, and what its handler does."""

    number: int
    node: str
    at: float
    """Virtual seconds; later where the client is not connected by then."""
    shape: str
    """unary, upload (client streaming), download (server streaming), both."""
    form: str
    """How the items are given and read: callers.py has a function for each."""
    sends: tuple[int, ...] = (0,)
    pause: float = 0.0
    """Seconds before each further item that is sent."""
    slow: float = 0.0
    """Seconds between two reads."""
    raises_at: int | None = None
    """The caller's own items raise instead of giving this one."""
    odd_error: bool = False
    """… an RpcError with a constructor of its own, not a plain exception."""
    timeout: float | str | None = None
    """Seconds; "default" leaves it out."""
    idle_timeout: float | str | None = None
    cancel_after: float | None = None
    """Seconds from the start until the caller is cancelled."""
    leave_after: int | None = None
    """Stop reading after so many items …"""
    leave_by: str = "break"
    """… by break, or by abort."""
    abort_after: float | None = None
    """Seconds from the start until somebody else calls abort()."""
    metadata: bool = True
    """The call's number travels as metadata; else in the first payload."""
    handling: Handling = Handling()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that befalls a node or a link."""

    number: int
    kind: str
    at: float
    lasts: float = 0.0
    node: str = ""
    one_way: bool = False
    reverse: bool = False
    """A one-way cut lets through what the client sends; a stopped server object is started again."""
    amount: float = 0.0
    """Bytes a second of a slow link, the probability of a loss, seconds of latency, seconds of grace."""

    @property
    def ends(self) -> float:
        """When all that it does directly is over."""
        return self.at + self.lasts + (self.amount + 2.0 if self.kind in ("stop", "roll") else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that one seed gives."""

    seed: int
    server_config: RpcConfig
    client_config: RpcConfig
    latency: str
    bandwidth: float | None
    """Bytes a second of each way; None = no limit."""
    loss: float
    tie_break: str
    tls: bool
    calls: tuple[Call, ...]
    faults: tuple[Fault, ...]

    def without(self, numbers: Collection[int]) -> "Plan":
        return replace(
            self,
            calls=tuple(call for call in self.calls if call.number not in numbers),
            faults=tuple(fault for fault in self.faults if fault.number not in numbers),
        )

    @property
    def numbers(self) -> list[int]:
        """Of all operations, faults first: those are the first to be left out."""
        return [operation.number for operation in (*self.faults, *self.calls)]

    @property
    def calm(self) -> bool:
        """Nothing happens, nothing is lost, and nothing has to wait for the link."""
        return not self.faults and not self.loss and self.bandwidth is None

    @property
    def doomed(self) -> dict[str, float]:
        """Clients whose machine dies for good, and when."""
        deaths = [fault for fault in self.faults if fault.kind in ("kill", "crash") and fault.node != SERVER]
        return {fault.node: fault.at for fault in sorted(deaths, key=lambda fault: -fault.at)}

    @property
    def healed_at(self) -> float:
        return max((fault.ends for fault in self.faults), default=0.0)

    def stalled(self, node: str, start: float, end: float) -> float:
        """Seconds for which a node stood still between the two, so that its timers were late."""
        for fault in sorted(self.faults, key=lambda fault: fault.at):
            if fault.kind in ("pause", "block") and fault.node == node and start <= fault.ends and fault.at <= end:
                end += fault.lasts
        return sum(
            fault.lasts
            for fault in self.faults
            if fault.kind in ("pause", "block") and fault.node == node and start <= fault.ends and fault.at <= end
        )

    def lines(self) -> list[str]:
        """The plan for a reader: one line an operation, settings that are not the default ones alone."""
        tls = ", TLS" if self.tls else ""
        speed = "" if self.bandwidth is None else f", {self.bandwidth:g} bytes a second"
        told = [f"link: latency {self.latency}{speed}, loss {self.loss:g}; equal times: {self.tie_break}{tls}"]
        told += [f"server: {_differences(self.server_config)}", f"client: {_differences(self.client_config)}"]
        for operation in sorted((*self.faults, *self.calls), key=lambda each: each.at):
            told.append(f"  [{operation.number}] at {operation.at:g} s {_told(operation)}")
        return told


def _told(operation: Call | Fault) -> str:
    if isinstance(operation, Fault):
        return f"{operation.kind}: {_differences(operation, 'number', 'kind', 'at')}"
    call = _differences(operation, "number", "shape", "at", "handling")
    return f"{operation.shape}: {call}; handler: {_differences(operation.handling) or 'answers at once'}"


def _differences(value: Any, *omitted: str) -> str:
    return ", ".join(
        f"{field.name}={getattr(value, field.name)!r}"
        for field in fields(value)
        if field.name not in omitted and getattr(value, field.name) != field.default
    )
