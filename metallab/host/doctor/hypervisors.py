"""libvirt and VirtualBox: whether they answer, are new enough, and are not in the kernel's way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from metallab import errors
from metallab.host import libvirt, virtualbox
from metallab.host.doctor import machine
from metallab.host.doctor.records import Case, Check, Verdict, fail, ok, refused, unseen, warn
from metallab.host.doctor.tools import version_in
from metallab.run.local import run
from metallab.run.result import CommandTimedOut, ToolMissing

ASK_SECONDS = 20
TRIED_LIBVIRT = (9, 0)
"""The oldest a lab was ever made on."""
HOLDS_SINCE = (6, 12)
"""From this kernel on KVM holds the processor's virtualization as soon as it is loaded: VirtualBox issues 141, 188."""
INVERTED_SINCE = (7, 2, 10)
"""From this VirtualBox on it needs what it could not bear before: VirtualBox issues 711, 713 (users' reports)."""
POOL = machine.Need(8, 1000)
"""The box of 0.6 GiB (measured), and the changes of four machines: a guess, on the safe side."""


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
    if numbers < TRIED_LIBVIRT:
        return warn(f"libvirtd {version} answers; no lab was ever made on one older than 9.0")
    return ok(f"libvirtd {version} answers")


def libvirt_disk(case: Case) -> Verdict | None:
    """Look at the disk with libvirt's pool."""
    if case.choice is None:
        return None
    sandbox = case.choice.sandbox
    pool = Path(libvirt.POOL_PATH) if sandbox is None else sandbox.data / "lib" / "images"
    return machine.judge_disk([machine.space("libvirt's pool", pool, POOL)], exists=case.exists)


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


LIBVIRTD = Check("libvirt.daemon", libvirtd)
LIBVIRT_DISK = Check("libvirt.disk", libvirt_disk)
VIRTUALBOX = Check("virtualbox.program", virtualbox_itself)
VIRTUALBOX_KVM = Check("virtualbox.kvm", virtualbox_and_kvm)
