"""What this host can carry: each provider tried, with the evidence, and the one a new lab would get.

Nothing is changed. A finding says what was looked at, what was seen, and what to do where that is not enough.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from metallab.config import Lab
from metallab.errors import LabError
from metallab.host import capacity, kvm, libvirt, packages, virtualbox
from metallab.host.packages import Purpose
from metallab.host.provider import Choice, choose, daemon_version, vagrant_libvirt

State = Literal["ok", "warn", "fail"]
MINUTES = {True: "a minute or two", False: "about 20 minutes"}
"""How long a default lab takes from the first machine to the proof, by whether its machines are emulated."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its id, how it stands, what was seen, and what to do when that is not enough."""

    id: str
    state: State
    seen: str
    fix: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings, and the provider a new lab would get (None where none can run)."""

    findings: tuple[Finding, ...]
    choice: Choice | None
    reason: str

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return rows of a table: state, id, what was seen, what to do."""
        marks = {"ok": "✓", "warn": "!", "fail": "✗"}
        return [(marks[finding.state], finding.id, finding.seen, finding.fix) for finding in self.findings]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "findings": [asdict(finding) for finding in self.findings],
            "provider": self.choice.provider if self.choice is not None else None,
            "accelerated": self.choice.accelerated if self.choice is not None else None,
            "reason": self.reason,
        }


def examine(lab: Lab) -> Diagnosis:
    """Look at everything, each for itself, and say which provider the lab would get. Takes a few seconds."""
    findings = tuple(_findings(lab))
    try:
        choice = choose(lab)
    except LabError as error:
        return Diagnosis(findings, None, error.what)
    how = f"{choice.reason}; a default lab takes {MINUTES[choice.accelerated]}"
    return Diagnosis(findings, choice, how)


def _findings(lab: Lab) -> Iterator[Finding]:
    yield Finding("host", "ok", f"{_system()}, {platform.machine()}, {len(os.sched_getaffinity(0))} processors")
    yield _memory(lab)
    yield _kvm()
    yield _docker()
    yield _libvirt()
    yield _virtualbox()
    for purposes, name in (
        ((*packages.FOR_A_LAB, "docker"), "docker"),
        ((*packages.FOR_A_LAB, "libvirt", "disk"), "libvirt"),
    ):
        yield _packages(purposes, name)


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _memory(lab: Lab) -> Finding:
    try:
        capacity.check_memory(lab)
        sizes = capacity.fit(lab)
    except LabError as error:
        return Finding("memory", "warn", f"for virtual machines: {error.what}", error.fix)
    smaller = [name for name, size in sizes.items() if size.memory < lab.machine(name).memory]
    seen = f"virtual machines would get {sum(size.memory for size in sizes.values())} MiB"
    return Finding("memory", "ok", seen + (f" (less than lab.yaml asks for: {', '.join(smaller)})" if smaller else ""))


def _kvm() -> Finding:
    tried = kvm.probe()
    if tried.works:
        return Finding("kvm", "ok", tried.evidence)
    fix = (
        "virtual machines are emulated here, many times slower; enable virtualisation in the firmware or the hypervisor"
    )
    return Finding("kvm", "warn", tried.evidence, fix)


def _docker() -> Finding:
    version = daemon_version()
    if version is not None:
        return Finding("docker", "ok", f"a daemon answers (version {version})")
    if os.geteuid() == 0:
        return Finding("docker", "ok", "no daemon answers; the lab starts its own")
    return Finding("docker", "warn", "no daemon answers", "start Docker and become a member of its group, or be root")


def _libvirt() -> Finding:
    plugin = vagrant_libvirt()
    if plugin is None:
        return Finding("libvirt", "warn", "Vagrant has no vagrant-libvirt", "run: ./inv setup --provider libvirt")
    version = libvirt.version(libvirt.SYSTEM)
    if version is not None:
        return Finding("libvirt", "ok", f"libvirtd {version} answers, vagrant-libvirt {plugin}")
    if os.geteuid() == 0 and shutil.which("libvirtd"):
        return Finding("libvirt", "ok", f"no libvirtd answers, the lab starts its own; vagrant-libvirt {plugin}")
    return Finding("libvirt", "warn", "no libvirtd answers", "start libvirtd and become a member of its group")


def _virtualbox() -> Finding:
    version = virtualbox.version()
    if version is None:
        return Finding("virtualbox", "warn", "VBoxManage is not installed", "only if you want it: install VirtualBox")
    return Finding("virtualbox", "ok", f"version {version}")


def _packages(purposes: tuple[Purpose, ...], name: str) -> Finding:
    lacking = packages.missing(*purposes)
    if not lacking:
        return Finding(f"packages for {name}", "ok", "all there")
    names = ", ".join(package.need for package in lacking)
    return Finding(f"packages for {name}", "warn", f"missing: {names}", f"run: ./inv setup --provider {name}")
