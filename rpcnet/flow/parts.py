"""A message that comes in parts: what has come of it, and the credit that it holds.

Knows no frame and no limit. Tests: tests/rpcnet/flow/test_parts.py.
"""

__all__ = ["Parts"]


class Parts:
    """Gathers the parts of one message, whose layout its first frame said."""

    __slots__ = ("_parts", "held", "layout", "size")

    def __init__(self, layout: int) -> None:
        self.layout = layout
        self.size = 0
        """Bytes that have come."""
        self.held = 0
        """Credit of parts that was not given back yet."""
        self._parts: list[bytes] = []

    def add(self, part: bytes, cost: int) -> None:
        self._parts.append(part)
        self.size += len(part)
        self.held += cost

    def take_held(self) -> int:
        """The credit to give back now."""
        held, self.held = self.held, 0
        return held

    def joined(self) -> bytes:
        return b"".join(self._parts)
