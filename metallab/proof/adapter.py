"""The real cluster, as the proof sees it. The one module of the proof that imports ``cluster``."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

from metallab.cluster import example, metallb_status, status
from metallab.cluster.api import Cluster
from metallab.config import Lab
from metallab.proof.subject import TCP_SERVICE, UDP_SERVICE, NodeState, ServiceState


class RealCluster:
    """A :class:`~metallab.proof.subject.ClusterSide` over the Kubernetes API."""

    def __init__(self, lab: Lab, cluster: Cluster) -> None:
        self._lab = lab
        self._cluster = cluster

    def versions(self) -> Mapping[str, str]:
        """Return Kubernetes' and MetalLB's versions as they run."""
        metallb = metallb_status.status(self._cluster, self._lab).version
        return {"Kubernetes": self._cluster.version(), **({"MetalLB": metallb} if metallb else {})}

    def nodes(self) -> tuple[NodeState, ...]:
        """Return the nodes the API server knows."""
        return tuple(NodeState(node.name, node.ready, node.reason) for node in status.nodes(self._cluster))

    def services(self) -> tuple[ServiceState, ...]:
        """Return those of the example's services that exist, with their first port."""
        found = []
        for name in (TCP_SERVICE, UDP_SERVICE):
            service = self._cluster.get("v1", "Service", name, example.NAMESPACE)
            if service is not None:
                address = metallb_status.service_address(service)
                port = service["spec"]["ports"][0]
                # Kubernetes leaves no service without a port, and fills in the protocol.
                given = IPv4Address(address) if address is not None else None
                found.append(ServiceState(name, port["protocol"], port["port"], given))
        return tuple(found)

    def announcer(self) -> str | None:
        """Return the node named by the ServiceL2Status of a service with the shared address."""
        for service in metallb_status.status(self._cluster, self._lab).services:
            if service.address == str(self._lab.vip) and service.announcer is not None:
                return service.announcer
        return None

    def delete_service(self, name: str) -> None:
        """Delete a service of the example and return when the object is gone."""
        example.delete_service(self._cluster, name)

    def apply_service(self, name: str) -> None:
        """Put a service of the example back and return when it has its address."""
        example.apply_service(self._lab, self._cluster, name)
