"""Parts are made once, appear whole or not at all, and go when nobody needs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metallab import bundle, errors
from metallab.bundle import workshop
from metallab.bundle.workshop import Workshop
from metallab.errors import LabError
from metallab.events import Event, Events, Kind, Step, silent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return workshop.home()


def write(out: Path, _step: Step) -> None:
    (out / "program").write_text("made")


def fail(out: Path, _step: Step) -> None:
    (out / "half").write_text("made")
    raise KeyboardInterrupt


def test_a_part_is_made_once_for_the_same_inputs() -> None:
    seen: list[Event] = []
    shop = Workshop(Events(seen.append), total=3)
    first = shop.part("runc", "runc", ["go1.26"], write)
    assert shop.part("runc", "runc", ["go1.26"], fail) == first
    assert shop.part("runc", "runc", ["go1.27"], write) != first
    ends = [event.kind for event in seen if event.kind in (Kind.DONE, Kind.SKIPPED)]
    assert ends == [Kind.DONE, Kind.SKIPPED, Kind.DONE]
    assert [event.step for event in seen if event.kind is Kind.STARTED][-1] == "bundle 3/3: runc"


def test_rebuild_makes_a_part_again() -> None:
    part = Workshop(silent(), total=1).part("runc", "runc", [], write)
    (part / "program").write_text("damaged")
    assert Workshop(silent(), total=1, rebuild=True).part("runc", "runc", [], write) == part
    assert (part / "program").read_text() == "made"


def test_an_interruption_leaves_nothing_and_the_next_run_goes_on(home: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Workshop(silent(), total=1).part("runc", "runc", [], fail)
    assert list((home / "parts").iterdir()) == []
    assert (Workshop(silent(), total=1).part("runc", "runc", [], write) / "program").exists()


def test_what_a_killed_run_left_does_not_matter(home: Path) -> None:
    folder = home / "0123"
    (home / "0123.tmp").mkdir(parents=True)
    (home / "0123.tmp" / "half").write_text("left by a killed run")
    with workshop.fresh(folder) as unfinished:
        (unfinished / "whole").write_text("")
    assert [path.name for path in folder.iterdir()] == ["whole"]
    assert [path.name for path in home.iterdir()] == ["0123"]


def test_the_sweep_keeps_the_newest_bundles_and_the_parts_in_use(home: Path) -> None:
    shop = Workshop(silent(), total=2)
    shop.part("old", "old", [], write)
    shop.used.clear()
    used = shop.part("new", "new", [], write)
    for age, name in enumerate(["a", "b", "c", "d", "e.tmp"]):
        (home / name).mkdir()
        os.utime(home / name, (1_000_000 - age, 1_000_000 - age))
    workshop.sweep(shop.used)
    assert [path.name for path in (home / "parts").iterdir()] == [used.name]
    assert sorted(path.name for path in home.iterdir() if path.name != "parts") == ["a", "b", "c"]


def test_without_a_bundle_the_user_is_told_how_to_get_one() -> None:
    assert bundle.find() is None
    with pytest.raises(LabError) as caught:
        bundle.require()
    assert caught.value.entry is errors.BUNDLE_MISSING
    assert "bundle.build" in caught.value.fix
