"""Addresses as text, read and written in one place for calls, gossip and the command line."""

from typing import Any

import pytest

from rpcnet.address import is_literal, is_loopback, join_host_port, parse, peer_text, split_host_port


def test_addresses_of_both_families_are_read_and_written() -> None:
    assert split_host_port("[::1]:7946") == ("::1", 7946)
    assert join_host_port("::1", 7946) == "[::1]:7946"
    assert split_host_port("seed.example:1") == ("seed.example", 1)


@pytest.mark.parametrize("text", ["[::1]:80", "127.0.0.1:0", "name:65535", "unix:/run/x.sock"])
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize("text", ["host", ":80", "host:", "host:port", "host:65536", "::1:80", "unix:", "host:８"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no HOST:PORT|names no path"):
        parse(text)


@pytest.mark.parametrize("value", [None, 80, b"127.0.0.1:80"])
def test_what_is_no_text_is_no_address(value: Any) -> None:
    with pytest.raises(TypeError, match="an address is text"):
        parse(value)


@pytest.mark.parametrize(("host", "expected"), [("127.8.9.1", True), ("::1", True), ("10.0.0.1", False), ("a", False)])
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        ("/run/x.sock", "unix:/run/x.sock"),
        ("", "unix:"),
        (b"", "unix:"),
        (None, "unix:"),
    ],
)
def test_a_peer_is_named_whatever_its_transport_is(name: object, text: str) -> None:
    assert peer_text(name) == text


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("fd::1", True),
        ("fe80::1%eth0", True),
        ("localhost", False),
        ("a.example", False),
        ("", False),
    ],
)
def test_an_address_is_told_from_a_name(host: str, expected: bool) -> None:
    assert is_literal(host) is expected
