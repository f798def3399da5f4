"""Firefox and WebKit without a window. Neither is driven as Chromium is: tests of them look, and move a pointer.

Firefox is driven by WebDriver BiDi, which it speaks itself; WebKit by the driver of WebKitGTK, on a virtual display.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Driven, Place, Window, until

WATCH = """<script>
globalThis.heard = []
for (const kind of ['error', 'unhandledrejection', 'securitypolicyviolation']) {
  addEventListener(kind, (event) => heard.push(`${kind}: ${event.message ?? event.reason ?? event.blockedURI}`))
}
for (const kind of ['error', 'warn']) {
  const say = console[kind]
  console[kind] = (...words) => (heard.push(`${kind}: ${words.join(' ')}`), say(...words))
}
</script>"""
"""Keeps what goes wrong on a page in its variable ``heard``, for browsers that do not tell."""

FIREFOX = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,none",
    "toolkit.telemetry.enabled": False,
}
"""Settings with which Firefox asks the network for nothing of its own."""


def watched(page: Path, folder: Path) -> Path:
    """A copy of a page that keeps what goes wrong on it."""
    copy = folder / page.name
    copy.write_text(page.read_text(encoding="utf-8").replace("<head>", f"<head>{WATCH}", 1), encoding="utf-8")
    return copy


class Firefox(Window):
    """A window of Firefox.

    Args:
        address: Where it listens.
    """

    def __init__(self, address: str) -> None:
        from websocket import create_connection

        self._numbers = itertools.count()
        self._socket = create_connection(f"{address}/session", timeout=60, suppress_origin=True)
        self.tell("session.new", capabilities={})
        self._tab = self.tell("browsingContext.getTree")["contexts"][0]["context"]

    def tell(self, method: str, **values: Any) -> dict[str, Any]:
        """Sends a command of WebDriver BiDi, and returns what it results in."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": values}))
        while (answer := json.loads(self._socket.recv())).get("id") != number:
            pass  # an event
        assert answer["type"] == "success", answer
        return answer["result"]

    def close(self) -> None:
        """Lets go of the browser."""
        self._socket.close()

    def go(self, address: str) -> None:
        self.tell("browsingContext.navigate", context=self._tab, url=address, wait="complete")

    def answer(self, body: str, values: tuple[Any, ...]) -> dict[str, Any]:
        inner = f"const given = {json.dumps(values)}; {body}"
        result = self.tell(
            "script.callFunction",
            functionDeclaration=f"async () => JSON.stringify(await (async () => {{ {inner} }})())",
            target={"context": self._tab},
            awaitPromise=True,
        )
        assert result["type"] == "success", result
        return json.loads(result["result"]["value"])

    def drag(self, places: Iterable[Place], press: bool = True) -> None:
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y), "duration": 20} for x, y in places]
        down, up = ([{"type": kind, "button": 0}] if press else [] for kind in ("pointerDown", "pointerUp"))
        pointer = {"type": "pointer", "id": "mouse", "actions": [moves[0], *down, *moves[1:], *up]}
        self.tell("input.performActions", context=self._tab, actions=[pointer])
        self.frames()


@contextmanager
def firefox(folder: Path) -> Iterator[Window]:
    """Starts Firefox, for as long as the context lasts."""
    pytest.importorskip("websocket", reason="websocket-client is not installed, which comes with selenium")
    found = shutil.which("firefox-esr") or shutil.which("firefox")
    if not found:
        pytest.skip("there is no Firefox")
    settings = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in FIREFOX.items()]
    (folder / "user.js").write_text("\n".join(settings))
    command = [found, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", "0"]
    command += ["--width", "1280", "--height", "900"]
    log = folder / "log"
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as running:
        try:
            listens = re.compile(r"BiDi listening on (ws://\S+)")
            address = until(lambda: listens.search(log.read_text(errors="replace")), "Firefox listens", 60)
            with closing(Firefox(address[1])) as window:
                yield window
        finally:
            running.terminate()


@contextmanager
def display() -> Iterator[None]:
    """A display that nobody sees, for as long as the context lasts."""
    if not shutil.which("Xvfb"):
        pytest.skip("there is no Xvfb")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    with (
        subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        os.close(writing)
        try:
            with os.fdopen(reading) as told:
                patch.setenv("DISPLAY", f":{told.readline().strip()}")
            yield
        finally:
            running.terminate()


@contextmanager
def webkit(folder: Path) -> Iterator[Window]:
    """Starts the browser of WebKitGTK, for as long as the context lasts."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    driver = shutil.which("WebKitWebDriver")
    found = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), None)
    if not driver or not found:
        pytest.skip("there is no WebKitGTK with its driver")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        stack.enter_context(display())
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setenv("WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS", "1")  # which a container cannot make
        options = webdriver.WebKitGTKOptions()
        options.binary_location = str(found)
        options.add_argument("--automation")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # selenium calls itself in an old way
            running = webdriver.WebKitGTK(options=options, service=webdriver.WebKitGTKService(driver))
        try:
            running.set_window_size(1280, 900)
            yield Driven(running)
        finally:
            running.quit()
