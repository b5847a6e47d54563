"""One lab's own folder on the host: its keys, its kubeconfig, and what the Vagrantfile reads."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from metallab import paths, refusals
from metallab.config import Lab
from metallab.run.local import run
from metallab.run.ssh import Login

USER = "vagrant"


@dataclass(frozen=True)
class LabDir:
    """The folder of one lab, readable by its owner only. All but snapshots can be made again by ``lab.up``."""

    path: Path

    @classmethod
    def of(cls, lab: Lab) -> LabDir:
        """Return the folder of a lab, which need not exist yet."""
        return cls(paths.state_dir() / lab.name)

    @property
    def login_key(self) -> Path:
        """Return the private key that opens every machine of the lab."""
        return self.path / "ssh" / "id_ed25519"

    @property
    def host_key(self) -> Path:
        """Return the private host key every machine of the lab shows."""
        return self.path / "ssh" / "host_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Return the known_hosts file with the lab's addresses and its one host key."""
        return self.path / "ssh" / "known_hosts"

    @property
    def kubeconfig(self) -> Path:
        """Return the admin's kubeconfig (mode 0600)."""
        return self.path / "kubeconfig"

    @property
    def merged(self) -> Path:
        """Return the list of kubeconfigs of the user's that the lab was merged into."""
        return self.path / "merged.json"

    @property
    def inventory(self) -> Path:
        """Return what the Vagrantfile reads."""
        return self.path / "inventory.json"

    @property
    def record(self) -> Path:
        """Return what says which file the lab was made from."""
        return self.path / "lab.json"

    @property
    def daemon_log(self) -> Path:
        """Return the log of the sandbox's daemon."""
        return self.path / "daemon.log"

    @property
    def vagrant_log(self) -> Path:
        """Return everything vagrant has printed for this lab."""
        return self.path / "vagrant.log"

    @property
    def lock(self) -> Path:
        """Return the file that is locked while a command changes the lab."""
        return self.path / "lock"

    def images_folder(self, machine: str) -> Path:
        """Return the clone of the image seed that becomes a machine's /var/lib/containerd, where it is a folder."""
        return self.path / "machines" / machine / "containerd"

    def images_of(self, machine: str) -> str | None:
        """Return what is mounted at a machine's /var/lib/containerd, a folder or a volume; None when it has none."""
        if self.images_folder(machine).exists():
            return str(self.images_folder(machine))
        try:
            return refusals.own_text(self._volume_note(machine))
        except FileNotFoundError:
            return None

    def note_volume(self, machine: str, volume: str) -> None:
        """Keep the name of the filled volume a machine has its images in."""
        self.write_secret(self._volume_note(machine), volume)

    def _volume_note(self, machine: str) -> Path:
        return self.path / "machines" / machine / "volume"

    def identity_of(self, machine: str) -> Path:
        """Return the file with who a machine is (host key included)."""
        return self.path / "machines" / machine / "identity"

    @property
    def pace(self) -> Path:
        """Return the record of how fast the machines are."""
        return self.path / "pace.json"

    @property
    def snapshots(self) -> Path:
        """Return the folder of the lab's snapshots, one folder each."""
        return self.path / "snapshots"

    @property
    def restoring(self) -> Path:
        """Return the mark that is there while a snapshot is put back: the machines are not of one time then."""
        return self.path / "restoring"

    @property
    def drill(self) -> Path:
        """Return the record of what a drill has broken; there is none while no drill runs."""
        return self.path / "drill.json"

    def kept_images_folder(self, snapshot: str, machine: str) -> Path:
        """Return a snapshot's clone of a machine's /var/lib/containerd, where it is a folder."""
        return self.snapshots / snapshot / machine / "containerd"

    def image_of(self, machine: str) -> str | None:
        """Return the image a restored machine is made from; None for one that is made from the box."""
        try:
            return refusals.own_text(self._image_note(machine))
        except FileNotFoundError:
            return None

    def note_image(self, machine: str, image: str) -> None:
        """Keep the image that a restored machine is made from."""
        self.write_secret(self._image_note(machine), image)

    def _image_note(self, machine: str) -> Path:
        return self.path / "machines" / machine / "image"

    @property
    def login(self) -> Login:
        """Return how to log in to the lab's machines."""
        return Login(USER, self.login_key, self.host_key.with_suffix(".pub"))

    def prepare(self, lab: Lab) -> None:
        """Make the folder and its keys, once.

        Raises LAB-HOST-002 without ssh-keygen, LAB-HOST-016 for a damaged key.
        """
        for folder in (self.path, self.path / "ssh", self.path / "machines"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for key in (self.login_key, self.host_key):
            if not (key.exists() and key.with_suffix(".pub").exists()):
                key.unlink(missing_ok=True)
                run(
                    ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"metallab {lab.name}", "-f", key], timeout=30
                )
        public = self.host_key.with_suffix(".pub")
        try:
            kind, blob = public.read_text(encoding="ascii").split()[:2]
        except ValueError as error:
            raise refusals.damaged(public, error) from error
        lines = [f"{lab.address(machine)},{machine.name} {kind} {blob}\n" for machine in lab.machines]
        self.known_hosts.write_text("".join(lines), encoding="ascii")

    def write_secret(self, path: Path, text: str) -> None:
        """Write a file only its owner can read, whole or not at all."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)

    def remove(self) -> None:
        """Remove the folder with all keys."""
        shutil.rmtree(self.path, ignore_errors=True)
