"""The HELLO that is made of a config: what RpcConfig takes, every peer takes."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet import RpcConfig
from rpcnet.config import HELLO_LIMITS
from rpcnet.connection import Connection
from rpcnet.wire import writer
from rpcnet.wire.frame import HEADER_BYTES, PREFACE, Hello, decode_hello

SIZES = ["max_message_bytes", "max_metadata_bytes", "max_streams", "stream_window_bytes", "part_bytes"]
EDGES = [-1, 0, 1, 2, 1023, 1024, 1025, 65_536, 16_777_216, 16_777_217, 2**31 - 1, 2**31, 2**32, 2**64]


def hello_of(config: RpcConfig) -> Hello:
    """The HELLO that an end with this config sends, as its peer reads it."""

    async def made() -> Hello:
        connection = Connection(config, None)
        connection.name = "x" * 12
        return connection._hello()

    greeting = writer.greeting(asyncio.run(made()))
    assert len(greeting) < 1024
    return decode_hello(greeting[len(PREFACE) + HEADER_BYTES :])


@given(
    st.dictionaries(st.sampled_from(SIZES), st.sampled_from(EDGES) | st.integers(0, 2**33)),
    st.none() | st.sampled_from(EDGES) | st.integers(0, 2**33),
)
def test_a_config_that_is_taken_makes_a_good_hello(sizes: dict[str, int], window: int | None) -> None:
    try:
        config = RpcConfig(connection_window_bytes=window, **sizes)  # type: ignore[arg-type]
    except ValueError:
        return
    hello = hello_of(config)
    assert hello.connection_window_bytes >= hello.max_streams * hello.stream_window_bytes
    assert hello.max_frame_bytes >= config.part_bytes + config.max_metadata_bytes


def test_the_smallest_and_largest_configs_make_a_good_hello() -> None:
    least = RpcConfig(
        max_message_bytes=1, max_metadata_bytes=0, max_streams=0, stream_window_bytes=1024, part_bytes=1024
    )
    assert hello_of(least).max_streams == 0
    assert hello_of(least).connection_window_bytes >= 1024
    most = RpcConfig(
        max_message_bytes=2**31 - 1,
        max_metadata_bytes=2**24,
        max_streams=1,
        stream_window_bytes=2**31 - 1,
        connection_window_bytes=2**31 - 1,
        part_bytes=2**31 - 1,
    )
    assert hello_of(most).max_frame_bytes < 2**32


@pytest.mark.parametrize("name", [*SIZES, "connection_window_bytes"])
@pytest.mark.parametrize("value", [-1, 2**31])
def test_a_size_outside_its_bounds_is_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"RpcConfig.{name} must be"):
        RpcConfig(**{name: value})  # type: ignore[arg-type]


def test_a_window_below_that_of_all_streams_is_refused() -> None:
    for streams in (0, 1, 10):
        with pytest.raises(ValueError, match="connection_window_bytes \\(4095\\) must be at least max_streams"):
            RpcConfig(max_streams=streams, stream_window_bytes=4096, connection_window_bytes=4095)


def test_the_bounds_admit_what_hello_holds() -> None:
    assert HELLO_LIMITS.keys() == {
        name for name in Hello.__struct_fields__ if name.startswith("max_") or "window" in name
    } - {"max_version"}
