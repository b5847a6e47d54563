"""A real Chromium: what somebody sees of a page on a phone and on a desk, and what axe-core objects to."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

PROGRAMS = ("chromium", "chromedriver")
SECONDS = 60
FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # whatever it looks up, nothing leaves this host
)
AXE = resources.files("selenium_axe_python") / "axe-core" / "axe.min.js"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
PROTRUDING = """
    const edge = document.documentElement.clientWidth;
    return [...document.querySelectorAll('body *')]
        .filter(item => !item.closest('pre, .scroll, .hidden') || item.matches('pre, .scroll'))
        .filter(item => item.getBoundingClientRect().right > edge + 1)
        .map(item => item.outerHTML.slice(0, 100));
"""


@dataclass(frozen=True)
class Look:
    """How the page is looked at."""

    width: int
    height: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}"


def looks(*sizes: tuple[int, int]) -> list[Look]:
    """Return screens of these sizes, by day and by night."""
    return [Look(*size, scheme) for size in sizes for scheme in ("light", "dark")]


@dataclass(frozen=True)
class Browser:
    """A headless Chromium."""

    driver: Chrome

    def show(self, page: Path | str, look: Look) -> None:
        """Open a page, a file or an address, as somebody with such a screen sees it."""
        size = {"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.media("screen", look.scheme)
        self.driver.get(page.as_uri() if isinstance(page, Path) else page)

    def media(self, kind: str, scheme: str = "light") -> None:
        """Be a screen or paper."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": features})

    def ask(self, script: str) -> Any:
        """Return what a script says."""
        return self.driver.execute_script(script)

    def violations(self) -> list[str]:
        """Return what axe-core objects to."""
        self.driver.execute_script(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script("axe.run(arguments[0]).then(arguments[1])", RULES)["violations"]
        return [f"{item['id']}: {node['html'][:200]}" for item in found for node in item["nodes"]]

    def protruding(self) -> list[str]:
        """Return what reaches over the right edge of the screen, with everything that can be opened open."""
        self.driver.execute_script("document.querySelectorAll('details').forEach(item => item.open = true)")
        width, room = self.ask("const root = document.documentElement; return [root.scrollWidth, root.clientWidth]")
        found: list[str] = self.ask(PROTRUDING)
        return found if width <= room else [*found, f"the page: {width} of {room} pixels"]

    def said(self) -> list[str]:
        """Return what the browser complains about since the last time: scripts, policies, what could not be loaded."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def shoot(self, path: Path) -> None:
        """Keep what is seen, from top to bottom."""
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16_000), "scale": 1}
        image = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(image["data"]))


@contextlib.contextmanager
def started(profile: Path) -> Iterator[Browser]:
    """Have a browser with a profile of its own for the block; skips the test where there is none."""
    chromium, chromedriver = (shutil.which(name) for name in PROGRAMS)
    if chromium is None or chromedriver is None:
        pytest.skip(f"needs {' and '.join(PROGRAMS)}: ./inv test --yes")
    options = ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])):
        options.add_argument(flag)
    # With both paths given, selenium looks for nothing and downloads nothing.
    driver = Chrome(options, Service(chromedriver))
    try:
        driver.set_page_load_timeout(SECONDS)
        driver.set_script_timeout(SECONDS)
        yield Browser(driver)
    finally:
        driver.quit()
