"""Which sources make a room, and which tests are its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOMS", "Room"]


@dataclass(frozen=True)
class Room:
    """Paths are relative to the project; a folder means every Python file under it."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()
    """Tests under `tests` that belong to other rooms."""

    def files(self, root: Path) -> Iterator[str]:
        """Every source file of the room, relative to the project, in order."""
        for source in self.sources:
            path = root / source
            found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
            yield from (str(file.relative_to(root)) for file in found)


ROOMS = {
    "wire": Room(("rpcnet/wire",), ("tests/rpcnet/wire",)),
    "flow": Room(("rpcnet/flow",), ("tests/rpcnet/flow",)),
    "swim": Room(("rpcnet/cluster/swim",), ("tests/rpcnet/cluster/swim",)),
    "calls": Room(
        ("rpcnet/connection.py", "rpcnet/stream.py", "rpcnet/client", "rpcnet/server"),
        ("tests/rpcnet",),
        (
            "tests/rpcnet/wire",
            "tests/rpcnet/flow",
            "tests/rpcnet/cluster",
            "tests/rpcnet/chaos",
            "tests/rpcnet/attacks",
        ),
    ),
}
