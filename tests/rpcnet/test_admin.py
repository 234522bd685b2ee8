"""The admin service of a member: what it tells and does, and where it is refused."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from rpcnet import (
    Cluster,
    FailedPrecondition,
    InsecureAddressError,
    InvalidArgument,
    RpcClient,
    RpcConfig,
    RpcServer,
)
from rpcnet.admin import ClusterAdmin, MemberRow, register_admin
from rpcnet.tls import server_context
from tests.rpcnet.certificates import Certificates


@asynccontextmanager
async def administered(name: str, *join: str) -> AsyncIterator[tuple[Cluster, ClusterAdmin]]:
    cluster = Cluster(name, "127.0.0.1:0", join=join, random=Random(name), services={"rpc": "127.0.0.1:5"})
    server = RpcServer("127.0.0.1:0")
    register_admin(server, cluster)
    await server.start()
    try:
        async with cluster, RpcClient.connect(server.address) as client:
            yield cluster, client.service(ClusterAdmin)
    finally:
        await server.stop(0)


def test_members_are_told_with_their_status_and_since_when(world) -> None:
    async def main() -> None:
        async with administered("a") as (a, admin):
            async with Cluster("b", "127.0.0.1:0", join=[a.address], random=Random("b")) as b:
                await b.register_self({"role": "worker"})
                async with a.watch(role="worker") as view:
                    while not view.members:
                        await anext(view)
                me, other = await admin.members()
                assert (me.name, me.is_me, me.services, me.status) == ("a", True, {"rpc": "127.0.0.1:5"}, "alive")
                assert (other.name, other.is_me, other.tags) == ("b", False, {"role": "worker"})
                assert (other.address, other.run, other.version) == (b.address, b.me.run, 1)
                assert other.seconds >= 0
            while [row.name for row in await admin.members()] != ["a"]:  # noqa: ASYNC110 - others decide when
                await asyncio.sleep(0.05)
            assert [(row.name, row.status) for row in await admin.members(everyone=True)] == [
                ("a", "alive"),
                ("b", "left"),
            ]

    world.run(main())


def test_a_watch_tells_each_change_and_goes_on_without_any(world) -> None:
    async def main() -> None:
        async with administered("a") as (a, admin):
            async with admin.watch(every=0.05) as tables:
                first: list[MemberRow] = await anext(tables)
                assert [row.name for row in first] == ["a"]
                assert [row.name for row in await anext(tables)] == ["a"], "nothing has changed but the time"
                await a.update_tags({"k": "v"})
                while (await anext(tables))[0].tags != {"k": "v"}:
                    pass
                await a.leave()
                async with asyncio.timeout(20):
                    assert all([table async for table in tables])
            with pytest.raises(InvalidArgument, match="every is a time"):
                async with admin.watch(every=0.0) as tables:
                    await anext(tables)

    world.run(main())


def test_tags_are_changed_as_one_batch(world) -> None:
    async def main() -> None:
        async with administered("a") as (a, admin):
            assert await admin.tags() == {}
            assert await admin.tags({"role": "worker", "zone": "z"}) == {"role": "worker", "zone": "z"}
            assert await admin.tags({"zone": None, "state": "ready"}) == {"role": "worker", "state": "ready"}
            assert a.me.version == 2
            with pytest.raises(InvalidArgument, match="max_tags_bytes"):
                await admin.tags({"role": "x" * 1000})
            assert a.me.version == 2

    world.run(main())


def test_who_was_told_to_leave_leaves_and_says_so(world) -> None:
    async def main() -> None:
        async with administered("a") as (a, admin):
            async with Cluster("b", "127.0.0.1:0", join=[a.address], random=Random("b")) as b, b.watch() as view:
                while len(view.members) < 2:
                    await anext(view)
                await admin.leave()
                while len(view.members) > 1:
                    await anext(view)
                assert str(b.member("a").status) == "left"
            for refused in (admin.tags({"k": "v"}), admin.members(), anext(admin.watch())):
                with pytest.raises(FailedPrecondition, match=r"was left|not running"):
                    await refused

    world.run(main())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_where_strangers_come_it_is_refused(certificates: Certificates, tmp_path: Path) -> None:
    def registered(address: str, tls: ssl.SSLContext | None = None) -> None:
        server = RpcServer(address, tls=tls, config=RpcConfig(insecure=True))
        register_admin(server, Cluster("a", "127.0.0.1:0"))

    async def main() -> None:
        for address in ("0.0.0.0:7000", "10.0.0.5:7000", "[::]:7000", "admin.example:7000"):
            with pytest.raises(InsecureAddressError, match="open to strangers"):
                registered(address)
            with pytest.raises(InsecureAddressError, match="client_ca"):
                registered(address, server_context(*certificates.server))
            registered(address, server_context(*certificates.server, client_ca=certificates.ca))
        for address in ("127.0.0.1:0", "[::1]:0", "localhost:0", f"unix:{tmp_path}/s"):
            registered(address)

    asyncio.run(main())
