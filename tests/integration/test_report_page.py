"""The page of a report in a real browser: readable on a phone and a desk, day and night, by keyboard and on paper."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.print_page_options import PrintOptions

from metallab.proof.report import write
from tests.integration.chromium import Browser, Look, looks
from tests.unit.report_samples import ALL

CUT_OFF = """
    return [...document.querySelectorAll('pre')]
        .filter(item => item.clientHeight === 0 || item.scrollWidth > item.clientWidth + 1
                || item.scrollHeight > item.clientHeight + 1)
        .map(item => item.outerHTML.slice(0, 100));
"""
LOOKS = looks((360, 800), (1280, 900))
DESK = LOOKS[2]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("samples")
    return {name: write(sample(), folder / name).html for name, sample in ALL.items()}


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_it_can_be_read(browser: Browser, samples: dict[str, Path], name: str, look: Look, tmp_path: Path) -> None:
    browser.show(samples[name], look)
    browser.shoot(tmp_path / f"{name}-{look}.png")
    assert browser.protruding() == []
    assert browser.violations() == []


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_loaded_or_run_or_refused(browser: Browser, samples: dict[str, Path], name: str) -> None:
    browser.show(samples[name], DESK)
    assert browser.ask("return performance.getEntriesByType('resource').map(item => item.name)") == []
    assert browser.said() == []
    assert browser.ask("return document.scripts.length") == 0
    assert browser.ask("return document.compatMode") == "CSS1Compat"


def test_evidence_opens_by_keyboard(browser: Browser, samples: dict[str, Path]) -> None:
    browser.show(samples["passing"], DESK)

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


def test_long_output_scrolls_in_its_own_box(browser: Browser, samples: dict[str, Path]) -> None:
    browser.show(samples["hostile"], DESK)
    box = "document.querySelector('.answer pre[aria-label^=stderr]')"
    assert browser.ask(f"return {box}.textContent.length") == 1_000_000
    assert browser.ask(f"return {box}.scrollWidth > {box}.clientWidth") is True


def test_light_and_dark_differ_everywhere(browser: Browser, samples: dict[str, Path]) -> None:
    colours = []
    for look in LOOKS[2:]:
        browser.show(samples["passing"], look)
        wanted = "['body', '.plot .run-0 path', '.network .way', '.network .name', '.plot text']"
        property_of = "item => getComputedStyle(document.querySelector(item))"
        colours.append(browser.ask(f"return {wanted}.map({property_of}).map(s => s.color + s.stroke + s.fill)"))
    assert all(day != night for day, night in zip(*colours, strict=True))


@pytest.mark.parametrize("name", ["passing", "failing"])
def test_on_paper_everything_is_there(browser: Browser, samples: dict[str, Path], name: str, tmp_path: Path) -> None:
    browser.show(samples[name], DESK)
    browser.media("print")
    assert browser.ask(CUT_OFF) == []
    browser.media("")
    options = PrintOptions()
    options.set_page_size(PrintOptions.A4)
    pdf = base64.b64decode(browser.driver.print_page(options))
    (tmp_path / f"{name}.pdf").write_bytes(pdf)
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
