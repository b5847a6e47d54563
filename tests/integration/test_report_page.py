"""The page of a report in a real browser: readable on a phone and a desk, day and night, by keyboard and on paper."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.print_page_options import PrintOptions

from metallab.proof.report import write
from tests.integration.browser import DESK, LOOKS, Browser, Look, started
from tests.unit.report_samples import ALL

CUT_OFF = """
    return [...document.querySelectorAll('pre')]
        .filter(item => item.clientHeight === 0 || item.scrollWidth > item.clientWidth + 1
                || item.scrollHeight > item.clientHeight + 1)
        .map(item => item.outerHTML.slice(0, 100));
"""


@dataclass(frozen=True)
class Samples:
    """A browser, and the samples as files."""

    browser: Browser
    folder: Path

    def show(self, name: str, look: Look = DESK) -> Browser:
        """Open a sample."""
        self.browser.show((self.folder / name / "report.html").as_uri(), look)
        return self.browser


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samples]:
    folder = tmp_path_factory.mktemp("browser")
    for name, sample in ALL.items():
        write(sample(), folder / name)
    with started(folder) as browser:
        yield Samples(browser, folder)


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_it_can_be_read(samples: Samples, name: str, look: Look, tmp_path: Path) -> None:
    browser = samples.show(name, look)
    browser.shoot(tmp_path / f"{name}-{look}.png")
    browser.ask("document.querySelectorAll('details').forEach(item => item.open = true)")
    width, room = browser.ask("const root = document.documentElement; return [root.scrollWidth, root.clientWidth]")
    assert width <= room
    assert browser.protruding() == []
    assert browser.violations() == []


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_loaded_or_run_or_refused(samples: Samples, name: str) -> None:
    browser = samples.show(name)
    assert browser.ask("return performance.getEntriesByType('resource').map(item => item.name)") == []
    assert browser.said() == []
    assert browser.ask("return document.scripts.length") == 0
    assert browser.ask("return document.compatMode") == "CSS1Compat"


def test_evidence_opens_by_keyboard(samples: Samples) -> None:
    browser = samples.show("passing")

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


def test_long_output_scrolls_in_its_own_box(samples: Samples) -> None:
    browser = samples.show("hostile")
    box = "document.querySelector('.answer pre[aria-label^=stderr]')"
    assert browser.ask(f"return {box}.textContent.length") == 1_000_000
    assert browser.ask(f"return {box}.scrollWidth > {box}.clientWidth") is True


def test_light_and_dark_differ_everywhere(samples: Samples) -> None:
    colours = []
    for look in LOOKS[2:]:
        browser = samples.show("passing", look)
        wanted = "['body', '.plot .run-0 path', '.network .way', '.network .name', '.plot text']"
        property_of = "item => getComputedStyle(document.querySelector(item))"
        colours.append(browser.ask(f"return {wanted}.map({property_of}).map(s => s.color + s.stroke + s.fill)"))
    assert all(day != night for day, night in zip(*colours, strict=True))


@pytest.mark.parametrize("name", ["passing", "failing"])
def test_on_paper_everything_is_there(samples: Samples, name: str, tmp_path: Path) -> None:
    browser = samples.show(name)
    browser.media("print")
    assert browser.ask(CUT_OFF) == []
    browser.media("")
    options = PrintOptions()
    options.set_page_size(PrintOptions.A4)
    pdf = base64.b64decode(browser.driver.print_page(options))
    (tmp_path / f"{name}.pdf").write_bytes(pdf)
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
