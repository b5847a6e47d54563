"""Machines as virtual machines of QEMU under libvirt: with KVM where it works, else by plain emulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metallab.box import Box, disk
from metallab.bundle import Bundle
from metallab.config import Machine
from metallab.events import Events, Step
from metallab.host import capacity, libvirt
from metallab.host.libvirt import Network
from metallab.host.packages import Purpose
from metallab.host.sandbox import machine_prefix
from metallab.providers import boxes
from metallab.providers.base import ASK_SECONDS, Common, Settings, refuse_stopped
from metallab.run.local import run
from metallab.site import Site

KVM = {"driver": "kvm", "cpu_mode": "host-passthrough"}
EMULATION = {"driver": "qemu", "cpu_mode": "custom", "cpu_model": "qemu64"}
"""Measured: a richer processor boots two seconds slower under emulation."""


class Libvirt:
    """vagrant-libvirt, on the host's libvirtd or on the sandbox's."""

    name = "libvirt"
    purposes: tuple[Purpose, ...] = ("libvirt", "disk")
    own_clock = True

    def build_box(self, box: Box, events: Events, *, rebuild: bool = False) -> None:
        """Make the qcow2 box."""
        disk.build(box, self.name, events, rebuild=rebuild)

    def fetch(self, here: Site, bundle: Bundle, box: Box, events: Events) -> None:
        """Give the box to Vagrant."""
        boxes.ensure(here, bundle, box, self.name, events)

    def make_ready(self, here: Site, bundle: Bundle, box: Box, events: Events) -> None:
        """Give the box's disk to libvirt's pool, and have both networks running."""
        chosen = boxes.wanted(here, box)
        folder = here.vagrant.box_folder(chosen.name, chosen.version, self.name)
        environment = here.choice.environment
        with events.step("disks and networks") as step:
            libvirt.ensure_pool(environment)
            image = None if folder is None else folder / "box.img"
            # A box of several disks is left to vagrant-libvirt, which copies it when the first machine is made.
            if image is not None and image.exists():
                self._place(here, chosen.name, image, environment, step)
            libvirt.ensure_network(_management(here), environment)
            libvirt.ensure_network(_network(here), environment)

    def _place(self, here: Site, name: str, image: Path, environment: Mapping[str, str], step: Step) -> None:
        volume = libvirt.volume_name(name, image)
        if here.choice.sandbox is not None:
            images = here.choice.sandbox.data / "lib" / "images"
            libvirt.forget_volumes(name, volume, images)
            libvirt.place_volume(volume, image, images, environment)
        else:
            libvirt.ensure_volume(volume, image, environment, step)

    def common(self, here: Site, box: Box) -> Common:
        """Return the box, and the lab network by the name it already has."""
        options = {
            "libvirt__network_name": _network(here).name,
            "libvirt__forward_mode": "none",
            "libvirt__dhcp_enabled": False,
            "libvirt__host_ip": str(here.lab.gateway),
        }
        chosen = boxes.wanted(here, box)
        return Common(str(here.lab.network.netmask), chosen.name, chosen.constraint, options, first_key=True)

    def settings(self, here: Site, box: Box, machine: Machine) -> Settings:
        """Return how the virtual machine is made."""
        fitted = capacity.fit(here.lab, emulated=not here.choice.accelerated)[machine.name]
        return {
            **(KVM if here.choice.accelerated else EMULATION),
            "default_prefix": machine_prefix(here.lab.name),
            "cpus": fitted.cpus,
            "memory": fitted.memory,
            "machine_type": "q35",
            "nested": False,
            "graphics_type": "none",
            "video_type": "none",
            # Labs are made again, not repaired: what a power failure of the host would cost is not worth waiting for.
            "volume_cache": "unsafe",
            "disk_bus": "virtio",
            "nic_model_type": "virtio",
            "memballoon_enabled": False,
            "management_network_name": _management(here).name,
            "management_network_address": str(_management(here).addresses),
            "management_network_mode": "none",
            "management_network_keep": True,
        }

    def guest(self, here: Site, bundle: Bundle, machine: Machine) -> Mapping[str, str]:
        """Return the kit for a box that is not the lab's own."""
        return boxes.provisioning(here, bundle, machine)

    def leftovers(self, here: Site, machine: Machine) -> Sequence[Sequence[str]]:
        """Return how a domain and its disk are removed."""
        return libvirt.remove_domain_argv(machine_prefix(here.lab.name) + machine.name)

    def clean(self, here: Site) -> None:
        """Remove the lab's network and whatever machines or disks of it are left."""
        libvirt.remove_all(machine_prefix(here.lab.name), here.choice.environment)

    def running(self, machines: Sequence[Mapping[str, Any]], environment: Mapping[str, str]) -> frozenset[str]:
        """Ask libvirtd for its domains that run."""
        result = run(["virsh", "list", "--state-running", "--name"], timeout=ASK_SECONDS, env=environment)
        there = {*result.stdout.split()}
        return frozenset(one["name"] for one in machines if one["settings"]["default_prefix"] + one["name"] in there)

    def save(self, here: Site, name: str, events: Events) -> None:
        """Suspend all machines, keep disk and memory of each within its disk, and let them go on."""
        domains, environment = _domains(here), here.choice.environment
        states = libvirt.states([*domains.values()], environment)
        refuse_stopped({machine: states[domain] for machine, domain in domains.items()}, ("running", "paused"))
        with events.step("disks and memory") as step:
            libvirt.save([*domains.values()], name, environment, step)

    def restore(self, here: Site, name: str, events: Events) -> None:
        """Revert all machines while none runs, and let them go on together."""
        with events.step("disks and memory") as step:
            libvirt.revert([*_domains(here).values()], name, here.choice.environment, step)

    def power_off(self, here: Site, machine: Machine) -> None:
        """Have Vagrant pull the plug."""
        here.vagrant.halt(machine.name, lambda _line: None, force=True)
        here.runner(machine).close()

    def drop(self, here: Site, name: str) -> None:
        """Remove the snapshot from every disk."""
        libvirt.drop([*_domains(here).values()], name, here.choice.environment)


def _domains(here: Site) -> dict[str, str]:
    """Return machine -> the name of its domain."""
    prefix = machine_prefix(here.lab.name)
    return {machine.name: prefix + machine.name for machine in here.lab.machines}


def _network(here: Site) -> Network:
    return Network(f"{machine_prefix(here.lab.name)}lab", here.lab.network, dhcp=False)


def _management(here: Site) -> Network:
    """Return the network of the first cards: in a sandbox the lab's own, on the host's libvirtd everybody's."""
    lab = here.lab
    name = libvirt.MANAGEMENT if here.choice.sandbox is None else f"{machine_prefix(lab.name)}management"
    return Network(name, libvirt.management_network((lab.network, lab.pods, lab.services)), dhcp=True)
