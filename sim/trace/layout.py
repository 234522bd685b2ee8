"""What a trace file begins with, and the records that name things for those after them (docs/trace.md).

Tests: tests/sim/trace/test_trace.py.
"""

__all__ = ["CHUNK", "DEFINE_NODE", "DEFINE_SHAPE", "FORMAT", "GZIP", "MAGIC", "VERSION"]

FORMAT, VERSION = "rpcnet-trace", 1
"""The first record."""
DEFINE_SHAPE, DEFINE_NODE = -1, -2
"""The first value of a record that gives a kind of event, or a node, its number."""
GZIP = 31
"""What zlib calls a gzip file, RFC 1952."""
MAGIC = b"\x1f\x8b"
"""How that begins; a trace that is not compressed begins with the header of its first record."""
CHUNK = 1 << 16
"""Bytes that are read at a time."""
