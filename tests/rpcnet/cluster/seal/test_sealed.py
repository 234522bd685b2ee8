"""What only holders of a key can make, read or repeat: datagrams, requests and answers."""

import subprocess
import sys
from struct import pack

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster import Keyring
from rpcnet.cluster.seal import sealed
from rpcnet.cluster.seal.checksummed import Checksummed
from rpcnet.cluster.seal.envelope import RECORD_BYTES, Answering, Asking
from rpcnet.cluster.seal.sealed import Sealed
from rpcnet.cluster.seal.unopened import Reason, Unopened
from rpcnet.cluster.seal.window import WINDOW

KEY, OTHER = b"k" * 32, b"o" * 16


def member(name: str = "b", *keys: bytes, cluster: str = "blue", sessions: int = 8) -> Sealed:
    return Sealed(Keyring(*(keys or (KEY,))), cluster, name, sessions)


def refused(envelope, datagram: bytes) -> Reason:
    with pytest.raises(Unopened) as caught:
        envelope.open(datagram)
    return caught.value.reason


@given(st.binary(max_size=2000), st.sampled_from(["b", None]))
def test_what_is_sealed_opens_at_its_receiver(packet: bytes, to: str | None) -> None:
    a, b = member("a"), member("b")
    assert b.open(a.seal(packet, to)) == packet


def test_the_layout_is_that_of_the_docs() -> None:
    """Opened by hand, with the library alone: docs/membership.md has the layout."""
    datagram = member("a").seal(b"packet", "b")
    head, rest = datagram[:27], datagram[27:]
    key = HKDF(SHA256(), 32, salt=head[11:23], info=b"rpcnet cluster seal 1").derive(KEY)
    nonce = pack(">III", 1, int.from_bytes(head[23:27], "big"), 0)
    assert ChaCha20Poly1305(key).decrypt(nonce, rest, head + b"blue") == b"packet"
    assert head[0] == 0xE0
    assert head[7:11].hex() == Keyring(KEY).primary
    assert member("a").overhead == 43 == len(datagram) - len(b"packet")


def test_equal_packets_look_different_and_show_nothing() -> None:
    a = member("a")
    one, two = a.seal(b"secret " * 20, "b"), a.seal(b"secret " * 20, "b")
    assert one[27:] != two[27:]
    assert b"secret" not in one + two


@given(st.data())
def test_a_changed_or_cut_datagram_does_not_open(data) -> None:
    datagram = member("a").seal(b"packet", "b")
    at = data.draw(st.integers(0, len(datagram) * 8 - 1))
    flipped = bytearray(datagram)
    flipped[at // 8] ^= 1 << at % 8
    b = member("b")
    for damaged in (bytes(flipped), datagram[: at // 8], datagram + b"x"):
        assert refused(b, damaged) in Reason
    assert b.open(datagram) == b"packet", "what did not open takes no number"


@given(st.binary(max_size=100))
def test_any_bytes_are_opened_or_refused(data: bytes) -> None:
    b = member("b")
    head = member("a").seal(b"", "b")[:27]
    for datagram in (data, bytes([0xE0]) + data, head + data, head[:11] + data):
        refused(b, datagram)
    assert len(b._windows) == 0, "strangers make us keep nothing"


def test_a_datagram_is_taken_once() -> None:
    a, b = member("a"), member("b")
    datagrams = [a.seal(bytes([number]), "b") for number in range(5)]
    assert [b.open(datagram) for datagram in reversed(datagrams)] == [b"\4", b"\3", b"\2", b"\1", b"\0"]
    assert {refused(b, datagram) for datagram in datagrams} == {Reason.REPLAYED}


def test_one_that_is_later_than_the_window_is_refused() -> None:
    a, b = member("a"), member("b")
    late = a.seal(b"late", "b")
    for _ in range(WINDOW):
        b.open(a.seal(b"", "b"))
    assert refused(b, late) == Reason.REPLAYED


def test_a_datagram_for_another_member_is_refused() -> None:
    a, c = member("a"), member("c")
    assert refused(c, a.seal(b"packet", "b")) == Reason.MISDIRECTED
    assert c.open(a.seal(b"packet", None)) == b"packet"


def test_a_sender_that_starts_anew_is_taken_at_once() -> None:
    b = member("b")
    old = member("a")
    recorded = [old.seal(b"old", "b") for _ in range(3)]
    assert b.open(recorded[2]) == b"old"
    assert b.open(member("a").seal(b"new", "b")) == b"new"
    assert b.open(recorded[0]) == b"old", "and late ones of the run before are still known"
    assert refused(b, recorded[2]) == Reason.REPLAYED


def test_the_key_that_is_missing_is_named() -> None:
    b = member("b")
    with pytest.raises(Unopened, match=Keyring(OTHER).primary) as caught:
        b.open(member("a", OTHER).seal(b"packet", "b"))
    assert caught.value.reason == Reason.UNKNOWN_KEY
    assert caught.value.should_be_told


def test_a_datagram_of_another_cluster_is_refused() -> None:
    assert refused(member("b"), member("a", cluster="red").seal(b"packet", "b")) == Reason.FOREIGN_CLUSTER


def test_the_name_of_the_cluster_is_sealed_along(monkeypatch) -> None:
    """The mark in the head is a hint of two bytes: where it is equal by chance the seal does not fit."""
    monkeypatch.setattr(sealed, "crc32", lambda data: 7)
    assert refused(member("b"), member("a", cluster="red").seal(b"packet", "b")) == Reason.FORGED


def test_plain_and_sealed_members_name_what_is_wrong() -> None:
    plain, b = Checksummed(), member("b")
    assert refused(b, plain.seal(b"packet", "b")) == Reason.UNSEALED
    assert refused(plain, b.seal(b"packet", "b")) == Reason.SEALED
    with pytest.raises(Unopened, match=Keyring(KEY).primary):
        plain.open(b.seal(b"packet", "b"))


def test_keys_rotate_while_packets_are_under_way() -> None:
    rings = [Keyring(KEY) for _ in range(2)]
    a, b = (Sealed(ring, "blue", name, 8) for ring, name in zip(rings, "ab", strict=True))
    under_way = [a.seal(b"before", "b")]
    for ring in rings:
        ring.add(OTHER)
    rings[0].use(OTHER)
    under_way.append(a.seal(b"between", "b"))
    assert a.open(b.seal(b"still the old one", "a")) == b"still the old one"
    rings[1].use(OTHER)
    assert [b.open(datagram) for datagram in under_way] == [b"before", b"between"]
    assert {refused(b, datagram) for datagram in under_way} == {Reason.REPLAYED}, "one window for all keys"
    late = member("c", KEY).seal(b"", "b")
    rings[1].remove(KEY)
    assert refused(b, late) == Reason.UNKNOWN_KEY
    assert b.open(a.seal(b"after", "b")) == b"after"


def nonces(monkeypatch) -> list[tuple[bytes, bytes]]:
    """Every key and nonce that is sealed with from now on."""
    used: list[tuple[bytes, bytes]] = []

    class Cipher:
        def __init__(self, key):
            self.key, self.cipher = key, ChaCha20Poly1305(key)

        def encrypt(self, nonce, data, along):
            used.append((self.key, nonce))
            return self.cipher.encrypt(nonce, data, along)

    monkeypatch.setattr(sealed, "ChaCha20Poly1305", Cipher)
    return used


def test_no_key_seals_with_one_nonce_twice(monkeypatch) -> None:
    """Over restarts, members that share a key, rotations to and fro, streams, and the end of the numbers."""
    used = nonces(monkeypatch)
    monkeypatch.setattr(sealed, "NUMBERS", 7)
    ring = Keyring(KEY, OTHER)
    members = [Sealed(ring, "blue", "a", 8) for _ in range(3)]
    for turn in range(20):
        ring.use((KEY, OTHER)[turn % 2])
        for each in members:
            each.seal(b"", "b")
            Asking(each, bytes(RECORD_BYTES + 1), None, 10**6)
            Answering(each, 10**6).answer(bytes(RECORD_BYTES + 1))
    assert len(used) == 20 * 3 * 5 == len(set(used))


FORK = """
import os
from rpcnet.cluster import Keyring
from rpcnet.cluster.seal.sealed import Sealed
a = Sealed(Keyring(b"k" * 32), "blue", "a", 8)
a.seal(b"", "b")
child = os.fork()
if child:
    os.waitpid(child, 0)
print(a.seal(b"of the parent" if child else b"of the child", "b").hex(), flush=True)
"""


def test_a_fork_begins_a_session_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60)
    datagrams = [bytes.fromhex(line) for line in done.stdout.split()]
    assert len({datagram[11:23] for datagram in datagrams}) == 2
    b = member("b")
    assert {b.open(datagram) for datagram in datagrams} == {b"of the parent", b"of the child"}


def test_a_session_ends_where_forks_are_counted(monkeypatch) -> None:
    a = member("a")
    before = a.seal(b"", "b")
    monkeypatch.setattr(sealed, "_forks", 0)
    sealed._count_fork()
    assert a.seal(b"", "b")[11:23] != before[11:23]


def test_derived_keys_are_forgotten_beyond_a_limit(monkeypatch) -> None:
    monkeypatch.setattr(sealed, "REMEMBERED", 3)
    monkeypatch.setattr(sealed, "_sessions", {})
    b = member("b")
    senders = [member(f"a{number}") for number in range(8)]
    datagrams = [sender.seal(b"", "b") for sender in senders for _ in range(2)]
    for datagram in datagrams:
        b.open(datagram)
        assert len(sealed._sessions) <= 3
    assert {refused(b, datagram) for datagram in datagrams} == {Reason.REPLAYED}


# Streams.


def talk(asking_side, answering_side, request=b"question", answer=b"answer", to="b"):
    asking, answering = Asking(asking_side, request, to, 10**6), Answering(answering_side, 10**6)
    assert not answering.is_trusted
    assert answering.receive(asking.sent) == request
    assert answering.is_trusted
    return asking, answering.answer(answer)


@given(st.integers(0, 3 * RECORD_BYTES), st.integers(1, 100))
def test_a_request_and_its_answer_pass_in_any_pieces(size: int, pieces: int) -> None:
    a, b = member("a"), member("b")
    asking, answer = talk(a, b, request=bytes(size), answer=bytes(size))
    step = max(1, len(answer) // pieces)
    got = [asking.receive(answer[at : at + step]) for at in range(0, len(answer), step)]
    assert got[-1] == bytes(size) and set(got[:-1]) <= {None}


def test_an_answer_fits_its_own_request_only() -> None:
    a, b = member("a"), member("b")
    one, first = talk(a, b)
    two, second = talk(a, b)
    for asking, answer in ((one, second), (two, first), (Asking(member("a"), b"question", "b", 100), first)):
        with pytest.raises(Unopened):
            asking.receive(answer)


def test_a_request_is_served_once() -> None:
    a, b = member("a"), member("b")
    asking, _ = talk(a, b)
    with pytest.raises(Unopened) as caught:
        Answering(b, 100).receive(asking.sent)
    assert caught.value.reason == Reason.REPLAYED


def test_a_request_for_another_member_is_refused() -> None:
    asking = Asking(member("a"), b"question", "b", 100)
    with pytest.raises(Unopened) as caught:
        Answering(member("c"), 100).receive(asking.sent)
    assert caught.value.reason == Reason.MISDIRECTED


@pytest.mark.parametrize("first", [0xE0, 0xE1, 0xE2])
@pytest.mark.parametrize("way", ["datagram", "request", "answer"])
def test_what_goes_one_way_goes_no_other(way: str, first: int) -> None:
    """Neither as it is, nor with another first byte, as somebody sends it who rewrites heads."""
    a = member("a")
    asking, answer = talk(a, member("b"))
    what = {"datagram": a.seal(b"packet", "b"), "request": Asking(a, b"", None, 100).sent, "answer": answer}
    opens = {
        "datagram": member("b").open,
        "request": Answering(member("b"), 100).receive,
        "answer": Asking(a, b"", "b", 100).receive,
    }
    for other, open_ in opens.items():
        if other != way:
            with pytest.raises(Unopened):
                open_(bytes([first]) + what[way][1:])
    if way == "request":
        with pytest.raises(Unopened):
            asking.receive(bytes([first]) + asking.sent[1:])


def test_records_cannot_be_left_out_changed_or_ended_early() -> None:
    a = member("a")
    sent = Asking(a, bytes(3 * RECORD_BYTES), "b", 10**6).sent
    head, step = sent[:27], 4 + RECORD_BYTES + 16
    records = [sent[27 + number * step : 27 + (number + 1) * step] for number in range(3)]
    ended = (int.from_bytes(records[0][:4], "big") | 1 << 31).to_bytes(4, "big") + records[0][4:]
    for wrong in ([records[1]], [records[0], records[2]], [records[0], records[0]], [ended]):
        with pytest.raises(Unopened):
            Answering(member("b"), 10**6).receive(head + b"".join(wrong))
    assert Answering(member("b"), 10**6).receive(head + b"".join(records)) == bytes(3 * RECORD_BYTES)


def test_a_stranger_makes_us_keep_one_record_at_most() -> None:
    answering = Answering(member("b"), 10**8)
    head = Asking(member("a"), b"", "b", 100).sent[:27]
    answering.receive(head + (RECORD_BYTES + 16).to_bytes(4, "big") + bytes(RECORD_BYTES + 15))
    with pytest.raises(Unopened):
        answering.receive(b"x")
    with pytest.raises(Unopened):
        Answering(member("b"), 10**8).receive(head + (RECORD_BYTES + 17).to_bytes(4, "big"))
