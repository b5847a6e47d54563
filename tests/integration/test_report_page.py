"""The page of a report in a real browser: readable on a phone and a desk, day and night, by keyboard and on paper."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.print_page_options import PrintOptions

from metallab.proof.report import write
from tests.unit.report_samples import ALL

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
    "--host-resolver-rules=MAP * ~NOTFOUND",  # whatever it wants to look up, nothing leaves this host
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
CUT_OFF = """
    return [...document.querySelectorAll('pre')]
        .filter(item => item.clientHeight === 0 || item.scrollWidth > item.clientWidth + 1
                || item.scrollHeight > item.clientHeight + 1)
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


LOOKS = [Look(*size, scheme) for size in ((360, 800), (1280, 900)) for scheme in ("light", "dark")]
DESK = LOOKS[2]


@dataclass(frozen=True)
class Browser:
    """A headless Chromium, and the samples as files."""

    driver: Chrome
    folder: Path

    def show(self, name: str, look: Look = DESK) -> None:
        """Open a sample as somebody with such a screen sees it."""
        size = {"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.media("screen", look.scheme)
        self.driver.get((self.folder / name / "report.html").as_uri())

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

    def shoot(self, path: Path) -> None:
        """Keep what is seen, from top to bottom."""
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16_000), "scale": 1}
        image = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(image["data"]))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    lacking = [name for name, path in programs.items() if path is None]
    if lacking:
        pytest.skip(f"needs {' and '.join(lacking)}: ./inv test --yes")
    folder = tmp_path_factory.mktemp("browser")
    for name, sample in ALL.items():
        write(sample(), folder / name)
    options = ChromeOptions()
    options.binary_location = str(programs["chromium"])
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}", *(["--no-sandbox"] if os.geteuid() == 0 else [])):
        options.add_argument(flag)
    # With both paths given, selenium looks for nothing and downloads nothing.
    driver = Chrome(options, Service(str(programs["chromedriver"])))
    try:
        driver.set_page_load_timeout(SECONDS)
        driver.set_script_timeout(SECONDS)
        yield Browser(driver, folder)
    finally:
        driver.quit()


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_it_can_be_read(browser: Browser, name: str, look: Look, tmp_path: Path) -> None:
    browser.show(name, look)
    browser.shoot(tmp_path / f"{name}-{look}.png")
    browser.ask("document.querySelectorAll('details').forEach(item => item.open = true)")
    width, room = browser.ask("const root = document.documentElement; return [root.scrollWidth, root.clientWidth]")
    assert width <= room
    assert browser.ask(PROTRUDING) == []
    assert browser.violations() == []


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_loaded_or_run_or_refused(browser: Browser, name: str) -> None:
    browser.show(name)
    assert browser.ask("return performance.getEntriesByType('resource').map(item => item.name)") == []
    assert browser.driver.get_log("browser") == []  # type: ignore[no-untyped-call]
    assert browser.ask("return document.scripts.length") == 0
    assert browser.ask("return document.compatMode") == "CSS1Compat"


def test_evidence_opens_by_keyboard(browser: Browser) -> None:
    browser.show("passing")

    def press(key: str) -> None:
        ActionChains(browser.driver).send_keys(key).perform()

    focused = "return document.activeElement.tagName"
    for _ in range(100):
        press(Keys.TAB)
        if browser.ask(focused) == "SUMMARY":
            break
    assert browser.ask("return document.activeElement.parentElement.open") is False
    press(Keys.ENTER)
    assert browser.ask("return document.activeElement.parentElement.open") is True
    press(Keys.TAB)
    assert browser.ask(focused) == "PRE"
    assert browser.ask("return document.activeElement.getAttribute('aria-label')") == "command, nodes 1"
    assert browser.ask("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_long_output_scrolls_in_its_own_box(browser: Browser) -> None:
    browser.show("hostile")
    box = "document.querySelector('.answer pre[aria-label^=stderr]')"
    assert browser.ask(f"return {box}.textContent.length") == 1_000_000
    assert browser.ask(f"return {box}.scrollWidth > {box}.clientWidth") is True


def test_light_and_dark_differ_everywhere(browser: Browser) -> None:
    colours = []
    for look in LOOKS[2:]:
        browser.show("passing", look)
        wanted = "['body', '.plot .run-0 path', '.network .way', '.network .name', '.plot text']"
        property_of = "item => getComputedStyle(document.querySelector(item))"
        colours.append(browser.ask(f"return {wanted}.map({property_of}).map(s => s.color + s.stroke + s.fill)"))
    assert all(day != night for day, night in zip(*colours, strict=True))


@pytest.mark.parametrize("name", ["passing", "failing"])
def test_on_paper_everything_is_there(browser: Browser, name: str, tmp_path: Path) -> None:
    browser.show(name)
    browser.media("print")
    assert browser.ask(CUT_OFF) == []
    browser.media("")
    options = PrintOptions()
    options.set_page_size(PrintOptions.A4)
    pdf = base64.b64decode(browser.driver.print_page(options))
    (tmp_path / f"{name}.pdf").write_bytes(pdf)
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
