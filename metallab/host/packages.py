"""What the lab needs from this host, checked by the thing itself, and installed with apt where there is apt.

A program is looked for on the PATH and a header is shown to the compiler, so that the answer is true on any
distribution; only the package names are Debian's.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from metallab import errors
from metallab.errors import LabError
from metallab.events import Events, Step
from metallab.host import libvirt
from metallab.host.provider import daemon_version, vagrant_libvirt
from metallab.run.local import run
from metallab.run.result import CommandFailed, ToolMissing

Purpose = Literal["lab", "bundle", "box", "docker", "libvirt", "virtualbox", "disk", "test"]
FOR_A_LAB: tuple[Purpose, ...] = ("lab", "bundle", "box")
"""For a lab of any provider; the provider's own purposes come on top."""
FOR_TESTS: tuple[Purpose, ...] = tuple(purpose for purpose in get_args(Purpose) if purpose != "virtualbox")
Ask = Callable[[str], bool]

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Looked into as well: an ordinary user's PATH often lacks them, root's has them."""
CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Go's crypto/x509 looks for the system's certificates (its root_linux.go), unless SSL_CERT_FILE names one."""
HALF_DONE = Path("/var/lib/dpkg/updates")
"""dpkg's journal: numbered files are left in it when dpkg was killed, and apt then refuses to go on."""
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
UPDATE_TIMEOUT = 600
INSTALL_TIMEOUT = 3600
ASK_APT_TIMEOUT = 60


@dataclass(frozen=True)
class Package:
    """One thing the host must have: a program, a header or a file, the Debian packages that hold it, and why.

    Of several Debian packages the first one that apt knows is taken: they differ between releases.
    """

    need: str
    debian: tuple[str, ...]
    why: str
    purposes: tuple[Purpose, ...]
    kind: Literal["program", "header", "certificates", "file", "plugin"] = "program"

    def present(self) -> bool:
        """Tell whether this host has it."""
        if self.kind == "header":
            return _compiles(self.need)
        if self.kind == "certificates":
            named = os.environ.get("SSL_CERT_FILE")
            return any(Path(path).exists() for path in ([named] if named else CERTIFICATES))
        if self.kind == "file":
            return Path(self.need).exists()
        if self.kind == "plugin":
            return vagrant_libvirt() is not None
        folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
        return shutil.which(self.need, path=folders) is not None


QEMU_PACKAGES = {"x86_64": ("qemu-system-x86",), "aarch64": ("qemu-system-arm",)}.get(
    platform.machine(), ("qemu-system",)
)
PACKAGES = (
    Package("vagrant", ("vagrant",), "makes and ends the machines", ("lab",)),
    # Debian 13 split the docker program off from the daemon's package.
    Package("docker", ("docker-cli", "docker.io"), "Vagrant's docker provider runs it", ("docker",)),
    Package("vagrant-libvirt", ("vagrant-libvirt",), "Vagrant's provider for libvirt", ("libvirt",), "plugin"),
    Package("virsh", ("libvirt-clients",), "networks and disks of virtual machines", ("libvirt",)),
    Package(f"qemu-system-{platform.machine()}", QEMU_PACKAGES, "runs virtual machines", ("libvirt",)),
    Package("dnsmasq", ("dnsmasq-base",), "libvirt hands out addresses with it", ("libvirt",)),
    Package("qemu-img", ("qemu-utils",), "disks of virtual machines", ("libvirt", "disk")),
    Package("mke2fs", ("e2fsprogs",), "the file system of a disk", ("disk",)),
    Package("sfdisk", ("fdisk", "util-linux"), "the partition of a disk", ("disk",)),
    Package("grub-mkimage", ("grub-common",), "the boot loader of a disk", ("disk",)),
    Package("/usr/lib/grub/i386-pc/boot.img", ("grub-pc-bin",), "the boot loader of a disk", ("disk",), "file"),
    Package("VBoxManage", ("virtualbox",), "runs virtual machines", ("virtualbox",)),
    Package("ip", ("iproute2",), "the lab's own network namespace", ("lab", "box")),
    Package("unshare", ("util-linux",), "namespaces for the image seed and the lab's daemon", ("lab", "box")),
    Package("ssh", ("openssh-client",), "inv lab.ssh and vagrant ssh", ("lab",)),
    Package("ssh-keygen", ("openssh-client",), "the lab's own keys", ("lab",)),
    Package("nc", ("netcat-openbsd",), "vagrant's SSH into the lab's own network", ("lab",)),
    Package("gcc", ("gcc",), "compiles runc", ("bundle",)),
    Package("ld", ("binutils",), "links runc", ("bundle",)),
    Package("dpkg-deb", ("dpkg",), "the few Debian programs in images", ("bundle",)),
    Package("stdlib.h", ("libc6-dev",), "compiles runc", ("bundle",), "header"),
    Package("pkg-config", ("pkg-config", "pkgconf"), "finds libseccomp for runc", ("bundle",)),
    Package("seccomp.h", ("libseccomp-dev",), "runc with seccomp, which pods ask for", ("bundle",), "header"),
    Package("mmdebstrap", ("mmdebstrap",), "makes the machines' Debian root file system", ("bundle", "box")),
    Package(
        "certificates", ("ca-certificates",), "the Go module proxy is reached over TLS", ("bundle",), "certificates"
    ),
    # What the machines have for the same purpose is in the box; these are for tests without machines.
    Package("iperf3", ("iperf3",), "the tests' own client and server", ("test",)),
    Package("arping", ("iputils-arping",), "the tests ask ARP in namespaces of their own", ("test",)),
    Package("nft", ("nftables",), "the tests drop packets in namespaces of their own", ("test",)),
    Package("conntrack", ("conntrack",), "the tests look at flows in namespaces of their own", ("test",)),
    Package("sysctl", ("procps",), "the tests forward packets in namespaces of their own", ("test",)),
    Package("zsh", ("zsh",), "the tests press its Tab key", ("test",)),
    Package("fish", ("fish",), "the tests press its Tab key", ("test",)),
    Package("openssl", ("openssl",), "the tests' API server signs tokens with a key", ("test",)),
    Package("npm", ("npm",), "fetches the terminal of lesson.serve's pages", ("test",)),
    Package("chromium", ("chromium",), "the tests read pages as people do", ("test",)),
    Package("chromedriver", ("chromium-driver",), "the tests drive chromium with it", ("test",)),
)
DAEMON_PACKAGES = (
    Package("dockerd", ("docker.io",), "no Docker daemon answers, so the lab runs its own", ("docker",)),
    Package("iptables", ("iptables",), "the lab's own Docker daemon needs it", ("docker",)),
)
# Not libvirt-daemon-system, which would start a daemon of the host's.
LIBVIRT_PACKAGES = (
    Package("libvirtd", ("libvirt-daemon",), "no libvirtd answers, so the lab runs its own", ("libvirt",)),
    Package("iptables", ("iptables",), "the lab's own libvirtd needs it", ("libvirt",)),
)

USER_PACKAGES = (
    Package("newuidmap", ("uidmap",), "without root a root file system is made in a user namespace", ("bundle", "box")),
)
"""Needed as well where the user is not root, and by the tests, which play such a user."""


def missing(*purposes: Purpose) -> tuple[Package, ...]:
    """Return what this host lacks for the given purposes (for a lab when none is given)."""
    wanted = set(purposes or FOR_A_LAB)
    table = [package for package in PACKAGES if wanted & set(package.purposes)]
    if "docker" in wanted and daemon_version() is None:
        table += DAEMON_PACKAGES
    if "libvirt" in wanted and libvirt.version(libvirt.SYSTEM) is None:
        table += LIBVIRT_PACKAGES
    if os.geteuid() != 0 or "test" in wanted:
        table += [package for package in USER_PACKAGES if wanted & set(package.purposes)]
    # Both daemons may need the same one.
    return tuple({package.need: package for package in table if not package.present()}.values())


def require(*purposes: Purpose, provider: str) -> None:
    """Raise LAB-HOST-001, naming everything that is missing, before a command begins work it cannot finish.

    ``provider`` is the one whose setup brings it.
    """
    lacking = missing(*purposes)
    if lacking:
        names, fix = ", ".join(package.need for package in lacking), f"run: ./inv setup --provider {provider}"
        what = f"missing on this host: {names}"
        raise LabError(errors.HOST_PACKAGES_MISSING, what, fix=fix, detail=describe(lacking))


def describe(packages: Sequence[Package]) -> str:
    """Return one line for each missing thing: what, the Debian package that has it, and why."""
    width = max(len(package.need) for package in packages)
    return "\n".join(f"{package.need:<{width}}  {' or '.join(package.debian)}: {package.why}" for package in packages)


def ensure(events: Events, *, yes: bool, purposes: Sequence[Purpose] = FOR_A_LAB, ask: Ask | None = None) -> None:
    """Install what is missing, never silently: it is named first, and installed after ``yes`` or a yes to ``ask``.

    Raises LAB-HOST-006 where there is no apt, LAB-HOST-008 without consent, LAB-HOST-003 when not root,
    LAB-HOST-001 when apt cannot install it.
    """
    lacking = missing(*purposes)
    if not lacking:
        with events.step("host packages") as step:
            step.skip("all there")
        return
    names = ", ".join(package.need for package in lacking)
    table = describe(lacking)
    events.note(f"missing on this host:\n{table}")
    if shutil.which("apt-get") is None:
        raise LabError(errors.HOST_NO_PACKAGE_MANAGER, f"missing on this host: {names}")
    if not yes:
        _consent(names, lacking, ask)
    if os.geteuid() != 0:
        command = "apt-get install --no-install-recommends " + " ".join(_first_names(lacking))
        fix = f"run ./inv setup as root, or: sudo {command}"
        raise LabError(errors.HOST_NEEDS_ROOT, f"only root can install: {names}", fix=fix)
    with events.step("host packages") as step:
        step.result(", ".join(_install(lacking, step)))
    still = [package for package in lacking if not package.present()]
    if still:
        rest = ", ".join(package.need for package in still)
        raise LabError(errors.HOST_PACKAGES_MISSING, f"installed, but still not found: {rest}", detail=describe(still))


def _consent(names: str, lacking: Sequence[Package], ask: Ask | None) -> None:
    if ask is None:
        raise LabError(errors.HOST_NOT_CONFIRMED, f"missing on this host: {names}")
    cost = _cost(_first_names(lacking))
    if not ask(f"Install {names} with apt-get{cost}?"):
        raise LabError(errors.HOST_NOT_CONFIRMED, f"not installed: {names}")


def _install(lacking: Sequence[Package], step: Step) -> list[str]:
    """Install with apt-get and return the names of the packages."""
    step.progress("apt-get update")
    _apt(["apt-get", "update"], UPDATE_TIMEOUT, "read Debian's package lists")
    if HALF_DONE.is_dir() and any(entry.name.isdigit() for entry in HALF_DONE.iterdir()):
        step.progress("finishing an installation that was interrupted")
        _apt(["dpkg", "--configure", "-a"], INSTALL_TIMEOUT, "finish an interrupted installation")
    names = sorted({_known(package) for package in lacking})
    options = ["--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
    counter = _Counter(step)
    _apt(["apt-get", "install", *options, *names], INSTALL_TIMEOUT, f"install {', '.join(names)}", counter)
    return names


class _Counter:
    """Turns apt's lines into progress: how many of the new packages are set up."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._total: int | None = None
        self._done = 0

    def __call__(self, line: str) -> None:
        summary = re.match(r"(\d+) upgraded, (\d+) newly installed", line)
        if summary is not None:
            self._total = int(summary[1]) + int(summary[2])
        if line.startswith("Setting up "):
            self._done += 1
        if line.startswith(("Get:", "Unpacking ", "Setting up ")):
            self._step.progress(line[:80], self._done, self._total)


def _apt(argv: Sequence[str], timeout: float, purpose: str, on_line: Callable[[str], None] | None = None) -> None:
    try:
        run(argv, timeout=timeout, env=ENVIRONMENT, on_line=on_line)
    except CommandFailed as error:
        fix = f"run it by hand to see more: {error.result.command}"
        what = f"apt could not {purpose}"
        raise LabError(errors.HOST_PACKAGES_MISSING, what, fix=fix, detail=error.detail) from error


def _known(package: Package) -> str:
    """Return the first of the package's Debian names that apt knows; the last one when it knows none."""
    for name in package.debian[:-1]:
        if run(["apt-cache", "show", "--quiet=2", name], timeout=ASK_APT_TIMEOUT, env=ENVIRONMENT, check=False).ok:
            return name
    return package.debian[-1]


def _first_names(lacking: Sequence[Package]) -> list[str]:
    return sorted({_known(package) for package in lacking}) if shutil.which("apt-cache") else []


def _cost(names: Sequence[str]) -> str:
    """Return what apt says it would fetch and use, or nothing where its lists do not tell."""
    argv = ["apt-get", "install", "--assume-no", "--no-install-recommends", *names]
    return read_cost(run(argv, timeout=ASK_APT_TIMEOUT, env=ENVIRONMENT, check=False).stdout)


def read_cost(text: str) -> str:
    """Return the sizes in the output of ``apt-get install --assume-no``, as words in brackets; empty without them."""
    return "".join(f" ({part})" for part in (", ".join(_sizes(text)),) if part)


def _sizes(text: str) -> Iterator[str]:
    fetched = re.search(r"^Need to get (\S+ [kMG]?B)(?:/\S+ [kMG]?B)? of archives", text, re.MULTILINE)
    used = re.search(r"^After this operation, (\S+ [kMG]?B) of additional disk space", text, re.MULTILINE)
    if fetched is not None:
        yield f"{fetched[1]} to download"
    if used is not None:
        yield f"{used[1]} on disk"


def _compiles(header: str) -> bool:
    """Ask the compiler whether it finds a header. Without a compiler there is no telling, so it counts as missing."""
    try:
        return run(["gcc", "-E", "-"], timeout=30, input=f"#include <{header}>\n", check=False).ok
    except ToolMissing:
        return False
