"""What is proven, as the proof needs it: the lab, its machines' runners, and a cluster side small enough to imitate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from metallab.config import Lab
from metallab.run.result import Runner

TCP_SERVICE = "iperf3-server-tcp"
UDP_SERVICE = "iperf3-server-udp"
# What the proof brings along for its own time; manifests/proof holds the objects.
ECHO_PORT = 5202
CONTROL_PORT = 5301
SOURCE_SERVICES = {"Cluster": "metallab-proof-cluster", "Local": "metallab-proof-local"}
"""externalTrafficPolicy -> the service that has it."""
Say = Callable[[str], None]
"""Told what a check waits for."""


@dataclass(frozen=True)
class NodeState:
    """A node as the API server sees it; ``reason`` says why it is not ready."""

    name: str
    ready: bool
    reason: str = ""


@dataclass(frozen=True)
class Part:
    """A part of MetalLB; ``words`` say how many of its pods are ready, or that it is missing."""

    name: str
    ready: bool
    words: str


@dataclass(frozen=True)
class ServiceState:
    """A LoadBalancer service: its protocol, port, and the address it was given, if any.

    ``events`` tell why it has none: what MetalLB reported about it, or that there is no pool.
    """

    name: str
    protocol: str
    port: int
    address: IPv4Address | None
    namespace: str = ""
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pod:
    """A pod that is an iperf3 server, on its node."""

    name: str
    node: str
    address: str
    ready: bool


class ClusterSide(Protocol):
    """What the proof asks of the cluster, and the changes it makes. All may raise LabError."""

    def versions(self) -> Mapping[str, str]:
        """Return the versions worth writing down, by name."""
        ...

    # -- asked

    def nodes(self) -> tuple[NodeState, ...]:
        """Return the nodes the API server knows."""
        ...

    def metallb(self) -> tuple[Part, ...]:
        """Return MetalLB's controller and speakers."""
        ...

    def servers(self) -> tuple[Pod, ...]:
        """Return the pods of the iperf3 server, also those that end."""
        ...

    def services(self) -> tuple[ServiceState, ...]:
        """Return those of the example's services that exist, wherever they are."""
        ...

    def service(self, name: str) -> ServiceState | None:
        """Return a service that the proof brought along, or None."""
        ...

    def announcer(self) -> str | None:
        """Return the node MetalLB says it announces the shared address from. It can be out of date."""
        ...

    def elected(self) -> str | None:
        """Return the node that MetalLB's election has to choose for the shared address."""
        ...

    def found(self) -> Mapping[str, str]:
        """Return what the proof has to leave as it is: an object's name -> how it is."""
        ...

    # -- changed

    def stage(self, node: str) -> None:
        """Bring along what the proof needs; the control server goes on ``node``. Returns before it runs."""
        ...

    def strike(self, service: str = "") -> None:
        """Remove what the proof brought along (or one service of it) and return when it is gone."""
        ...

    def take_away(self, name: str) -> None:
        """Delete a service of the example, having kept it, and return when the object is gone."""
        ...

    def put_back(self, name: str) -> None:
        """Create a kept service again and return when it has its address; nothing is done when it is there."""
        ...

    def scale_down(self) -> None:
        """Let no iperf3 server run, having kept their number, and return when the last one is gone."""
        ...

    def scale_back(self) -> None:
        """Let as many iperf3 servers run as before and return when they are ready."""
        ...

    def heal(self) -> tuple[str, ...]:
        """Put back and remove what an interrupted proof left behind, and return that in words."""
        ...

    def refused(self, case: str, words: Sequence[str]) -> tuple[str, ...]:
        """Ask MetalLB for something it must refuse in one of these words, and remove what was asked.

        ``case`` names a folder of manifests/proof. Returns the events it answered with in time, whatever they say.
        """
        ...


@dataclass(frozen=True)
class Subject:
    """Everything a proof needs. ``nodes`` are the runners of the cluster's machines, by machine name."""

    lab: Lab
    client: Runner
    nodes: Mapping[str, Runner]
    cluster: ClusterSide
    provider: str = ""

    @property
    def address(self) -> IPv4Address:
        """Return the address both services share."""
        return self.lab.vip
