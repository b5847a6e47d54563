"""The lab at a glance, also when half of it is down: machines, nodes, MetalLB, the address and its announcer.

Layers are asked at the same time, each for itself; the first one that is broken is named, since what lies above it
can only be broken, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from metallab.cluster import certificates, metallb_status, status
from metallab.cluster.api import Cluster
from metallab.cluster.certificates import Certificate
from metallab.cluster.metallb_status import MetallbStatus
from metallab.cluster.status import ClusterStatus
from metallab.config import Machine
from metallab.errors import LabError
from metallab.site import Site

SCHEMA = "metallab.status/1"
"""Changes when a reader of the old form could misread the new one."""
ANSWER_SECONDS = 2.0
READ_SECONDS = 5.0
BUSY_SECONDS = 3.0
"""A look has to end soon: less patience with the API server than those have who want something done."""


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
    """Everything ``lab.status`` shows. ``broken`` names the first broken layer and why; empty when all is well.

    ``warnings`` are what will break.
    """

    lab: str
    network: str
    provider: str
    machines: tuple[MachineStatus, ...]
    cluster: ClusterStatus
    metallb: MetallbStatus
    address: str
    announcer: str | None
    broken: str
    certificates: tuple[Certificate, ...] = ()
    warnings: tuple[str, ...] = ()

    def lines(self) -> list[tuple[str, str, str]]:
        """Return rows of layer, part and state for a table, from the lowest layer up."""
        rows = [("machine", f"{item.name} ({item.address})", item.state) for item in self.machines]
        if self.certificates:
            rows.append(("cluster", "certificates", _in_short(self.certificates)))
        if self.cluster.problem:
            rows.append(("cluster", "API server", self.cluster.problem))
        elif self.cluster.version:
            rows.append(("cluster", "API server", self.cluster.version))
        rows += [("node", node.name, node.line()) for node in self.cluster.nodes]
        rows += [("cluster", part.name, str(part.rollout or "missing")) for part in self.cluster.system]
        rows += self.metallb.lines()
        announced = f"announced by {self.announcer}" if self.announcer else "announcer not reported"
        rows.append(("address", self.address, announced))
        return rows

    def ending(self) -> list[str]:
        """Return what stands below the table: what will break, and what is broken first."""
        told = [f"soon: {warning}" for warning in self.warnings]
        return [*told, f"first broken layer: {self.broken}" if self.broken else "all is well"]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"schema": SCHEMA, **asdict(self), "versions": self.versions()}

    def versions(self) -> dict[str, str | None]:
        """Return what runs; where nodes differ, everything that is said once."""
        nodes = self.cluster.nodes
        return {
            "kubernetes": self.cluster.version,
            "kubelet": _once(node.version for node in nodes),
            "runtime": _once(node.runtime for node in nodes),
            "system": _once(node.system for node in nodes),
            "kernel": _once(node.kernel for node in nodes),
            "metallb": self.metallb.version,
        }


def look(site: Site) -> LabStatus:
    """Ask every layer of the lab how it is, once. Never raises for a part that is down."""
    return Observer(site).look()


class Observer:
    """Looks at one lab again and again. Connections are kept, certificates read once.

    Vagrant, which takes seconds, is asked only when machines are silent, and again only when others are.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._cluster = Cluster(site.labdir.kubeconfig, read_seconds=READ_SECONDS, busy_seconds=BUSY_SECONDS)
        self._certificates: dict[str, tuple[Certificate, ...]] = {}
        self._silent: tuple[str, ...] = ()
        self._states: dict[str, str] = {}

    def look(self) -> LabStatus:
        """Return how the lab is now. The layers are asked side by side; none waits for another."""
        site, lab = self._site, self._site.lab
        with ThreadPoolExecutor(thread_name_prefix="look") as pool:
            cluster_answer = pool.submit(status.cluster_status, self._cluster)
            metallb_answer = pool.submit(metallb_status.status, self._cluster, lab)
            asked: list[Future[str]] = [pool.submit(self._lets_us_in, machine) for machine in lab.machines]
            machines = self._machines([answer.result() for answer in asked])
            cluster, metallb = cluster_answer.result(), metallb_answer.result()
        known = self._known_certificates()
        shared = [service for service in metallb.services if service.address == str(lab.vip)]
        ended = [f"certificate {one}" for one in known if one.is_over]
        return LabStatus(
            lab=lab.name,
            network=str(lab.network),
            provider=f"{site.choice.provider}: {site.choice.reason}",
            machines=machines,
            cluster=cluster,
            metallb=metallb,
            address=str(lab.vip),
            announcer=next((service.announcer for service in shared if service.announcer), None),
            broken=next(_broken(machines, ended, cluster, metallb, shared), ""),
            certificates=known,
            warnings=tuple(f"certificate {one}" for one in known if one.ends_soon and not one.is_over),
        )

    def _lets_us_in(self, machine: Machine) -> str:
        """Return an empty string when the machine lets us in, else why not; a node's certificates are read, too."""
        runner = self._site.runner(machine)
        try:
            if not runner.answers(ANSWER_SECONDS):
                return "no SSH"
        except LabError as error:
            return error.what
        if machine in self._site.lab.nodes and machine.name not in self._certificates:
            # A node whose files cannot be read is still a machine that lets us in.
            with contextlib.suppress(LabError, ValueError, LookupError):
                self._certificates[machine.name] = certificates.of_node(runner, _now())
        return ""

    def _known_certificates(self) -> tuple[Certificate, ...]:
        by_node = [self._certificates.get(node.name, ()) for node in self._site.lab.nodes]
        admin = certificates.of_kubeconfig(self._site.labdir.kubeconfig, _now())
        return tuple(one for known in (admin, *by_node) for one in known)

    def _machines(self, answers: Sequence[str]) -> tuple[MachineStatus, ...]:
        lab = self._site.lab
        silent = tuple(machine.name for machine, answer in zip(lab.machines, answers, strict=True) if answer)
        if silent != self._silent:
            self._silent, self._states = silent, _vagrant_states(self._site) if silent else {}
        return tuple(
            MachineStatus(
                name=machine.name,
                role=machine.role,
                address=str(lab.address(machine)),
                up=not answer,
                state=f"{self._states.get(machine.name, 'unknown')}, {answer}" if answer else "running",
            )
            for machine, answer in zip(lab.machines, answers, strict=True)
        )


def _vagrant_states(site: Site) -> dict[str, str]:
    try:
        return site.vagrant.states()
    except LabError:
        return {}


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _once(values: Iterable[str]) -> str | None:
    """Return what all say, or everything that is said; None when nobody is there to say it."""
    return ", ".join(sorted(set(values))) or None


def _in_short(known: Sequence[Certificate]) -> str:
    first = min(known, key=lambda one: one.days_left)
    return f"{len(known)} read; the first to end: {first}"


def _broken(
    machines: Sequence[MachineStatus],
    ended: Sequence[str],
    cluster: ClusterStatus,
    metallb: MetallbStatus,
    shared: Sequence[metallb_status.ServiceStatus],
) -> Iterator[str]:
    """Yield what is broken, from the lowest layer up."""
    for machine in machines:
        if not machine.up:
            yield f"machine {machine.name}: {machine.state}"
    yield from ended
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
