"""What a trace file begins with, and the records that name things for those after them (docs/trace.md).

Tests: tests/sim/trace/test_trace.py.
"""

__all__ = ["DEFINE_NODE", "DEFINE_SHAPE", "FORMAT", "VERSION"]

FORMAT, VERSION = "rpcnet-trace", 1
"""The first record."""
DEFINE_SHAPE, DEFINE_NODE = -1, -2
"""The first value of a record that gives a kind of event, or a node, its number."""
