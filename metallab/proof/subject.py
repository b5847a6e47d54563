"""What is proven, as the proof needs it: the lab, its machines' runners, and a cluster side small enough to imitate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from metallab.config import Lab
from metallab.run.result import Runner

TCP_SERVICE = "iperf3-server-tcp"
UDP_SERVICE = "iperf3-server-udp"


@dataclass(frozen=True)
class NodeState:
    """A node as the API server sees it; ``reason`` says why it is not ready."""

    name: str
    ready: bool
    reason: str = ""


@dataclass(frozen=True)
class ServiceState:
    """A LoadBalancer service: its protocol, port, and the address it was given, if any."""

    name: str
    protocol: str
    port: int
    address: IPv4Address | None


class ClusterSide(Protocol):
    """What the proof asks of the cluster, and the two changes it makes. All may raise LabError."""

    def versions(self) -> Mapping[str, str]:
        """Return the versions worth writing down, by name."""
        ...

    def nodes(self) -> tuple[NodeState, ...]:
        """Return the nodes the API server knows."""
        ...

    def services(self) -> tuple[ServiceState, ...]:
        """Return those of the example's services that exist."""
        ...

    def announcer(self) -> str | None:
        """Return the node MetalLB says it announces the shared address from. It can be out of date."""
        ...

    def delete_service(self, name: str) -> None:
        """Delete a service of the example and return when the object is gone."""
        ...

    def apply_service(self, name: str) -> None:
        """Create a service of the example again, or leave it as it is when it is there."""
        ...


@dataclass(frozen=True)
class Subject:
    """Everything a proof needs. ``nodes`` are the runners of the cluster's machines, by machine name."""

    lab: Lab
    client: Runner
    nodes: Mapping[str, Runner]
    cluster: ClusterSide

    @property
    def address(self) -> IPv4Address:
        """Return the address both services share."""
        return self.lab.vip
