"""The record of a finished box in the cache. It is written last: where it is, the box is complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metallab import paths
from metallab.bundle import Bundle

SUITE = "bookworm"
"""Debian 12: its systemd 252 still boots under cgroup v1; from 256 on systemd refuses that."""
PACKAGES = (
    *("usr-is-merged", "systemd", "systemd-sysv", "dbus", "mount", "openssh-server", "sudo"),
    # /etc/protocols: without it nft lists numbers, and a kube-proxy that restarts takes its own rules for foreign ones
    "netbase",
    *("iproute2", "iptables", "nftables", "conntrack", "ethtool", "kmod", "libseccomp2"),
    # what a learner reaches for
    *("iperf3", "tcpdump", "curl", "iputils-ping", "iputils-arping", "netcat-openbsd", "socat", "knot-dnsutils"),
    *("procps", "less", "vim-tiny", "bash-completion"),
)
RECORD = "box.json"
SEED = "containerd"
SCHEMA = 1


@dataclass(frozen=True)
class Box:
    """A complete box: the golden root, and beside it the seed, a /var/lib/containerd with every image unpacked."""

    key: str
    dir: Path
    sizes: Mapping[str, int]

    @property
    def root_tar(self) -> Path:
        """Return the golden root as a tar archive."""
        return self.dir / "root.tar"

    @property
    def seed(self) -> Path | None:
        """Return the folder that machines get copies of as their /var/lib/containerd; None where no root made one."""
        folder = self.dir / SEED
        return folder if folder.is_dir() else None


def home() -> Path:
    """Return the folder of all boxes."""
    return paths.cache_dir() / "box"


def key_of(bundle: Bundle, provision: Path) -> str:
    """Return the hash of everything that decides what is in the box: bundle, packages, and the provision folder.

    What only disks have (``provision/disk``) is left out; see :mod:`.disk`.
    """
    digest = hashlib.sha256(f"{SCHEMA} {SUITE} {' '.join(PACKAGES)} {bundle.digest}\n".encode())
    add_folder(digest, provision, without=provision / "disk")
    return digest.hexdigest()[:16]


def add_folder(digest: hashlib._Hash, folder: Path, *, without: Path | None = None) -> None:
    """Add every file of a folder to a hash: its path, whether it can be executed, and its content."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if without is not None and without in file.parents:
            continue
        executable = bool(file.stat().st_mode & 0o100)
        digest.update(f"{file.relative_to(folder)} {executable} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())


def load(folder: Path) -> Box | None:
    """Return the box in a folder, or None when it is not complete."""
    try:
        record = json.loads((folder / RECORD).read_text())
        box, seeded = Box(folder.name, folder, record["sizes"]), record.get("seed", True)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return box if box.root_tar.is_file() and (box.seed is not None or not seeded) else None


def save(folder: Path) -> None:
    """Write the record into a finished folder."""
    sizes = {"root.tar": (folder / "root.tar").stat().st_size}
    record = {"schema": SCHEMA, "sizes": sizes, "seed": (folder / SEED).is_dir()}
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")
