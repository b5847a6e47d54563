"""A lab on this host: its record, its folder, its provider, and the ways to its machines and its cluster."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

from metallab import errors
from metallab.cluster.api import Cluster
from metallab.config import Lab, Machine
from metallab.errors import LabError
from metallab.host import netns, provider
from metallab.host.provider import Choice, Made
from metallab.machines import inventory
from metallab.machines.inventory import Runners
from metallab.machines.labdir import LabDir
from metallab.machines.vagrant import Vagrant
from metallab.run import pace
from metallab.run.ssh import SshRunner

PACE_LOCK = threading.Lock()
"""Machines come up side by side, and their measurements lie in one file."""


@dataclass(frozen=True)
class Site:
    """Everything a command needs to work on one lab."""

    lab: Lab
    labdir: LabDir
    choice: Choice
    vagrant: Vagrant
    runners: Runners
    cluster: Cluster

    @classmethod
    def of(cls, lab: Lab) -> Site:
        """Return the lab's site, in the network it really gets; its sandbox need not be there yet."""
        choice, labdir = choose(lab), LabDir.of(lab)
        if choice.network is not None:
            lab = lab.model_copy(update={"network": choice.network})
        slowness = [*_paces(labdir).values()] or [_expected(choice)]
        pace.settle(slowness, [max(slowness) * pace.busy()])
        return cls(
            lab=lab,
            labdir=labdir,
            choice=choice,
            vagrant=Vagrant(labdir, choice.environment),
            runners=Runners(lab, labdir),
            cluster=Cluster(labdir.kubeconfig),
        )

    def inside(self) -> Site:
        """Move this process into the lab's network, where it has one of its own, and return the site."""
        if self.choice.sandbox is not None and self.choice.sandbox.exists():
            netns.enter(self.choice.sandbox.namespace)
        return self

    def is_known(self, machine: Machine) -> bool:
        """Tell whether the machine ever let us in: only then was it measured."""
        return machine.name in _paces(self.labdir)

    def calibrate(self, machine: Machine) -> float:
        """Measure how slow a machine is, once; return its own slowness, which is kept.

        Waits of this command get no shorter by it: what it saw of the host's load before still holds.
        """
        with PACE_LOCK:
            known, now = _paces(self.labdir), pace.factor()
            if machine.name not in known:
                known[machine.name], seen = pace.measure(self.runner(machine))
                now = max(now, seen)
                self.labdir.write_secret(self.labdir.pace, json.dumps(known) + "\n")
            pace.settle(known.values(), [now])
            return known[machine.name]

    def runner(self, machine: Machine) -> SshRunner:
        """Return the runner of a machine."""
        return self.runners.of(machine)

    def node_runners(self) -> dict[str, SshRunner]:
        """Return the runners of the cluster's machines, by name."""
        return {node.name: self.runner(node) for node in self.lab.nodes}


def choose(lab: Lab) -> Choice:
    """Return the provider of the lab: the one its machines were made with, else what fits this host.

    A lab that was made in its sandbox stays there, also when a daemon of the host's answers by now.
    """
    return provider.choose(lab, made(lab))


def made(lab: Lab) -> Made | None:
    """Return what the lab's machines were made with, None when it has none."""
    known = inventory.recorded(LabDir.of(lab))
    return None if known is None else Made(**known)


def _paces(labdir: LabDir) -> dict[str, float]:
    """Return what was measured of each machine; nothing before it was up."""
    try:
        return dict(json.loads(labdir.pace.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _expected(choice: Choice) -> float:
    """Return how slow machines will be that nobody has measured yet: as this host, or as what it emulates."""
    here = max(1.0, pace.measure_here())
    return here if choice.accelerated else here * pace.EMULATED


def likely_provider(lab: Lab) -> str:
    """Return the provider's name before the host has what it needs; a host on which nothing can run yet gets docker."""
    try:
        return choose(lab).provider
    except LabError:
        return "docker" if lab.provider == "auto" else lab.provider


def site(lab: Lab) -> Site:
    """Return the lab's site, with this process inside the lab's network where it has one. Touches nothing."""
    return Site.of(lab).inside()


def existing(lab: Lab) -> Site:
    """Return the site of a lab that was brought up. Raises LAB-MACH-007 when it was not."""
    if not LabDir.of(lab).inventory.exists():
        raise LabError(errors.MACHINE_NOT_UP, f"the lab {lab.name} is not up")
    return site(lab)
