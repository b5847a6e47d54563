"""Every lab of a user, by the folders they keep: running, off, of an earlier version, damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from metallab import errors, labs
from metallab.config import Lab, Machine
from metallab.errors import LabError
from metallab.host.sandbox import Sandbox
from metallab.labs import Known
from metallab.machines import inventory
from metallab.machines.labdir import LabDir
from metallab.providers.docker import Docker
from metallab.providers.libvirt import Libvirt
from metallab.providers.virtualbox import VirtualBox


class Provider:
    """A provider whose daemon says what it is told to."""

    def __init__(self, says: Any) -> None:
        self.says = says

    def running(self, machines: Any, environment: Mapping[str, str]) -> frozenset[str]:
        if isinstance(self.says, LabError):
            raise self.says
        return frozenset(one["name"] for one in machines if one["name"] in self.says)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "metallab"


def made(lab: Lab, environment: dict[str, str], file: Path | None = None) -> LabDir:
    """Keep what lab.up leaves of a lab."""
    labdir = LabDir.of(lab)
    labdir.path.mkdir(parents=True)
    machines = [{"name": machine.name, "ip": str(lab.address(machine))} for machine in lab.machines]
    record = {"provider": "docker", "environment": environment, "common": {"netmask": "24"}, "machines": machines}
    labdir.inventory.write_text(json.dumps(record))
    if file is not None:
        labdir.record.write_text(inventory.origin(lab, file))
    return labdir


def answer(monkeypatch: pytest.MonkeyPatch, says: Any) -> None:
    monkeypatch.setattr("metallab.providers.of", lambda _name: Provider(says))


def test_without_a_folder_there_is_no_lab(state: Path) -> None:
    assert labs.known() == ()


def test_a_lab_on_the_hosts_daemon(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "lab.yaml"
    file.touch()
    labdir = made(Lab(name="one"), {}, file)
    answer(monkeypatch, ["control-plane", "worker-1", "worker-2", "client", "stray"])
    (found,) = labs.known()
    assert found == Known(
        name="one",
        folder=str(labdir.path),
        provider="docker",
        daemon="host",
        network="192.168.96.0/24",
        running=4,
        machines=4,
        address="192.168.96.70",
        file=str(file),
    )
    assert found.state == "up"
    assert found.row()[4] == "4 of 4"
    for running, state_now in ((["client"], "in part"), ([], "off")):
        answer(monkeypatch, running)
        assert labs.known()[0].state == state_now
    file.unlink()
    assert labs.known()[0].row()[-2].endswith("lab.yaml (gone)")


def test_a_sandbox_that_is_gone_runs_nothing_and_nobody_is_asked(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(Lab(name="unit-only-gone"), Sandbox("unit-only-gone").environment)
    answer(monkeypatch, LabError(errors.HOST_COMMAND_FAILED, "asked"))
    (found,) = labs.known()
    assert (found.daemon, found.running, found.state) == ("sandbox", 0, "off")
    assert found.row()[-3:] == ("?", "?", "off"), "a lab of an earlier version says no file"


def test_damaged_ones_are_marked_and_do_not_hide_the_others(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(Lab(name="good"), {})
    (state / "half" / "ssh").mkdir(parents=True)
    (state / "spoilt").mkdir()
    (state / "spoilt" / "inventory.json").write_text("{")
    made(Lab(name="restoring"), {}).restoring.write_text("fresh")
    (state / "no-folder").touch()
    answer(monkeypatch, ["control-plane"])
    states = {one.name: one.state for one in labs.known()}
    assert states["good"] == "in part"
    assert states["half"].startswith("damaged: it was never made to its end")
    assert states["spoilt"].startswith("damaged: its inventory cannot be read")
    assert states["restoring"] == "damaged: a restore was interrupted"
    assert list(states) == ["good", "half", "restoring", "spoilt"]


def test_a_silent_daemon_is_said(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(Lab(name="one"), {})
    answer(monkeypatch, LabError(errors.HOST_COMMAND_FAILED, "exit status 1 from: docker ps"))
    (found,) = labs.known()
    assert (found.running, found.state) == (None, "damaged: exit status 1 from: docker ps")
    assert found.row()[4] == "? of 4"


@pytest.mark.parametrize(
    ("provider", "program", "settings", "says"),
    [
        (Docker(), "docker", {"name": "metallab-a_{}"}, "metallab-a_cp\nmetallab-a_b-c\nmetallab-a-b_off\nother\n"),
        (Docker(), "docker", {"name": "metallab-a-{}"}, "metallab-a-cp\nmetallab-a-b-c\n"),
        (Libvirt(), "virsh", {"default_prefix": "metallab-a_"}, "metallab-a_cp\nmetallab-a_b-c\nmetallab-a-b_off\n\n"),
        (VirtualBox(), "VBoxManage", {"name": "metallab-a_{}"}, '"metallab-a_cp" {1}\n"metallab-a_b-c" {2}\n'),
    ],
    ids=["docker", "docker, names of an earlier version", "libvirt", "virtualbox"],
)
def test_a_provider_tells_a_labs_machines_from_all_others(
    provider: Any, program: str, settings: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "says").write_text(says)
    script = tmp_path / program
    script.write_text(f'#!/bin/sh\n[ "$WHERE" = there ] || exit 1\ncat {tmp_path}/says\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    machines = [
        {"name": name, "settings": {key: value.format(name) for key, value in settings.items()}}
        for name in ("cp", "b-c", "off")
    ]
    assert provider.running(machines, {"WHERE": "there"}) == {"cp", "b-c"}
    with pytest.raises(LabError):
        provider.running(machines, {})


def test_two_labs_never_have_a_container_of_one_name() -> None:
    """The machine b-c of the lab a was called as the machine c of the lab a-b, and removed as its leftover."""
    machine = Machine(name="b-c", role="worker", host=11)
    other = Machine(name="c", role="worker", host=11)
    one = inventory.container_name(Lab(name="a"), machine)
    assert one != inventory.container_name(Lab(name="a-b"), other)
