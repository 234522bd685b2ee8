"""How a server is reached: addresses, TLS, names in certificates, and the time that all of it may take."""

import socket
from pathlib import Path
from typing import Any

import pytest

from rpcnet.tls import server_context
from tests.rpcnet.certificates import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_a_server_at_a_unix_path_is_called(run: Any, serving: Any, tmp_path: Path) -> None:
    with serving(f"unix:{tmp_path}/s") as served:
        assert run("call", served.address, "Notes.count") == (0, "3\n", "")


def test_tls_checks_the_server_and_shows_a_certificate(run: Any, serving: Any, certificates: Any) -> None:
    with serving(tls=server_context(*certificates.server, client_ca=certificates.ca)) as served:
        who = ["--tls-cert", str(certificates.client.certificate), "--tls-key", str(certificates.client.key)]
        words = ["call", served.address, "Notes.count"]
        assert run(*words, "--tls-ca", str(certificates.ca), *who) == (0, "3\n", "")
        for flags, says in [
            (["--tls-ca", str(certificates.stranger), *who], "name its one: --tls-ca FILE"),
            (["--tls", *who], "name its one: --tls-ca FILE"),
            (["--tls-ca", str(certificates.ca)], "give --tls-cert and --tls-key one of the server's client_ca"),
            ([], "a server with TLS does so: then add --tls-ca FILE or --tls"),
        ]:
            code, _, err = run(*words, *flags)
            assert code == 78 and err.startswith("rpcnet: UNAVAILABLE: ") and err.count("\n") == 1
            assert says in err


def test_tls_at_a_server_without_it_is_told(run: Any, served: Any, certificates: Any) -> None:
    code, _, err = run("list", served.address, "--tls-ca", str(certificates.ca))
    assert code == 78 and "the server answers without TLS; leave the --tls flags out" in err


def test_a_certificate_of_another_name_is_taken_by_server_name(run: Any, serving: Any, certificates: Any) -> None:
    with serving(tls=server_context(*certificates.issue("inner.example"))) as served:
        words = ["call", served.address, "Notes.count", "--tls-ca", str(certificates.ca)]
        assert run(*words)[0] == 78
        assert run(*words, "--server-name", "inner.example") == (0, "3\n", "")
        assert run(*words, "--server-name", "other.example")[0] == 78


@pytest.mark.parametrize(
    ("address", "words", "says"),
    [
        ("nowhere", [], "'nowhere' is no HOST:PORT"),
        ("192.0.2.1:5", [], "192.0.2.1:5 is not a loopback address: encrypt with --tls-ca FILE or --tls, or add"),
        ("127.0.0.1:5", ["--server-name", "a"], "--server-name is for TLS; add --tls or --tls-ca FILE"),
        ("127.0.0.1:5", ["--tls-cert", "a"], "--tls-cert and --tls-key go together"),
        ("127.0.0.1:5", ["--tls-ca", "/no/such"], "/no/such: ca: No such file or directory"),
        ("127.0.0.1:5", ["--tls-ca", __file__], "holds no certificate in PEM form"),
    ],
)
@pytest.mark.parametrize("command", ["list", "call", "health"])
def test_a_mistake_about_the_server_is_a_usage_error(
    run: Any, command: str, address: str, words: list[str], says: str
) -> None:
    code, _, err = run(command, address, *(["any"] if command == "call" else []), *words)
    assert (code, err.count("\n")) == (2, 1)
    assert says in err


@pytest.mark.parametrize("command", ["list", "call", "health"])
def test_a_server_that_is_not_there_is_unavailable(run: Any, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    code, _, err = run(command, address, *(["any"] if command == "call" else []))
    assert code == 78
    assert err == f"rpcnet: UNAVAILABLE: {address} cannot be reached: connection refused, nobody listens there\n"


@pytest.mark.parametrize("command", ["list", "call", "health"])
def test_the_timeout_bounds_connecting(run: Any, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        code, _, err = run(command, address, *(["any"] if command == "call" else []), "--timeout", "50ms")
    assert code == 78
    assert "no HELLO within connect_timeout (0.05 s)" in err
