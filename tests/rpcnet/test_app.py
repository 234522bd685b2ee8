"""What an application is handed, how it is found, and what is said of one that cannot be."""

import asyncio
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rpcnet import observe
from rpcnet.app import (
    AppError,
    NodeContext,
    check_arguments,
    cluster_config,
    convert_arguments,
    invoke,
    load_app,
    split_address,
    takes_node,
)
from rpcnet.config import ClusterConfig


async def typed(node: NodeContext, *, streams: int = 4, ratio: float, names: tuple[str, ...] = ()) -> None: ...
async def untyped(node, *, anything): ...  # type: ignore[no-untyped-def]
async def open_ended(node: NodeContext, **rest: Any) -> None: ...
async def bare() -> str:
    await asyncio.sleep(0)
    return "done"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a module that can be imported by the name `app_in_a_file`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text: str) -> None:
        (tmp_path / "app_in_a_file.py").write_text(text)

    yield write
    sys.modules.pop("app_in_a_file", None)


def test_a_coroutine_function_is_loaded_by_its_path(module: Any) -> None:
    module("async def main(node): ...")
    assert takes_node(load_app("app_in_a_file:main"))


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("", "app_in_a_file", "write it as module:function"),
        ("", "no_such_module_anywhere:main", "there is no module 'no_such_module_anywhere'"),
        ("", "app_in_a_file.below:main", "cannot import 'app_in_a_file.below'"),
        (
            "import not_installed_at_all",
            "app_in_a_file:main",
            "it imports 'not_installed_at_all', which is not installed",
        ),
        ("def broken(:", "app_in_a_file:main", "app_in_a_file.py:1"),
        ("1 / 0", "app_in_a_file:main", "ZeroDivisionError: division by zero"),
        ("async def main(): ...", "app_in_a_file:mian", 'did you mean "main"?'),
        ("def main(): ...", "app_in_a_file:main", "no coroutine function"),
        ("async def main(node, other, /): ...", "app_in_a_file:main", "positional-only parameter 'other'"),
    ],
)
def test_a_path_that_names_no_application_is_answered_with_the_reason(
    module: Any, text: str, path: str, says: str
) -> None:
    module(text)
    with pytest.raises(AppError) as caught:
        load_app(path)
    assert says in str(caught.value)


def test_arguments_that_fit_have_no_problems() -> None:
    assert check_arguments(typed, {"ratio": 1, "names": ["a"]}) == []
    assert convert_arguments(typed, {"ratio": 1, "names": ["a"]}) == {"ratio": 1.0, "names": ("a",)}


@pytest.mark.parametrize(
    ("arguments", "argument", "says"),
    [
        ({"ratio": 1, "stream": 4}, "stream", 'did you mean "streams"?'),
        ({}, "ratio", "argument 'ratio' is missing and has no default"),
        ({"ratio": 1, "streams": "four"}, "streams", "Expected `int`, got `str`"),
    ],
)
def test_each_argument_that_does_not_fit_is_named(arguments: dict[str, Any], argument: str, says: str) -> None:
    (problem,) = check_arguments(typed, arguments)
    assert problem.argument == argument
    assert says in str(problem)
    with pytest.raises(AppError, match=argument):
        convert_arguments(typed, arguments)


def test_an_argument_without_annotation_is_passed_as_it_is() -> None:
    assert convert_arguments(untyped, {"anything": [1, "x"]}) == {"anything": [1, "x"]}
    assert check_arguments(open_ended, {"what": "ever"}) == []


def test_the_node_is_no_argument() -> None:
    assert [str(p) for p in check_arguments(typed, {"ratio": 1, "node": 2})] == [
        "unknown argument 'node'; allowed: names, ratio, streams"
    ]


def test_addresses_of_services_are_the_same_after_a_restart_and_differ_by_service() -> None:
    first, second = NodeContext("w1", host="127.9.9.1"), NodeContext("w1", host="127.9.9.1")
    assert first.address("gossip") == "127.9.9.1:7946"
    assert first.address("rpc") == second.address("rpc") != first.address("metrics")
    assert 10_000 <= split_address(first.address("rpc"))[1] < 30_000


def test_an_explicit_address_is_kept() -> None:
    assert NodeContext("w1", services={"rpc": "127.0.0.5:80"}).address("rpc") == "127.0.0.5:80"


@pytest.mark.parametrize("text", ["host", ":80", "host:", "host:port", "host:65536", "::1:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AppError, match="is no HOST:PORT"):
        split_address(text)


def test_an_ipv6_address_is_split_at_its_last_colon() -> None:
    assert split_address("[::1]:80") == ("::1", 80)


def test_cluster_settings_are_a_preset_and_what_differs_from_it() -> None:
    config = cluster_config({"preset": "local", "probe_interval": 2})
    assert config.probe_interval == 2.0
    assert config.gossip_interval == ClusterConfig.local().gossip_interval


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"preset": "lam"}, 'did you mean "lan"?'),
        ({"probe_intervall": 1}, 'did you mean "probe_interval"?'),
        ({"probe_interval": [1]}, "probe_interval = [1]"),
        ({"probe_interval": -1}, "probe_interval must be above 0"),
    ],
)
def test_a_cluster_setting_that_does_not_exist_or_fit_is_named(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(AppError) as caught:
        NodeContext("w1", cluster=settings)
    assert says in str(caught.value)


def test_the_rpc_config_is_insecure_only_where_the_world_is() -> None:
    assert not NodeContext("w1").rpc_config.insecure
    assert NodeContext("w1", insecure=True).rpc_config.insecure


def test_ready_is_told_once() -> None:
    told = []
    node = NodeContext("w1", on_ready=lambda: told.append("ready"))
    node.ready()
    node.ready()
    assert told == ["ready"]


def test_a_directory_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    assert NodeContext("w1", directory=tmp_path / "w1").directory.is_dir()
    with pytest.raises(AppError, match="given no directory"):
        _ = NodeContext("w1").directory


def test_a_program_without_parameters_is_ready_after_its_first_turn(world: Any) -> None:
    async def body() -> None:
        seen = []
        node = NodeContext("w1", random=Random(1), on_ready=lambda: seen.append("ready"))
        assert await invoke(bare, node, {}) == "done"
        assert seen == ["ready"]

    world.run(body())


def test_a_program_that_fails_in_its_first_turn_is_never_ready(world: Any) -> None:
    async def fails() -> None:
        raise ValueError("no")

    async def body() -> None:
        node = NodeContext("w1", random=Random(1))
        with pytest.raises(ValueError, match="no"):
            await invoke(fails, node, {})
        await asyncio.sleep(0)
        assert not node.is_ready

    world.run(body())


def test_record_tells_the_observer_of_the_loop_and_nobody_else(world: Any) -> None:
    class Facts:
        def __init__(self) -> None:
            self.seen: list[tuple[str, dict[str, object]]] = []

        def record(self, event: str, /, **fields: object) -> None:
            self.seen.append((event, fields))

    async def body() -> None:
        facts, node = Facts(), NodeContext("w1", random=Random(1))
        remove = observe.install(facts)
        node.record("token", stream=3, index=7)
        remove()
        node.record("token", stream=3, index=8)
        assert facts.seen == [("token", {"stream": 3, "index": 7})]

    world.run(body())


def test_the_cluster_is_bound_joining_and_announces_the_services_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    node = NodeContext(
        "w1",
        host="127.0.0.7",
        seeds=["127.0.0.7:7946", "127.0.0.8:7946"],
        cluster={"preset": "local"},
        random=Random(1),
    )
    with pytest.raises(AppError, match="did you mean"):
        node.cluster(probe_intervall=3.0)
    made = {}

    class Recorded:
        def __init__(self, name: str, bind: str, **settings: Any) -> None:
            made.update(settings, name=name, bind=bind)

    monkeypatch.setattr("rpcnet.cluster.Cluster", Recorded)
    node.address("rpc")
    node.cluster(services={"web": "127.0.0.7:80"}, probe_interval=3.0)
    assert (made["name"], made["bind"], made["join"]) == ("w1", "127.0.0.7:7946", ["127.0.0.8:7946"])
    assert made["services"] == {"rpc": node.address("rpc"), "web": "127.0.0.7:80"}
    assert made["config"].probe_interval == 3.0
    assert made["config"].gossip_interval == ClusterConfig.local().gossip_interval


def test_a_wildcard_is_told_to_others_as_the_advertised_host(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    monkeypatch.setattr("rpcnet.cluster.Cluster", lambda name, bind, **settings: made.update(settings, bind=bind))
    node = NodeContext(
        "w1", host="0.0.0.0", advertise="192.0.2.1:7000", services={"web": "127.0.0.1:80"}, insecure=True
    )
    port = split_address(node.address("rpc"))[1]
    node.cluster(join=["192.0.2.1:7000", "192.0.2.2:7946"])
    assert (made["bind"], made["advertise"], made["join"]) == ("0.0.0.0:7946", "192.0.2.1:7000", ["192.0.2.2:7946"])
    assert made["services"] == {"rpc": f"192.0.2.1:{port}", "web": "127.0.0.1:80"}
    unknown = NodeContext("w1", host="0.0.0.0")
    unknown.address("rpc")
    with pytest.raises(AppError, match="others cannot reach rpc"):
        unknown.cluster()


def test_two_members_meet_through_their_contexts(world: Any) -> None:
    async def body() -> None:
        one = NodeContext("n1", services={"gossip": "127.0.0.1:7951"}, cluster={"preset": "local"}, random=Random(1))
        two = NodeContext(
            "n2",
            services={"gossip": "127.0.0.1:7952"},
            seeds=["127.0.0.1:7951"],
            cluster={"preset": "local"},
            random=Random(2),
        )
        two.address("rpc")
        async with one.cluster() as first, first.watch() as view, two.cluster():
            while first.member("n2") is None:
                await anext(aiter(view))
            member = first.member("n2")
            assert member is not None
            assert dict(member.services) == {"rpc": two.address("rpc")}

    world.run(asyncio.wait_for(body(), 20))
