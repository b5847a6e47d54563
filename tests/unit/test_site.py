"""What a command knows before it begins: the lab on the provider it was told, and how slow its machines are."""

from __future__ import annotations

from pathlib import Path

import pytest

from metallab import config, errors, site
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import silent
from metallab.host import provider
from metallab.host.provider import Choice
from metallab.machines.labdir import LabDir
from metallab.run import pace
from metallab.site import Site, likely_provider
from metallab.tasks._task import Session


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    file = tmp_path / "lab.yaml"
    file.write_text("{name: unit-only, provider: docker}\n")
    monkeypatch.setenv("LAB_FILE", str(file))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Session(silent())


@pytest.mark.parametrize("name", ["auto", "docker", "libvirt", "virtualbox"])
def test_the_command_line_decides_and_everything_else_is_lab_yaml_s(session: Session, name: str) -> None:
    lab = session.lab_on(name)
    assert lab == Lab(name="unit-only", provider=config.parse(f"provider: {name}").provider)
    assert session.lab.provider == "docker", "only this one time"


def test_without_a_word_lab_yaml_decides(session: Session) -> None:
    assert session.lab_on("") is session.lab


@pytest.mark.parametrize("name", ["vmware", "Docker", "docker ", "KVM"])
def test_a_provider_there_is_none_of_is_named_with_those_there_are(session: Session, name: str) -> None:
    with pytest.raises(LabError) as caught:
        session.lab_on(name)
    assert caught.value.entry.id == "LAB-HOST-010"
    assert repr(name) in caught.value.what
    assert "auto, docker, libvirt, virtualbox" in caught.value.what


@pytest.mark.parametrize(
    ("asked", "likely"), [("auto", "docker"), ("libvirt", "libvirt"), ("virtualbox", "virtualbox")]
)
def test_on_a_host_where_nothing_runs_yet_there_is_a_likely_provider(
    session: Session, monkeypatch: pytest.MonkeyPatch, asked: str, likely: str
) -> None:
    def nothing(*_args: object) -> Choice:
        raise LabError(errors.PROVIDER_NONE, "nothing runs here")

    monkeypatch.setattr(provider, "choose", nothing)
    assert likely_provider(session.lab_on(asked)) == likely


def here(session: Session, monkeypatch: pytest.MonkeyPatch, choice: Choice) -> Site:
    monkeypatch.setattr(provider, "choose", lambda *_args: choice)
    return Site.of(session.lab)


def test_what_was_measured_decides_how_long_a_command_waits(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    here(session, monkeypatch, Choice("libvirt", "", accelerated=False))
    assert pace.factor() == pace.EMULATED, "before anything was measured"
    here(session, monkeypatch, Choice("libvirt", ""))
    assert pace.factor() == 1.0
    labdir = LabDir.of(session.lab)
    labdir.write_secret(labdir.pace, '{"cp": 7.5, "client": 2.0}\n')
    for accelerated in (True, False):
        here(session, monkeypatch, Choice("libvirt", "", accelerated=accelerated))
        assert pace.factor() == 7.5


@pytest.mark.parametrize("text", ["", "{", "3", "[1]"])
def test_a_damaged_measurement_is_none(session: Session, text: str) -> None:
    labdir = LabDir.of(session.lab)
    labdir.write_secret(labdir.pace, text)
    assert site._paces(labdir) == {}


def test_a_machine_is_measured_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([pace.Slowness(4.0, 4.5), pace.Slowness(6.0, 6.0)])
    monkeypatch.setattr(pace, "measure", lambda _runner: next(measured))
    found = here(session, monkeypatch, Choice("libvirt", ""))
    first, second, *_others = found.lab.machines
    assert [found.calibrate(machine) for machine in (first, second, first)] == [4.0, 6.0, 4.0]
    assert pace.factor() == 6.0, "the slowest decides"
    assert found.labdir.pace.stat().st_mode & 0o077 == 0
    again = here(session, monkeypatch, Choice("libvirt", ""))
    assert (again.calibrate(second), pace.factor()) == (6.0, 6.0)


def test_a_busy_host_makes_this_command_patient_and_is_not_remembered(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "busy", lambda: 3.0)
    monkeypatch.setattr(pace, "measure_here", lambda: 2.0)
    measured = iter([pace.Slowness(2.0, 17.0), pace.Slowness(1.5, 5.0)])
    monkeypatch.setattr(pace, "measure", lambda _runner: next(measured))
    found = here(session, monkeypatch, Choice("docker", ""))
    assert (pace.own(), pace.factor()) == (2.0, 6.0), "as this host is, and as long as this process had to wait"
    first, second, *_others = found.lab.machines
    assert [found.calibrate(machine) for machine in (first, second)] == [2.0, 1.5]
    assert (pace.own(), pace.factor()) == (2.0, 17.0), "the worst it saw"
    here(session, monkeypatch, Choice("docker", ""))
    assert (pace.own(), pace.factor()) == (2.0, 6.0), "another command, as busy as the host is by then"
    monkeypatch.setattr(pace, "busy", lambda: 1.0)
    here(session, monkeypatch, Choice("docker", ""))
    assert (pace.own(), pace.factor()) == (2.0, 2.0), "a quiet hour"
