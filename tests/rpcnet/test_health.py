"""`rpcnet.health/check` and `/watch`, over both worlds: what is served, what is not, and when the server stops."""

import asyncio
from typing import Any

import pytest

from rpcnet import NotFound, RpcClient, RpcConfig, RpcServer, Unauthenticated, service
from rpcnet.health import CHECK, WATCH, ServiceHealth

SERVING, NOT_SERVING = "SERVING", "NOT_SERVING"


@service
class Till:
    async def pay(self, cents: int) -> int:
        return cents


def register(server: RpcServer) -> None:
    server.register_service(Till())


async def status(client: RpcClient, service: str = "") -> str:
    found = await client.call(CHECK, {"service": service} if service else {}, response=ServiceHealth)
    assert found.service == service
    return found.status


def test_a_server_and_its_services_are_serving(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            assert [await status(client), await status(client, "Till")] == [SERVING, SERVING]

    world.run(main())


def test_a_service_that_nobody_knows_is_not_found(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            with pytest.raises(NotFound, match="no service 'Tall'"):
                await status(client, "Tall")
            with pytest.raises(NotFound, match="no service 'Tall'"):
                await anext(client.call_server_streaming(WATCH, {"service": "Tall"}))

    world.run(main())


def test_health_is_what_the_server_was_told(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(register) as (server, client):
            server.set_health("Till", serving=False)
            server.set_health("disk", serving=True)
            assert [await status(client, name) for name in ("", "Till", "disk")] == [SERVING, NOT_SERVING, SERVING]
            server.set_health("Till", serving=True)
            server.set_health(serving=False)
            assert [await status(client, name) for name in ("", "Till", "disk")] == [NOT_SERVING] * 3
            assert await client.service(Till).pay(1) == 1, "health is told, not enforced"

    world.run(main())


def test_a_service_told_before_it_registers_stays_so(world: Any, pair: Any) -> None:
    async def main() -> None:
        def register_late(server: RpcServer) -> None:
            server.set_health("Till", serving=False)
            server.register_service(Till())

        async with pair(register_late) as (_, client):
            assert await status(client, "Till") == NOT_SERVING

    world.run(main())


def test_a_watcher_sees_each_change_once(world: Any, pair: Any, idle: Any) -> None:
    async def main() -> None:
        async with pair(register) as (server, client):
            async with client.call_server_streaming(WATCH, {"service": "Till"}, response=ServiceHealth) as watch:
                assert (await anext(watch)).status == SERVING
                waiting = asyncio.ensure_future(anext(watch))
                server.set_health("other", serving=False)
                server.set_health("Till", serving=True)
                await status(client)
                assert not waiting.done(), "nothing has changed"
                server.set_health("Till", serving=False)
                assert (await waiting).status == NOT_SERVING
                server.set_health("Till", serving=True)
                assert (await anext(watch)).status == SERVING
            await idle(server, client)
            assert not server._builtins.health._watchers

    world.run(main())


def test_a_stopping_server_tells_watchers_and_lets_go(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(register) as (server, client):
            watch = client.call_server_streaming(WATCH, {}, response=ServiceHealth)
            assert (await anext(watch)).status == SERVING
            stop = asyncio.ensure_future(server.stop(grace=None))  # it would wait for a watcher for ever
            assert [one.status async for one in watch] == [NOT_SERVING]
            await stop

    world.run(main())


@pytest.mark.own_sockets
def test_a_server_that_starts_again_is_serving(world: Any) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        for _ in range(2):
            async with server, RpcClient.connect(server.address) as client:
                assert await status(client) == SERVING

    world.run(main())


def test_health_goes_through_the_interceptors(world: Any, pair: Any) -> None:
    async def refuse(call: Any, proceed: Any) -> Any:
        raise Unauthenticated("who are you?")

    async def main() -> None:
        async with pair(register, server_interceptors=[refuse]) as (_, client):
            with pytest.raises(Unauthenticated):
                await status(client)

    world.run(main())


def test_a_full_connection_checks_health_when_a_place_is_free(world: Any, pair: Any) -> None:
    async def main() -> None:
        free = asyncio.Event()

        def register_slow(server: RpcServer) -> None:
            @server.method("wait")
            async def wait() -> None:
                await free.wait()

        async with pair(register_slow, config=RpcConfig(max_streams=1)) as (_, client):
            slow = asyncio.ensure_future(client.call("wait", {}, response=type(None)))
            await asyncio.sleep(0)
            checked = asyncio.ensure_future(status(client))
            await asyncio.sleep(0.05)
            assert not checked.done()
            free.set()
            assert await checked == SERVING
            await slow

    world.run(main())


@pytest.mark.parametrize("name", ["rpcnet.health/check", "rpcnet.", "rpcnet.mine"])
def test_names_of_builtin_methods_are_reserved(name: str) -> None:
    async def handler(payload: bytes) -> bytes:
        return payload

    server = RpcServer("127.0.0.1:0")
    with pytest.raises(ValueError, match=r"names that begin with 'rpcnet\.' are built in"):
        server.register(name, handler)
    server.register("rpcnet", handler)


def test_health_of_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="a service's name must be text, not int"):
        RpcServer("127.0.0.1:0").set_health(1, serving=True)  # type: ignore[arg-type]
