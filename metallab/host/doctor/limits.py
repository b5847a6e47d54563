"""What the kernel grants: control groups, capabilities, open files, processes, inotify instances; who else decides."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection

from metallab import errors
from metallab.errors import LabError
from metallab.host import provider
from metallab.host.doctor.records import Case, Check, Verdict, fail, ok, refused, unseen, warn
from metallab.run import capabilities

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
"""Measured: 430 tasks for a lab of four machines while it is proven; the rest is for the host's own and other labs."""


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
        return ok("the lab has its instances already")
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
    most = [case.number(f"/proc/sys/kernel/{name}") for name in ("pid_max", "threads-max")]
    if handles is None or tasks is None or None in most:
        return unseen("/proc does not say")
    # Of the control group at the root, which has one only inside a container.
    most.append(case.number("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return judge_limits(
        files=None if hard == resource.RLIM_INFINITY else hard,
        handles=handles,
        tasks=tasks,
        most=min(number for number in most if number is not None),
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


CGROUPS = Check("host.cgroups", cgroups)
CAPABILITIES = Check("host.capabilities", capability)
INOTIFY = Check("host.inotify", inotify)
LIMITS = Check("host.limits", limits)
SECURITY = Check("host.security", security)
