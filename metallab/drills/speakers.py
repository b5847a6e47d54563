"""MetalLB's speakers, as several drills handle them."""

from __future__ import annotations

from metallab import errors
from metallab.cluster import metallb_status, workloads
from metallab.cluster.api import Cluster, Object
from metallab.drills.base import NotPossible
from metallab.run import wait
from metallab.run.wait import NotYet

READY_SECONDS = 120.0
LABEL = f"component={metallb_status.SPEAKER}"


def pods(cluster: Cluster) -> list[Object]:
    """Return the speakers' pods."""
    return cluster.list("v1", "Pod", metallb_status.NAMESPACE, labels=LABEL)


def pod_on(cluster: Cluster, node: str) -> Object:
    """Return the speaker's pod of a node. Raises NotPossible when none runs there."""
    for pod in pods(cluster):
        if pod["spec"].get("nodeName") == node and "deletionTimestamp" not in pod["metadata"]:
            return pod
    raise NotPossible(f"no speaker runs on {node}")


def replace(cluster: Cluster, node: str) -> None:
    """Delete the speaker's pod of a node if it was ever started again: a new one has no back-off."""
    for pod in pods(cluster):
        restarted = any(one["restartCount"] for one in pod["status"].get("containerStatuses", []))
        if pod["spec"].get("nodeName") == node and restarted:
            cluster.delete("v1", "Pod", pod["metadata"]["name"], metallb_status.NAMESPACE, wait_seconds=READY_SECONDS)


def await_all(cluster: Cluster) -> None:
    """Wait until a speaker is ready on every node."""

    def check() -> None:
        found = cluster.get(workloads.APPS, "DaemonSet", metallb_status.SPEAKER, metallb_status.NAMESPACE)
        if found is None or not workloads.rollout(found).settled:
            raise NotYet("missing" if found is None else str(workloads.rollout(found)))

    wait.until(check, timeout=READY_SECONDS, what="the speakers to be ready", entry=errors.METALLB_TIMEOUT)
