"""The Vagrant box of virtual machines: the lab's own, or one that lab.yaml names. The same for every hypervisor."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from metallab.box import Box, disk, kit
from metallab.bundle import Bundle
from metallab.config import Machine
from metallab.events import Events
from metallab.site import Site


@dataclass(frozen=True)
class Wanted:
    """The box's name, and its version (None: the newest that is there)."""

    name: str
    version: str | None

    @property
    def constraint(self) -> str | None:
        """Return the version as a Vagrantfile states it."""
        return None if self.version is None else f"= {self.version}"


def wanted(here: Site, box: Box) -> Wanted:
    """Return which box the lab's machines are made from."""
    other = here.lab.box
    if other is None:
        return Wanted(disk.NAME, disk.version_of(box))
    return Wanted(other.name, other.version)


def ensure(here: Site, bundle: Bundle, box: Box, provider: str, events: Events) -> None:
    """Have the box in Vagrant, and the kit for one that is not the lab's own.

    Raises LAB-BOX-001 when Vagrant cannot get it, LAB-BOX-002 when the lab's own was not built.
    """
    other = here.lab.box
    with events.step("box in Vagrant") as step:
        if other is None:
            packed = disk.require(box, provider)
            here.vagrant.add_box(disk.NAME, packed.version, provider, packed.catalogue, step)
            return
        here.vagrant.fetch_box(other.name, other.version, provider, step)
    with events.step(f"kit for {other.suite}") as step:
        kit.ensure(bundle, other.suite, step)


def provisioning(here: Site, bundle: Bundle, machine: Machine) -> dict[str, str]:
    """Return what a machine of another box is made one of the lab with: the kit's path and the words that use it."""
    if here.lab.box is None:
        return {}
    tools = kit.of(bundle, here.lab.box.suite)
    archive = tools.node if machine in here.lab.nodes else tools.client
    return {"kit": str(archive), "words": shlex.join(tools.arguments)}
