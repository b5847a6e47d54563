"""A lab on this host: its record, its folder, its provider, and the ways to its machines and its cluster."""

from __future__ import annotations

from dataclasses import dataclass

from metallab import errors
from metallab.cluster.api import Cluster
from metallab.config import Lab, Machine
from metallab.errors import LabError
from metallab.host import netns, provider
from metallab.host.provider import Choice
from metallab.machines import inventory
from metallab.machines.inventory import Runners
from metallab.machines.labdir import LabDir
from metallab.machines.vagrant import Vagrant
from metallab.run.ssh import SshRunner


@dataclass(frozen=True)
class Site:
    """Everything a command needs to work on one lab."""

    lab: Lab
    labdir: LabDir
    choice: Choice
    vagrant: Vagrant
    runners: Runners
    cluster: Cluster

    def runner(self, machine: Machine) -> SshRunner:
        """Return the runner of a machine."""
        return self.runners.of(machine)

    def node_runners(self) -> dict[str, SshRunner]:
        """Return the runners of the cluster's machines, by name."""
        return {node.name: self.runner(node) for node in self.lab.nodes}


def choose(lab: Lab) -> Choice:
    """Return the provider of the lab: the one its machines were made with, else what fits this host.

    A lab that was made in its sandbox stays there, also when a Docker daemon answers by now.
    """
    return provider.choose(lab, inventory.made_with(LabDir.of(lab)))


def site(lab: Lab) -> Site:
    """Return the lab's site, with this process inside the lab's network where it has one. Touches nothing."""
    choice = choose(lab)
    if choice.sandbox is not None and choice.sandbox.exists():
        netns.enter(choice.sandbox.namespace)
    labdir = LabDir.of(lab)
    return Site(
        lab=lab,
        labdir=labdir,
        choice=choice,
        vagrant=Vagrant(labdir, choice.environment),
        runners=Runners(lab, labdir),
        cluster=Cluster(labdir.kubeconfig),
    )


def existing(lab: Lab) -> Site:
    """Return the site of a lab that was brought up. Raises LAB-MACH-007 when it was not."""
    if not LabDir.of(lab).inventory.exists():
        raise LabError(errors.MACHINE_NOT_UP, f"the lab {lab.name} is not up")
    return site(lab)
