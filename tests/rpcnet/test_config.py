"""Settings: a value that makes no sense is refused when the config is built, by the name of its field."""

import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet import RpcConfig
from rpcnet.config import ClusterConfig, is_duration

CONFIGS = (RpcConfig, ClusterConfig)
FIELDS = [
    (config, field.name, field.type, getattr(config(), field.name)) for config in CONFIGS for field in fields(config)
]
NUMBERS = [(config, name) for config, name, kind, _ in FIELDS if kind in (int, float, float | None, int | None)]
INTEGERS = [(config, name) for config, name, kind, _ in FIELDS if kind in (int, int | None)]
NOT_INFINITE = [
    (RpcConfig, "reconnect_backoff"),
    (RpcConfig, "max_reconnect_backoff"),
    (RpcConfig, "resets_per_second"),
    (RpcConfig, "late_timer_grace"),
    (ClusterConfig, "probe_interval"),
    (ClusterConfig, "suspicion_multiplier"),
]


@pytest.mark.parametrize(("config", "name", "kind", "default"), FIELDS)
def test_a_value_of_another_type_is_refused(config: Any, name: str, kind: Any, default: Any) -> None:
    wrong: list[Any] = [b"1", [1], object(), 1 + 0j]
    if default is not None and "None" not in str(kind):
        wrong.append(None)
    if kind is not str:
        wrong.append("5")
    if "bool" not in str(kind):
        wrong += [True, False]
    else:
        wrong += [0, 1]
    for value in wrong:
        with pytest.raises(TypeError, match=rf"^{config.__name__}\.{name} must be "):
            config(**{name: value})


@pytest.mark.parametrize(("config", "name"), INTEGERS)
def test_a_count_must_be_a_whole_number(config: Any, name: str) -> None:
    for value in (4096.0, math.inf, math.nan):
        with pytest.raises(TypeError, match=rf"\.{name} must be int"):
            config(**{name: value})


@pytest.mark.parametrize(("config", "name"), NUMBERS)
def test_a_number_below_zero_is_refused(config: Any, name: str) -> None:
    values: list[Any] = [-1] if (config, name) in INTEGERS else [-1, -0.5, math.nan, -math.inf]
    for value in values:
        with pytest.raises(ValueError, match=rf"\.{name} must be"):
            config(**{name: value})


@pytest.mark.parametrize(("config", "name"), NOT_INFINITE)
def test_an_endless_time_is_refused_where_it_has_no_sense(config: Any, name: str) -> None:
    for value in (math.inf, 10**400):
        with pytest.raises(ValueError, match=rf"\.{name} must be finite"):
            config(**{name: value})


@pytest.mark.parametrize("name", ["default_timeout", "handshake_timeout", "ping_interval", "ping_timeout"])
def test_an_endless_time_out_means_no_limit(name: str) -> None:
    assert getattr(RpcConfig(**{name: math.inf}), name) == math.inf


def test_a_whole_number_of_seconds_is_a_duration() -> None:
    assert RpcConfig(default_timeout=3, ping_interval=5).ping_interval == 5
    assert RpcConfig(default_timeout=None).default_timeout is None


@given(
    st.sampled_from([(config, name) for config, name, _, _ in FIELDS]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
)
def test_any_value_is_taken_or_refused_by_name(field: tuple[Any, str], value: Any) -> None:
    config, name = field
    refused = ""
    try:
        assert getattr(config(**{name: value}), name) == value
    except (TypeError, ValueError) as error:
        refused = str(error)
    assert not refused or f"{config.__name__}.{name} " in refused


def test_settings_that_make_too_large_a_window_are_named() -> None:
    with pytest.raises(ValueError, match=r"RpcConfig\.max_streams \* RpcConfig\.stream_window_bytes must be 1024 to"):
        RpcConfig(max_streams=100_000)


def test_a_config_with_another_time_out_is_checked_too() -> None:
    with pytest.raises(TypeError, match=r"RpcConfig\.default_timeout must be float or None, not '3'"):
        RpcConfig().with_default_timeout("3")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"probe_timeout": 1.0}, r"probe_timeout \(1.0\) must be below ClusterConfig.probe_interval \(1.0\)"),
        ({"probe_timeout": 0.5, "probe_interval": 0.5}, r"probe_timeout \(0.5\) must be below"),
        ({"max_suspicion_multiplier": 0.9}, "must be at least 1"),
        ({"probe_order": "alphabetical"}, "must be one of"),
        ({"gossip_interval": 1e-12}, r"gossip_interval must be at least 0.001, not 1e-12"),
        ({"probe_interval": 1e-9, "probe_timeout": 1e-10}, r"probe_interval must be at least 0.001"),
        ({"push_pull_interval": 1e-5}, r"push_pull_interval must be at least 0.001"),
        ({"reconnect_interval": 1e-5}, r"reconnect_interval must be at least 0.001"),
        ({"tombstone_time": 29.0}, r"must be at least ClusterConfig.push_pull_interval \(30.0\)"),
        ({"max_datagram_bytes": 511}, "max_datagram_bytes must be 512 to 65507, not 511"),
        ({"max_datagram_bytes": 65_508}, "max_datagram_bytes must be 512 to 65507, not 65508"),
        ({"max_tags_bytes": 1400}, r"must be below ClusterConfig.max_datagram_bytes \(1400\)"),
        ({"max_exchange_bytes": 13_999_999}, r"must be max_members \* max_datagram_bytes \(14000000\)"),
        ({"max_exchange_bytes": 2**32}, r"to 4294967295, not 4294967296"),
        ({"max_members": 10_000_000}, r"max_members \* ClusterConfig.max_datagram_bytes must be at most"),
    ],
)
def test_cluster_settings_that_contradict_are_refused(settings: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ClusterConfig(**settings)


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "\ud800"])
def test_a_cluster_name_that_no_packet_carries_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cluster_name must be printable text of 1 to 128 characters"):
        ClusterConfig(cluster_name=name)


@pytest.mark.parametrize("preset", [ClusterConfig.lan, ClusterConfig.local, ClusterConfig.wan])
def test_settings_left_out_follow_the_ones_they_depend_on(preset: Any) -> None:
    assert preset().probe_wait == preset().probe_interval / 2
    quick = replace(preset(), probe_interval=0.1, max_members=20_000)
    assert quick.probe_wait == 0.05
    assert quick.exchange_limit == 20_000 * 1400
    assert replace(quick, probe_timeout=0.09).probe_wait == 0.09
    assert replace(quick, max_exchange_bytes=2**25).exchange_limit == 2**25


def test_which_settings_of_a_cluster_are_durations() -> None:
    assert {field.name for field in fields(ClusterConfig) if is_duration(field.name)} >= {
        "probe_interval",
        "probe_timeout",
        "tombstone_time",
    }
    assert not any(map(is_duration, ("suspicion_multiplier", "accuse_at", "max_members", "cluster_name", "nothing")))
