"""Unix paths: one in use is refused, a dead server's is taken over, ours is removed, nobody else's is touched."""

import asyncio
import errno
import os
import socket
import stat

import pytest

from rpcnet import RpcClient, RpcServer


def naming(path: object, name: bytes) -> RpcServer:
    """A server that answers with its name."""
    server = RpcServer(f"unix:{path}")

    async def who(payload: bytes) -> bytes:
        return name

    server.register("who", who)
    return server


async def ask(path: object) -> bytes:
    async with RpcClient.connect(f"unix:{path}") as client:
        return await client.call("who")


def leave(path: object) -> None:
    """A socket file whose process has ended."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def test_a_path_that_is_served_is_refused(world, tmp_path) -> None:
    path = tmp_path / "s"

    async def main() -> None:
        async with naming(path, b"first"):
            second = naming(path, b"second")
            with pytest.raises(OSError, match="another server listens there; stop that server") as raised:
                await second.start()
            assert (raised.value.errno, raised.value.filename) == (errno.EADDRINUSE, str(path))
            await second.stop()
            assert await ask(path) == b"first"
        async with second:
            assert await ask(path) == b"second"

    world.run(main())
    assert os.listdir(tmp_path) == []


def test_what_a_dead_server_left_is_taken_over(world, tmp_path) -> None:
    path = tmp_path / "s"

    async def main() -> None:
        leave(path)
        async with naming(path, b"living"):
            assert await ask(path) == b"living"

    world.run(main())
    assert os.listdir(tmp_path) == []


def test_of_two_that_start_at_once_one_serves(world, tmp_path) -> None:
    path = tmp_path / "s"

    async def main() -> None:
        leave(path)
        servers = [naming(path, name) for name in (b"0", b"1", b"2")]
        results = await asyncio.gather(*(server.start() for server in servers), return_exceptions=True)
        (winner,) = [number for number, result in enumerate(results) if result is None]
        assert {result.errno for result in results if isinstance(result, OSError)} == {errno.EADDRINUSE}
        assert await ask(path) == str(winner).encode()
        for server in servers:
            await server.stop()

    world.run(main())
    assert os.listdir(tmp_path) == []


def test_a_server_that_replaces_one_that_drains_keeps_its_file(world, tmp_path, eventually) -> None:
    path = tmp_path / "s"

    async def main() -> None:
        old, entered, release = naming(path, b"old"), asyncio.Event(), asyncio.Event()

        async def slow(payload: bytes) -> bytes:
            entered.set()
            await release.wait()
            return b"done"

        old.register("slow", slow)
        await old.start()
        async with RpcClient.connect(f"unix:{path}") as client:
            call = asyncio.ensure_future(client.call("slow"))
            await entered.wait()
            stopping = asyncio.ensure_future(old.stop())
            await eventually(lambda: old._listener is not None and not old._listener.is_serving())
            async with naming(path, b"new"):
                release.set()
                assert await call == b"done"
                await stopping
                assert await ask(path) == b"new"

    world.run(main())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_what_is_no_listening_socket_is_left_alone(tmp_path, what: str) -> None:
    path = tmp_path / "s"
    if what == "a file":
        path.write_text("precious")
    else:
        path.mkdir()
    before = path.lstat()

    async def main() -> None:
        with pytest.raises(OSError, match=str(path)) as raised:
            await naming(path, b"x").start()
        assert raised.value.errno == errno.EADDRINUSE

    asyncio.run(main())
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)


def test_a_datagram_socket_in_use_is_refused(tmp_path) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as used:
            used.bind(str(tmp_path / "s"))
            with pytest.raises(OSError, match="it cannot be connected to") as raised:
                await naming(tmp_path / "s", b"x").start()
            assert raised.value.errno == errno.EADDRINUSE
        assert os.listdir(tmp_path) == ["s"]

    asyncio.run(main())


def test_our_file_goes_though_its_mode_was_changed(tmp_path) -> None:
    path = tmp_path / "s"

    async def main() -> None:
        async with naming(path, b"x"):
            assert stat.S_ISSOCK(path.stat().st_mode)
            path.chmod(0o600)

    asyncio.run(main())
    assert not path.exists()


def test_a_file_that_took_the_place_of_ours_stays(tmp_path) -> None:
    path = tmp_path / "s"

    async def main() -> None:
        async with naming(path, b"x"):
            path.unlink()
            leave(path)

    asyncio.run(main())
    assert path.exists()


def test_our_file_may_be_gone_already(tmp_path) -> None:
    async def main() -> None:
        async with naming(tmp_path / "s", b"x"):
            (tmp_path / "s").unlink()

    asyncio.run(main())
    assert os.listdir(tmp_path) == []


def test_a_relative_path_is_removed_from_where_it_was_made(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    async def main() -> None:
        async with naming("s", b"x"):
            assert "s" in os.listdir(tmp_path)
            monkeypatch.chdir(tmp_path / "elsewhere")

    asyncio.run(main())
    assert os.listdir(tmp_path) == ["elsewhere"]


def test_an_abstract_name_has_no_file_and_is_refused_too() -> None:
    path = f"\0rpcnet-test-{os.getpid()}"

    async def main() -> None:
        async with naming(path, b"first"):
            with pytest.raises(OSError, match="another server listens there"):
                await naming(path, b"second").start()
            assert await ask(path) == b"first"
        async with naming(path, b"third"):
            assert await ask(path) == b"third"

    asyncio.run(main())


def test_a_folder_that_is_missing_keeps_its_own_error(tmp_path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await naming(tmp_path / "missing" / "s", b"x").start()

    asyncio.run(main())


def test_a_simulated_server_touches_no_real_file(tmp_path) -> None:
    import sim

    path = tmp_path / "s"
    leave(path)

    async def main() -> None:
        async with naming(path, b"simulated"):
            assert await ask(path) == b"simulated"

    sim.run(main(), seed=1)
    assert path.exists()


def test_a_file_that_cannot_be_removed_is_no_reason_not_to_stop(tmp_path, monkeypatch, caplog) -> None:
    path = tmp_path / "s"

    def refuse(file: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", file)

    async def main() -> None:
        server = naming(path, b"first")
        await server.start()
        assert await ask(path) == b"first"
        with monkeypatch.context() as patched:
            patched.setattr("rpcnet.server.unix_path.os.unlink", refuse)
            await server.stop()
        await server.wait_closed()
        assert "stays where it is: Permission denied" in caplog.text
        async with naming(path, b"second"):
            assert await ask(path) == b"second"

    asyncio.run(main())


def test_a_path_that_is_too_long_is_not_said_to_be_in_use(tmp_path) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="too long") as caught:
            await naming(tmp_path / ("x" * 200), b"first").start()
        assert caught.value.errno != errno.EADDRINUSE

    asyncio.run(main())
