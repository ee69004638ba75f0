"""The page of the explorer in headless Chromium, for the tests and the measurement of it."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 60
"""Seconds after which a page that shows nothing is taken for broken; a busy machine is slow."""


class Browser:
    """A page, and what a reader does with it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, file: Path, address: str = "") -> None:
        """Open the page anew, with a state in its address."""
        self.driver.get("about:blank")
        self.driver.get(f"{file.resolve().as_uri()}#{address}")
        self.settle()

    def visit(self, address: str) -> None:
        """Go to another state of the page that is open, as a link in it would."""
        self.forget()
        self.run(
            "history.replaceState(null, '', '#' + arguments[0]);"
            "dispatchEvent(new PopStateEvent('popstate'))",
            address,
        )
        self.settle()

    def forget(self) -> None:
        """What is shown from now on has to be shown anew."""
        self.run("document.getElementById('level').removeAttribute('aria-busy')")

    def settle(self) -> None:
        """Wait until everything is shown."""
        self.until("document.getElementById('level')?.getAttribute('aria-busy') === 'false'")

    def until(self, condition: str) -> None:
        """Wait until an expression is true."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        waiting = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.02)
        try:
            waiting.until(lambda driver: driver.execute_script(f"return Boolean({condition})"))
        except TimeoutException:
            shown = self.text("body")[:2000] if self.all("body") else "nothing"
            raise AssertionError(f"never became true: {condition}\nshown: {shown}") from None

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def all(self, css: str) -> list[Any]:
        return self.driver.find_elements("css selector", css)

    def one(self, css: str) -> Any:
        return self.driver.find_element("css selector", css)

    def text(self, css: str) -> str:
        """Text of an element, with plain minus signs."""
        return self.run(
            "return document.querySelector(arguments[0]).innerText", css
        ).replace("−", "-")  # fmt: skip

    def texts(self, css: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        return [text.replace("−", "-") for text in self.run(script, css)]

    def press(self, element_id: str) -> None:
        """Click what has this id, and wait for what it does."""
        self.forget()
        self.run("document.getElementById(arguments[0]).click()", element_id)
        self.settle()

    def named(self, name: str) -> str:
        """Id of the only button that a reader knows by this name."""
        script = (
            "return [...document.querySelectorAll('button')].filter((button) =>"
            " (button.getAttribute('aria-label') ?? button.innerText) === arguments[0])"
            ".map((button) => button.id)"
        )
        (found,) = self.run(script, name)
        return found

    def answers(self) -> list[tuple[str, float]]:
        """Label and score of the likeliest classes, as shown."""
        script = (
            "return [...document.querySelectorAll('#answers li')]"
            ".map((e) => [e.dataset.label, Number(e.dataset.score)])"
        )
        return [(label, score) for label, score in self.run(script)]

    def address(self) -> str:
        time.sleep(0.3)  # what changes often is written after a pause
        return self.run("return location.hash.slice(1)")

    def trouble(self) -> str:
        """The sentence at the top of the page that says what went wrong; empty if nothing did."""
        return self.text("#trouble").strip()

    def errors(self) -> list[str]:
        """What the console says, warnings and errors."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses asked for since the last call, but for what the page itself holds."""
        events = [
            json.loads(each["message"])["message"] for each in self.driver.get_log("performance")
        ]
        asked = [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith(("data:", "blob:", "about:"))]

    def drop(self, name: str, data: bytes, kind: str) -> None:
        """Drop a file on the page."""
        self.forget()
        self.run(
            "const bytes = Uint8Array.from(atob(arguments[1]), (c) => c.charCodeAt(0));"
            "const transfer = new DataTransfer();"
            "transfer.items.add(new File([bytes], arguments[0], { type: arguments[2] }));"
            "document.body.dispatchEvent(new DragEvent('drop',"
            " { dataTransfer: transfer, bubbles: true, cancelable: true }));",
            name, base64.b64encode(data).decode(), kind,
        )  # fmt: skip

    def size(self, width: int, height: int) -> None:
        """Show the page at a width in pixels, smaller than windows can be made too."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def prefer(self, **features: str) -> None:
        """What the reader's system asks for: ``prefers_color_scheme="dark"``."""
        given = [
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": given})

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """Save what is shown, or all that there is to scroll through."""
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": whole, "format": "png"}
        )
        file.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def chromium(*words: str) -> Iterator[Browser]:
    """Start headless Chromium, with more words on its command line; skip the test without it."""
    pytest.importorskip("selenium")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    program, driver_program = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver_program:
        pytest.skip("there is no chromium, or no chromedriver, on this machine")
    options = ChromeOptions()
    options.binary_location = program
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
        *words,
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(driver_program))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
