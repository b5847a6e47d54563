"""A drill's report and the trainer's sheet in a real browser: readable on a phone and a desk, day and night."""

from __future__ import annotations

from pathlib import Path

import pytest

from metallab.config import Lab
from metallab.drills import report
from metallab.lessons import format as lessons
from metallab.lessons import sheet
from metallab.lessons.workshop import Memory, Rehearsal
from tests.integration.chromium import Browser, Look, looks
from tests.unit import drill_samples

LOOKS = looks((390, 844), (1280, 900))
SHEETS = ("held", "in trouble")
NAMES = (*(f"drill {name}" for name in drill_samples.SAMPLES), *(f"sheet {name}" for name in SHEETS))
TROUBLE = "step 2: no end after 60 s: kubectl --kubeconfig=/etc/kubernetes/admin.conf get --raw /readyz (LAB-MACH-004)"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    drills = {f"drill {name}": report.write(one, folder / name).html for name, one in drill_samples.SAMPLES.items()}
    memory = Memory({machine.name: machine.memory for machine in Lab().machines}, 16_000, 9_000)
    sheets = {}
    for name in SHEETS:
        played = [
            Rehearsal(one, 12.4, (3.0,) * len(one.steps), TROUBLE if name == "in trouble" and one.number > 4 else "")
            for one in lessons.shelf()
        ]
        sheets[f"sheet {name}"] = folder / f"{name}.html"
        sheets[f"sheet {name}"].write_text(sheet.page(Lab(), played, memory), encoding="utf-8")
    return {**drills, **sheets}


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_read(browser: Browser, pages: dict[str, Path], name: str, look: Look, tmp_path: Path) -> None:
    browser.show(pages[name], look)
    browser.shoot(tmp_path / f"{name.replace(' ', '-')}-{look}.png")
    assert browser.protruding() == []
    assert browser.violations() == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_loaded_or_run_or_refused(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.show(pages[name], LOOKS[2])
    assert browser.ask("return performance.getEntriesByType('resource').map(item => item.name)") == []
    assert browser.said() == []
    assert browser.ask("return document.scripts.length") == 0
    assert browser.ask("return document.compatMode") == "CSS1Compat"


@pytest.mark.parametrize("name", ["drill as expected", "sheet held"])
def test_day_and_night_differ(browser: Browser, pages: dict[str, Path], name: str) -> None:
    colours = []
    for look in LOOKS[2:]:
        browser.show(pages[name], look)
        # A page that names no background has the canvas's, which only a system colour tells.
        script = """
            const probe = document.body.appendChild(document.createElement('p'));
            probe.style.backgroundColor = 'Canvas';
            const body = getComputedStyle(document.body);
            return [body.color, body.backgroundColor + getComputedStyle(probe).backgroundColor];
        """
        colours.append(browser.ask(script))
    assert all(day != night for day, night in zip(*colours, strict=True))


@pytest.mark.parametrize("look", LOOKS[::2], ids=str)
@pytest.mark.parametrize("name", ["drill as expected", "drill until undone"])
def test_a_plot_is_as_big_as_can_be_read_and_no_bigger(
    browser: Browser, pages: dict[str, Path], name: str, look: Look
) -> None:
    browser.show(pages[name], look)
    script = "return [...document.querySelectorAll('.plot text')].map(item => item.getBoundingClientRect().height)"
    assert {8 < height < 24 for height in browser.ask(script)} == {True}


def test_a_wide_table_scrolls_in_its_own_box_and_by_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    phone = LOOKS[0]
    for name in ("drill as expected", "sheet held"):
        browser.show(pages[name], phone)
        boxes = browser.ask("""
            return [...document.querySelectorAll('.scroll')]
                .map(item => [item.tabIndex, item.scrollWidth > item.clientWidth, item.getAttribute('aria-label')]);
        """)
        assert {focusable for focusable, _, _ in boxes} == {0}
        assert any(scrolls for _, scrolls, _ in boxes)
        assert all(label for _, _, label in boxes)
