"""Machines as virtual machines of VirtualBox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metallab import errors
from metallab.box import Box, disk
from metallab.bundle import Bundle
from metallab.config import Lab, Machine
from metallab.errors import LabError
from metallab.events import Events
from metallab.host import capacity, virtualbox
from metallab.host.packages import Purpose
from metallab.host.sandbox import machine_prefix
from metallab.providers import boxes
from metallab.providers.base import ASK_SECONDS, Common, Settings, refuse_stopped
from metallab.run.local import run
from metallab.site import Site

LAB_CARD = 2
"""The first card is Vagrant's own, behind NAT; the guest names them in this order: eth0, eth1."""
HARDWARE = (
    # Both cards of one kind, VirtualBox's own default for Debian: one driver then finds both, in the order of slots.
    *("--nictype1", "82540EM", "--nictype2", "82540EM"),
    # Announcements need no such thing (MetalLB answers with the node's own address), but a learner's tcpdump on one
    # machine shall show what the others say to each other, and nothing of the host's.
    *("--nicpromisc2", "allow-vms"),
    # The box has its console on a serial port; this is the hardware it was seen to boot on. Nobody is at the other end.
    *("--uart1", "0x3F8", "4", "--uartmode1", "disconnected"),
)


class VirtualBox:
    """Vagrant's own VirtualBox provider."""

    name = "virtualbox"
    purposes: tuple[Purpose, ...] = ("virtualbox", "disk")
    own_clock = True

    def build_box(self, box: Box, events: Events, *, rebuild: bool = False) -> None:
        """Make the VMDK box."""
        disk.build(box, self.name, events, rebuild=rebuild)

    def fetch(self, here: Site, bundle: Bundle, box: Box, events: Events) -> None:
        """Give the box to Vagrant."""
        boxes.ensure(here, bundle, box, self.name, events)

    def make_ready(self, here: Site, bundle: Bundle, box: Box, events: Events) -> None:
        """Have the lab network's adapter."""
        with events.step("host-only adapter") as step:
            step.result(f"{virtualbox.ensure_adapter(here.lab, step)}: {here.lab.network}")

    def common(self, here: Site, box: Box) -> Common:
        """Return the box, and the lab network as a host-only network on the second card."""
        chosen = boxes.wanted(here, box)
        options = {"virtualbox__adapter": LAB_CARD}
        return Common(str(here.lab.network.netmask), chosen.name, chosen.constraint, options, first_key=True)

    def settings(self, here: Site, box: Box, machine: Machine) -> Settings:
        """Return how the virtual machine is made; ``modify`` are words for ``VBoxManage modifyvm``."""
        fitted = capacity.fit(here.lab)[machine.name]
        return {
            "name": machine_prefix(here.lab.name) + machine.name,
            "cpus": fitted.cpus,
            "memory": fitted.memory,
            "ssh_port": virtualbox.SSH_PORT + here.lab.machines.index(machine),
            "modify": _words(here.lab),
        }

    def guest(self, here: Site, bundle: Bundle, machine: Machine) -> Mapping[str, str]:
        """Return the kit for a box that is not the lab's own."""
        return boxes.provisioning(here, bundle, machine)

    def leftovers(self, here: Site, machine: Machine) -> Sequence[Sequence[str]]:
        """Return how a virtual machine and its disk are removed."""
        name = machine_prefix(here.lab.name) + machine.name
        return [["VBoxManage", "controlvm", name, "poweroff"], ["VBoxManage", "unregistervm", name, "--delete"]]

    def clean(self, here: Site) -> None:
        """Leave the host-only adapter: machines of others may be on it, and the next lab takes it again."""

    def running(self, machines: Sequence[Mapping[str, Any]], environment: Mapping[str, str]) -> frozenset[str]:
        """Ask VirtualBox for the machines that run; a line is ``"NAME" {uuid}``."""
        result = run(["VBoxManage", "list", "runningvms"], timeout=ASK_SECONDS, env=environment)
        there = {line.split('"')[1] for line in result.stdout.splitlines() if '"' in line}
        return frozenset(one["name"] for one in machines if one["settings"]["name"] in there)

    def save(self, here: Site, name: str, events: Events) -> None:
        """Have Vagrant keep disk and memory of one machine after the other; a few seconds lie between them."""
        refuse_stopped(here.vagrant.states(), ("running",))
        with events.step("disks and memory") as step:
            for machine in here.lab.machines:
                here.vagrant.snapshot(["save", "--force", machine.name, name], step.progress)

    def restore(self, here: Site, name: str, events: Events) -> None:
        """Have Vagrant put one machine after the other back; each runs again then."""
        lacking = [one.name for one in here.lab.machines if name not in here.vagrant.snapshots(one.name)]
        if lacking:
            raise LabError(errors.SNAPSHOT_UNKNOWN, f"VirtualBox keeps no snapshot {name} of {', '.join(lacking)}")
        with events.step("disks and memory") as step:
            for machine in here.lab.machines:
                here.vagrant.snapshot(["restore", "--no-provision", machine.name, name], step.progress)

    def power_off(self, here: Site, machine: Machine) -> None:
        """Have Vagrant pull the plug."""
        here.vagrant.halt(machine.name, lambda _line: None, force=True)
        here.runner(machine).close()

    def drop(self, here: Site, name: str) -> None:
        """Have Vagrant remove the snapshot of each machine that has it."""
        for machine in here.lab.machines:
            if name in here.vagrant.snapshots(machine.name):
                here.vagrant.snapshot(["delete", machine.name, name], lambda _line: None)


def _words(lab: Lab) -> list[str]:
    """Return the hardware as words, and the network behind the first card where the default is the lab's own."""
    nat = virtualbox.nat_network(lab)
    return [*HARDWARE, *([] if nat == virtualbox.NAT_NETWORKS[0] else ["--natnet1", str(nat)])]
