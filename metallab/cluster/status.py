"""The cluster as ``lab.status`` shows it: records, and a named reason where a question got no answer."""

from __future__ import annotations

from dataclasses import dataclass

from metallab.cluster.api import Cluster, Object
from metallab.cluster.ready import node_state
from metallab.cluster.workloads import APPS, Rollout, rollout
from metallab.errors import LabError

ROLE_LABEL = "node-role.kubernetes.io/"
SYSTEM = (("DaemonSet", "kube-proxy"), ("Deployment", "coredns"))


@dataclass(frozen=True)
class NodeStatus:
    """A node. ``reason`` says why it is not ready; ``version`` is its kubelet's, ``runtime`` has its name, too."""

    name: str
    ready: bool
    reason: str
    version: str
    address: str | None
    roles: tuple[str, ...]
    pod_network: str | None
    runtime: str
    system: str
    kernel: str

    def line(self) -> str:
        """Return its state for a table."""
        return f"Ready, {self.version}, {self.runtime}" if self.ready else f"not Ready: {self.reason}"


@dataclass(frozen=True)
class SystemPart:
    """A part of the cluster that is itself a workload; ``rollout`` is None when it is missing."""

    name: str
    rollout: Rollout | None


@dataclass(frozen=True)
class ClusterStatus:
    """The cluster as far as it could be asked. ``problem`` says why the rest is not known."""

    version: str | None = None
    nodes: tuple[NodeStatus, ...] = ()
    system: tuple[SystemPart, ...] = ()
    problem: str = ""


def cluster_status(cluster: Cluster) -> ClusterStatus:
    """Return version, nodes and system parts. Never raises for a cluster that is down: ``problem`` then says so."""
    version: str | None = None
    found: tuple[NodeStatus, ...] = ()
    try:
        version = cluster.version()
        found = nodes(cluster)
        return ClusterStatus(version, found, system(cluster))
    except LabError as error:
        return ClusterStatus(version, found, problem=error.what)


def nodes(cluster: Cluster) -> tuple[NodeStatus, ...]:
    """Return the cluster's nodes. Raises what :class:`Cluster` raises."""
    return tuple(node_status(item) for item in cluster.list("v1", "Node"))


def system(cluster: Cluster) -> tuple[SystemPart, ...]:
    """Return kube-proxy and CoreDNS. Raises what :class:`Cluster` raises."""
    parts = []
    for kind, name in SYSTEM:
        found = cluster.get(APPS, kind, name, "kube-system")
        parts.append(SystemPart(name, rollout(found) if found is not None else None))
    return tuple(parts)


def node_status(node: Object) -> NodeStatus:
    """Read a Node object."""
    addresses = {entry["type"]: entry["address"] for entry in node["status"].get("addresses", [])}
    labels = node["metadata"].get("labels", {})
    reason, info = node_state(node), node["status"]["nodeInfo"]
    return NodeStatus(
        name=node["metadata"]["name"],
        ready=not reason,
        reason=reason,
        version=info["kubeletVersion"],
        address=addresses.get("InternalIP"),
        roles=tuple(sorted(label.removeprefix(ROLE_LABEL) for label in labels if label.startswith(ROLE_LABEL))),
        pod_network=node["spec"].get("podCIDR"),
        runtime=info["containerRuntimeVersion"].replace("://", " "),
        system=info["osImage"],
        kernel=info["kernelVersion"],
    )
