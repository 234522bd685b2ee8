"""The keys of a cluster: what is a key, which one seals, which open, and what they say of themselves."""

import base64
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster import InvalidKey, KeyInUse, Keyring, UnknownKey
from rpcnet.cluster.seal.keyring import MAX_KEYS

ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


@pytest.mark.parametrize("key", [ONE, ONE[:16], text(ONE), text(ONE[:16]), f" {text(ONE)}\n"])
def test_a_key_is_bytes_or_base64(key: bytes | str) -> None:
    assert len(Keyring(key)) == 1


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (b"", "not 0 bytes"),
        (ONE[:31], "not 31 bytes"),
        (ONE + b"x", "not 33 bytes"),
        (ONE[:24], "not 24 bytes"),
        (text(ONE).encode(), "not 44 bytes"),
        (text(ONE)[:-4], "not 30 bytes"),
        ("a password", "base64"),
        ("ключ", "base64"),
        ("", "not 0 bytes"),
        (None, "not NoneType"),
        (bytearray(ONE), "not bytearray"),
    ],
)
def test_what_is_no_key_is_refused(key: bytes, says: str) -> None:
    with pytest.raises(InvalidKey, match=says) as caught:
        Keyring(key)
    assert isinstance(caught.value, ValueError)
    assert not key or str(key) not in str(caught.value)


def test_the_first_key_seals_and_all_open() -> None:
    ring = Keyring(ONE, TWO)
    assert ring.sealing == ONE
    assert list(ring) == [ONE, TWO]
    assert ring.ids[0] == ring.primary != ring.ids[1]
    assert [ring.find(bytes.fromhex(name)) for name in ring.ids] == [ONE, TWO]
    assert ring.find(b"none") is None


def test_a_key_and_its_text_have_one_id() -> None:
    assert Keyring(ONE).primary == Keyring(text(ONE)).primary
    assert Keyring(ONE).primary != Keyring(ONE[:16]).primary


def test_a_rotation_adds_uses_and_removes() -> None:
    ring = Keyring(ONE)
    old, new = ring.primary, ring.add(TWO)
    assert ring.primary == old
    assert ring.use(new) == ring.primary == new
    assert old in ring and TWO in ring
    assert ring.remove(old) == old
    assert old not in ring and ring.ids == (new,)


def test_adding_a_key_again_changes_nothing() -> None:
    ring = Keyring(ONE)
    assert ring.add(text(ONE)) == ring.primary
    assert len(ring) == 1


def test_the_key_that_seals_cannot_be_removed() -> None:
    ring = Keyring(ONE, TWO)
    with pytest.raises(KeyInUse, match=ring.primary):
        ring.remove(ONE)
    assert len(ring) == 2


@pytest.mark.parametrize("change", [Keyring.use, Keyring.remove])
@pytest.mark.parametrize("key", [TWO, text(TWO), Keyring(TWO).primary])
def test_an_unknown_key_is_named_by_id(change, key) -> None:
    ring = Keyring(ONE)
    with pytest.raises(UnknownKey, match=Keyring(TWO).primary):
        change(ring, key)
    assert ring.ids == Keyring(ONE).ids


@pytest.mark.parametrize("change", [Keyring.use, Keyring.remove])
@pytest.mark.parametrize("key", ["nonsense", "zzzzzzzz", b"12345678", 7])
def test_neither_a_key_nor_an_id_is_invalid(change, key) -> None:
    with pytest.raises(InvalidKey):
        change(Keyring(ONE), key)
    assert key not in Keyring(ONE)


def test_a_ring_holds_no_more_than_its_limit() -> None:
    ring = Keyring(*(bytes([number]) * 32 for number in range(MAX_KEYS)))
    with pytest.raises(InvalidKey, match=str(MAX_KEYS)):
        ring.add(b"x" * 32)
    ring.remove(ring.ids[-1])
    ring.add(b"x" * 32)


def test_two_keys_of_one_id_do_not_share_a_ring(monkeypatch) -> None:
    monkeypatch.setattr("rpcnet.cluster.seal.keyring._id", lambda key: b"same")
    ring = Keyring(ONE)
    with pytest.raises(InvalidKey, match=b"same".hex()):
        ring.add(TWO)
    assert ring.sealing == ring.find(b"same") == ONE


def test_a_ring_shows_ids_and_no_keys() -> None:
    ring = Keyring(ONE, TWO)
    shown = repr(ring) + str(ring)
    assert all(name in shown for name in ring.ids)
    assert not any(form in shown for key in ring for form in (text(key), key.hex(), str(key)))


def test_generated_keys_differ_and_are_long() -> None:
    keys = {Keyring.generate_key() for _ in range(8)}
    assert len(keys) == 8 and all(len(base64.b64decode(key)) == 32 for key in keys)
    assert len(Keyring.generate()) == 1


def test_a_file_keeps_keys_in_order(tmp_path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# of cluster blue\n{text(TWO)}\n\n  {text(ONE)}  \n")
    ring = Keyring.from_file(path)
    assert list(ring) == [TWO, ONE]
    ring.add(THREE)
    ring.use(THREE)
    ring.save()
    assert list(Keyring.from_file(path)) == [THREE, TWO, ONE]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path], "no temporary file stays"


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "no key"), ("# none\n", "no key"), (f"{text(ONE)}\nsecretsecret\n", "line 2"), ("\xff\n", "line 1")],
)
def test_a_bad_file_is_refused_without_its_content(tmp_path, content, says) -> None:
    path = tmp_path / "keys"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(InvalidKey, match=says) as caught:
        Keyring.from_file(path)
    assert "secretsecret" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        Keyring.from_file(tmp_path / "none")


def test_a_save_that_fails_leaves_the_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "keys"
    Keyring(ONE).save(path)

    def fail(number: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        Keyring(TWO).save(path)
    assert list(Keyring.from_file(path)) == [ONE]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match="no file"):
        Keyring(TWO).save()


@given(st.lists(st.tuples(st.sampled_from(["add", "use", "remove"]), st.integers(0, 4))))
def test_any_changes_leave_one_sealing_key_among_those_that_open(changes) -> None:
    keys = [bytes([number]) * 32 for number in range(5)]
    ring, primary, held = Keyring(keys[0]), keys[0], {keys[0]}
    for change, number in changes:
        key = keys[number]
        try:
            getattr(ring, change)(key)
        except UnknownKey:
            assert key not in held
        except KeyInUse:
            assert change == "remove" and key == primary
        else:
            held = held - {key} if change == "remove" else held | {key}
            primary = key if change == "use" else primary
        assert ring.sealing == primary and set(ring) == held and len(ring) == len(held)
