"""`rpcnet call` against a server: every shape, typed and bytes, what is refused, and how it ends."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from rpcnet import RpcConfig, cli


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["Notes.put", '{"key": "a", "text": "b", "stars": 2}'], '{"key":"a","text":"b","body":""}\n'),
        (["Notes.put", '{"key": "a", "text": "b", "body": "AP8="}'], '{"key":"a","text":"b","body":"AP8="}\n'),
        (["Notes.same", '{"key": "a", "text": "ü", "body": "YQ=="}'], '{"key":"a","text":"ü","body":"YQ=="}\n'),
        (["Notes.count"], "3\n"),
        (["Notes.count", "{}"], "3\n"),
        (["Notes.tick", '{"most": 3}'], "0\n1\n2\n"),
        (["Notes.load", '{"key": "a", "text": "b"}', '{"key": "b", "text": "c"}'], "2\n"),
        (["Notes.load", "--arguments", '{"base": 10}', '{"key": "a", "text": "b"}'], "11\n"),
        (["Notes.upper", '"a"', '"b"'], '"A"\n"B"\n'),
        (["echo", "hi", "--bytes"], "hi"),
        (["echo", "--bytes"], ""),
        (["relay", "a", "b", "--bytes"], "a\nb\n"),
        (["Notes.count", "--timeout", "20s"], "3\n"),
        (["Notes.tick", '{"most": 2}', "--idle-timeout", "20s"], "0\n1\n"),
        (["rpcnet.health/check", '{"service": "Notes"}'], '{"service":"Notes","status":"SERVING"}\n'),
    ],
)
def test_a_call_answers_in_json(served: Any, run: Any, words: list[str], out: str) -> None:
    method, *rest = words
    assert run("call", served.address, method, *rest) == (0, out, "")


def test_bytes_travel_unchanged_from_a_file(served: Any, tmp_path: Path, capfdbinary: Any) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "data").write_bytes(data)
    assert cli.run(["call", served.address, "echo", f"@{tmp_path}/data", "--bytes"]) == 0
    assert capfdbinary.readouterr().out == data


@pytest.mark.parametrize(
    ("words", "given", "out"),
    [
        (["Notes.upper"], b'"a"\n\n "b" \r\n"c"', '"A"\n"B"\n"C"\n'),
        (["Notes.upper", '"x"', "-"], b'"a"\n', '"X"\n"A"\n'),
        (["Notes.load"], b"", "0\n"),
        (["relay", "--bytes"], b"a\n\nb", "a\n\nb\n"),
        (["Notes.put", "-"], b'{"key": "a",\n "text": "b"}\n', '{"key":"a","text":"b","body":""}\n'),
        (["echo", "-", "--bytes"], b"a\nb\n", "a\nb\n"),
    ],
)
def test_standard_input_is_sent(served: Any, run: Any, stdin: Any, words: list[str], given: bytes, out: str) -> None:
    stdin(given)
    method, *rest = words
    assert run("call", served.address, method, *rest) == (0, out, "")


def test_metadata_and_trailers_are_shown_with_v(served: Any, run: Any) -> None:
    words = ["Notes.put", '{"key": "a", "text": "b", "stars": 2}', "-v", "--metadata", "who=ada", "--metadata", "x=1=2"]
    code, _, err = run("call", served.address, *words)
    assert (code, err) == (0, "metadata seen: ada\ntrailer stars: 2\n")
    code, _, err = run("call", served.address, "Notes.get", '"a"', "-v")
    assert (code, err) == (69, "trailer tried: 1\ndetails: b'\\x00why'\nrpcnet: NOT_FOUND: no note 'a'\n")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["Notes.get", '"a"'], 69, "NOT_FOUND: no note 'a'"),
        (["Notes.gt", '"a"'], 76, "UNIMPLEMENTED: no method 'Notes.gt' is registered; did you mean 'Notes.get'"),
        (["zzz"], 76, "UNIMPLEMENTED: no method 'zzz' is registered; `rpcnet list` shows all"),
        (["Notes.get", "1"], 67, "INVALID_ARGUMENT: request of 'Notes.get' does not fit its type: Expected `str`"),
        (["Notes.put", '{"key": 1, "text": "b"}'], 67, "Expected `str`, got `int` - at `$.key`"),
        (["Notes.put", '{"key": "a"}'], 67, "missing required field `text`"),
        (["Notes.put", '{"key": "a", "txt": "b"}'], 2, "has no argument 'txt'; did you mean 'text'?"),
        (["Notes.put", '["a"]'], 2, 'must be a JSON object of arguments, {"key": …, "text": …,'),
        (["Notes.put", '{"key": "a", "text": "b", "body": "?"}'], 2, "which '?' is not - at `$.body`"),
        (["Notes.get", "a"], 2, "the value is no JSON: invalid character (byte 0); text is written in quotes"),
        (["Notes.get"], 2, "Notes.get(key: str) -> Note needs its value as JSON"),
        (["Notes.get", '"a"', '"b"'], 2, "takes one value, not 2"),
        (["Notes.get", "@/no/such/file"], 2, "'/no/such/file' cannot be read: No such file or directory"),
        (["Notes.get", '"a"', "--arguments", "{}"], 2, "--arguments go beside a stream"),
        (["Notes.get", '"a"', "--idle-timeout", "1s"], 2, "--idle-timeout is for streams"),
        (["Notes.get", '"a"', "--timeout", "soon"], 2, "--timeout 'soon' is no duration"),
        (["Notes.get", '"a"', "--metadata", "who"], 2, "--metadata 'who' is no KEY=VALUE"),
        (["Notes.get", '"a"', "--metadata", "a=1", "--metadata", "a=2"], 2, "--metadata a is given twice"),
        (["Notes.load", "--arguments", "[]"], 2, "--arguments must be a JSON object of arguments"),
        (["Notes.load", "--arguments", '{"bas": 1}'], 2, "has no argument 'bas'; did you mean 'base'?"),
        (["Notes.upper", '"a"', "b"], 2, "value 2 is no JSON"),
        (["echo", '"hi"'], 2, "echo takes and gives bytes; add --bytes"),
        (["Notes.tick", "--timeout", "50ms"], 68, "DEADLINE_EXCEEDED"),
        (["Notes.tick", '{"every": 60}', "--idle-timeout", "50ms"], 68, "DEADLINE_EXCEEDED"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    served: Any, run: Any, words: list[str], code: int, says: str
) -> None:
    found, _, err = run("call", served.address, *words)
    assert (found, err.count("\n")) == (code, 1), err
    assert err.startswith("rpcnet: ") and says in err


def test_a_wrong_line_of_standard_input_is_told(served: Any, run: Any, stdin: Any) -> None:
    stdin(b'"a"\n\n"b\n')
    code, _, err = run("call", served.address, "Notes.upper")
    assert code == 2 and "line 3 is no JSON: it is cut short" in err


def test_a_server_that_tells_nothing_can_be_called(run: Any, stdin: Any, serving: Any) -> None:
    with serving(config=RpcConfig(reflection=False)) as served:

        def call(*words: str) -> tuple[int, str, str]:
            found: tuple[int, str, str] = run("call", served.address, *words)
            return found

        assert call("Notes.put", '{"key": "a", "text": "b"}') == (0, '{"key":"a","text":"b","body":""}\n', "")
        assert call("Notes.count") == (0, "3\n", "")
        assert call("Notes.upper", '"a"', "--shape", "bidirectional") == (0, '"A"\n', "")
        assert call("Notes.tick", '{"most": 1}', "--shape", "server-streaming") == (0, "0\n", "")
        code, _, err = call("Notes.load", "--shape", "client_streaming", "--arguments", "[]")
        assert code == 2 and "--arguments must be a JSON object" in err
        code, _, err = call("Notes.upper", '"a"')
        assert code == 2 and "is bidirectional, it was called as unary; say which with --shape" in err
        code, _, err = call("Notes.upper", '"a"', "--shape", "round")
        assert code == 2 and "--shape 'round' is none of unary, client_streaming" in err
        assert call("Notes.gt")[0] == 76
        code, _, err = run("list", served.address)
        assert code == 71 and "PERMISSION_DENIED: this server does not tell its methods" in err


def process(start: Any, served: Any, *words: str, **options: Any) -> Any:
    served.notes.events.clear()
    served.notes.changed.clear()
    return start("call", served.address, *words, **options)


def wait_for(served: Any, event: str) -> None:
    while event not in served.notes.events:
        assert served.notes.changed.wait(30), f"not {event}"
        served.notes.changed.clear()


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_quietly_and_cancels_the_handler(served: Any, start: Any) -> None:
    with process(start, served, "Notes.tick") as command:
        assert command.stdout.readline() == b"0\n"
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=60)
        assert (command.returncode, err) == (130, b"")
    wait_for(served, "ended")


@pytest.mark.parametrize("words", [("Notes.tick",), ("Notes.tick", '{"every": 600}')], ids=["busy", "silent"])
def test_a_reader_that_goes_ends_the_call(served: Any, start: Any, words: tuple[str, ...]) -> None:
    with process(start, served, *words) as command:
        assert command.stdout.readline() == b"0\n"
        command.stdout.close()
        assert command.stderr.read() == b""
        assert command.wait(timeout=60) == 141
    wait_for(served, "ended")


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_at_a_silent_standard_input_ends_quietly(served: Any, start: Any) -> None:
    reader, writer = os.pipe()
    with process(start, served, "Notes.upper", stdin=reader) as command:
        os.close(reader)
        os.write(writer, b'"a"\n')
        assert command.stdout.readline() == b'"A"\n', "each line is sent and written as it comes"
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=60)
        assert (command.returncode, err) == (130, b"")
    os.close(writer)


def test_a_server_that_goes_is_unavailable(start: Any, serving: Any) -> None:
    with serving() as served:
        with process(start, served, "Notes.tick") as command:
            wait_for(served, "began")
            served.loop.call_soon_threadsafe(lambda: [one.abort("gone") for one in list(served.server._connections)])
            _, err = command.communicate(timeout=60)
            assert command.returncode == 78
            assert err.startswith(b"rpcnet: UNAVAILABLE: ") and err.count(b"\n") == 1
