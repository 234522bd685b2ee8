"""A Chromium without a screen, by its DevTools protocol: one page, what it logs, and what a person would click.

It is told to reach no host but its own files. Needs `chromium` (or Chrome) on the PATH, and the package websockets.
"""

import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import connect

__all__ = ["Browser", "chromium"]

STARTING = 30.0
"""Seconds in which Chromium must say where it listens."""
ANSWER = 20.0
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0",
)  # fmt: skip


def chromium() -> str | None:
    """Where it is; None = there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One tab. `errors` are the messages that its console got as errors, and the exceptions of scripts."""

    def __init__(self, program: str, profile: Path) -> None:
        self.errors: list[str] = []
        self._number = 0
        command = [program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._stack = ExitStack()
        self._stack.callback(self._end)
        try:
            address = _address(profile / "DevToolsActivePort")
            self._socket = self._stack.enter_context(connect(address, max_size=None))
        except BaseException:
            self._stack.close()
            raise
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """A command of the protocol, and its answer."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": arguments}))
        while True:
            told = json.loads(self._socket.recv(ANSWER))
            if told.get("id") == self._number:
                assert "error" not in told, told
                return dict(told["result"])
            self._note(told.get("method"), told.get("params", {}))

    def _note(self, method: str | None, told: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["exceptionDetails"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
            self.errors.append(json.dumps(told["args"]))

    def open(self, page: Path, width: int = 1400, scheme: str = "light") -> None:
        """Show a file, at this width and in this colour scheme; returns when it is there."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=page.resolve().as_uri())
        deadline = time.monotonic() + ANSWER
        wanted = json.dumps(page.resolve().as_uri())
        while not self.ask(f"location.href.startsWith({wanted}) && document.readyState === 'complete'"):
            assert time.monotonic() < deadline, "the page was not loaded"
            time.sleep(0.02)

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript, once its promise is kept."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element, as a person does."""
        where = self.ask(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'});"
            " const r = e.getClientRects()[0]; return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)
        self.settle()

    def drag(self, selector: str, start: float, end: float) -> None:
        """Press in an element at one share of its width, move to another, let go."""
        self.ask(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        x, y, width, height = self.ask(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [r.x, r.y, r.width, r.height] })()"
        )
        for kind, share in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            at = {"x": x + share * width, "y": y + height / 2}
            self.call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **at)
        self.settle()

    def write(self, selector: str, text: str) -> None:
        """Type into a field, in the place of what is there."""
        self.ask(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select() }})()")
        self.call("Input.insertText", text=text)
        self.settle()

    def settle(self) -> None:
        """Wait until what an event led to is drawn."""
        self.ask("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def _address(file: Path) -> str:
    """Of the socket of the only page; Chromium writes its port into that file."""
    deadline = time.monotonic() + STARTING
    while not (file.exists() and len(file.read_text().splitlines()) > 1):
        assert time.monotonic() < deadline, "Chromium did not start"
        time.sleep(0.05)
    port = file.read_text().splitlines()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=ANSWER) as answer:
        pages = json.load(answer)
    return str(next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"))
