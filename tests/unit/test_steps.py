"""What is refused before a bring-up touches anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

import pytest

from metallab import config, errors, steps
from metallab.bundle import Bundle
from metallab.bundle.record import Versions
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Event, Events, Kind, silent
from metallab.host.provider import Choice
from metallab.host.sandbox import Sandbox
from metallab.machines.labdir import LabDir
from metallab.site import site

BUNDLE = Bundle(Path("/nowhere"), "key", (), Versions("v1.37.2", "v0.15.2", "3", "1", "3"))


@pytest.mark.parametrize("line", ["kubernetes: v1.37.2", "kubernetes: 1.37.2", "metallb: v0.15.2", "metallb: null"])
def test_a_version_the_bundle_holds_is_good(line: str) -> None:
    steps.check_versions(config.parse(f"versions: {{{line}}}"), BUNDLE)


def test_a_version_the_bundle_does_not_hold_is_refused() -> None:
    with pytest.raises(LabError) as caught:
        steps.check_versions(config.parse("versions: {kubernetes: v1.30.0}"), BUNDLE)
    assert caught.value.entry is errors.CONFIG_VERSION_MISMATCH
    assert caught.value.what == "versions.kubernetes is v1.30.0, the bundle holds v1.37.2"


def test_a_lab_stays_with_the_provider_it_was_made_with() -> None:
    for provider in ("auto", "docker"):
        steps.refuse_other_provider(config.parse(f"provider: {provider}"), "docker")
    with pytest.raises(LabError) as caught:
        steps.refuse_other_provider(config.parse("{name: two, provider: libvirt}"), "docker")
    assert caught.value.entry is errors.PROVIDER_OTHER
    assert caught.value.what == "the lab two was made with docker, not libvirt"


class Daemon:
    """What a sandbox runs."""

    program = "dockerd"


class Answering:
    """A sandbox whose daemon answers, and that can be ended."""

    daemon = Daemon()
    environment: Mapping[str, str] = MappingProxyType({})

    def answers(self) -> bool:
        return True


def lab_that_will_not_go(monkeypatch: pytest.MonkeyPatch, state: Path, sandboxed: Answering | None) -> LabDir:
    """A lab of which the provider cannot clear away the machines."""

    def refuse(_self: object, _here: object) -> None:
        raise LabError(errors.VAGRANT_FAILED, "it did not receive an exit event")

    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.setattr("metallab.site.choose", lambda _lab: Choice("docker", "as told"))
    monkeypatch.setattr("metallab.providers.docker.Docker.clean", refuse)
    monkeypatch.setattr("metallab.host.sandbox.stop", lambda _sandbox: None)
    choice = Choice("docker", "as told", cast("Sandbox | None", sandboxed))
    monkeypatch.setattr("metallab.steps.site", lambda lab: dataclasses.replace(site(lab), choice=choice))
    labdir = LabDir.of(Lab())
    labdir.prepare(Lab())
    return labdir


def test_machines_that_will_not_go_end_with_the_lab_s_own_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labdir = lab_that_will_not_go(monkeypatch, tmp_path, Answering())
    seen: list[Event] = []
    steps.tear_down(Lab(), Events(seen.append))
    assert not labdir.path.exists()
    assert [event.text for event in seen if event.kind is Kind.FAILED] == [
        "it did not receive an exit event; they end with their daemon, which is the lab's own"
    ]


def test_machines_that_will_not_go_stay_known_where_the_daemon_is_the_host_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labdir = lab_that_will_not_go(monkeypatch, tmp_path, None)
    with pytest.raises(LabError) as caught:
        steps.tear_down(Lab(), silent())
    assert caught.value.entry is errors.VAGRANT_FAILED
    assert labdir.path.exists()
