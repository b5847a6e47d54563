"""What a picture of a lab shows: its machines on their network, and who announces which address. Pure; others draw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from metallab.cluster.metallb_status import ServiceStatus, predicted_announcer
from metallab.cluster.status import NodeStatus
from metallab.config import Lab, Machine
from metallab.overview import LabStatus, MachineStatus
from metallab.proof.report.words import printable


@dataclass(frozen=True)
class Place:
    """A machine, or the host: its name, what it is for, its address, and further lines. ``down``: it is silent."""

    name: str
    role: str
    address: str
    lines: tuple[str, ...] = ()
    down: bool = False

    @property
    def is_node(self) -> bool:
        """Tell whether it is a machine of the cluster."""
        return self.role in ("control-plane", "worker")


@dataclass(frozen=True)
class Address:
    """An address of MetalLB's: the services that have it, the machines that announce it, and whether that is so now."""

    address: str
    services: tuple[str, ...]
    announcers: tuple[str, ...]
    planned: bool = False

    @property
    def word(self) -> str:
        """Return what the announcer does."""
        return "is to announce" if self.planned else "announces"


@dataclass(frozen=True)
class Picture:
    """Everything that is drawn. ``note`` says whether that is so or only planned, and what is broken."""

    title: str
    note: str
    network: str
    host: Place
    machines: tuple[Place, ...]
    addresses: tuple[Address, ...]


def planned(lab: Lab, why: str) -> Picture:
    """Return the picture of a lab that cannot be asked: what lab.yaml comes to. ``why`` says why."""
    elected = predicted_announcer([node.name for node in lab.workers or lab.nodes], lab.vip)
    announcers = () if elected is None else (elected,)
    services = ("iperf3-server-tcp 5201/TCP", "iperf3-server-udp 5201/UDP")
    return Picture(
        title=f"lab {lab.name}, as planned",
        note=f"planned, not running: {why}",
        network=f"lab network {lab.network}",
        host=_host(lab),
        machines=tuple(_planned_place(lab, machine) for machine in lab.machines),
        addresses=(Address(str(lab.vip), services, announcers, planned=True),),
    )


def live(lab: Lab, seen: LabStatus, when: str) -> Picture:
    """Return the picture of a lab as it was seen at ``when``."""
    nodes = {node.name: node for node in seen.cluster.nodes}
    return Picture(
        title=f"lab {lab.name}, as seen at {when}",
        note=f"first broken layer: {seen.broken}" if seen.broken else "all is well",
        network=f"lab network {lab.network}",
        host=_host(lab),
        machines=tuple(_place(machine, nodes.get(machine.name)) for machine in seen.machines),
        addresses=tuple(_addresses(seen.metallb.services)),
    )


def told(picture: Picture) -> list[str]:
    """Return who announces what, an address a line."""
    return [
        f"{' and '.join(one.announcers) or 'nobody'} {one.word} {one.address} for {', '.join(one.services)}"
        for one in picture.addresses
    ]


def one_line(text: str) -> str:
    """Return a text as one line of visible characters, whatever a machine said."""
    return " ".join(printable(text).split())


def _host(lab: Lab) -> Place:
    return Place("this host", "gateway", str(lab.gateway), (f"pool {lab.pool_range}",))


def _planned_place(lab: Lab, machine: Machine) -> Place:
    pods = (f"pods {lab.pod_network(machine)}",) if machine in lab.nodes else ()
    return Place(machine.name, machine.role, str(lab.address(machine)), pods)


def _place(machine: MachineStatus, node: NodeStatus | None) -> Place:
    lines = [] if machine.up else [machine.state]
    if node is not None:
        lines += [f"node {node.line()}", *([f"pods {node.pod_network}"] if node.pod_network else [])]
    return Place(machine.name, machine.role, machine.address, tuple(lines), down=not machine.up)


def _addresses(services: Sequence[ServiceStatus]) -> Iterator[Address]:
    known = dict.fromkeys(service.address for service in services if service.address is not None)
    for address in known:
        sharing = [service for service in services if service.address == address]
        announcers = _once(service.announcer for service in sharing if service.announcer is not None)
        names = tuple(f"{service.namespace}/{service.name} {', '.join(service.ports)}" for service in sharing)
        yield Address(address, names, announcers)


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
