"""What differs between the daemons a sandbox can run: Docker's for system containers, libvirt's for virtual machines.

A :class:`Daemon` says how it is started inside the sandbox's namespaces, how it is reached, and which programs it
leaves running. It knows nothing of labs.
"""

from __future__ import annotations

import platform
import shutil
import socket as sockets
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PING_SECONDS = 2.0


class Daemon(Protocol):
    """One kind of daemon; every method is given the folders it may use."""

    @property
    def program(self) -> str: ...  # noqa: D102 - the daemon's own name, for messages
    @property
    def programs(self) -> frozenset[str]: ...  # noqa: D102 - everything it leaves running on the host
    @property
    def socket(self) -> str: ...  # noqa: D102 - relative to the run folder
    @property
    def store(self) -> str: ...  # noqa: D102 - folder of the cache its images are kept in

    def environment(self, socket: Path) -> dict[str, str]:
        """Return the variables that lead programs to the daemon."""
        ...

    def prepare(self, run_dir: Path, data: Path) -> None:
        """Write what the daemon reads when it starts."""
        ...

    def argv(self, run_dir: Path, data: Path, cgroup: str) -> list[str]:
        """Return the command line, to be run in a mount namespace of its own."""
        ...

    def answers(self, socket: Path) -> bool:
        """Tell whether the daemon is ready."""
        ...

    def is_in(self, run_dir: Path) -> bool:
        """Tell whether the run folder is this kind's (or nobody's yet)."""
        ...

    def clear(self, run_dir: Path) -> None:
        """Remove what the ended daemon would trip over."""
        ...

    def forget(self, data: Path) -> None:
        """Remove what the daemon knows of a lab that is destroyed, and keep its images."""
        ...


@dataclass(frozen=True)
class Docker:
    """dockerd. Its overlay mounts stay in its own namespace, and a containerd of the host's is hidden from it."""

    program: str = "dockerd"
    programs: frozenset[str] = frozenset({"dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy"})
    socket: str = "docker.sock"
    store: str = "sandbox"

    # Run by sh: hide the host's containerd, which dockerd would otherwise adopt, then become the daemon.
    SHELL = 'for d in /run/containerd /run/docker; do [ -d "$d" ] && mount -t tmpfs tmpfs "$d"; done; exec "$@"'

    def environment(self, socket: Path) -> dict[str, str]:
        """Return DOCKER_HOST."""
        return {"DOCKER_HOST": f"unix://{socket}"}

    def prepare(self, run_dir: Path, data: Path) -> None:
        """Need nothing: dockerd takes all its settings as words."""

    def argv(self, run_dir: Path, data: Path, cgroup: str) -> list[str]:
        """Return dockerd's command line behind the shell's."""
        daemon = [
            "dockerd",
            f"--data-root={data}",
            f"--exec-root={run_dir}/exec",
            f"--pidfile={run_dir}/docker.pid",
            f"--host=unix://{run_dir / self.socket}",
            # No systemd slices: the same on every host, and nothing of the host's init is asked.
            "--exec-opt=native.cgroupdriver=cgroupfs",
            f"--cgroup-parent={cgroup}",
            "--log-driver=json-file",
            "--log-opt=max-size=1m",
            # A docker-proxy process per published port would be all it does here.
            "--userland-proxy=false",
        ]
        return ["sh", "-c", self.SHELL, "sh", *daemon]

    def answers(self, socket: Path) -> bool:
        """Ask its API's /_ping: it opens its socket long before it is ready."""
        return _said(socket, b"GET /_ping HTTP/1.0\r\n\r\n").find(b" 200 ") >= 0

    def is_in(self, run_dir: Path) -> bool:
        """Tell whether no libvirt daemon has the folder."""
        return not (run_dir / LIBVIRT_CONFIG).exists()

    def clear(self, run_dir: Path) -> None:
        """Remove the file with its process id."""
        (run_dir / "docker.pid").unlink(missing_ok=True)

    def forget(self, data: Path) -> None:
        """Keep all: what Vagrant has removed is gone."""


LIBVIRT_CONFIG = "libvirtd.conf"
LIBVIRT_FOLDERS = {
    "/etc/libvirt": "etc",
    "/var/lib/libvirt": "lib",
    "/var/cache/libvirt": "cache",
    "/var/log/libvirt": "log",
}
"""The host's folders that are libvirt's own, and what is mounted over them from the sandbox's store."""
USERS = {
    "passwd": "libvirt-qemu:x:64055:109:Libvirt Qemu:/var/lib/libvirt:/usr/sbin/nologin",
    "group": "libvirt-qemu:x:64055:",
}
"""Whom Debian's libvirtd insists on even when QEMU runs as root: it looks them up before it reads its settings. They
come with a package that also starts a daemon of the host's, so the sandbox's own files name them."""


@dataclass(frozen=True)
class Libvirt:
    """libvirtd with its dnsmasq and QEMU. It sees none of the host's libvirt: every folder of it is the sandbox's."""

    program: str = "libvirtd"
    programs: frozenset[str] = frozenset({"libvirtd", "dnsmasq", "virtlogd", f"qemu-system-{platform.machine()}"})
    socket: str = "libvirt/libvirt-sock"
    store: str = "sandbox-libvirt"

    # Run by sh with pairs FOLDER OVER and then --: a fresh sysfs shows the namespace's own bridges, and hides the
    # cgroups, which are put back; then libvirt's folders; then become the daemon.
    SHELL = """\
set -eu
aside=$1
shift
mkdir -p "$aside"
mount --rbind /sys/fs/cgroup "$aside"
mount -t sysfs sysfs /sys
mount --rbind "$aside" /sys/fs/cgroup
while [ "$1" != -- ]; do
    [ -e "$1" ] || mkdir -p "$1"
    [ -e "$2" ] || mkdir -p "$2"
    mount --bind "$1" "$2"
    shift 2
done
shift
exec "$@"
"""

    def environment(self, socket: Path) -> dict[str, str]:
        """Return the URI that libvirt's own programs and vagrant-libvirt take."""
        return {"LIBVIRT_DEFAULT_URI": f"qemu+unix:///system?socket={socket}"}

    def prepare(self, run_dir: Path, data: Path) -> None:
        """Write libvirtd's and QEMU's settings: root only, nothing of the host's security drivers and cgroups."""
        (data / "etc").mkdir(parents=True, exist_ok=True, mode=0o700)
        (run_dir / LIBVIRT_CONFIG).write_text(
            'auth_unix_rw = "none"\nunix_sock_rw_perms = "0700"\nunix_sock_ro_perms = "0700"\n', encoding="ascii"
        )
        settings = (
            ("user", '"root"'),
            ("group", '"root"'),
            ("security_driver", '"none"'),
            ("dynamic_ownership", "0"),
            ("remember_owner", "0"),
            ("cgroup_controllers", "[]"),
            ("namespaces", "[]"),
            # No virtlogd, which would be one more daemon.
            ("stdio_handler", '"file"'),
        )
        lines = "".join(f"{key} = {value}\n" for key, value in settings)
        (data / "etc" / "qemu.conf").write_text(lines, encoding="ascii")
        for name, line in USERS.items():
            known = Path("/etc", name).read_text(encoding="utf-8").rstrip("\n") + "\n"
            (data / name).write_text(known + ("" if f"\n{line.partition(':')[0]}:" in known else f"{line}\n"))

    def argv(self, run_dir: Path, data: Path, cgroup: str) -> list[str]:
        """Return libvirtd's command line behind the shell's."""
        pairs = [(str(data / name), folder) for folder, name in LIBVIRT_FOLDERS.items()]
        pairs += [(str(data / name), f"/etc/{name}") for name in USERS]
        pairs.append((str(run_dir / "libvirt"), "/run/libvirt"))
        words = [word for pair in pairs for word in pair]
        daemon = ["libvirtd", "--config", str(run_dir / LIBVIRT_CONFIG), "--pid-file", str(run_dir / "libvirtd.pid")]
        return ["sh", "-c", self.SHELL, "sh", str(run_dir / "cgroup"), *words, "--", *daemon]

    def answers(self, socket: Path) -> bool:
        """Connect: libvirtd listens only once its drivers are up."""
        return _connects(socket)

    def is_in(self, run_dir: Path) -> bool:
        """Tell whether libvirtd's settings are there."""
        return (run_dir / LIBVIRT_CONFIG).exists()

    def clear(self, run_dir: Path) -> None:
        """Remove sockets and records of processes that are gone."""
        (run_dir / "libvirtd.pid").unlink(missing_ok=True)

    def forget(self, data: Path) -> None:
        """Remove the definitions of machines and networks, and every disk but the boxes' own."""
        for name in {*LIBVIRT_FOLDERS.values()} - {"lib"}:
            shutil.rmtree(data / name, ignore_errors=True)
        for file in (data / "lib" / "images").glob("metallab-*_*"):
            file.unlink()


DOCKER = Docker()
LIBVIRT = Libvirt()


def _connects(socket: Path) -> bool:
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.settimeout(PING_SECONDS)
        try:
            probe.connect(str(socket))
        except OSError:
            return False
        return True


def _said(socket: Path, words: bytes) -> bytes:
    """Return the first bytes a daemon answers, nothing when it does not."""
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.settimeout(PING_SECONDS)
        try:
            probe.connect(str(socket))
            probe.sendall(words)
            return probe.recv(64)
        except OSError:
            return b""
