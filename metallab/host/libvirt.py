"""libvirt, asked and told through ``virsh``: what vagrant-libvirt leaves to chance when several of it run at once.

Networks and the box's volume are made here before any machine, so that machines can be brought up side by side.
Everything of a lab has a name that begins with the lab's (:func:`metallab.host.sandbox.machine_prefix`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from xml.etree import ElementTree as ET

from metallab import errors
from metallab.errors import LabError
from metallab.events import Step
from metallab.host.fields import field
from metallab.run import pace
from metallab.run.local import run
from metallab.run.result import CommandFailed, CommandTimedOut, Result, ToolMissing
from metallab.run.wait import NotYet, until

ASK_SECONDS = 30
UPLOAD_SECONDS = 900
SNAPSHOT_SECONDS = 300
"""For the memory of one machine, at the machine's pace: 2 GiB take about 10 s on an ordinary disk."""
AT_WORK = "cannot acquire state change lock"
"""What libvirt says of a domain that it is still busy with."""
SYSTEM = {"LIBVIRT_DEFAULT_URI": "qemu:///system"}
"""The host's own libvirtd."""
POOL = "default"
MACHINE_DISKS = "metallab-*_*.img"
"""How the disks of all labs' machines are called; see :func:`metallab.host.sandbox.machine_prefix`."""
POOL_PATH = "/var/lib/libvirt/images"
MANAGEMENT = "vagrant-libvirt"
"""vagrant-libvirt's own network: each machine's first card is in it."""
MANAGEMENT_NETWORKS = tuple(IPv4Network(f"192.168.{number}.0/24") for number in (121, 123, 125))
"""vagrant-libvirt's default first; another one where the lab itself is there."""


@dataclass(frozen=True)
class Network:
    """A network as the lab wants it: no way out, the host at the first address, addresses handed out or not."""

    name: str
    addresses: IPv4Network
    dhcp: bool

    def xml(self) -> str:
        """Return libvirt's description of it. Without ``forward`` a network is isolated."""
        network = ET.Element("network")
        ET.SubElement(network, "name").text = self.name
        # A new port of the bridge must not wait for a spanning tree.
        ET.SubElement(network, "bridge", stp="off", delay="0")
        own = str(self.addresses[1])
        ip = ET.SubElement(network, "ip", address=own, netmask=str(self.addresses.netmask))
        if self.dhcp:
            first, last = str(self.addresses[2]), str(self.addresses[-2])
            ET.SubElement(ET.SubElement(ip, "dhcp"), "range", start=first, end=last)
        return ET.tostring(network, encoding="unicode")


def version(environment: Mapping[str, str]) -> str | None:
    """Return the version of the libvirtd that answers this user, or None."""
    try:
        result = run(["virsh", "version", "--daemon"], timeout=ASK_SECONDS, env={**environment, "LC_ALL": "C"})
    except (ToolMissing, CommandFailed, CommandTimedOut):
        return None
    return next((line.split()[-1] for line in result.stdout.splitlines() if line.startswith("Running against")), "?")


def management_network(lab_networks: tuple[IPv4Network, ...]) -> IPv4Network:
    """Return the addresses of the machines' first cards: the first choice that none of the lab's networks overlaps."""
    free = (own for own in MANAGEMENT_NETWORKS if not any(own.overlaps(other) for other in lab_networks))
    found = next(free, None)
    if found is None:
        names = ", ".join(map(str, MANAGEMENT_NETWORKS))
        raise LabError(errors.PROVIDER_ADDRESS_TAKEN, f"the lab covers all of {names}, and libvirt needs one of them")
    return found


def ensure_network(network: Network, environment: Mapping[str, str]) -> None:
    """Have the network defined and running; one of that name is left as it is. Raises LAB-PROV-002."""
    if not _ask(["net-info", network.name], environment).ok:
        _tell(["net-define", "/dev/stdin"], environment, text=network.xml())
    if field(_ask(["net-info", network.name], environment).stdout, "Active") != "yes":
        _tell(["net-start", network.name], environment)


def bridge(network: str, environment: Mapping[str, str]) -> str | None:
    """Return the host's bridge of a network, None when there is no such network."""
    return field(_ask(["net-info", network], environment).stdout, "Bridge") or None


def remove_network(name: str, environment: Mapping[str, str]) -> None:
    """Remove a network of ours; there need not be one."""
    _ask(["net-destroy", name], environment)
    _ask(["net-undefine", name], environment)


def ensure_pool(environment: Mapping[str, str]) -> None:
    """Have the pool that vagrant-libvirt keeps disks in."""
    if not _ask(["pool-info", POOL], environment).ok:
        _tell(["pool-define-as", POOL, "dir", "--target", POOL_PATH], environment)
        _tell(["pool-build", POOL], environment)
        _tell(["pool-autostart", POOL], environment)
    if field(_ask(["pool-info", POOL], environment).stdout, "State") != "running":
        _tell(["pool-start", POOL], environment)


def volume_name(box: str, image: Path) -> str:
    """Return the name under which vagrant-libvirt looks for a box's disk in the pool (its handle_box_image.rb).

    ``image`` is the disk in the box's folder in Vagrant, boxes/NAME/VERSION/…/box.img.
    """
    version = next(part for part in reversed(image.parts) if part[:1].isdigit())
    if version == "0":
        # A box added without a version: its age tells one from the other.
        version = f"0_{int(image.stat().st_mtime)}"
    return f"{_in_a_name(box)}_vagrant_box_image_{version}_box.img"


def _in_a_name(box: str) -> str:
    return box.replace("/", "-VAGRANTSLASH-")


def ensure_volume(name: str, image: Path, environment: Mapping[str, str], step: Step) -> None:
    """Have the box's disk in the pool of a host's libvirtd. Raises LAB-PROV-002."""
    if _ask(["vol-info", "--pool", POOL, name], environment).ok:
        return
    step.progress("copying the box into libvirt's pool")
    gib = json.loads((image.parent / "metadata.json").read_text(encoding="utf-8"))["virtual_size"]
    _tell(["vol-create-as", POOL, name, f"{gib}G", "--format", "qcow2"], environment)
    try:
        _tell(["vol-upload", "--pool", POOL, name, str(image)], environment, timeout=UPLOAD_SECONDS)
    except BaseException:
        # Half a disk must not be taken for a whole one.
        _ask(["vol-delete", "--pool", POOL, name], environment)
        raise


def place_volume(name: str, image: Path, folder: Path, environment: Mapping[str, str]) -> None:
    """Have the box's disk in a pool whose folder is ours: a link, or a copy on another file system."""
    target = folder / name
    if not target.exists():
        draft = target.with_name(f".{name}.new")
        draft.unlink(missing_ok=True)
        try:
            os.link(image, draft)
        except OSError:
            shutil.copyfile(image, draft)
        draft.rename(target)
    _tell(["pool-refresh", POOL], environment)


def forget_volumes(box: str, keep: str, folder: Path) -> None:
    """Remove other versions of the box from a pool whose folder is ours, unless machines there may need them."""
    if any(folder.glob(MACHINE_DISKS)):
        return
    for file in folder.glob(f"{_in_a_name(box)}_vagrant_box_image_*"):
        if file.name != keep:
            with contextlib.suppress(OSError):
                file.unlink()


def remove_domain_argv(name: str) -> list[list[str]]:
    """Return the commands that remove what an interrupted ``vagrant up`` left of a machine it does not know."""
    return [
        ["virsh", "destroy", name],
        ["virsh", "undefine", name, "--snapshots-metadata"],
        ["virsh", "vol-delete", "--pool", POOL, f"{name}.img"],
    ]


def states(domains: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return each domain's state in libvirt's words (running, paused, shut off …); ``gone`` when there is none."""
    return {domain: _ask(["domstate", domain], environment).stdout.strip() or "gone" for domain in domains}


def save(domains: Sequence[str], name: str, environment: Mapping[str, str], step: Step) -> None:
    """Keep disk and memory of all domains as of one moment, within their disks; they go on afterwards in any case.

    What an interrupted save left under ``name`` is replaced. Raises LAB-PROV-002 with libvirt's words; what was kept
    until then is for :func:`drop`.
    """
    drop(domains, name, environment)
    try:
        for domain in domains:
            _insist(["suspend", domain], environment)
        for index, domain in enumerate(domains):
            step.progress(f"keeping {domain}", index, len(domains))
            _insist(["snapshot-create-as", domain, name, "--atomic"], environment)
    finally:
        resume(domains, environment)


def revert(domains: Sequence[str], name: str, environment: Mapping[str, str], step: Step) -> None:
    """Put all domains back to what ``name`` keeps; none runs until all are.

    Raises LAB-MACH-010 before anything is touched when one lacks it, LAB-PROV-002 with libvirt's words; called again,
    it begins anew.
    """
    lacking = [domain for domain in domains if not _keeps(domain, name, environment)]
    if lacking:
        raise LabError(errors.SNAPSHOT_UNKNOWN, f"libvirt keeps no snapshot {name} of {', '.join(lacking)}")
    for domain, state in states(domains, environment).items():
        if state == "running":
            _insist(["suspend", domain], environment)
    for index, domain in enumerate(domains):
        step.progress(f"putting back {domain}", index, len(domains))
        # By force: before 7.10 libvirt refused where it had to start QEMU anew.
        _insist(["snapshot-revert", domain, name, "--paused", "--force"], environment)
    resume(domains, environment)


def drop(domains: Sequence[str], name: str, environment: Mapping[str, str]) -> None:
    """Remove a snapshot of all domains that have it. Raises LAB-PROV-002 with libvirt's words."""
    for domain in domains:
        if _keeps(domain, name, environment):
            _insist(["snapshot-delete", domain, name], environment)


def resume(domains: Sequence[str], environment: Mapping[str, str]) -> None:
    """Let those of the domains go on that are paused. Raises LAB-PROV-002 with libvirt's words."""
    for domain, state in states(domains, environment).items():
        if state == "paused":
            _insist(["resume", domain], environment)


def _keeps(domain: str, name: str, environment: Mapping[str, str]) -> bool:
    return name in _names(["snapshot-list", domain, "--name"], environment)


def _insist(words: list[str], environment: Mapping[str, str]) -> None:
    """Tell virsh, and wait while libvirtd is still at work on that domain for a virsh that was interrupted."""

    def tell() -> None:
        try:
            _tell(words, environment, timeout=pace.scaled(SNAPSHOT_SECONDS))
        except LabError as error:
            if AT_WORK in error.detail:
                raise NotYet("libvirt is still at work on an interrupted command") from error
            raise

    until(
        tell,
        timeout=SNAPSHOT_SECONDS,
        what=f"libvirt to take: virsh {' '.join(words)}",
        entry=errors.PROVIDER_DAEMON_FAILED,
        every=1,
    )


def remove_all(prefix: str, environment: Mapping[str, str]) -> None:
    """Remove every machine, disk and network whose name begins with ``prefix``: all that is left of a lab."""
    for name in _names(["list", "--all", "--name"], environment):
        if name.startswith(prefix):
            for argv in remove_domain_argv(name):
                run(argv, timeout=ASK_SECONDS, env=environment, check=False)
    for line in _names(["vol-list", "--pool", POOL], environment):
        volume = line.split()[0]
        if volume.startswith(prefix):
            _ask(["vol-delete", "--pool", POOL, volume], environment)
    for name in _names(["net-list", "--all", "--name"], environment):
        if name.startswith(prefix):
            remove_network(name, environment)


def _names(words: list[str], environment: Mapping[str, str]) -> list[str]:
    return [line.strip() for line in _ask(words, environment).stdout.splitlines() if line.strip()]


def _ask(words: list[str], environment: Mapping[str, str]) -> Result:
    return run(["virsh", *words], timeout=ASK_SECONDS, env={**environment, "LC_ALL": "C"}, check=False)


def _tell(
    words: list[str], environment: Mapping[str, str], *, text: str | None = None, timeout: float = ASK_SECONDS
) -> None:
    try:
        run(["virsh", *words], timeout=timeout, env={**environment, "LC_ALL": "C"}, input=text)
    except CommandFailed as error:
        what = f"libvirt refused: virsh {' '.join(words)}"
        raise LabError(errors.PROVIDER_DAEMON_FAILED, what, detail=error.result.tail) from error
