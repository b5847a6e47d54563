"""What makes a snapshot whole: its record, its name, and a lab that still is what it was."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from metallab import config, errors, lock, providers, snapshots, steps
from metallab.cluster import ready
from metallab.config import Lab, parse
from metallab.errors import LabError
from metallab.events import Event, Events
from metallab.machines import clock, snapshot
from metallab.machines.labdir import LabDir
from metallab.machines.snapshot import Snapshot
from metallab.run.result import Result


@pytest.fixture
def labdir(tmp_path: Path) -> LabDir:
    return LabDir(tmp_path / "lab")


def made(name: str, when: str = "2026-11-26T06:00:00Z") -> Snapshot:
    return Snapshot(name, when, ("cp", "w1"), snapshot.layout(Lab()))


# -- records ---------------------------------------------------------------------------------------------------


def test_records_are_read_back_the_oldest_first(labdir: LabDir) -> None:
    later, sooner = made("a", "2026-11-26T07:00:00Z"), made("b")
    for one in (later, sooner):
        snapshot.begin(labdir, one.name)
        snapshot.record(labdir, one)
    assert snapshot.recorded(labdir) == (sooner, later)
    assert snapshot.require(labdir, "a") == later


def test_what_has_no_record_is_no_snapshot(labdir: LabDir) -> None:
    snapshot.begin(labdir, "half")
    assert snapshot.recorded(labdir) == ()
    with pytest.raises(LabError) as caught:
        snapshot.require(labdir, "half")
    assert caught.value.entry is errors.SNAPSHOT_UNKNOWN


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"made": 1}'])
def test_a_damaged_record_is_none(labdir: LabDir, text: str) -> None:
    snapshot.begin(labdir, "odd")
    (labdir.snapshots / "odd" / "record.json").write_text(text)
    assert snapshot.recorded(labdir) == ()


def test_a_disowned_snapshot_is_not_listed_though_its_parts_are_there(labdir: LabDir) -> None:
    assert not snapshot.disown(labdir, "a")
    snapshot.begin(labdir, "a")
    snapshot.record(labdir, made("a"))
    assert snapshot.disown(labdir, "a")
    assert snapshot.recorded(labdir) == ()
    assert snapshot.disown(labdir, "a"), "an interrupted delete is gone on with"
    snapshot.forget(labdir, "a")
    assert not (labdir.snapshots / "a").exists()


def test_an_unknown_name_is_answered_with_the_known_ones(labdir: LabDir) -> None:
    snapshot.begin(labdir, "fresh")
    snapshot.record(labdir, made("fresh"))
    with pytest.raises(LabError) as caught:
        snapshot.require(labdir, "frehs")
    assert "fresh" in caught.value.fix


def test_the_layout_is_what_machines_carry_within_them() -> None:
    usual = snapshot.layout(Lab())
    assert snapshot.layout(parse("provider: docker\npool: 64-80\n")) == usual
    assert snapshot.layout(parse("network: 10.1.2.0/24\n")) != usual
    assert snapshot.layout(parse("pods: 10.200.0.0/16\n")) != usual


# -- names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "fresh", "with-metallb", "v2", "a" * 24])
def test_names(name: str) -> None:
    assert config.is_name(name)


@pytest.mark.parametrize("name", ["", "-", "a-", "A", "2a", "a.b", "a/b", "..", "a b", "a\n", "a--b", "a" * 25])
def test_no_names(name: str) -> None:
    assert not config.is_name(name)


# -- the story with a provider that only remembers -------------------------------------------------------------


class Remembering:
    """A provider that writes down what it is asked; ``fails`` is what its save raises."""

    own_clock = False

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: BaseException | None = None

    def save(self, _here: Any, name: str, _events: Events) -> None:
        self.asked.append(f"save {name}")
        if self.fails is not None:
            raise self.fails

    def restore(self, _here: Any, name: str, _events: Events) -> None:
        self.asked.append(f"restore {name}")
        if self.fails is not None:
            raise self.fails

    def drop(self, _here: Any, name: str) -> None:
        self.asked.append(f"drop {name}")


class Here:
    """A site without machines."""

    class choice:  # noqa: N801 - stands for a record
        provider = "remembering"

    cluster = None

    def __init__(self, lab: Lab) -> None:
        self.lab, self.labdir = lab, LabDir.of(lab)

    def node_runners(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remembering:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    LabDir.of(Lab()).path.mkdir(parents=True)
    known = Remembering()
    monkeypatch.setattr(snapshots, "existing", Here)
    monkeypatch.setattr(providers, "of", lambda _name: known)
    monkeypatch.setattr(ready, "wait_for_cluster", lambda *_args: known.asked.append("wait"))
    monkeypatch.setattr(steps, "prepare", lambda lab, _events: Here(lab))
    monkeypatch.setattr(steps, "bring_back", lambda *_args: known.asked.append("bring back"))
    return known


def unseen() -> Events:
    seen: list[Event] = []
    return Events(seen.append)


def test_a_save_is_recorded_once_all_is_kept(provider: Remembering) -> None:
    kept = snapshots.save(Lab(), "fresh", unseen())
    assert provider.asked == ["save fresh", "wait"]
    assert snapshots.recorded(Lab()) == (kept,)
    assert kept.machines == ("control-plane", "worker-1", "worker-2", "client")
    assert kept.made.endswith("Z")


@pytest.mark.parametrize("how", [LabError(errors.SNAPSHOT_IMPOSSIBLE, "no"), KeyboardInterrupt()])
def test_a_save_that_ends_early_leaves_nothing(provider: Remembering, how: BaseException) -> None:
    provider.fails = how
    with pytest.raises(type(how)):
        snapshots.save(Lab(), "fresh", unseen())
    assert provider.asked == ["save fresh", "drop fresh"]
    assert snapshots.recorded(Lab()) == ()
    assert not (LabDir.of(Lab()).snapshots / "fresh").exists()
    provider.fails = None
    snapshots.save(Lab(), "fresh", unseen())


@pytest.mark.parametrize("name", ["fresh", "../up", "Fresh", ""])
def test_a_name_that_is_taken_or_none_is_refused_before_anything(provider: Remembering, name: str) -> None:
    snapshots.save(Lab(), "fresh", unseen())
    provider.asked.clear()
    with pytest.raises(LabError) as caught:
        snapshots.save(Lab(), name, unseen())
    assert caught.value.entry is errors.SNAPSHOT_NAME
    assert provider.asked == []


def test_a_restore_brings_the_lab_up_again(provider: Remembering) -> None:
    snapshots.save(Lab(), "fresh", unseen())
    provider.asked.clear()
    snapshots.restore(Lab(), "fresh", unseen())
    assert provider.asked == ["restore fresh", "bring back"]
    assert not LabDir.of(Lab()).restoring.exists()


def test_an_interrupted_restore_is_the_next_thing_to_do(provider: Remembering) -> None:
    snapshots.save(Lab(), "fresh", unseen())
    provider.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        snapshots.restore(Lab(), "fresh", unseen())
    provider.fails = None
    for other in (lambda: steps.refuse_half_restored(Lab()), lambda: snapshots.save(Lab(), "two", unseen())):
        with pytest.raises(LabError) as caught:
            other()
        assert caught.value.entry is errors.SNAPSHOT_HALF
        assert "lab.snapshot.restore fresh" in caught.value.fix
    snapshots.restore(Lab(), "fresh", unseen())
    steps.refuse_half_restored(Lab())


def test_a_snapshot_that_lacks_a_machine_stops_nothing_but_its_restore(provider: Remembering) -> None:
    snapshots.save(Lab(), "fresh", unseen())
    provider.fails = LabError(errors.SNAPSHOT_UNKNOWN, "a machine is missing")
    with pytest.raises(LabError):
        snapshots.restore(Lab(), "fresh", unseen())
    steps.refuse_half_restored(Lab())
    LabDir.of(Lab()).restoring.write_text("other")
    with pytest.raises(LabError):
        snapshots.restore(Lab(), "fresh", unseen())
    with pytest.raises(LabError, match="restoring other was interrupted"):
        steps.refuse_half_restored(Lab())


def test_a_lab_that_was_moved_is_not_put_back(provider: Remembering) -> None:
    snapshots.save(Lab(), "fresh", unseen())
    provider.asked.clear()
    with pytest.raises(LabError) as caught:
        snapshots.restore(parse("network: 10.1.2.0/24\n"), "fresh", unseen())
    assert caught.value.entry is errors.SNAPSHOT_IMPOSSIBLE
    assert provider.asked == []


@pytest.mark.usefixtures("provider")
def test_nothing_is_saved_while_another_command_changes_the_lab() -> None:
    with lock.held(LabDir.of(Lab()).lock, "it"), pytest.raises(LabError) as caught:
        snapshots.save(Lab(), "fresh", unseen())
    assert caught.value.entry is errors.HOST_BUSY


def test_delete_goes_on_where_it_was_interrupted(provider: Remembering) -> None:
    snapshots.save(Lab(), "fresh", unseen())
    snapshot.disown(LabDir.of(Lab()), "fresh")
    snapshots.delete(Lab(), "fresh", unseen())
    assert provider.asked[-1] == "drop fresh"
    for name in ("fresh", "..", ""):
        with pytest.raises(LabError) as caught:
            snapshots.delete(Lab(), name, unseen())
        assert caught.value.entry is errors.SNAPSHOT_UNKNOWN


# -- clocks ----------------------------------------------------------------------------------------------------


class Clock:
    """A machine whose clock is wrong by so many seconds."""

    name = "w1"

    def __init__(self, late: float) -> None:
        self.late, self.told = late, list[str]()

    def run(self, argv: Any, **_more: Any) -> Result:
        if argv[1].startswith("+"):
            return Result(tuple(argv), 0, f"{time.time() - self.late:.6f}\n", "", 0.0)
        self.told.append(argv[-1])
        return Result(tuple(argv), 0, "", "", 0.0)


@pytest.mark.parametrize("late", [-3600.0, 2.5, 90.0])
def test_a_wrong_clock_is_set(late: float) -> None:
    machine = Clock(late)
    assert clock.set_right(machine) == pytest.approx(late, abs=0.5)
    (told,) = machine.told
    assert float(told.removeprefix("@")) == pytest.approx(time.time(), abs=1)


@pytest.mark.parametrize("late", [-1.0, 0.0, 1.0])
def test_a_clock_that_is_nearly_right_is_left_alone(late: float) -> None:
    machine = Clock(late)
    clock.set_right(machine)
    assert machine.told == []
