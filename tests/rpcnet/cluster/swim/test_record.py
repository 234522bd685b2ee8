"""What a member may announce: the same answer at the end that announces and at the end that takes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.errors import InvalidRecord, InvalidTag
from rpcnet.cluster.swim.message import Alive, decode, encode, encode_message
from rpcnet.cluster.swim.record import MAX_NUMBER, check, check_address, check_name, check_services, problem, run_at

GOOD = ["10.0.0.5:7946", "[fd00::1]:1", "[fe80::1%eth0]:1", "host:65535", "members.svc.cluster.local:7946", "m:1"]
BAD = [
    ("0.0.0.0:7946", "no machine's address"),
    ("[::]:7946", "no machine's address"),
    ("224.0.0.1:7946", "no machine's address"),
    ("10.0.0.5:0", "port 0"),
    ("host:0", "port 0"),
    ("host", "HOST:PORT"),
    ("host:65536", "HOST:PORT"),
    (":1", "HOST:PORT"),
    ("", "HOST:PORT"),
    ("fd00::1:7946", "brackets"),
    ("h" * 254 + ":1", "at most 255"),
    ("ho\nst:1", "printable"),
    ("\ud800:1", "printable"),
    (9000, "no text"),
    (None, "no text"),
]


@pytest.mark.parametrize("address", GOOD)
def test_an_address_that_others_can_reach_may_be_announced(address):
    check_address(address)
    assert problem("a", address, {"rpc": address}, {}) == ""


@pytest.mark.parametrize(("address", "said"), BAD)
def test_an_address_that_nobody_can_reach_is_refused(address, said):
    with pytest.raises(InvalidRecord, match=said):
        check_address(address)
    with pytest.raises(InvalidRecord, match=f"service 'rpc'.*{said}"):
        check_services({"rpc": address})


@pytest.mark.parametrize(
    "services", [{"": "h:1"}, {"a\n": "h:1"}, {"x" * 129: "h:1"}, {1: "h:1"}, {"rpc": "unix:"}, ["rpc"], None, "rpc"]
)
def test_services_are_addresses_by_name(services):
    with pytest.raises(InvalidRecord):
        check_services(services)


def test_a_service_at_a_unix_socket_may_be_announced():
    check_services({"rpc": "unix:/run/rpc.sock"})


@pytest.mark.parametrize("name", ["", "x" * 129, "a\n", None, 5, "\ud800"])
def test_a_name_that_no_packet_carries_is_refused(name):
    with pytest.raises(InvalidRecord, match="1 to 128"):
        check_name(name)


def test_tags_are_checked_by_their_own_rules():
    with pytest.raises(InvalidTag):
        check("a", "a:1", {}, {"": "x"})
    assert "1 to 128" in problem("a", "a:1", {}, {"k" * 129: "x"})


@pytest.mark.parametrize("seconds", [-3600.0, -1e-6, float("nan"), float("inf"), float("-inf"), 2.0**62])
def test_a_clock_outside_what_a_run_holds_is_refused(seconds):
    with pytest.raises(InvalidRecord, match="clock"):
        run_at(seconds)


def test_a_run_is_the_microseconds_since_1970():
    assert run_at(0.0) == 0
    assert run_at(1.5) == 1_500_000
    assert run_at(4e9) < MAX_NUMBER


texts = st.text(max_size=140) | st.text(alphabet="a:.0[]", max_size=260)


@given(texts, texts, st.dictionaries(texts, texts, max_size=3), st.dictionaries(texts, texts, max_size=3))
def test_whatever_may_be_announced_decodes_at_the_other_end(name, address, services, tags):
    address, services = address + ":1", {key: value + ":1" for key, value in services.items()}
    if problem(name, address, services, tags):
        return
    alive = Alive(name, 1, 0, address, services, 0, tags)
    try:
        data = encode("c", name, 1, [encode_message(alive)])
    except UnicodeEncodeError:
        return  # a tag's value: told when the batch is measured (tags.size)
    assert decode(data).messages == [alive]


def test_as_many_tags_as_a_datagram_holds_decode_at_the_other_end():
    many = Alive("a", 1, 0, "a:1", {}, 0, {f"{number:x}": "" for number in range(10_000)})
    long = Alive("a", 1, 0, "a:1", {}, 0, {"k": "v" * 65_000})
    for alive in (many, long):
        assert problem(alive.name, alive.address, alive.services, alive.tags) == ""
        assert decode(encode("c", "a", 1, [encode_message(alive)])).messages == [alive]
