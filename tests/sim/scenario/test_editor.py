"""What an editor says of scenario files: a language server of TOML with our schema, run without a screen.

The server is tombi, of the test extra. Twenty mistakes are planted, and each is told on its line.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sim.scenario.json_schema import json_schema
from sim.scenario.load import load_text

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "scenarios").rglob("*.toml"))
TOMBI = shutil.which("tombi", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
PAGE = (ROOT / "docs/howto/editor.md").read_text(encoding="utf-8")
COMMENT, SETTINGS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

pytestmark = [
    pytest.mark.gate,
    pytest.mark.skipif(TOMBI is None, reason="tombi is not installed: it is in the extra test"),
]

BASE = """\
name = "planted"
summary = "Which of these mistakes does an editor tell?"
duration = "40s"
seed = 7
tie_break = "fifo"
catches = ["no_gossip"]

[sweep]
seeds = "1:100"

[network]
preset = "lan"
loss = "1%"
latency = "uniform(1ms, 5ms)"
bandwidth = "1MB/s"

[cluster]
preset = "lan"
probe_interval = "500ms"
indirect_probes = 3

[[node]]
name = "worker"
count = 5
app = "sim.apps.member:main"
labels = { role = "worker" }
start = "1s"

[[fault]]
at = "uniform(5s, 9s)"
for = "2s"
every = "15s"
crash = { pick = 1, of = "!worker-1" }

[[fault]]
name = "cut"
at = "12s"
partition = { groups = [{ pick = "minority", of = "role=worker" }, "all"], one_way = true }

[[fault]]
at = "13s"
for = "1s"
link = { between = ["worker-1", "worker-2"], loss = 0.5, queue = "64KB" }

[[fault]]
at = "14s"
for = "2s"
stop = { each = ["worker-*", "!worker-1"], next = "ready + 2s" }

[[fault]]
at = "20s"
clock = { node = "worker-3", offset = "-3s", drift = "100ppm" }

[[expect]]
member_failed = "worker-2"
by = "!worker-3"
within = "10s"
after = "crash"
max = { detection_last = "9s" }

[[expect]]
calls = "all"
method = "Ledger.*"
min_success = "99%"

[[expect]]
sequence = { event = "token", by = "stream", gaps = 0 }

[[expect]]
no_leaks = true

[[expect]]
python = "mypackage.judges:every_order_once"
orders = 100
"""
# What is changed, to what: the mistake is on the line of the change.
TYPOS = [
    ("seed = 7", "sed = 7"),
    ("seed = 7", 'seed = "7"'),
    ('tie_break = "fifo"', 'tie_break = "fofi"'),
    ("[sweep]", "[sweeep]"),
    ('duration = "40s"', 'duration = "40 sec"'),
    ('preset = "lan"\nloss', 'preset = "lna"\nloss'),
    ('loss = "1%"', "loss = 5"),
    ('"uniform(1ms, 5ms)"', '"unifrom(1ms, 5ms)"'),
    ('"1MB/s"', '"1Mbps"'),
    ('probe_interval = "500ms"', "probe_interval = 0.5"),
    ("indirect_probes = 3", "indirect_probe = 3"),
    ("count = 5", 'count = "5"'),
    ("labels = {", "lables = {"),
    ('start = "1s"', "start = 1"),
    ('at = "uniform(5s, 9s)"', 'at = "uniform 5s"'),
    ('for = "2s"\nevery', 'fro = "2s"\nevery'),
    ("crash = {", "crush = {"),
    ("{ pick = 1,", "{ pik = 1,"),
    ("one_way = true", "oneway = true"),
    ("loss = 0.5, queue", "los = 0.5, queue"),
    ('"ready + 2s"', '"redy + 2s"'),
    ('drift = "100ppm"', 'drift = "100pm"'),
    ("member_failed =", "member_faild ="),
    ('within = "10s"', 'withn = "10s"'),
    ('after = "crash"', "after = 3"),
    ("method =", "methode ="),
    ("gaps = 0", 'gaps = "0"'),
    ("no_leaks = true", "no_leaks = false"),
]


def planted(before: str, after: str) -> tuple[str, int]:
    """The file with that mistake, and the line of it, from 1."""
    assert BASE.count(before) == 1
    offset = BASE.index(before)
    return BASE.replace(before, after), BASE[:offset].count("\n") + 1


class Server:
    """A language server, talked to as an editor does."""

    def __init__(self, folder: Path) -> None:
        assert TOMBI is not None
        self.folder, self.number = folder, 0
        self.process = subprocess.Popen(
            [TOMBI, "lsp", "--offline"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def tell(self, method: str, params: Any, number: int | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if number is None else {"id": number})
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while header := self.process.stdout.readline().strip():
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        if "id" in message and "method" in message:  # it asks us: for settings, to register something
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": None}
            body = json.dumps(answer).encode()
            assert self.process.stdin is not None
            self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            self.process.stdin.flush()
        return message

    def ask(self, method: str, params: Any) -> Any:
        self.number += 1
        self.tell(method, params, self.number)
        while True:
            message = self.hear()
            if message.get("id") == self.number and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def start(self) -> None:
        folder = self.folder.as_uri()
        self.ask(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": folder,
                "workspaceFolders": [{"uri": folder, "name": "x"}],
                "capabilities": {"textDocument": {"publishDiagnostics": {}}},
            },
        )
        self.tell("initialized", {})

    def diagnostics(self, name: str, text: str) -> list[tuple[int, str]]:
        """Open a file: the line of each mistake, from 1, and what is said of it."""
        file = self.folder / "scenarios" / name
        file.write_text(text)
        document = {"uri": file.as_uri(), "languageId": "toml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})
        while True:
            message = self.hear()
            told = message["params"] if message.get("method") == "textDocument/publishDiagnostics" else {}
            if told.get("uri") == file.as_uri():
                return [(one["range"]["start"]["line"] + 1, one["message"]) for one in told["diagnostics"]]

    def stop(self) -> None:
        self.ask("shutdown", None)
        self.tell("exit", None)
        self.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("editor")
    (folder / "scenarios").mkdir()
    (folder / "scenario.schema.json").write_text(json.dumps(json_schema()))
    (folder / "tombi.toml").write_text(SETTINGS)
    found = Server(folder)
    found.start()
    yield found
    found.stop()


def test_the_file_without_a_mistake_is_clean(server: Server) -> None:
    assert server.diagnostics("base.toml", BASE) == []
    text = BASE.replace('python = "mypackage.judges:every_order_once"\norders = 100', 'logged = "x"')
    assert load_text(text, Path("base.toml")).name == "planted"


@pytest.mark.parametrize(("before", "after"), TYPOS, ids=[after for _, after in TYPOS])
def test_a_mistake_is_told_on_its_line(server: Server, before: str, after: str) -> None:
    text, line = planted(before, after)
    found = server.diagnostics(f"planted_{TYPOS.index((before, after))}.toml", text)
    assert line in {at for at, _ in found}, found
    # Beside it at most that a key is missing, at the head of its table.
    assert all(at == line or message.endswith("is required") for at, message in found), found


def test_a_file_names_its_schema_itself(tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenario.schema.json").write_text(json.dumps(json_schema()))
    server = Server(tmp_path)
    server.start()
    try:
        assert server.diagnostics("with.toml", COMMENT.replace("…", "") + BASE) == []
        ((line, message),) = server.diagnostics("typo.toml", COMMENT.replace("…", "") + planted(*TYPOS[0])[0])
        assert (line, message) == (COMMENT.count("\n") + 4, '"sed" is not allowed')
    finally:
        server.stop()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_scenario_that_ships_is_clean(server: Server, path: Path) -> None:
    assert server.diagnostics(f"{path.parent.name}_{path.name}", path.read_text()) == []
