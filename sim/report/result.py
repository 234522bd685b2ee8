"""What `result.json` holds, as far as a page shows it: one that somebody changed is refused, not shown halfway.

Tests: tests/sim/cli/test_report_and_diff.py.
"""

from typing import Any

import msgspec

__all__ = ["read_result"]

Table = dict[str, Any]


class _Cause(msgspec.Struct):
    line: int
    time: float
    node: str
    event: str
    cause: int
    text: str


class _Expectation(msgspec.Struct):
    name: str
    verdict: str
    saw: str | None = None
    time: float | None = None
    line: int | None = None
    trace_line: int | None = None
    measured: Table | None = None
    causes: list[_Cause] | None = None
    looked_at: list[int] | None = None
    meaning: str | None = None


class _Result(msgspec.Struct):
    """All of it may be missing: a page says what there is."""

    scenario: str | None = None
    summary: str | None = None
    seed: int | None = None
    backend: str | None = None
    verdict: str | None = None
    why: str | None = None
    error: str | None = None
    digest: str | None = None
    command: str | None = None
    python: str | None = None
    virtual_seconds: float | None = None
    wall_seconds: float | None = None
    file: str | None = None
    text: str | None = None
    duration: float | None = None
    settings: dict[str, Table] | None = None
    waiting: list[tuple[str, str, str]] | None = None
    versions: Table | None = None
    nodes: dict[str, Table] | None = None
    defects: list[str] | None = None
    overrides: list[str] | None = None
    warnings: list[str] | None = None
    expectations: list[_Expectation] | None = None


def read_result(text: bytes) -> Table:
    """All that it says. Raises msgspec.DecodeError where a page could not be made of it."""
    msgspec.json.decode(text, type=_Result)
    return msgspec.json.decode(text, type=Table)
