"""The real cluster, as the proof sees it. The one module of the proof that imports ``cluster``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from metallab.cluster import example, experiment, metallb_status, ready, status, workloads
from metallab.cluster.api import Cluster, Object
from metallab.config import Lab
from metallab.proof.subject import TCP_SERVICE, UDP_SERVICE, NodeState, Part, Pod, ServiceState


class RealCluster:
    """A :class:`~metallab.proof.subject.ClusterSide` over the Kubernetes API.

    ``images`` are the bundle's references of what the proof brings along.
    """

    def __init__(self, lab: Lab, cluster: Cluster, images: Mapping[str, str]) -> None:
        self._lab = lab
        self._cluster = cluster
        self._images = images

    def versions(self) -> Mapping[str, str]:
        """Return Kubernetes' and MetalLB's versions as they run."""
        metallb = metallb_status.status(self._cluster, self._lab).version
        return {"Kubernetes": self._cluster.version(), **({"MetalLB": metallb} if metallb else {})}

    def nodes(self) -> tuple[NodeState, ...]:
        """Return the nodes the API server knows."""
        return tuple(NodeState(node.name, node.ready, node.reason) for node in status.nodes(self._cluster))

    def metallb(self) -> tuple[Part, ...]:
        """Return MetalLB's controller and speakers."""
        parts = []
        for name, kind in ((metallb_status.CONTROLLER, "Deployment"), (metallb_status.SPEAKER, "DaemonSet")):
            item = self._cluster.get(workloads.APPS, kind, name, metallb_status.NAMESPACE)
            found = workloads.rollout(item) if item is not None else None
            parts.append(Part(name, found is not None and found.settled, str(found or "missing")))
        return tuple(parts)

    def servers(self) -> tuple[Pod, ...]:
        """Return the pods of the iperf3 server."""
        pods = self._cluster.list("v1", "Pod", example.NAMESPACE, labels=experiment.SERVER_LABEL)
        return tuple(_pod(item) for item in pods)

    def services(self) -> tuple[ServiceState, ...]:
        """Return those of the example's services that exist; one in its own namespace counts before others."""
        found = {}
        for item in self._cluster.list("v1", "Service"):
            name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
            if name in (TCP_SERVICE, UDP_SERVICE) and (name not in found or namespace == example.NAMESPACE):
                found[name] = self._service(item)
        return tuple(found[name] for name in (TCP_SERVICE, UDP_SERVICE) if name in found)

    def service(self, name: str) -> ServiceState | None:
        """Return a service in the example's namespace, or None."""
        item = self._cluster.get("v1", "Service", name, example.NAMESPACE)
        return None if item is None else self._service(item)

    def announcer(self) -> str | None:
        """Return the node named by the ServiceL2Status of a service with the shared address."""
        service = self._shared()
        return None if service is None else service.announcer

    def elected(self) -> str | None:
        """Return the node that wins the election among those that may announce now."""
        service = self._shared()
        return None if service is None else service.predicted

    def found(self) -> Mapping[str, str]:
        """Return how everything is that a proof could leave otherwise."""
        return experiment.found(self._cluster)

    def stage(self, node: str) -> None:
        """Bring along echo, control server and the services that tell the source address."""
        experiment.stage(self._lab, self._cluster, self._images, node)

    def strike(self, service: str = "") -> None:
        """Remove what was brought along, or one service of it."""
        experiment.strike(self._cluster, service)

    def take_away(self, name: str) -> None:
        """Keep a service of the example and delete it."""
        experiment.take_away(self._cluster, name)

    def put_back(self, name: str) -> None:
        """Create a kept service again and return when it has its address."""
        experiment.put_back(self._cluster, name)

    def scale_down(self) -> None:
        """Let no iperf3 server run."""
        experiment.scale_down(self._cluster)

    def scale_back(self) -> None:
        """Let as many run as before."""
        experiment.scale_back(self._cluster)

    def heal(self) -> tuple[str, ...]:
        """Put back and remove what an interrupted proof left behind."""
        return tuple(experiment.heal(self._cluster))

    def refused(self, case: str, words: Sequence[str]) -> tuple[str, ...]:
        """Ask MetalLB for something it must refuse and return what it said."""
        return tuple(experiment.refused(self._lab, self._cluster, case, words))

    def _shared(self) -> metallb_status.ServiceStatus | None:
        """Return a service with the shared address, one that somebody says he announces if there is any."""
        services = metallb_status.status(self._cluster, self._lab).services
        shared = [service for service in services if service.address == str(self._lab.vip)]
        return max(shared, key=lambda service: service.announcer is not None, default=None)

    def _service(self, item: Object) -> ServiceState:
        address = metallb_status.service_address(item)
        # Kubernetes leaves no service without a port, and fills in the protocol.
        port = item["spec"]["ports"][0]
        return ServiceState(
            name=item["metadata"]["name"],
            protocol=port["protocol"],
            port=port["port"],
            address=IPv4Address(address) if address is not None else None,
            namespace=item["metadata"]["namespace"],
            # Asked only where they explain something.
            events=tuple(experiment.why_no_address(self._cluster, item)) if address is None else (),
        )


def _pod(item: Object) -> Pod:
    condition = ready.condition(item, "Ready")
    is_ready = condition is not None and condition["status"] == "True"
    address, node = item.get("status", {}).get("podIP", ""), item["spec"].get("nodeName", "")
    return Pod(item["metadata"]["name"], node, address, is_ready and "deletionTimestamp" not in item["metadata"])
