"""Whether a path that an option names can be written: one answer for all options, before anything is run.

Of the command and of pytest. Tests: tests/sim/cli/test_paths.py, tests/sim/pytest_plugin/test_many_seeds.py.
"""

import os
import stat
import tempfile
from pathlib import Path

__all__ = ["Unwritable", "writable_directory", "writable_file"]


class Unwritable(Exception):
    """The text names the option, the path and why."""


def writable_file(option: str, path: Path, ours: str = "") -> Path:
    """The file, which is left as it was; its directory is made. Raises Unwritable.

    With `ours` it is a file that is read again: neither a pipe nor a device, which keep nothing, nor one that is there
    already without that among its first bytes, which is somebody's.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if ours and path.exists() and not (path.is_file() or path.is_dir()):
            raise Unwritable(f"{option} {path}: what is written there cannot be read again; name a file")
        try:
            # Without waiting for somebody to read, where it is a pipe with a name.
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except FileNotFoundError:
            tempfile.TemporaryFile(dir=path.parent).close()
        head = _head(path)
    except (OSError, ValueError) as error:
        raise _refused(option, path, error) from error
    if head and ours.encode() not in head:
        raise Unwritable(f"{option} {path}: this file is not of ours ({ours}), and is left alone; name another one")
    return path


def _head(path: Path) -> bytes:
    """The first bytes of a file that is kept on a disk."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(64)


def writable_directory(option: str, path: Path) -> Path:
    """The directory, made where it was not. Raises Unwritable."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except (OSError, ValueError) as error:
        raise _refused(option, path, error) from error
    return path


def _refused(option: str, path: Path, error: OSError | ValueError) -> Unwritable:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        other = next(
            (p for p in (path, *path.parents) if os.path.exists(p) and not stat.S_ISDIR(p.stat().st_mode)), path
        )
        why = f"{other} is no directory" if other != path else "is no directory"
    elif isinstance(error, IsADirectoryError):
        why = "is a directory; name a file"
    return Unwritable(f"{option} {path}: {why}")
