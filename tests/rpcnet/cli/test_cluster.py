"""`rpcnet members`, `tags`, `leave` and `keys` against a member with an admin service."""

import asyncio
import json
import os
import pty
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rpcnet import Cluster, Keyring, RpcServer
from rpcnet.admin import register_admin


class Administered:
    """A member with its admin service, in a thread of its own."""

    def __init__(self, cluster: Cluster, server: RpcServer, loop: asyncio.AbstractEventLoop) -> None:
        self.cluster, self.address, self._loop = cluster, server.address, loop

    def do(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(20)


@contextmanager
def administered(keyring: Keyring | None = None) -> Iterator[Administered]:
    begun: list[Administered] = []
    ready, end = threading.Event(), threading.Event()

    async def main() -> None:
        cluster = Cluster("n1", "127.0.0.1:0", services={"rpc": "127.0.0.1:9000"}, random=Random(1), keyring=keyring)
        server = RpcServer("127.0.0.1:0")
        register_admin(server, cluster)
        try:
            await server.start()
            async with cluster:
                await cluster.register_self({"role": "worker"})
                begun.append(Administered(cluster, server, asyncio.get_running_loop()))
                ready.set()
                await asyncio.to_thread(end.wait)
        finally:
            ready.set()
            await server.stop(0)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(20)
    try:
        yield begun[0]
    finally:
        end.set()
        thread.join(20)


@pytest.fixture
def member() -> Iterator[Administered]:
    with administered() as found:
        yield found


def test_members_are_a_table_with_a_line_each(run: Any, member: Administered) -> None:
    code, out, err = run("members", member.address)
    assert (code, err) == (0, "")
    head, line = out.splitlines()
    assert head.split() == ["NAME", "ADDRESS", "STATUS", "SINCE", "PHI", "TAGS", "SERVICES"]
    name, address, status, since, *rest = line.split()
    assert (name, address, status) == ("n1*", member.cluster.address, "alive")
    assert since.endswith("s") and rest == ["-", "role=worker", "rpc=127.0.0.1:9000"]


def test_members_as_json_are_one_array(run: Any, member: Administered) -> None:
    code, out, _ = run("members", member.address, "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert (row["name"], row["tags"], row["is_me"]) == ("n1", {"role": "worker"}, True)


def test_what_a_member_announces_does_not_move_the_terminal(run: Any, member: Administered) -> None:
    member.do(member.cluster.update_tags({"evil": "a\x1b[2Jb\nc [red]"}))
    _, out, _ = run("members", member.address)
    assert r"evil=a\x1b[2Jb\nc [red]" in out
    assert r"evil=a\x1b[2Jb\nc [red]" in run("tags", member.address)[1]


def test_tags_are_shown_and_changed(run: Any, member: Administered) -> None:
    assert run("tags", member.address) == (0, "role=worker\n", "")
    assert run("tags", member.address, "zone=eu=1", "state=ready") == (0, "role=worker\nstate=ready\nzone=eu=1\n", "")
    assert member.cluster.me.version == 2, "one batch"
    assert run("tags", member.address, "--delete", "zone", "--delete", "role", "state=busy") == (0, "state=busy\n", "")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["tags", "zone"], 2, "tag 'zone' is no KEY=VALUE"),
        (["tags", "a=1", "a=2"], 2, "tag a is given twice"),
        (["tags", "a=1", "--delete", "a"], 2, "tag a is set and deleted"),
        (["tags", f"a={'x' * 900}"], 67, "INVALID_ARGUMENT: tags take"),
    ],
)
def test_a_change_that_cannot_be_is_one_line(
    run: Any, member: Administered, words: list[str], code: int, says: str
) -> None:
    command, *rest = words
    found, out, err = run(command, member.address, *rest)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert says in err


def test_leave_is_done_when_the_others_know(run: Any, member: Administered) -> None:
    assert run("leave", member.address) == (0, "", "")
    code, _, err = run("members", member.address)
    assert code == 73 and "FAILED_PRECONDITION" in err


@pytest.mark.parametrize("words", [["members"], ["members", "--watch"], ["tags"], ["leave"], ["keys", "list"]])
def test_a_server_without_admin_service_is_told(run: Any, served: Any, words: list[str]) -> None:
    command, *rest = words
    code, out, err = run(command, served.address, *rest)
    assert (code, out) == (76, "")
    assert "has no admin service; switch it on: register_admin(server, cluster)" in err


def test_a_watch_writes_a_line_a_change_and_ends_with_the_member(start: Any, member: Administered) -> None:
    with start("members", member.address, "--watch", "--json") as command:
        assert [row["name"] for row in json.loads(command.stdout.readline())] == ["n1"]
        member.do(member.cluster.update_tags({"state": "ready"}))
        while json.loads(command.stdout.readline())[0]["tags"].get("state") != "ready":
            pass
        member.do(member.cluster.leave())
        _, err = command.communicate(timeout=60)
        assert (command.returncode, err) == (0, b"")


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_watch_quietly(start: Any, member: Administered) -> None:
    with start("members", member.address, "--watch") as command:
        assert command.stdout.readline().startswith(b"NAME")
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=60)
        assert (command.returncode, err) == (130, b"")


@pytest.mark.usefixtures("interruptible")
def test_at_a_terminal_the_table_is_redrawn_in_place(start: Any, member: Administered) -> None:
    ours, its = pty.openpty()
    with start("members", member.address, "--watch", stdout=its) as command:
        os.close(its)
        seen = b""
        while seen.count(b"\x1b[H\x1b[J") < 2:
            seen += os.read(ours, 65536)
        command.send_signal(signal.SIGINT)
        assert command.stderr.read() == b""
        assert command.wait(timeout=60) == 130
    os.close(ours)
    assert b"role=worker" in seen


def test_keys_are_rotated_by_their_ids(run: Any, stdin: Any, tmp_path: Path) -> None:
    path = tmp_path / "cluster.keys"
    Keyring.generate().save(path)
    keyring = Keyring.from_file(path)
    old, new = keyring.primary, Keyring.generate_key()
    with administered(keyring) as member:
        assert run("keys", member.address, "list") == (0, f"{old} primary\n", "")
        stdin(new.encode() + b"\n")
        code, out, _ = run("keys", member.address, "add", "-")
        assert (code, out.splitlines()[0]) == (0, f"{old} primary")
        identity = out.splitlines()[1]
        assert run("keys", member.address, "use", identity) == (0, f"{identity} primary\n{old}\n", "")
        code, _, err = run("keys", member.address, "remove", new)
        assert code == 73 and "is the one that seals" in err
        assert run("keys", member.address, "remove", old) == (0, f"{identity} primary\n", "")
        code, _, err = run("keys", member.address, "use", old)
        assert code == 69 and "no key of this keyring has the id" in err
        code, _, err = run("keys", member.address, "add", "short")
        assert code == 67 and "INVALID_ARGUMENT" in err and "short" not in err
    assert Keyring.from_file(path).ids == (identity,), "kept over a restart"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["list"], 73, "has no keyring; start it with one"),
        (["add"], 2, "add needs a key"),
        (["use"], 2, "use needs a key or its id"),
        (["list", "x"], 2, "list shows all keys"),
        (["steal"], 2, "steal"),
    ],
)
def test_what_cannot_be_done_with_keys_is_one_line(
    run: Any, member: Administered, words: list[str], code: int, says: str
) -> None:
    found, out, err = run("keys", member.address, *words)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert says in err


def test_keys_that_cannot_be_saved_are_told(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    Keyring.generate().save(folder / "k")
    keyring = Keyring.from_file(folder / "k")
    (folder / "k").unlink()
    folder.rmdir()
    with administered(keyring) as member:
        code, _, err = run("keys", member.address, "add", Keyring.generate_key())
        assert code == 73 and "it holds until this member restarts" in err
        assert len(keyring) == 2
