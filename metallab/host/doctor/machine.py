"""The host itself: system, time, memory, disk, control groups, capabilities and limits."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from metallab import errors, paths
from metallab.errors import LabError
from metallab.host import capacity, kvm, provider
from metallab.host.doctor.records import GIB, Case, Check, Verdict, fail, ok, refused, unseen, warn
from metallab.run import capabilities

WRITTEN = datetime(2026, 11, 1, tzinfo=timezone.utc)
"""No right clock shows a time before the lab was written."""
OLDEST_PYTHON = (3, 10)
TRIED = ("x86_64",)
"""Architectures a lab was ever made on."""
SHARED_MIB = {"control-plane": 700, "worker": 200, "client": 50}
"""What a system container has in use (measured: 685, 187 and 23 MiB)."""
BUILD_GIB = 14.0
"""Measured: compilers, modules, bundle and box in the cache, before what is not needed any more is removed."""
LAB_GIB = 3.0
"""What the machines of a lab write, and some air; below it the kubelet of a machine may see a full disk."""
LEAST_INODES = 100_000
"""Measured: a clone of the images has about 4,000 files a node, a root file system 15,000."""
CONTROLLERS = ("cpu", "memory", "pids")
"""What kubelet and runc ask of the control groups."""
NEEDED = {
    "SYS_ADMIN": "machines mount and make namespaces",
    "NET_ADMIN": "machines have interfaces, routes and nftables of their own",
    "NET_RAW": "MetalLB answers ARP",
    "MKNOD": "machines make device files",
    "SYS_CHROOT": "sshd locks itself in",
    "SETUID": "users log in",
    "SETGID": "users log in",
    "SETPCAP": "systemd starts services with less",
    "CHOWN": "systemd gives files to their owners",
    "DAC_OVERRIDE": "root reads what is not root's",
    "FOWNER": "root changes what is not root's",
    "KILL": "systemd ends services",
    "NET_BIND_SERVICE": "sshd listens on port 22",
    "SYS_PTRACE": "containerd looks into namespaces",
}
"""Without one of these no machine comes up as a container."""
MEANINGS = {
    "SYS_RESOURCE": "limits cannot be raised; labs are known to run without",
    "SYS_TIME": "machines cannot set the clock, which is this host's anyway",
    "SYS_MODULE": "machines cannot load kernel modules",
    "SYSLOG": "machines may not read the kernel's log",
    "SYS_BOOT": "a machine cannot restart itself",
}
"""What the absence of another one means."""
LEAST_FILES = 4096
LEAST_HANDLES = 50_000
LEAST_PROCESSES = 4000
"""Measured: about 150 tasks a node and 30 more for its pods; far below, and with air for the host's own."""


def system(_case: Case) -> Verdict | None:
    """Look at system, kernel, architecture and Python."""
    version = sys.version_info[:3]
    return judge_system(
        system=platform.system(),
        name=_distribution(),
        kernel=platform.release(),
        machine=platform.machine(),
        python=(version[0], version[1], version[2]),
    )


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def judge_system(*, system: str, name: str, kernel: str, machine: str, python: Sequence[int]) -> Verdict:
    """Judge what the host runs: Linux, an architecture that was tried, a Python that is new enough."""
    words = f"{name}, Linux {kernel}, {machine}, Python {'.'.join(map(str, python))}"
    if system != "Linux":
        return fail(errors.HOST_UNSUPPORTED, f"{system}: the lab needs Linux", "use a Linux host, or a virtual machine")
    if tuple(python) < OLDEST_PYTHON:
        return fail(errors.HOST_UNSUPPORTED, words, "install Python 3.10 or newer, then: rm -r .venv && ./inv --list")
    if machine not in TRIED:
        return warn(f"{words}: no lab was ever made on {machine}")
    return ok(words)


def clock(case: Case) -> Verdict | None:
    """Look at the clock."""
    return judge_clock(now=datetime.now(timezone.utc), bundled=case.bundled)


def judge_clock(*, now: datetime, bundled: datetime | None) -> Verdict:
    """Judge the time: certificates made under a wrong one are not valid under the right one."""
    words = f"{now:%Y-%m-%d %H:%M} UTC"
    fix = "sudo timedatectl set-ntp true, or: sudo date --utc --set '2026-11-27 12:00'"
    if now < WRITTEN:
        return fail(errors.HOST_CLOCK, f"it is {words} here, before this lab was written", fix)
    if bundled is not None and now < bundled:
        return fail(errors.HOST_CLOCK, f"it is {words} here, but the bundle was made at {bundled:%Y-%m-%d %H:%M}", fix)
    return ok(words)


def processors(_case: Case) -> Verdict | None:
    """Count the processors this process may use."""
    return judge_processors(count=len(os.sched_getaffinity(0)))


def judge_processors(*, count: int) -> Verdict:
    """Judge their number: a lab was never made on one."""
    if count < 2:  # noqa: PLR2004 - kubeadm's own least
        return warn("1 processor: all will be slow, and deadlines may pass (kubeadm itself asks for 2)")
    return ok(f"{count} processors")


def memory_shared(case: Case) -> Verdict | None:
    """Look at the memory that containers would share."""
    needed = sum(SHARED_MIB[machine.role] for machine in case.lab.machines)
    available = _meminfo(case)
    if available is None:
        return unseen("/proc/meminfo does not say MemAvailable")
    return judge_memory_shared(available=available, needed=needed, exists=case.exists)


def _meminfo(case: Case) -> int | None:
    for line in (case.read("/proc/meminfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            return int(value.split()[0]) // 1024
    return None


def judge_memory_shared(*, available: int, needed: int, exists: bool) -> Verdict:
    """Judge free memory (MiB) against what the lab's containers will have in use."""
    if exists:
        return ok(f"{available} MiB free, with the lab's machines there")
    words = f"{available} MiB free, the containers take about {needed} MiB"
    fix = "end other programs, or take a worker out of machines: in lab.yaml"
    if available < needed:
        return fail(errors.HOST_MEMORY, words, fix)
    if available < 2 * needed:
        return warn(f"{words}: that is tight", fix)
    return ok(words)


def memory_apart(case: Case) -> Verdict | None:
    """Look whether virtual machines fit, and how much smaller they get."""
    try:
        if not case.exists:
            capacity.check_memory(case.lab)
        smaller = capacity.made_smaller(case.lab)
        total = sum(size.memory for size in capacity.fit(case.lab).values())
    except LabError as error:
        return refused(error)
    if smaller:
        return warn("; ".join(smaller), "give machines less memory: and cpus: in lab.yaml, or use a bigger host")
    return ok(f"virtual machines get {total} MiB, as lab.yaml asks for")


# -- disk ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Space:
    """A place that is written to: whose it is, where, and what is free there (GiB, inodes; None: no limit)."""

    what: str
    path: str
    gib: float
    inodes: int | None
    needed: float


def space(what: str, path: Path, needed: float) -> Space | None:
    """Return what is free at the nearest folder there is; None where this user cannot look."""
    try:
        there = next(each for each in (path, *path.parents) if each.exists())
        seen = os.statvfs(there)
    except (OSError, StopIteration):
        return None
    inodes = seen.f_favail if seen.f_files else None
    return Space(what, str(path), shutil.disk_usage(there).free / GIB, inodes, needed)


def disk(case: Case) -> Verdict | None:
    """Look at the disks of cache and state."""
    needed = LAB_GIB if case.bundled is not None else BUILD_GIB
    return judge_disk(
        [space("cache", paths.cache_dir(), needed), space("state", paths.state_dir(), LAB_GIB)], exists=case.exists
    )


def judge_disk(places: Sequence[Space | None], *, exists: bool) -> Verdict:
    """Judge places on disk against what will be written there; a lab that exists has taken its part already."""
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        return unseen("this user cannot look at the folder")
    words = ", ".join(f"{place.gib:.1f} GiB free for {place.what} ({place.path})" for place in known)
    narrow = [place for place in known if place.gib < place.needed]
    if narrow:
        worst = min(narrow, key=lambda place: place.gib / place.needed)
        fix = f"df -h {worst.path}; free {worst.needed:.0f} GiB there"
        fix += ", or set XDG_CACHE_HOME and XDG_STATE_HOME to folders of a bigger disk"
        says = f"{words}; {worst.needed:.0f} GiB are needed for {worst.what}"
        return warn(says, fix) if exists else fail(errors.HOST_DISK, says, fix)
    few = [place for place in known if place.inodes is not None and place.inodes < LEAST_INODES]
    if few:
        return warn(f"{few[0].inodes} inodes free at {few[0].path}", f"df -i {few[0].path}; remove many small files")
    return ok(words)


# -- control groups and capabilities ---------------------------------------------------------------------------


def cgroups(case: Case) -> Verdict | None:
    """Look at the control groups that are mounted."""
    mounts = case.read("/proc/mounts")
    if mounts is None:
        return unseen("/proc/mounts cannot be read")
    return judge_cgroups(mounts=mounts, unified=case.read("/sys/fs/cgroup/cgroup.controllers"))


def judge_cgroups(*, mounts: str, unified: str | None) -> Verdict:
    """Judge the hierarchies in ``/proc/mounts``, and what the one of version 2 has of controllers."""
    fields = [line.split() for line in mounts.splitlines()]
    old = [words[3].split(",") for words in fields if words[2] == "cgroup"]
    new = any(words[1] == "/sys/fs/cgroup" and words[2] == "cgroup2" for words in fields)
    if not old and not new:
        return fail(errors.HOST_CGROUPS, "no control groups are mounted", "boot with systemd, which mounts them")
    version = "version 2" if new else "version 1"
    there = set((unified or "").split()) if new else {name for options in old for name in options}
    lacking = [name for name in CONTROLLERS if name not in there]
    if lacking:
        fix = "take cgroup_disable= off the kernel's command line (a Raspberry Pi wants cgroup_enable=memory), reboot"
        return fail(errors.HOST_CGROUPS, f"{version} without {', '.join(lacking)}", fix)
    if not new and "name=systemd" not in there:
        folder = "/sys/fs/cgroup/systemd"
        fix = f"sudo mkdir {folder} && sudo mount -t cgroup -o none,name=systemd none {folder}"
        return fail(errors.HOST_CGROUPS, "version 1 without systemd's own hierarchy", fix)
    return ok(f"{version} with {', '.join(CONTROLLERS)}")


def capability(case: Case) -> Verdict | None:
    """Look at the capabilities that a process here can ever have."""
    status = case.read("/proc/self/status")
    if status is None:
        return unseen("/proc/self/status cannot be read")
    return judge_capabilities(bounding=capabilities.bounding_set(status))


def judge_capabilities(*, bounding: Collection[str]) -> Verdict:
    """Judge the bounding set: the machines get all there is, and need some of it."""
    lacking = [name for name in NEEDED if name not in bounding]
    if lacking:
        words = ", ".join(f"CAP_{name} ({NEEDED[name]})" for name in lacking)
        fix = "run the lab on the host itself, or give the container or service it runs in these capabilities"
        return fail(errors.HOST_CAPABILITIES, f"this host withholds {words}", fix)
    others = [name for name in capabilities.NAMES if name not in bounding]
    if any(name not in MEANINGS for name in others):
        words = ", ".join(f"CAP_{name}" for name in others)
        return warn(f"withheld here: {words}; no lab was ever made without")
    if others:
        return ok(", ".join(f"without CAP_{name}: {MEANINGS[name]}" for name in others))
    return ok("all capabilities")


# -- limits ----------------------------------------------------------------------------------------------------


def inotify(case: Case) -> Verdict | None:
    """Count the inotify instances that are left; a lab that exists has its own already."""
    if case.exists:
        return unseen("the lab has its instances already")
    try:
        provider.check_inotify(case.lab)
    except LabError as error:
        return refused(error)
    if os.geteuid() != 0:
        return ok(f"enough of {provider.INOTIFY_LIMIT.read_text().strip()}, as far as this user sees others' use")
    return ok(f"enough of {provider.INOTIFY_LIMIT.read_text().strip()} are left")


def limits(case: Case) -> Verdict | None:
    """Look at what the host allows of open files and processes."""
    handles, tasks = case.read("/proc/sys/fs/file-nr"), case.read("/proc/loadavg")
    most = [case.read(f"/proc/sys/kernel/{name}") for name in ("pid_max", "threads-max")]
    if handles is None or tasks is None or None in most:
        return unseen("/proc does not say")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return judge_limits(
        files=None if hard == resource.RLIM_INFINITY else hard,
        handles=handles,
        tasks=tasks,
        most=min(int(text) for text in most if text is not None),
    )


def judge_limits(*, files: int | None, handles: str, tasks: str, most: int) -> Verdict:
    """Judge a process's open files (None: no limit), ``fs/file-nr``, ``loadavg`` (its tasks) and the most tasks."""
    used, _, ceiling = (int(word) for word in handles.split())
    running = int(tasks.split()[3].split("/")[1])
    if files is not None and files < LEAST_FILES:
        return warn(f"a process may open {files} files, {LEAST_FILES} are wanted", f"ulimit -Hn {LEAST_FILES} as root")
    if ceiling - used < LEAST_HANDLES:
        return warn(f"{ceiling - used} of {ceiling} file handles are left", "sudo sysctl -w fs.file-max=1000000")
    if most - running < LEAST_PROCESSES:
        return warn(f"{most - running} of {most} processes are left", "sudo sysctl -w kernel.pid_max=4194304")
    return ok(f"{files or 'any number of'} files a process, {most - running} more processes")


def security(case: Case) -> Verdict | None:
    """Look at the security modules that are known to be in a container's way."""
    return judge_security(
        selinux=case.read("/sys/fs/selinux/enforce"), apparmor=case.read("/sys/module/apparmor/parameters/enabled")
    )


def judge_security(*, selinux: str | None, apparmor: str | None) -> Verdict:
    """Judge SELinux (machines run unconfined by AppArmor, which knows no exception by SELinux)."""
    if (selinux or "").strip() == "1":
        seen = "SELinux enforces here; a lab of containers was never seen with it"
        return warn(seen, "if machines do not come up: sudo ausearch -m avc -ts recent, then: sudo setenforce 0")
    if (apparmor or "").strip() == "Y":
        return ok("AppArmor, which machines are exempt from")
    return ok("no SELinux, no AppArmor")


def virtualization(_case: Case) -> Verdict | None:
    """Boot a guest with KVM."""
    tried = kvm.probe()
    return judge_kvm(works=tried.works, evidence=tried.evidence)


FIXES: Mapping[str, str] = {
    "is not installed": "./inv setup --provider libvirt",
    "is closed to this user": "sudo usermod -aG kvm $USER, then log in again",
    "there is no": "sudo modprobe kvm_intel || sudo modprobe kvm_amd; if that fails, enable virtualisation in the "
    "firmware, or nested virtualisation in the hypervisor",
}


def judge_kvm(*, works: bool, evidence: str) -> Verdict:
    """Judge the try: without KVM machines are emulated, many times slower."""
    if works:
        return ok(evidence)
    fix = next((fix for words, fix in FIXES.items() if words in evidence), "")
    return warn(f"{evidence}: machines are emulated, a lab takes about 20 minutes", fix or "use a host with KVM")


SYSTEM = Check("host.system", system)
CLOCK = Check("host.clock", clock)
PROCESSORS = Check("host.processors", processors)
DISK = Check("host.disk", disk)
MEMORY_SHARED = Check("host.memory", memory_shared)
MEMORY_APART = Check("host.memory-for-vms", memory_apart, again=True)
CGROUPS = Check("host.cgroups", cgroups)
CAPABILITIES = Check("host.capabilities", capability)
INOTIFY = Check("host.inotify", inotify)
LIMITS = Check("host.limits", limits)
SECURITY = Check("host.security", security)
KVM = Check("host.kvm", virtualization)
