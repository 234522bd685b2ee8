"""`rpcnet run`: flags from the application's arguments, exit codes, signals."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rpcnet import Keyring, cli

APP = '''
import asyncio


async def serve(node, *, streams: int = 4, prompt: str = "hello"):
    """Serves."""
    print(node.name, node.address("gossip"), node.address("rpc"), sorted(node.labels.items()), streams, prompt)
    node.ready()
    print("ready", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaned up", flush=True)


async def stubborn():
    print("ready", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass


async def clash(node, *, bind: str): ...


async def raises():
    raise ValueError("the disk is on fire")


async def returns(node, *, need: float):
    print(need)
'''


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cli_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def start(app: Path, *flags: str, command: tuple[str, ...] = ("run",)) -> "subprocess.Popen[str]":
    code = "import sys; from rpcnet.cli import main; main(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, *command, *flags],
        cwd=app,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])},
    )


def until_ready(process: "subprocess.Popen[str]") -> list[str]:
    lines: list[str] = []
    assert process.stdout is not None
    while not lines or lines[-1] != "ready":
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        lines.append(line.strip())
    return lines


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_cancels_main_and_waits_for_its_cleanup(app: Path, number: signal.Signals, code: int) -> None:
    process = start(app, "cli_app:serve", "--name", "w1")
    until_ready(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out.strip()) == (code, "cleaned up"), err
    assert "Traceback" not in err


def test_an_application_started_with_sigint_ignored_ignores_it(app: Path) -> None:
    """As a background job of a shell is."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start(app, "cli_app:serve", "--name", "w1")
    finally:
        signal.signal(signal.SIGINT, before)
    until_ready(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out.strip()) == (0, "cleaned up"), err


def test_flags_of_the_node_and_of_main_arrive(app: Path) -> None:
    process = start(
        app,
        *["cli_app:serve", "--name", "w1", "--bind", "127.0.0.9:7000", "--service", "rpc=127.0.0.9:99"],
        *["--label", "role=worker", "--streams", "7", "--prompt", "a b"],
    )
    first, _ = until_ready(process)
    process.terminate()
    process.communicate(timeout=20)
    assert first == "w1 127.0.0.9:7000 127.0.0.9:99 [('role', 'worker')] 7 a b"


def test_an_application_that_does_not_end_is_given_up_after_the_grace(app: Path) -> None:
    process = start(app, "cli_app:stubborn", "--name", "w1", "--grace", "100ms")
    until_ready(process)
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "w1 did not end within 0.1 s" in err


@pytest.mark.parametrize("interval", ["500ms", "0.5s", "0.5"])
def test_a_duration_of_the_cluster_has_a_unit_or_is_plain_seconds(app: Path, interval: str) -> None:
    (app / "cli_config.py").write_text(
        "async def shows(node):\n    config = node.cluster()._config\n"
        "    print(config.probe_interval, config.indirect_probes)\n"
    )
    process = start(
        app, "cli_config:shows", "--cluster", f"probe_interval={interval}", "--cluster", "indirect_probes=2"
    )
    out, err = process.communicate(timeout=20)
    assert out == "0.5 2\n", err


def test_an_application_that_raises_shows_its_traceback(app: Path) -> None:
    process = start(app, "cli_app:raises")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "ValueError: the disk is on fire" in err


def test_an_address_that_cannot_be_bound_is_one_line(app: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (app / "cli_serves.py").write_text(
        "from rpcnet import RpcServer\n\n\n"
        "async def serves(node):\n    async with RpcServer(node.address('rpc')):\n        pass\n\n\n"
        "async def joins(node):\n    async with node.cluster():\n        pass\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        here = "{}:{}".format(*taken.getsockname())
        for main, flags, why in (
            ("serves", ["--service", f"rpc={here}"], f"{here} is in use"),
            ("serves", ["--service", "rpc=192.0.2.1:1"], "is not a loopback address and no TLS"),
            ("joins", ["--bind", here], "cannot bind"),
            ("joins", ["--bind", "192.0.2.1:7946", "--insecure"], "cannot bind"),
        ):
            assert cli.application.run([f"cli_serves:{main}", "--name", "w1", *flags]) == 1
            (line,) = capfd.readouterr().err.splitlines()
            assert line.startswith("rpcnet: w1 cannot start: "), line
            assert why in line


def test_an_application_that_returns_is_a_success(app: Path) -> None:
    process = start(app, "cli_app:returns", "--need", "0.5")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "0.5\n"), err


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        ([], "usage: rpcnet run"),
        (["walk"], "unknown command 'walk'"),
        (["run"], "name the application first"),
        (["run", "--name", "w1"], "name the application first"),
        (["run", "cli_app:server"], 'did you mean "serve"?'),
        (["run", "cli_app:clash"], "'bind' clashes with the flag --bind"),
        (["run", "cli_app:serve", "--streams", "many"], "--streams"),
        (["run", "cli_app:serve", "--stream", "1"], "--stream"),
        (["run", "cli_app:returns"], "--need"),
        (["run", "cli_app:serve", "--bind", "nowhere"], "'nowhere' is no HOST:PORT"),
        (["run", "cli_app:serve", "--join", "nowhere"], "'nowhere' is no HOST:PORT"),
        (["run", "cli_app:serve", "--grace", "-1"], "--grace '-1' is no duration; write it like 3s"),
        (["run", "cli_app:serve", "--grace", "nan"], "--grace 'nan' is no duration; write it like 3s"),
        (["run", "cli_app:serve", "--grace", "3 parsecs"], "write it like 3s, 500ms or 2m"),
        (
            ["run", "cli_app:serve", "--cluster", "probe_interval=fast"],
            "--cluster probe_interval 'fast' is no duration",
        ),
        (["run", "cli_app:serve", "--cluster", "max_members=3s"], "cluster setting max_members = '3s'"),
        (["run", "cli_app:serve", "--name", "a\nb"], "--name is printable text"),
        (["run", "cli_app:serve", "--service", "rpc"], "--service 'rpc' is no KEY=VALUE"),
        (["run", "cli_app:serve", "--label", "a=1", "--label", "a=2"], "--label a is given twice"),
        (["run", "cli_app:serve", "--cluster", "preset=moon"], "unknown cluster preset 'moon'"),
    ],
)
def test_a_usage_mistake_is_one_line_and_exit_code_2(
    app: Path, capsys: pytest.CaptureFixture[str], tokens: list[str], says: str
) -> None:
    assert cli.run(tokens) == 2
    output = capsys.readouterr()
    assert says in output.err + output.out
    assert "Traceback" not in output.err


def test_help_of_an_application_lists_its_flags_and_those_of_the_node(
    app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["run", "cli_app:serve", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--streams" in text
    assert "--bind" in text
    assert "Serves." in text


@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 0), (["run", "--help"], 0), (["run", "cli_app:serve", "--help"], 0), ([], 2)]
)
def test_help_that_nobody_reads_to_its_end_changes_no_exit_code(app: Path, words: list[str], code: int) -> None:
    with start(app, *words, command=()) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == code


def test_a_file_of_keys_is_read_before_the_application_starts(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content, says in ((None, "No such file"), ("secret", "line 1")):
        if content is not None:
            (app / "keys").write_text(content)
        with pytest.raises(SystemExit) as left:
            cli.main(["run", "cli_app:serve", "--keyring", "keys"])
        assert left.value.code == 2
        told = capsys.readouterr().err
        assert says in told and "secret" not in told


def test_a_node_of_rpcnet_run_has_the_keys_of_its_file(app: Path) -> None:
    Keyring(b"k" * 32).save(app / "keys")
    (app / "keyed_app.py").write_text(
        "async def serve(node):\n"
        "    async with node.cluster() as cluster:\n"
        "        print(cluster.keyring.primary, flush=True)\n"
    )
    process = start(app, "keyed_app:serve", "--bind", "127.0.0.1:0", "--keyring", "keys")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.split()) == (0, [Keyring(b"k" * 32).primary]), err
