"""A browser without a window, through which tests use a page as people do: Chromium, driven by selenium.

What the page logs and what it asks any network for is recorded. Where there is no Chromium a test is skipped, unless
``VAESCOPE_BROWSER=required`` is in the environment: then it fails.
"""

import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
"""Arguments for a browser that shows no window and asks the network for nothing of its own."""

RENDERERS = {
    "webgl": """
const get = WebGL2RenderingContext.prototype.getParameter
WebGL2RenderingContext.prototype.getParameter = function (name) {
  const told = get.call(this, name)
  return typeof told === 'string' ? 'a graphics card' : told
}
""",
    "flat": """
const get = HTMLCanvasElement.prototype.getContext
HTMLCanvasElement.prototype.getContext = function (kind, ...given) {
  return /webgl/.test(kind) ? null : get.call(this, kind, ...given)
}
""",
}
"""Scripts that make the explorer draw its points by WebGL, though by the processor, or without, if run before it."""

WEBGL = "return map.points.canvas.getContext('webgl2') !== null"
"""Whether the explorer draws its points by WebGL: a canvas that has another context has none of it."""

Place = tuple[float, float]
"""A place in the window, in pixels from its upper left corner."""


def absent(reason: str) -> NoReturn:
    """Skips a test, or fails where a browser has to be there."""
    if os.environ.get("VAESCOPE_BROWSER") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def program(*names: str) -> str:
    """The first of some programs that is there."""
    return next(filter(None, map(shutil.which, names)), None) or absent(f"there is no {names[0]}")


def until(condition: Callable[[], Any], what: str, seconds: float = 15) -> Any:
    """Waits until something is true, which is returned."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"in {seconds} s this did not become true: {what}"
        time.sleep(0.03)
    return found


class Window(ABC):
    """A window of a browser, whichever it is."""

    @abstractmethod
    def go(self, address: str) -> None:
        """Loads what is at an address."""

    @abstractmethod
    def answer(self, body: str, values: tuple[Any, ...]) -> dict[str, Any]:
        """What the body of an asynchronous function of ``given`` returns, an object that JSON can hold."""

    @abstractmethod
    def drag(self, places: Iterable[Place], press: bool = True) -> None:
        """Moves the pointer along some places, with its button down or not."""

    def open(self, page: Path, fragment: str = "") -> None:
        """Loads a page, and waits until it is ready or says why it will not be."""
        self.go("about:blank")  # else a change of the fragment alone loads nothing
        self.go(page.as_uri() + fragment)
        self.wait("return document.body.classList.contains('ready') || Boolean(document.querySelector('.warning'))")

    def run(self, script: str, *values: Any) -> Any:
        """What a script returns, with the parts of the app as names and values as ``given``; it may wait."""
        names = "const {app} = globalThis.vaescope ?? {}; const {store, data, map, engine, contents} = app ?? {};"
        told = "(value) => ({value}), (error) => ({error: `${error}\\n${error.stack}`})"
        answer = self.answer(f"return await (async () => {{ {names} {script} }})().then({told})", values)
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def wait(self, script: str, *values: Any, seconds: float = 15) -> Any:
        """Waits until a script returns something true, which is returned."""
        return until(lambda: self.run(script, *values), f"{script} {values or ''}", seconds)

    def set(self, **changes: Any) -> None:
        """Changes the state as a part of the page would."""
        self.run("store.set(given[0])", changes)

    def state(self, key: str) -> Any:
        """What the user has chosen."""
        return self.run("return store.now[given[0]]", key)

    def frames(self, count: int = 2) -> None:
        """Waits until so many frames have been drawn."""
        self.run("for (let k = 0; k < given[0]; k++) await new Promise(requestAnimationFrame)", count)

    def click(self, place: Place) -> None:
        """Clicks at a place."""
        self.drag([place])

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element within the window."""
        found = self.run(
            "const box = document.querySelector(given[0]).getBoundingClientRect();"
            "return [box.left, box.top, box.width, box.height]",
            selector,
        )
        return tuple(found)

    def pixels(self, selector: str) -> list[int]:
        """The bytes of a canvas in two dimensions: red, green, blue and opacity, pixel by pixel."""
        return self.run(
            "const shown = document.querySelector(given[0]);"
            "return [...shown.getContext('2d').getImageData(0, 0, shown.width, shown.height).data]",
            selector,
        )


class Driven(Window):
    """A window that selenium drives.

    Args:
        driver: What it drives it by.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        driver.set_script_timeout(60)

    def go(self, address: str) -> None:
        self.driver.get(address)

    def answer(self, body: str, values: tuple[Any, ...]) -> dict[str, Any]:
        split = "const [given, done] = [[...arguments].slice(0, -1), arguments[arguments.length - 1]];"
        return self.driver.execute_async_script(f"{split} (async () => {{ {body} }})().then(done)", *values)

    def element(self, selector: str) -> Any:
        """The first element that CSS selects."""
        return self.driver.find_element("css selector", selector)

    def button(self, name: str, within: str = "body") -> Any:
        """The first shown button, link or field whose label or text is a name, or begins with it."""
        found = self.run(
            """
            const named = (element) => (element.getAttribute('aria-label') || element.labels?.[0]?.textContent
              || element.textContent || element.title).trim().toLowerCase()
            const kinds = 'button, a, input, select, [role=button], [role=radio], [role=tab], [role=slider]'
            const all = [...document.querySelector(given[1]).querySelectorAll(kinds)]
              .filter((element) => element.checkVisibility())
            const [name] = given.map((text) => text.toLowerCase())
            const like = (same) => all.find((element) => same(named(element)))
            return like((text) => text === name) ?? like((text) => text.startsWith(name))
            """,
            name,
            within,
        )
        assert found is not None, f"there is no control called {name} in {within}"
        return found

    def press(self, *keys: str) -> None:
        """Presses keys, one after the other, where the focus is."""
        from selenium.webdriver import ActionChains

        chain = ActionChains(self.driver, duration=0)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    def drag(self, places: Iterable[Place], press: bool = True) -> None:
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        actions = ActionBuilder(self.driver, duration=20)
        for number, (left, top) in enumerate(places):
            actions.pointer_action.move_to_location(round(left), round(top))
            if press and number == 0:
                actions.pointer_action.pointer_down()
        if press:
            actions.pointer_action.pointer_up()
        actions.perform()
        self.frames()


class Chromium(Driven):
    """Chromium, whose log, network and looks can be read and changed.

    Args:
        driver: What selenium drives it by.
        downloads: Where files land that a page gives away.
    """

    def __init__(self, driver: Any, downloads: Path) -> None:
        super().__init__(driver)
        self.downloads = downloads
        self._before: str | None = None
        downloads.mkdir(parents=True, exist_ok=True)
        self.tell("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def open(self, page: Path, fragment: str = "", before: str = "") -> None:
        """Loads a page.

        Args:
            page: The file.
            fragment: What follows in the address, with its #.
            before: A script that is run before any of the page.
        """
        if self._before:
            self.tell("Page.removeScriptToEvaluateOnNewDocument", identifier=self._before)
        self._before = self.tell("Page.addScriptToEvaluateOnNewDocument", source=before)["identifier"]
        self.complaints(), self.requests()  # those of what was here before
        super().open(page, fragment)

    def tell(self, command: str, **values: Any) -> Any:
        """Sends a command of the Chrome DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, values)

    def size(self, width: int, height: int, phone: bool = False) -> None:
        """Changes the size of the window."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.frames(3)

    def scheme(self, name: str) -> None:
        """Asks the page to be light or dark."""
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])
        self.frames()

    def complaints(self) -> list[str]:
        """What was logged as an error or a warning since this was last asked, but for hints on how fast it draws."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] != "INFO" and entry["source"] != "rendering"]

    def requests(self) -> list[str]:
        """The addresses that were asked for since this was last asked, but for those that lie within the page."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith(("data:", "blob:", "about:"))]


@contextmanager
def chromium(folder: Path, width: int = 1280, height: int = 800, *more: str) -> Iterator[Chromium]:
    """Starts Chromium, for as long as the context lasts.

    Args:
        folder: Where it keeps what it has to, and where downloads land.
        width: Of the window, in pixels.
        height: Of the window.
        more: Further arguments of the command line.
    """
    try:
        from selenium import webdriver
    except ImportError:
        absent("selenium is not installed: pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = program(*CHROMIUM)
    for argument in (*QUIET, *more, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(program("chromedriver")))
    try:
        window = Chromium(driver, folder / "downloads")
        window.size(width, height)
        driver.get("about:blank")
        yield window
    finally:
        driver.quit()
