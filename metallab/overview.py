"""The lab at a glance, also when half of it is down: machines, nodes, MetalLB, the address and its announcer.

Layers are asked at the same time, each for itself; the first one that is broken is named, since what lies above it
can only be broken, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from metallab.cluster import metallb_status, status
from metallab.cluster.metallb_status import MetallbStatus
from metallab.cluster.status import ClusterStatus
from metallab.config import Machine
from metallab.errors import LabError
from metallab.site import Site

ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class MachineStatus:
    """A machine: ``up`` when it lets us in; otherwise ``state`` is what Vagrant calls it."""

    name: str
    role: str
    address: str
    up: bool
    state: str


@dataclass(frozen=True)
class LabStatus:
    """Everything ``lab.status`` shows. ``broken`` names the first broken layer and why; empty when all is well."""

    lab: str
    network: str
    provider: str
    machines: tuple[MachineStatus, ...]
    cluster: ClusterStatus
    metallb: MetallbStatus
    address: str
    announcer: str | None
    broken: str

    def lines(self) -> list[tuple[str, str, str]]:
        """Return rows of layer, part and state for a table, from the lowest layer up."""
        rows = [("machine", f"{item.name} ({item.address})", item.state) for item in self.machines]
        if self.cluster.problem:
            rows.append(("cluster", "API server", self.cluster.problem))
        for node in self.cluster.nodes:
            state = f"Ready, {node.version}" if node.ready else f"not Ready: {node.reason}"
            rows.append(("node", node.name, state))
        rows += [("cluster", part.name, str(part.rollout or "missing")) for part in self.cluster.system]
        rows += self.metallb.lines()
        announced = f"announced by {self.announcer}" if self.announcer else "announcer not reported"
        rows.append(("address", self.address, announced))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def look(site: Site) -> LabStatus:
    """Ask every layer of the lab how it is. Never raises for a part that is down."""
    lab = site.lab
    with ThreadPoolExecutor(thread_name_prefix="look") as pool:
        cluster_answer = pool.submit(status.cluster_status, site.cluster)
        metallb_answer = pool.submit(metallb_status.status, site.cluster, lab)
        answers = list(pool.map(lambda machine: _lets_us_in(site, machine), lab.machines))
        machines = _machines(site, answers)
        cluster, metallb = cluster_answer.result(), metallb_answer.result()
    shared = [service for service in metallb.services if service.address == str(lab.vip)]
    return LabStatus(
        lab=lab.name,
        network=str(lab.network),
        provider=f"{site.choice.provider}: {site.choice.reason}",
        machines=machines,
        cluster=cluster,
        metallb=metallb,
        address=str(lab.vip),
        announcer=next((service.announcer for service in shared if service.announcer), None),
        broken=next(_broken(machines, cluster, metallb, shared), ""),
    )


def _lets_us_in(site: Site, machine: Machine) -> str:
    """Return an empty string when the machine lets us in, else why not."""
    try:
        return "" if site.runner(machine).answers(ANSWER_SECONDS) else "no SSH"
    except LabError as error:
        return error.what


def _machines(site: Site, answers: Sequence[str]) -> tuple[MachineStatus, ...]:
    # Asking Vagrant takes seconds: only when a machine that should answer does not.
    states = _vagrant_states(site) if any(answers) else {}
    return tuple(
        MachineStatus(
            name=machine.name,
            role=machine.role,
            address=str(site.lab.address(machine)),
            up=not answer,
            state=f"{states.get(machine.name, 'unknown')}, {answer}" if answer else "running",
        )
        for machine, answer in zip(site.lab.machines, answers, strict=True)
    )


def _vagrant_states(site: Site) -> dict[str, str]:
    try:
        return site.vagrant.states()
    except LabError:
        return {}


def _broken(
    machines: Sequence[MachineStatus],
    cluster: ClusterStatus,
    metallb: MetallbStatus,
    shared: Sequence[metallb_status.ServiceStatus],
) -> Iterator[str]:
    """Yield what is broken, from the lowest layer up."""
    for machine in machines:
        if not machine.up:
            yield f"machine {machine.name}: {machine.state}"
    if cluster.problem:
        yield f"cluster: {cluster.problem}"
    for node in cluster.nodes:
        if not node.ready:
            yield f"node {node.name}: {node.reason}"
    for part in cluster.system:
        if part.rollout is None:
            yield f"cluster: {part.name} is missing"
        elif not part.rollout.settled:
            yield f"cluster: {part.name}: {part.rollout}"
    yield from _broken_metallb(metallb, shared)


def _broken_metallb(metallb: MetallbStatus, shared: Sequence[metallb_status.ServiceStatus]) -> Iterator[str]:
    if metallb.problem:
        yield f"MetalLB: {metallb.problem}"
    elif not metallb.installed:
        yield "MetalLB is not installed (./inv metallb.install)"
    for warning in metallb.warnings:
        yield f"MetalLB: {warning}"
    if metallb.installed and not shared:
        yield "no service has the shared address (./inv iperf3.deploy)"
