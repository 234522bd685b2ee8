"""The expectations by their TOML key: one class a file, each a predicate over a trace. Table: docs/expectations.md."""

from sim.scenario.verdict import Expectation

__all__ = ["EXPECTATIONS"]

EXPECTATIONS: dict[str, type[Expectation]] = {}
