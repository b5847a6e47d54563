"""The lab's own daemon (Docker's or libvirt's) in a network namespace of its own, for a host where none answers.

The daemon gets a private mount namespace too: its mounts never show on the host and are gone with it, and what the
host has of its kind is hidden from it. What stays after ``destroy`` is its image store in the cache; the next ``up``
then imports nothing. What differs between the daemons is in :mod:`.daemons`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metallab import errors, paths
from metallab.errors import LabError
from metallab.events import Step
from metallab.host import netns
from metallab.host.daemons import DOCKER, Daemon
from metallab.run import local
from metallab.run.wait import NotYet, WaitTimedOut, until

START_SECONDS = 60
STOP_SECONDS = 30
KILL_SECONDS = 5
LOG_LINES = 20


@dataclass(frozen=True)
class Sandbox:
    """Where one lab's sandbox keeps things. Everything follows from the lab's name and the kind of daemon."""

    lab: str
    daemon: Daemon = DOCKER

    @property
    def namespace(self) -> str:
        """Return the name of the network namespace."""
        return f"metallab-{self.lab}"

    @property
    def run_dir(self) -> Path:
        """Return the folder of the daemon's socket: short, since a socket path holds at most 107 bytes."""
        return Path("/run/metallab") / self.lab

    @property
    def socket(self) -> Path:
        """Return the daemon's socket. It works from every network namespace, being a file."""
        return self.run_dir / self.daemon.socket

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that lead programs to the daemon."""
        return self.daemon.environment(self.socket)

    @property
    def data(self) -> Path:
        """Return the daemon's image store, kept in the cache."""
        return paths.cache_dir() / self.daemon.store / self.lab

    @property
    def cgroup(self) -> str:
        """Return the cgroup all of the lab's machines are in."""
        return f"/metallab-{self.lab}"

    @property
    def marks(self) -> tuple[bytes, ...]:
        """Return what the daemon's processes have on their command lines: its folder, or the prefix of its machines."""
        # With what stands before the prefix (guest=NAME, FOLDER/NAME): there may be a lab metallab-a beside a lab a.
        prefix = machine_prefix(self.lab)
        return tuple(mark.encode() for mark in (f"{self.run_dir}/", f"={prefix}", f"/{prefix}"))

    def exists(self) -> bool:
        """Tell whether the lab has a sandbox of this kind, running or not."""
        return netns.exists(self.namespace) and self.daemon.is_in(self.run_dir)

    def answers(self) -> bool:
        """Tell whether the daemon is ready."""
        return self.daemon.answers(self.socket)


def machine_prefix(lab: str) -> str:
    """Return how the names of a lab's machines and networks begin: no lab's is the beginning of another's."""
    return f"metallab-{lab}_"


def start(sandbox: Sandbox, log: Path, step: Step, *, batch: bool = False) -> None:
    """Bring the sandbox up; an answering one is left alone. Needs root.

    ``batch`` has the kernel schedule it, and its machines, for throughput (SCHED_BATCH of sched(7)): a thread that
    wakes does not push another one from its processor. An emulated machine wakes thousands of times a second, and
    three of them then had their work done in 10 s instead of 27.
    Raises LAB-PROV-002 with the end of the daemon's log when it does not start.
    """
    if sandbox.exists() and sandbox.answers():
        step.skip("already running")
        return
    _end_daemon(sandbox)
    sandbox.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    sandbox.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Before the namespace: what lies there says whose sandbox it is, should this be interrupted.
    sandbox.daemon.prepare(sandbox.run_dir, sandbox.data)
    netns.create(sandbox.namespace)
    log.parent.mkdir(parents=True, exist_ok=True)
    pid = local.spawn(_daemon_argv(sandbox, batch=batch), log=log)
    name = sandbox.daemon.program

    def listening() -> None:
        if not _is_alive(pid):
            what = f"{name} ended while starting"
            raise LabError(errors.PROVIDER_DAEMON_FAILED, what, where=str(log), detail=_tail(log))
        if not sandbox.answers():
            raise NotYet("its socket does not answer")

    try:
        until(listening, timeout=START_SECONDS, what=f"the lab's {name}", entry=errors.PROVIDER_DAEMON_FAILED)
    except WaitTimedOut as error:
        error.detail = _tail(log)
        raise


def stop(sandbox: Sandbox) -> None:
    """End the daemon and remove its namespace, socket and cgroups; the image store stays. Safe to call at any time."""
    _end_daemon(sandbox)
    sandbox.daemon.forget(sandbox.data)
    netns.remove(sandbox.namespace)
    shutil.rmtree(sandbox.run_dir, ignore_errors=True)
    with contextlib.suppress(OSError):
        sandbox.run_dir.parent.rmdir()
    _remove_cgroups(sandbox)


def _daemon_argv(sandbox: Sandbox, *, batch: bool) -> list[str]:
    daemon = sandbox.daemon.argv(sandbox.run_dir, sandbox.data, sandbox.cgroup)
    private = ["unshare", "--mount", "--propagation", "private"]
    scheduled = ["chrt", "--batch", "0"] if batch else []
    return [*netns.inside(sandbox.namespace), *private, *scheduled, *daemon]


def _end_daemon(sandbox: Sandbox) -> None:
    """End the daemon politely (it then stops its containers), then whatever is left of it, by pid."""
    _signal(lambda: _daemons(sandbox), signal.SIGTERM, STOP_SECONDS)
    _signal(lambda: _daemons(sandbox), signal.SIGKILL, KILL_SECONDS)
    # A shim that was killed leaves its machine running; the machine's cgroup still names every process.
    _signal(lambda: _machine_processes(sandbox), signal.SIGKILL, KILL_SECONDS)
    sandbox.daemon.clear(sandbox.run_dir)


def _signal(find: Callable[[], list[int]], number: signal.Signals, patience: float) -> None:
    """Send a signal to the processes found, and wait up to ``patience`` seconds for them to be gone."""
    for pid in find():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def gone() -> None:
        left = find()
        if left:
            raise NotYet(f"processes {', '.join(map(str, left))}")

    with contextlib.suppress(WaitTimedOut):
        until(gone, timeout=patience, what="the sandbox's processes to end")


def _machine_processes(sandbox: Sandbox) -> list[int]:
    """Return the processes in the lab's cgroups: those of its machines."""
    found: set[int] = set()
    for top in _cgroups(sandbox):
        for folder, _folders, files in os.walk(top):
            if "cgroup.procs" in files:
                with contextlib.suppress(OSError):
                    found.update(int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split())
    return sorted(found - {0, os.getpid()})


def _daemons(sandbox: Sandbox) -> list[int]:
    """Return the sandbox's daemon and what it started on this host, by program and by what they have on their line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        known = Path(os.fsdecode(words[0])).name in sandbox.daemon.programs
        if known and any(mark in word for word in words for mark in sandbox.marks):
            found.append(int(entry.name))
    return found


def _is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _tail(log: Path) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
    except FileNotFoundError:
        return ""


def _cgroups(sandbox: Sandbox) -> list[Path]:
    """Return the lab's cgroup under every controller (v1, hybrid) and in the one hierarchy (v2)."""
    root = Path("/sys/fs/cgroup")
    hierarchies = [root, *(entry for entry in root.iterdir() if entry.is_dir() and not entry.is_symlink())]
    tops = (hierarchy / sandbox.cgroup.lstrip("/") for hierarchy in hierarchies)
    return [top for top in tops if top.is_dir()]


def _remove_cgroups(sandbox: Sandbox) -> None:
    for top in _cgroups(sandbox):
        for folder, _folders, _files in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
