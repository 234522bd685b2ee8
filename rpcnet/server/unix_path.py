"""Listening at a Unix path: one that is served is refused, a dead server's is taken over, ours is removed at the end.

asyncio removes whatever socket it finds at the path, a living server's too, and up to 3.12 leaves its own behind. So
the path is connected to first; where nobody answers, asyncio may remove it. Between the two no other task of this loop
runs. Two processes that take over the same dead path in the same moment are not kept apart.

Knows no connection and no method.

Tests: tests/rpcnet/server/test_unix_path.py.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from rpcnet.address import AddressInUse
from rpcnet.listener import start_listening

__all__ = ["UnixPath"]

_log = logging.getLogger("rpcnet")

Stamp: TypeAlias = tuple[int, int, int]
"""Device, inode and the time of its last change: what tells two files apart that had the same name."""

NOBODY: Final = (FileNotFoundError, ConnectionRefusedError)
"""What connecting to a path raises where there is no file, and where no process has it open."""


class UnixPath:
    """A path of the file system, or an abstract name (`\\0name`), which has no file."""

    def __init__(self, path: str) -> None:
        self.path = path
        # The working directory may be another one at the end.
        self._file = None if path.startswith("\0") else os.path.abspath(path)
        self._ours: Stamp | None = None

    async def listen(self, accept: Callable[[], asyncio.BaseProtocol], **options: Any) -> asyncio.Server:
        """Listen at it; `options` are those of `loop.create_unix_server`.

        AddressInUse, before anything is changed, where somebody does already, or where it is no socket.
        """
        loop = asyncio.get_running_loop()
        await self._refuse_if_served(loop)
        before = self._stamp()
        server = await loop.create_unix_server(accept, self.path, start_serving=False, **options)
        after = self._stamp()
        # A file that was there before and is the same now is not what this server made.
        self._ours = None if after == before else after
        try:
            await start_listening(server)
        except BaseException:
            self.remove()
            raise
        return server

    async def _refuse_if_served(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            transport, _ = await loop.create_unix_connection(asyncio.Protocol, self.path)
        except NOBODY:
            return
        except OSError as error:
            # Not ours to judge, and so not ours to remove: no permission, a socket of another kind.
            if error.errno is None:
                raise  # Python refused the path: it is too long
            raise self._in_use(f"it cannot be connected to ({error.strerror or error})") from None
        transport.abort()
        raise self._in_use("another server listens there")

    def _in_use(self, why: str) -> AddressInUse:
        return AddressInUse(errno.EADDRINUSE, f"{why}; stop that server, or choose another path", self.path)

    def remove(self) -> None:
        """Remove the file, if it is still the one that `listen` made. Call it before the listener is closed."""
        stamp, self._ours = self._ours, None
        # While the listener is open nobody else's file can have this inode. Its mode or owner may have changed.
        if stamp is not None and (self._stamp() or ())[:2] == stamp[:2]:
            assert self._file is not None
            try:
                os.unlink(self._file)
            except FileNotFoundError:
                pass
            except OSError as error:  # no right to, any more: no reason not to stop
                _log.warning("the socket file %s stays where it is: %s", self._file, error.strerror or error)

    def _stamp(self) -> Stamp | None:
        if self._file is None:
            return None
        try:
            found = os.lstat(self._file)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_ctime_ns
