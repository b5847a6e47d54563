"""A fault is written down before it is made, and undone whatever happens: an error, Ctrl-C, or kill -9."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from metallab import errors
from metallab.drills import base, echo, journal, play, registry
from metallab.drills.base import Drill, Facts, Stage
from metallab.errors import LabError
from metallab.events import Event, Events
from metallab.machines.labdir import LabDir
from metallab.proof.records import Picture

FACTS = {"node": "worker-1"}


@pytest.fixture
def labdir(tmp_path: Path) -> LabDir:
    return LabDir(tmp_path)


@pytest.fixture
def seen() -> list[Event]:
    return []


@pytest.fixture
def stage(labdir: LabDir, seen: list[Event]) -> Stage:
    site = cast("Any", SimpleNamespace(labdir=labdir, cluster=None))
    return Stage(site, cast("Any", None), Events(seen.append), Picture("", ""))


class Fault:
    """Something that can be broken and undone, and keeps what was done to it."""

    def __init__(self, labdir: LabDir) -> None:
        self.done: list[str] = []
        self.labdir = labdir
        self.record: journal.Record | None = None
        self.undo_raises: list[BaseException] = []

    def make(self, _stage: Stage, _facts: Facts) -> Facts:
        self.record = journal.read(self.labdir)
        self.done.append("made")
        return {"said": "hello"}

    def undo(self, _stage: Stage, facts: Facts) -> None:
        assert facts == FACTS
        if self.undo_raises:
            raise self.undo_raises.pop()
        self.done.append("undone")


@pytest.fixture
def fault(labdir: LabDir) -> Fault:
    return Fault(labdir)


@pytest.fixture
def drill(fault: Fault) -> Drill:
    return dataclasses.replace(registry.DRILLS[0], id="unit", words="a fault", make=fault.make, undo=fault.undo)


def test_what_is_broken_is_written_down_before_and_crossed_out_after(
    drill: Drill, stage: Stage, fault: Fault, labdir: LabDir
) -> None:
    with base.broken(drill, stage, FACTS) as noted:
        assert noted == {"said": "hello"}
        assert journal.read(labdir) == journal.Record("unit", FACTS)
    assert fault.record == journal.Record("unit", FACTS), "before it was made"
    assert fault.done == ["made", "undone"]
    assert journal.read(labdir) == journal.Record("", {})
    assert labdir.drill.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [KeyboardInterrupt, LabError, ValueError])
def test_it_is_undone_whatever_ends_the_block(
    drill: Drill, stage: Stage, fault: Fault, error: type[BaseException]
) -> None:
    raised = LabError(errors.MACHINE_UNREACHABLE, "gone") if error is LabError else error()
    with pytest.raises(error), base.broken(drill, stage, FACTS):
        raise raised
    assert fault.done == ["made", "undone"]


def test_a_fault_that_was_made_by_half_is_undone(drill: Drill, stage: Stage, fault: Fault) -> None:
    def half(_stage: Stage, _facts: Facts) -> None:
        raise LabError(errors.MACHINE_COMMAND_FAILED, "no")

    with pytest.raises(LabError), base.broken(dataclasses.replace(drill, make=half), stage, FACTS):
        raise AssertionError("the block is not entered")
    assert fault.done == ["undone"]


def test_ctrl_c_while_undoing_is_kept_until_it_is_undone(
    drill: Drill, stage: Stage, fault: Fault, labdir: LabDir
) -> None:
    fault.undo_raises = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        base.undo(drill, stage, FACTS)
    assert fault.done == ["undone"]
    assert journal.read(labdir) == journal.Record("", {})


def test_a_second_ctrl_c_ends_it_and_the_record_stays(drill: Drill, stage: Stage, fault: Fault, labdir: LabDir) -> None:
    fault.undo_raises = [KeyboardInterrupt(), KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt), base.broken(drill, stage, FACTS):
        pass
    assert journal.read(labdir) == journal.Record("unit", FACTS)


def test_what_cannot_be_undone_is_said_and_stays_on_record(
    drill: Drill, stage: Stage, fault: Fault, labdir: LabDir
) -> None:
    fault.undo_raises = [LabError(errors.MACHINE_UNREACHABLE, "no SSH to worker-1", where="worker-1", detail="why")]
    with pytest.raises(LabError) as caught, base.broken(drill, stage, FACTS):
        pass
    assert caught.value.entry is errors.DRILL_NOT_UNDONE
    assert caught.value.what == "unit could not be undone: no SSH to worker-1 on worker-1 (LAB-MACH-002)"
    assert caught.value.detail == "why"
    assert journal.read(labdir) == journal.Record("unit", FACTS)


# -- the next command


@pytest.fixture
def heal(stage: Stage, drill: Drill, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    monkeypatch.setattr(registry, "DRILLS", (drill,))
    monkeypatch.setattr(echo, "strike", lambda _cluster: [])
    return lambda: play.heal(stage.site, cast("Any", None), stage.events)


def test_the_next_command_undoes_what_a_killed_drill_left(
    heal: Callable[[], bool], fault: Fault, labdir: LabDir, seen: list[Event]
) -> None:
    journal.write(labdir, "unit", FACTS)
    assert heal()
    assert fault.done == ["undone"]
    assert not labdir.drill.exists()
    assert seen[0].text == "an earlier drill was interrupted: unit"
    assert not heal(), "once is enough"


@pytest.mark.usefixtures("heal")
@pytest.mark.parametrize(("off", "undone"), [("", ["undone"]), ("client", [])], ids=["all up", "one is off"])
def test_before_a_bring_up_it_is_undone_only_where_every_machine_lets_us_in(
    stage: Stage, fault: Fault, labdir: LabDir, off: str, undone: list[str]
) -> None:
    def runner(machine: str) -> Any:
        return SimpleNamespace(answers=lambda: machine != off)

    here = cast("Any", SimpleNamespace(labdir=labdir, cluster=None, lab=SimpleNamespace(machines=["cp", "client"])))
    here.runner = runner
    play.heal_where_up(here, lambda _site: cast("Any", None), stage.events)
    assert fault.done == [], "nothing is on record"
    journal.write(labdir, "unit", FACTS)
    play.heal_where_up(here, lambda _site: cast("Any", None), stage.events)
    assert fault.done == undone
    assert labdir.drill.exists() is bool(off)


def test_of_a_drill_that_had_broken_nothing_only_the_echo_is_taken_away(
    heal: Callable[[], bool], fault: Fault, labdir: LabDir
) -> None:
    journal.write(labdir, "", {})
    assert heal()
    assert fault.done == []
    assert not labdir.drill.exists()


def test_a_heal_that_fails_can_be_tried_again(heal: Callable[[], bool], fault: Fault, labdir: LabDir) -> None:
    journal.write(labdir, "unit", FACTS)
    fault.undo_raises = [LabError(errors.CLUSTER_UNREACHABLE, "down")]
    with pytest.raises(LabError):
        heal()
    assert heal()
    assert fault.done == ["undone"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"drill": "x"}', '{"drill": "x", "facts": []}', "half a reco"])
def test_a_damaged_record_is_an_error_and_never_nothing(labdir: LabDir, text: str) -> None:
    labdir.drill.write_text(text)
    with pytest.raises(LabError) as caught:
        journal.read(labdir)
    assert caught.value.entry is errors.DRILL_RECORD


def test_without_a_record_nothing_is_broken(labdir: LabDir) -> None:
    assert journal.read(labdir) is None
    journal.close(labdir)
