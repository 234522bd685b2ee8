"""Looking after a member from outside: who is there, its tags, its leave, its keys: what the shell asks.

Off unless it is switched on: `register_admin(server, cluster)` puts the service `ClusterAdmin` on a server, and only on
one that no stranger reaches. Whoever may call it may do all of it. Knows no shell.

Tests: tests/rpcnet/test_admin.py, in both worlds.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rpcnet.address import InsecureAddressError
from rpcnet.cluster import Cluster, ClusterClosed, ClusterError, KeyInUse, Keyring, Member, UnknownKey
from rpcnet.errors import FailedPrecondition, InvalidArgument, NotFound
from rpcnet.server import RpcServer
from rpcnet.service import service

__all__ = ["ClusterAdmin", "KeyRow", "MemberRow", "register_admin"]


@dataclass(frozen=True)
class MemberRow:
    """One member, as the member that is asked holds it."""

    name: str
    address: str
    status: str
    """alive, suspect, failed or left."""
    seconds: float
    """Since that status began here."""
    phi: float | None
    """How unusual its present silence is (`Cluster.phi`)."""
    run: int
    incarnation: int
    version: int
    """Of its tags."""
    tags: dict[str, str] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    is_me: bool = False
    """The member that is asked."""


@dataclass(frozen=True)
class KeyRow:
    """One key of the keyring; the key itself is never told."""

    id: str
    is_primary: bool
    """It seals; the others open only."""


@service
class ClusterAdmin:
    """The service; FailedPrecondition where the cluster is not running, or for keys has no keyring."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def members(self, everyone: bool = False) -> list[MemberRow]:
        """Who is up, by name; with `everyone` those, too, that failed or left."""
        return self._rows(everyone)

    async def watch(self, everyone: bool = False, every: float = 1.0) -> AsyncIterator[list[MemberRow]]:
        """The same now, at each change, and every so many seconds; ends when the member leaves."""
        if not 0 < every < float("inf"):
            raise InvalidArgument(f"every is a time in seconds, not {every!r}")
        with _told():
            view = self._cluster.watch()
            await view.__aenter__()
        try:
            while True:
                yield self._rows(everyone)
                try:
                    async with asyncio.timeout(every):
                        await anext(view)
                except TimeoutError:
                    pass
                except StopAsyncIteration:
                    return
        finally:
            await view.__aexit__(None, None, None)

    async def tags(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """Change tags of this member, all at once (null deletes one); those that it has then."""
        with _told():
            if changes:
                await self._cluster.update_tags(changes)
            return dict(self._cluster.me.tags)

    async def leave(self) -> None:
        """Leave the cluster; answers once the others have heard it. The process goes on."""
        with _told():
            await self._cluster.leave()

    async def keys(self) -> list[KeyRow]:
        """The keys of this member, the primary first."""
        keyring = self._keyring()
        return [KeyRow(one, one == keyring.primary) for one in keyring.ids]

    async def add_key(self, key: str) -> list[KeyRow]:
        """Open with this key (base64 text), too; the keys then. A keyring that was read from a file is saved there."""
        return await self._changed(Keyring.add, key)

    async def use_key(self, key: str) -> list[KeyRow]:
        """Seal with this one, which was added before; the key or its id."""
        return await self._changed(Keyring.use, key)

    async def remove_key(self, key: str) -> list[KeyRow]:
        """Open nothing with this one any more; the key or its id. FailedPrecondition for the one that seals."""
        return await self._changed(Keyring.remove, key)

    async def _changed(self, change: Callable[[Keyring, str], str], key: str) -> list[KeyRow]:
        keyring = self._keyring()
        with _told():
            change(keyring, key)
        if keyring.path is not None:
            try:
                keyring.save()
            except OSError as error:
                raise FailedPrecondition(
                    f"it holds until this member restarts: {keyring.path} cannot be written: {error.strerror}"
                ) from None
        return await self.keys()

    def _keyring(self) -> Keyring:
        if self._cluster.keyring is None:
            raise FailedPrecondition(f"cluster member {self._cluster.name} has no keyring; start it with one")
        return self._cluster.keyring

    def _rows(self, everyone: bool) -> list[MemberRow]:
        if not self._cluster.is_running:
            raise FailedPrecondition(f"cluster member {self._cluster.name} is not running")
        return [self._row(member) for member in self._cluster.members(all=everyone)]

    def _row(self, member: Member) -> MemberRow:
        return MemberRow(
            member.name,
            member.address,
            str(member.status),
            self._cluster.seconds_in_status(member.name) or 0.0,
            self._cluster.phi(member.name),
            member.run,
            member.incarnation,
            member.version,
            dict(member.tags),
            dict(member.services),
            member.name == self._cluster.name,
        )


def register_admin(server: RpcServer, cluster: Cluster) -> None:
    """Let those who reach this server look after this member.

    Raises InsecureAddressError unless its address is loopback or a Unix socket, or its TLS demands a certificate of
    each client (`server_context(…, client_ca=…)`); `insecure=True` does not help. ValueError where it has one already.
    """
    if not server.is_private:
        raise InsecureAddressError(
            f"the admin service at {server.address} would be open to strangers: serve it at a loopback address, at a"
            " Unix socket, or with tls=server_context(…, client_ca=…)"
        )
    server.register_service(ClusterAdmin(cluster))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (ClusterClosed, KeyInUse) as error:
        raise FailedPrecondition(str(error)) from None
    except UnknownKey as error:
        raise NotFound(str(error)) from None
    except ClusterError as error:
        raise InvalidArgument(str(error)) from None
