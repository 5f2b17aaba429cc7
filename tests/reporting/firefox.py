"""Firefox, asked by WebDriver BiDi (a W3C standard), which it speaks without a driver."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import websocket


class Firefox:
    """A window of its own with an empty profile; `said` and `asked` as they come.

    Parameters
    ----------
    folder : Path
        Empty; for the profile.
    """

    def __init__(self, folder: Path) -> None:
        words = ["firefox-esr", "--headless", "--profile", folder, "--remote-debugging-port", "0"]
        self.events: list[dict] = []
        self.sent = 0
        own = {**os.environ, "HOME": str(folder)}
        self.process = subprocess.Popen(words, stderr=subprocess.DEVNULL, env=own)
        address = listening(folder / "WebDriverBiDiServer.json")
        self.socket = websocket.create_connection(
            f"ws://{address}/session", timeout=60, suppress_origin=True
        )
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self.tab = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        """The result of a command."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": parameters}
        self.socket.send(json.dumps(message))
        while (answer := json.loads(self.socket.recv())).get("id") != self.sent:
            self.events.append(answer)
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, address: str, width: int = 1280, height: int = 800) -> None:
        """Open a page and wait until it is there."""
        size = {"width": width, "height": height}
        self.ask("browsingContext.setViewport", context=self.tab, viewport=size)
        self.ask("browsingContext.navigate", context=self.tab, url=address, wait="complete")

    def run(self, code: str) -> Any:
        """What an expression gives: lists and strings as Python's."""
        found = self.ask(
            "script.evaluate", expression=code, target={"context": self.tab}, awaitPromise=True
        )
        assert found["type"] == "success", found
        return plain(found["result"])

    def noticed(self, method: str) -> list[dict]:
        """Parameters of the events of a kind."""
        return [each["params"] for each in self.events if each["method"] == method]

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)


def listening(path: Path) -> str:
    """Host and port, once Firefox has written them into its profile."""
    for _ in range(600):
        if path.exists() and (text := path.read_text()):
            found = json.loads(text)
            return f"{found['ws_host']}:{found['ws_port']}"
        time.sleep(0.1)
    raise TimeoutError("Firefox did not start within a minute")


def plain(value: dict) -> Any:
    """A value of BiDi as Python's."""
    inner = value.get("value")
    return [plain(each) for each in inner] if value["type"] == "array" else inner
