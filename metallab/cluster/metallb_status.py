"""What MetalLB says of itself, as records: its parts, its pool, who announces which address, and what looks wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from metallab.cluster.api import Cluster, Object
from metallab.cluster.ready import condition, node_state
from metallab.cluster.workloads import APPS, Rollout, rollout
from metallab.config import Lab
from metallab.errors import LabError

NAMESPACE = "metallb-system"
GROUP = "metallb.io/v1beta1"
CONTROLLER, SPEAKER = "controller", "speaker"
POOL = "lab"
EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"


@dataclass(frozen=True)
class PoolStatus:
    """An address pool. The counts are the controller's, None until it has counted."""

    name: str
    addresses: tuple[str, ...]
    assigned: int | None
    available: int | None


@dataclass(frozen=True)
class ServiceStatus:
    """A service of type LoadBalancer.

    ``announcer`` is the node that says it answers for the address (it may lag behind a failure by a minute: never
    the only evidence), ``predicted`` the one MetalLB's election has to choose.
    """

    namespace: str
    name: str
    ports: tuple[str, ...]
    address: str | None
    announcer: str | None
    predicted: str | None

    def line(self) -> tuple[str, str, str]:
        """Return layer, part and state for a table."""
        announced = f"announced by {self.announcer}" if self.announcer else "announcer not reported"
        state = "no address" if self.address is None else f"{self.address}, {announced}"
        return "service", f"{self.namespace}/{self.name} {', '.join(self.ports)}", state


@dataclass(frozen=True)
class MetallbStatus:
    """MetalLB as a whole. ``problem`` says why nothing is known, when nothing is."""

    installed: bool
    version: str | None = None
    controller: Rollout | None = None
    speaker: Rollout | None = None
    pools: tuple[PoolStatus, ...] = ()
    services: tuple[ServiceStatus, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""

    def lines(self) -> list[tuple[str, str, str]]:
        """Return rows of layer, part and state for a table."""
        if not self.installed:
            return [("MetalLB", "", self.problem or "not installed")]
        parts = [(f"controller {self.version}", str(self.controller)), ("speaker", str(self.speaker or "missing"))]
        for pool in self.pools:
            counted = "not counted yet" if pool.assigned is None else f"{pool.assigned} given, {pool.available} left"
            parts.append((f"pool {', '.join(pool.addresses)}", counted))
        parts += [("note", note) for note in self.notes]
        parts += [("warning", warning) for warning in self.warnings]
        return [*(("MetalLB", *part) for part in parts), *(service.line() for service in self.services)]


def status(cluster: Cluster, lab: Lab) -> MetallbStatus:
    """Return how MetalLB is. Never raises for a cluster that is down: ``problem`` then says so."""
    try:
        return _status(cluster, lab)
    except LabError as error:
        return MetallbStatus(installed=False, problem=error.what)


def predicted_announcer(nodes: Iterable[str], address: IPv4Address | str) -> str | None:
    """Return the node that wins MetalLB's election for an address, None when there is no candidate.

    Every speaker sorts the candidates by the SHA-256 of ``node#address`` and the first announces
    (speaker/layer2_controller.go, ShouldAnnounce): per address, so a shared address has one announcer.
    """
    return min(nodes, key=lambda node: hashlib.sha256(f"{node}#{address}".encode()).digest(), default=None)


def candidates(nodes: Sequence[Object], speakers: Sequence[Object]) -> list[str]:
    """Return the nodes that may announce: a Ready speaker runs there, and no label or condition forbids it."""
    speaking = {pod["spec"].get("nodeName") for pod in speakers if _is_true(pod, "Ready")}
    return [
        node["metadata"]["name"]
        for node in nodes
        if node["metadata"]["name"] in speaking and not excluded(node) and not _is_true(node, "NetworkUnavailable")
    ]


def excluded(node: Object) -> bool:
    """Tell whether a node carries the label that keeps load balancers off it."""
    return EXCLUDE_LABEL in node["metadata"].get("labels", {})


def _status(cluster: Cluster, lab: Lab) -> MetallbStatus:
    controller = cluster.get(APPS, "Deployment", CONTROLLER, NAMESPACE)
    if controller is None:
        return MetallbStatus(installed=False)
    speaker = cluster.get(APPS, "DaemonSet", SPEAKER, NAMESPACE)
    nodes = cluster.list("v1", "Node")
    speakers = cluster.list("v1", "Pod", NAMESPACE, labels="component=speaker")
    pools = tuple(_pool(item) for item in cluster.list(GROUP, "IPAddressPool", NAMESPACE))
    services = _services(cluster, candidates(nodes, speakers))
    advertised = bool(cluster.list(GROUP, "L2Advertisement", NAMESPACE))
    return MetallbStatus(
        installed=True,
        version=_version(controller),
        controller=rollout(controller),
        speaker=rollout(speaker) if speaker is not None else None,
        pools=pools,
        services=services,
        warnings=tuple(_warnings(nodes, pools, services, advertised=advertised)),
        notes=tuple(_notes(nodes, lab)),
    )


def _pool(item: Object) -> PoolStatus:
    counted = item.get("status", {})
    return PoolStatus(
        name=item["metadata"]["name"],
        addresses=tuple(item["spec"]["addresses"]),
        assigned=counted.get("assignedIPv4"),
        available=counted.get("availableIPv4"),
    )


def _services(cluster: Cluster, may_announce: Sequence[str]) -> tuple[ServiceStatus, ...]:
    announcers = {
        (item["status"]["serviceNamespace"], item["status"]["serviceName"]): item["status"]["node"]
        for item in cluster.list(GROUP, "ServiceL2Status")
        if "node" in item.get("status", {})
    }
    balanced = [item for item in cluster.list("v1", "Service") if item["spec"]["type"] == "LoadBalancer"]
    return tuple(service_status(item, announcers, may_announce) for item in balanced)


def service_status(
    service: Object, announcers: dict[tuple[str, str], str], may_announce: Sequence[str]
) -> ServiceStatus:
    """Read one service of type LoadBalancer."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    address = service_address(service)
    return ServiceStatus(
        namespace=namespace,
        name=name,
        ports=tuple(f"{port['port']}/{port['protocol']}" for port in service["spec"]["ports"]),
        address=address,
        announcer=announcers.get((namespace, name)),
        predicted=predicted_announcer(may_announce, address) if address is not None else None,
    )


def silent_addresses(cluster: Cluster) -> set[str]:
    """Return the addresses that are served and of which no node says that it announces them.

    A speaker that was started again first takes back what it said before, and says it anew some seconds later.
    """
    return silent(_services(cluster, ()), cluster.list("discovery.k8s.io/v1", "EndpointSlice"))


def silent(services: Sequence[ServiceStatus], slices: Sequence[Object]) -> set[str]:
    """Return the same of what was read: services, and the EndpointSlices that lead to their servers."""
    served = {_service_of(item) for item in slices if has_ready_endpoint(item)}
    given = {item.address for item in services if item.address is not None and (item.namespace, item.name) in served}
    return {address for address in given if all(item.announcer is None for item in services if item.address == address)}


def has_ready_endpoint(item: Object) -> bool:
    """Tell whether an EndpointSlice leads to a server that is ready; no word about it means yes (its own rule)."""
    endpoints = item.get("endpoints") or []
    return any((endpoint.get("conditions") or {}).get("ready", True) for endpoint in endpoints)


def _service_of(item: Object) -> tuple[str, str]:
    metadata = item["metadata"]
    return metadata["namespace"], metadata.get("labels", {}).get("kubernetes.io/service-name", "")


def service_address(service: Object) -> str | None:
    """Return the address a service of type LoadBalancer was given, None while it has none."""
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return str(ingress[0]["ip"]) if ingress else None


def _version(controller: Object) -> str:
    image: str = controller["spec"]["template"]["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2]


def _warnings(
    nodes: Sequence[Object], pools: Sequence[PoolStatus], services: Sequence[ServiceStatus], *, advertised: bool
) -> Iterable[str]:
    for node in nodes:
        state = node_state(node)
        if state:
            yield f"node {node['metadata']['name']} is not Ready: {state}"
    if not pools:
        yield "there is no address pool: services get no address"
    if not advertised:
        yield "there is no L2Advertisement: nobody answers for any address"
    # Services that share an address share its announcer: it is elected for the address.
    announced = {service.address for service in services if service.announcer is not None}
    for service in services:
        if service.address is None:
            yield f"service {service.namespace}/{service.name} has no address"
        elif service.address not in announced:
            yield f"nobody says it announces {service.address} for service {service.namespace}/{service.name}"
        elif None not in (service.announcer, service.predicted) and service.announcer != service.predicted:
            yield f"{service.address} is announced by {service.announcer}, but {service.predicted} should be elected"


def _notes(nodes: Sequence[Object], lab: Lab) -> Iterable[str]:
    for node in nodes:
        if excluded(node) and lab.workers:
            yield f"{node['metadata']['name']} does not announce: control planes are left out while there are workers"


def _is_true(item: Object, name: str) -> bool:
    found = condition(item, name)
    return found is not None and found["status"] == "True"
