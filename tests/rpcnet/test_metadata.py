"""Metadata is text to text or bytes, within a limit; anything else is refused before it is sent."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet import InvalidArgument, ResourceExhausted
from rpcnet.metadata import checked_metadata, encoded_metadata


class Broken(Mapping[str, str]):
    """A mapping whose values cannot be had."""

    def __getitem__(self, key: str) -> str:
        raise OSError("gone")

    def __iter__(self) -> Iterator[str]:
        return iter(["k"])

    def __len__(self) -> int:
        return 1


class Name(str):
    """Text of a class of its own."""


@pytest.mark.parametrize(
    "wrong",
    [5, "text", [("k", "v")], None, {1: "v"}, {"k": 1}, {"k": None}, {"\ud800": "v"}, {"k": "\udcff"}, Broken()],
)
def test_what_is_no_metadata_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^metadata"):
        checked_metadata(wrong)


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=10) | st.binary(max_size=10)))
def test_metadata_arrives_as_it_was_given(values: dict[str, str | bytes]) -> None:
    encoded = encoded_metadata(values, 10_000)
    assert msgspec.msgpack.decode(encoded) == values
    assert encoded_metadata(values, len(encoded)) == encoded
    with pytest.raises(ResourceExhausted, match="max_metadata_bytes"):
        encoded_metadata(values, len(encoded) - 1)


def test_a_copy_of_plain_types_is_made() -> None:
    copy = checked_metadata({Name("k"): Name("v")})
    assert [type(part) for pair in copy.items() for part in pair] == [str, str]
