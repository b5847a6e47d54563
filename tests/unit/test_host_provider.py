"""Which provider a lab gets, on hosts made of programs that are there or not."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

import pytest

from metallab.config import Lab, parse
from metallab.errors import LabError
from metallab.host import kvm, libvirt, provider, virtualbox
from metallab.host.daemons import DOCKER, LIBVIRT
from metallab.host.provider import Choice, Made, choose
from metallab.host.sandbox import Sandbox

NAME = "unit-only"
"""A lab that nobody runs, whatever goes on on this host."""
LAB = Lab(name=NAME)
DOCKERS, LIBVIRTS = Sandbox(NAME, DOCKER), Sandbox(NAME, LIBVIRT)
PROGRAMS = {
    "docker": "echo 28.2.2",
    "docker without a daemon": "echo Cannot connect to the Docker daemon >&2; exit 1",
    "virsh": "echo Using library: libvirt 9.0.0; echo Running against daemon: 9.0.0",
    "virsh without a daemon": "echo error: failed to connect to the hypervisor >&2; exit 1",
    "libvirtd": "exit 1",
    "VBoxManage": "echo 7.0.20r163906",
    kvm.QEMU: "exit 33",
    f"{kvm.QEMU} without KVM": "echo failed to initialize kvm >&2; exit 1",
}
LIBVIRT_HERE = ("virsh", kvm.QEMU, "vagrant-libvirt")
LIBVIRT_HERE_SLOW = ("virsh", f"{kvm.QEMU} without KVM", "vagrant-libvirt")
LIBVIRT_TO_START = ("virsh without a daemon", "libvirtd", kvm.QEMU, "vagrant-libvirt")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of root's with an empty PATH, a device for KVM, and a VirtualBox that allows every network."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "kvm").touch()
    (tmp_path / "networks.conf").write_text("* 0.0.0.0/0\n")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant.d"))
    monkeypatch.setattr(provider, "DISTRIBUTION_GEMS", tmp_path / "gems")
    monkeypatch.setattr(virtualbox, "NETWORKS_CONF", tmp_path / "networks.conf")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(kvm, "probe", functools.partial(kvm.probe, tmp_path / "kvm"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


def install(host: Path, *names: str) -> None:
    for name in names:
        if name == "vagrant-libvirt":
            (host.parent / "gems" / "vagrant-libvirt-0.11.2").mkdir(parents=True)
            continue
        program = host / name.split()[0]
        program.write_text(f"#!/bin/sh\n{PROGRAMS[name]}\n")
        program.chmod(0o755)


def made(provider: str, environment: dict[str, str] | None = None, *, accelerated: bool = True) -> Made:
    return Made(provider, environment or {}, accelerated, LAB.network)


# -- a new lab -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("programs", "name", "sandbox"),
    [
        ([], "docker", DOCKERS),
        (["docker without a daemon"], "docker", DOCKERS),
        (["docker"], "docker", None),
        (["docker", "VBoxManage"], "virtualbox", None),
        (["docker", "VBoxManage", *LIBVIRT_HERE], "libvirt", None),
        (["docker", "VBoxManage", *LIBVIRT_TO_START], "libvirt", LIBVIRTS),
        (["docker", "VBoxManage", *LIBVIRT_HERE_SLOW], "virtualbox", None),
        (["docker", *LIBVIRT_HERE_SLOW], "docker", None),
        ([*LIBVIRT_HERE_SLOW], "docker", DOCKERS),
        (["docker", "virsh", kvm.QEMU], "docker", None),
        (["docker", "virsh without a daemon", kvm.QEMU, "vagrant-libvirt"], "docker", None),
        (["docker", "virsh", "vagrant-libvirt"], "docker", None),
    ],
)
def test_what_fits_the_host_best(host: Path, programs: list[str], name: str, sandbox: Sandbox | None) -> None:
    install(host, *programs)
    choice = choose(LAB)
    assert (choice.provider, choice.sandbox, choice.accelerated) == (name, sandbox, True)


def test_without_the_device_the_best_is_not_libvirt(host: Path) -> None:
    install(host, "docker", *LIBVIRT_HERE)
    (host.parent / "kvm").unlink()
    assert choose(LAB).provider == "docker"


@pytest.mark.parametrize(
    ("asked", "programs", "sandbox", "accelerated", "reason"),
    [
        ("docker", ["docker", *LIBVIRT_HERE], None, True, "a Docker daemon answers (version 28.2.2)"),
        ("docker", LIBVIRT_HERE, DOCKERS, True, "no Docker daemon answers, so the lab starts its own"),
        ("libvirt", ["docker", *LIBVIRT_HERE], None, True, "a libvirtd answers (version 9.0.0), with KVM"),
        ("libvirt", LIBVIRT_HERE_SLOW, None, False, "a libvirtd answers (version 9.0.0), by plain emulation"),
        ("libvirt", LIBVIRT_TO_START, LIBVIRTS, True, "no libvirtd answers, so the lab starts its own, with KVM"),
        ("virtualbox", ["VBoxManage", *LIBVIRT_HERE], None, True, "VirtualBox 7.0.20r163906 is installed"),
    ],
)
def test_what_lab_yaml_asks_for_is_taken(
    host: Path,
    asked: str,
    programs: list[str],
    sandbox: Sandbox | None,
    accelerated: bool,  # noqa: FBT001
    reason: str,
) -> None:
    install(host, *programs)
    choice = choose(parse(f"{{name: {NAME}, provider: {asked}}}"))
    assert (choice.provider, choice.sandbox, choice.accelerated, choice.reason) == (asked, sandbox, accelerated, reason)


def test_emulation_comes_with_what_was_seen(host: Path) -> None:
    install(host, *LIBVIRT_HERE_SLOW)
    choice = choose(parse(f"{{name: {NAME}, provider: libvirt}}"))
    assert choice.evidence == "QEMU ended with status 1: failed to initialize kvm"


@pytest.mark.usefixtures("host")
def test_virtualbox_that_is_not_there_is_refused() -> None:
    with pytest.raises(LabError) as caught:
        choose(parse("provider: virtualbox"))
    assert caught.value.entry.id == "LAB-PROV-003"


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(("asked", "daemon"), [("auto", "Docker"), ("docker", "Docker"), ("libvirt", "libvirtd")])
def test_who_is_not_root_needs_a_daemon_that_answers(monkeypatch: pytest.MonkeyPatch, asked: str, daemon: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=f"no {daemon}.* answers, and only root can start one") as caught:
        choose(parse(f"{{name: {NAME}, provider: {asked}}}"))
    assert caught.value.entry.id == "LAB-PROV-001"


def test_who_is_not_root_can_still_be_given_what_answers(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    install(host, "docker", *LIBVIRT_TO_START)
    assert choose(LAB).provider == "docker"
    install(host, "virsh")
    assert choose(LAB).provider == "libvirt"


# -- a lab that has machines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["auto", "docker", "libvirt", "virtualbox"])
@pytest.mark.parametrize(
    ("with_what", "sandbox"),
    [
        (made("docker"), None),
        (made("libvirt", libvirt.SYSTEM), None),
        (made("virtualbox"), None),
        (made("docker", DOCKERS.environment), DOCKERS),
        (made("libvirt", LIBVIRTS.environment), LIBVIRTS),
    ],
)
def test_a_lab_stays_with_what_it_was_made_with(
    host: Path, asked: str, with_what: Made, sandbox: Sandbox | None
) -> None:
    install(host, "docker", "VBoxManage", *LIBVIRT_HERE)
    choice = choose(parse(f"{{name: {NAME}, provider: {asked}}}"), with_what)
    assert (choice.provider, choice.sandbox, choice.environment) == (
        with_what.provider,
        sandbox,
        dict(with_what.environment),
    )


@pytest.mark.parametrize("environment", [libvirt.SYSTEM, LIBVIRTS.environment])
@pytest.mark.parametrize("accelerated", [True, False])
def test_whether_by_kvm_is_not_asked_again(host: Path, environment: dict[str, str], accelerated: bool) -> None:  # noqa: FBT001
    install(host, "virsh", f"{kvm.QEMU} without KVM" if accelerated else kvm.QEMU)
    choice = choose(LAB, made("libvirt", environment, accelerated=accelerated))
    assert (choice.accelerated, choice.evidence) == (accelerated, "as seen when the lab was made")


@pytest.mark.parametrize(
    ("with_what", "program", "daemon"),
    [
        (made("docker"), "docker without a daemon", "Docker"),
        (made("libvirt", libvirt.SYSTEM), "virsh without a daemon", "libvirtd"),
    ],
)
def test_a_lab_is_not_made_again_where_another_daemon_would_do(
    host: Path, with_what: Made, program: str, daemon: str
) -> None:
    install(host, "docker", *LIBVIRT_HERE, "VBoxManage", program)
    with pytest.raises(LabError, match=f"is on this host's {daemon}, which does not answer") as caught:
        choose(LAB, with_what)
    assert (caught.value.entry.id, caught.value.fix) == ("LAB-PROV-001", f"start {daemon}, then run the command again")


@pytest.mark.usefixtures("host")
def test_a_lab_of_a_virtualbox_that_is_gone_is_not_made_again() -> None:
    with pytest.raises(LabError) as caught:
        choose(LAB, made("virtualbox"))
    assert caught.value.entry.id == "LAB-PROV-003"


def test_the_environment_is_the_sandbox_s_or_the_host_s() -> None:
    assert Choice("docker", "").environment == {}
    assert Choice("libvirt", "", host=libvirt.SYSTEM).environment == libvirt.SYSTEM
    assert Choice("libvirt", "", LIBVIRTS, host=libvirt.SYSTEM).environment == LIBVIRTS.environment
