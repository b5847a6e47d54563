"""Programs and daemons: whether they are there, answer, and are of versions that are known to work together."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metallab import errors
from metallab.errors import LabError
from metallab.host import libvirt, packages, provider, virtualbox
from metallab.host.doctor import machine
from metallab.host.doctor.records import Case, Check, Verdict, fail, ok, refused, unseen, warn
from metallab.host.packages import FOR_A_LAB, Package, Purpose
from metallab.run.local import run
from metallab.run.result import CommandTimedOut, ToolMissing

ASK_SECONDS = 20
Version = tuple[int, ...]
LAST_BEFORE, FIRST_AFTER = (2, 3, 4), (2, 4, 1)
"""Vagrant's versions around the ones with which users could not run vagrant-libvirt: vagrant-libvirt issue 1749."""
KNOWN_GOOD = "2.3.4 and 2.4.1 or newer are known to work"
OLDEST_VAGRANT, NEWEST_VAGRANT = (2, 3), (2, 5)
OLDEST_DOCKER = (20, 10)
"""The first with ``docker run --cgroupns`` (API 1.41: moby issue 41071)."""
OLDEST_LIBVIRT = (6, 0)
"""Older ones do not know what vagrant-libvirt's machines ask for; 9.0 was really run."""
HOLDS_SINCE = (6, 12)
"""From this kernel on KVM holds the processor's virtualization as soon as it is loaded: VirtualBox issues 141, 188."""
INVERTED_SINCE = (7, 2, 10)
"""From this VirtualBox on it needs what it could not bear before: VirtualBox issues 711, 713 (users' reports)."""
PURPOSES: Mapping[str, tuple[Purpose, ...]] = {
    "docker": ("docker",),
    "libvirt": ("libvirt", "disk"),
    "virtualbox": ("virtualbox", "disk"),
}
POOL_GIB = 8.0
"""Measured: the box of 0.6 GiB, and four machines of 1 to 1.5 GiB after a proof."""


def version_in(text: str) -> Version | None:
    """Return the first version number in a text."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part is not None) if found else None


# -- packages --------------------------------------------------------------------------------------------------


def needed_packages(case: Case) -> Verdict | None:
    """Look for the programs; what only bundle and box are made with is not needed once there is a bundle."""
    common: tuple[Purpose, ...] = ("lab",) if case.bundled is not None else FOR_A_LAB
    return judge_packages(packages.missing(*common, *PURPOSES[case.provider]), provider=case.provider)


def judge_packages(missing: Sequence[Package], *, provider: str) -> Verdict:
    """Judge what is missing."""
    if not missing:
        return ok("all programs and headers are there")
    names = ", ".join(package.need for package in missing)
    return fail(errors.HOST_PACKAGES_MISSING, f"missing: {names}", f"./inv setup --provider {provider}")


# -- Vagrant ---------------------------------------------------------------------------------------------------


def vagrant(case: Case) -> Verdict | None:
    """Ask Vagrant for its version, and look where the libvirt plugin is from."""
    try:
        result = run(["vagrant", "--version"], timeout=ASK_SECONDS, check=False)
    except ToolMissing:
        return judge_vagrant(said=None, provider=case.provider, packaged=False)
    except CommandTimedOut as error:
        return unseen(error.what)
    packaged = provider.packaged_plugin() is not None
    return judge_vagrant(said=result.stdout + result.stderr, provider=case.provider, packaged=packaged)


def judge_vagrant(*, said: str | None, provider: str, packaged: bool) -> Verdict:
    """Judge what ``vagrant --version`` said; ``packaged`` says that the libvirt plugin is the distribution's own."""
    if said is None:
        return fail(errors.HOST_TOOL_MISSING, "vagrant is not installed", f"./inv setup --provider {provider}")
    found = re.search(r"^Vagrant (\d+)\.(\d+)\.(\d+)", said, re.MULTILINE)
    if found is None:
        last = (said.strip().splitlines() or ["nothing"])[-1]
        return fail(errors.HOST_TOOL_MISSING, f"vagrant --version says: {last}", "install Vagrant anew")
    version = tuple(map(int, found.groups()))
    words = f"Vagrant {'.'.join(found.groups())}"
    if provider == "libvirt" and LAST_BEFORE < version < FIRST_AFTER and not packaged:
        seen = f"{words} does not work with vagrant-libvirt (its issue 1749); {KNOWN_GOOD}"
        fix = "install Vagrant 2.4.1 or newer, then: vagrant plugin install vagrant-libvirt"
        return fail(errors.PROVIDER_VERSIONS, seen, fix)
    if not OLDEST_VAGRANT <= version[:2] < NEWEST_VAGRANT:
        return warn(f"{words} was never tried; {KNOWN_GOOD}")
    return ok(words)


def plugin(_case: Case) -> Verdict | None:
    """Look for vagrant-libvirt."""
    return judge_plugin(version=provider.vagrant_libvirt(), apt=shutil.which("apt-get") is not None)


def judge_plugin(*, version: str | None, apt: bool) -> Verdict:
    """Judge the plugin's version."""
    if version is None:
        fix = "./inv setup --provider libvirt" if apt else "vagrant plugin install vagrant-libvirt"
        return fail(errors.PROVIDER_UNSUPPORTED, "Vagrant has no vagrant-libvirt", fix)
    numbers = version_in(version)
    if numbers is None or numbers < (0, 11):
        return warn(f"vagrant-libvirt {version} was never tried; 0.11.2 and 0.12.2 work", "vagrant plugin update")
    return ok(f"vagrant-libvirt {version}")


def box(case: Case) -> Verdict | None:
    """Look whether lab.yaml names a box, which a container cannot be made from."""
    return judge_box(name=None if case.lab.box is None else case.lab.box.name)


def judge_box(*, name: str | None) -> Verdict | None:
    """Judge the box that lab.yaml names."""
    if name is None:
        return None
    seen = f"lab.yaml names the box {name}, and only virtual machines are made from one"
    return fail(errors.PROVIDER_UNSUPPORTED, seen, "leave box: out, or use --provider libvirt")


# -- Docker ----------------------------------------------------------------------------------------------------


def docker(case: Case) -> Verdict | None:
    """Ask the Docker daemon what it is; where none answers, its client why."""
    if case.choice is not None and case.choice.sandbox is not None:
        # What another daemon of the host's says does not matter then, but one that is there and refuses us may.
        words = _docker_words([])
        return judge_own_daemon(reason=case.choice.reason, words=words, host=os.environ.get("DOCKER_HOST", ""))
    if case.refusal is not None:
        return judge_no_daemon(words=_docker_words([]), error=case.refusal)
    info = _docker_words(["info", "--format", "{{json .}}"])
    try:
        return judge_docker(info=json.loads(info), host=os.environ.get("DOCKER_HOST", ""))
    except ValueError:
        return unseen(f"docker info says: {info[:200]}")


def _docker_words(words: Sequence[str]) -> str:
    """Return what docker says: of ``docker version`` where no words are given, its errors then."""
    argv = ["docker", *(words or ["version"])]
    try:
        result = run(argv, timeout=ASK_SECONDS, check=False)
    except ToolMissing:
        return ""
    except CommandTimedOut as error:
        return error.what
    return (result.stdout if words else result.stderr).strip()


def judge_docker(*, info: Mapping[str, Any], host: str) -> Verdict:
    """Judge ``docker info`` of a daemon of the host's: its version, and whether its networks are this host's.

    ``host`` is DOCKER_HOST.
    """
    version = str(info.get("ServerVersion", ""))
    words = f"a Docker daemon answers (version {version or '?'}, {info.get('Driver', '?')})"
    numbers = version_in(version)
    if numbers is not None and numbers[:2] < OLDEST_DOCKER:
        seen = f"{words}; machines need 20.10 or newer (docker run --cgroupns)"
        return fail(errors.PROVIDER_VERSIONS, seen, "install a newer Docker: https://docs.docker.com/engine/install/")
    elsewhere = _elsewhere(info, host)
    if elsewhere:
        seen = f"{words}, but {elsewhere}: the machines' addresses cannot be reached from here"
        return fail(errors.PROVIDER_ELSEWHERE, seen, errors.PROVIDER_ELSEWHERE.fix)
    if info.get("Driver") == "vfs":
        return warn(f"{words}: vfs copies the whole box for each machine", "give Docker a disk that overlay2 works on")
    return ok(words)


def _elsewhere(info: Mapping[str, Any], host: str) -> str:
    """Return why a daemon's networks are not this host's, empty when they are."""
    if host and not host.startswith("unix://"):
        return f"DOCKER_HOST is {host}"
    if "Docker Desktop" in str(info.get("OperatingSystem", "")):
        return "it is Docker Desktop's, in a virtual machine"
    if any("rootless" in str(option) for option in info.get("SecurityOptions") or ()):
        return "it is rootless, with a network of its own"
    return ""


OLD_CLIENT = "is too old. Minimum supported API version"
"""What a daemon from 29 on answers an old client."""


def judge_own_daemon(*, reason: str, words: str, host: str) -> Verdict:
    """Judge a lab that starts its own daemon: ``words`` are why the host's does not answer."""
    if OLD_CLIENT in words:
        seen = f"{reason}; one is there, but refuses this docker program: {_last(words)}"
        return warn(seen, "install a newer docker program (the package docker-ce-cli) to use that daemon")
    if "permission denied" in words:
        return warn(f"{reason}; one is there and refuses this user")
    if host:
        return warn(f"{reason}; DOCKER_HOST is {host}", "unset DOCKER_HOST, or start what it names")
    return ok(reason)


def judge_no_daemon(*, words: str, error: LabError) -> Verdict:
    """Judge why no daemon can be had by a user who cannot start one."""
    if OLD_CLIENT in words:
        fix = "install a newer docker program (the package docker-ce-cli)"
        return fail(errors.PROVIDER_VERSIONS, f"the daemon refuses this docker program: {_last(words)}", fix)
    if "permission denied" in words:
        fix = "sudo usermod -aG docker $USER, then log in again; or run ./inv as root"
        return fail(error.entry, "a Docker daemon is there, but refuses this user", fix)
    return fail(error.entry, error.what, "sudo systemctl start docker; or run ./inv as root: the lab starts its own")


def _last(words: str) -> str:
    return words.strip().splitlines()[-1]


def docker_disk(case: Case) -> Verdict | None:
    """Look at the disk that a daemon of the host's keeps containers on; the lab's own keeps them in the cache."""
    if not case.on_the_host:
        return None
    try:
        root = str(json.loads(_docker_words(["info", "--format", "{{json .}}"]))["DockerRootDir"])
    except (ValueError, KeyError):
        return unseen("docker info does not say where it keeps containers")
    return machine.judge_disk([machine.space("Docker", Path(root), machine.LAB_GIB)], exists=case.exists)


# -- libvirt ---------------------------------------------------------------------------------------------------


def libvirtd(case: Case) -> Verdict | None:
    """Ask libvirtd for its version, or say that the lab starts its own."""
    if case.choice is not None and case.choice.sandbox is not None:
        # Its program is one of the packages.
        return ok(case.choice.reason) if shutil.which("libvirtd") else unseen("libvirtd is not installed")
    if case.refusal is not None:
        fix = "sudo systemctl start libvirtd && sudo usermod -aG libvirt $USER, then log in again; or run ./inv as root"
        return fail(case.refusal.entry, case.refusal.what, fix)
    return judge_libvirt(version=libvirt.version(libvirt.SYSTEM) or "?")


def judge_libvirt(*, version: str) -> Verdict:
    """Judge the version of a libvirtd that answers."""
    numbers = version_in(version)
    if numbers is None:
        return unseen(f"libvirtd calls itself {version}")
    if numbers < OLDEST_LIBVIRT:
        return fail(errors.PROVIDER_VERSIONS, f"libvirtd {version} is too old, 6.0 is the oldest", "upgrade libvirt")
    return ok(f"libvirtd {version} answers")


def libvirt_disk(case: Case) -> Verdict | None:
    """Look at the disk with libvirt's pool."""
    if case.choice is None:
        return None
    sandbox = case.choice.sandbox
    pool = Path(libvirt.POOL_PATH) if sandbox is None else sandbox.data / "lib" / "images"
    return machine.judge_disk([machine.space("libvirt's pool", pool, POOL_GIB)], exists=case.exists)


# -- VirtualBox ------------------------------------------------------------------------------------------------


def virtualbox_itself(case: Case) -> Verdict | None:
    """Ask VirtualBox for its version, and what it says when its kernel module is not loaded."""
    try:
        result = run(["VBoxManage", "--version"], timeout=ASK_SECONDS, check=False)
    except ToolMissing:
        return judge_virtualbox(said=None)
    except CommandTimedOut as error:
        return unseen(error.what)
    verdict = judge_virtualbox(said=result.stdout + result.stderr)
    if verdict.state == "ok" and case.refusal is not None:
        return refused(case.refusal)
    return verdict


def judge_virtualbox(*, said: str | None) -> Verdict:
    """Judge what ``VBoxManage --version`` said."""
    if said is None:
        fix = "install VirtualBox (https://www.virtualbox.org/wiki/Linux_Downloads), or use another --provider"
        return fail(errors.PROVIDER_UNSUPPORTED, "VBoxManage is not installed", fix)
    words = said.split()
    if len(words) != 1:
        seen = f"VirtualBox is installed, but says: {' '.join(words)[:160]}"
        return fail(errors.PROVIDER_UNSUPPORTED, seen, "sudo /sbin/vboxconfig (it needs the kernel's headers)")
    return ok(f"VirtualBox {words[0]}")


def virtualbox_and_kvm(case: Case) -> Verdict | None:
    """Look whether the kernel's KVM holds what VirtualBox needs."""
    version = virtualbox.version()
    if version is None:
        return unseen("VirtualBox does not run here")
    loaded = any((case.root / "sys/module" / name).exists() for name in ("kvm_intel", "kvm_amd"))
    return judge_virtualbox_and_kvm(
        version=version,
        kernel=os.uname().release,
        loaded=loaded,
        at_load=case.read("/sys/module/kvm/parameters/enable_virt_at_load"),
    )


def judge_virtualbox_and_kvm(*, version: str, kernel: str, loaded: bool, at_load: str | None) -> Verdict:
    """Judge the kernel's ``kvm.enable_virt_at_load`` (None: it knows none) against what this VirtualBox needs."""
    numbers, release = version_in(version), version_in(kernel)
    if numbers is None or release is None:
        return unseen(f"VirtualBox {version} and Linux {kernel} do not say which they are")
    if not loaded:
        return ok("KVM is not loaded")
    holds = release[:2] >= HOLDS_SINCE and (at_load or "Y").strip() in ("Y", "1")
    words = f"VirtualBox {version} beside KVM on Linux {kernel}"
    file = "/etc/modprobe.d/metallab-virtualbox.conf"
    if numbers < INVERTED_SINCE and holds:
        seen = f"{words}: KVM holds the processor's virtualization (VirtualBox issue 141)"
        fix = f"echo 'options kvm enable_virt_at_load=0' | sudo tee {file}, then restart this host"
        return fail(errors.PROVIDER_KVM_HELD, seen, fix)
    if numbers >= INVERTED_SINCE and release[:2] >= HOLDS_SINCE and not holds:
        seen = f"{words}: from 7.2.10 on it needs kvm.enable_virt_at_load, which is off (VirtualBox issue 711)"
        fix = "grep -rl enable_virt_at_load /etc/modprobe.d /etc/default/grub; remove it there, then restart this host"
        return fail(errors.PROVIDER_KVM_HELD, seen, fix)
    return ok(f"{words}: not in each other's way, as far as is known")


PACKAGES = Check("tool.packages", needed_packages)
VAGRANT = Check("tool.vagrant", vagrant)
PLUGIN = Check("libvirt.plugin", plugin)
BOX = Check("docker.box", box, again=True)
DOCKER = Check("docker.daemon", docker)
DOCKER_DISK = Check("docker.disk", docker_disk)
LIBVIRTD = Check("libvirt.daemon", libvirtd)
LIBVIRT_DISK = Check("libvirt.disk", libvirt_disk)
VIRTUALBOX = Check("virtualbox.program", virtualbox_itself)
VIRTUALBOX_KVM = Check("virtualbox.kvm", virtualbox_and_kvm)
