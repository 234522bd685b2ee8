"""`rpcnet health`: what it says and with what it exits."""

from typing import Any


def test_health_is_said_and_is_the_exit_code(run: Any, serving: Any) -> None:
    with serving() as served:
        assert run("health", served.address) == (0, "SERVING\n", "")
        assert run("health", served.address, "Notes") == (0, "SERVING\n", "")
        served.do(lambda: served.server.set_health("Notes", serving=False))
        assert run("health", served.address, "Notes") == (1, "NOT_SERVING\n", "")
        assert run("health", served.address) == (0, "SERVING\n", "")
        code, _, err = run("health", served.address, "Nots")
        assert (code, err) == (69, "rpcnet: NOT_FOUND: this server knows no service 'Nots'\n")


def test_a_watch_ends_with_the_server(start: Any, serving: Any) -> None:
    with serving() as served:
        with start("health", served.address, "--watch") as command:
            assert command.stdout.readline() == b"SERVING\n"
            served.stop()
            out, err = command.communicate(timeout=60)
            assert (command.returncode, out, err) == (1, b"NOT_SERVING\n", b"")
