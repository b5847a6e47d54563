"""What a drill brings along: an echo by two services on the shared address, for the client's probes."""

from __future__ import annotations

from metallab.cluster import example, experiment, manifests, metallb_status, workloads
from metallab.cluster.api import Cluster, Object
from metallab.config import Lab
from metallab.events import Step
from metallab.run import wait
from metallab.run.wait import NotYet

LABEL = "app.kubernetes.io/part-of=metallab-drill"
NAME = "metallab-drill-echo"
SERVICES = ("metallab-drill-tcp", "metallab-drill-udp")
TCP, UDP = SERVICES
PORT = 5203
READY_SECONDS = 60.0


def stage(lab: Lab, cluster: Cluster, image: str, node: str, step: Step, *, free: bool = False) -> None:
    """Have the echo run on a node and its services on the shared address; done before, nothing changes.

    ``free`` lets it go elsewhere when it is driven away from there; otherwise it stays, whatever becomes of the node.
    """
    for item in objects(lab, image, node, free=free):
        cluster.apply(item)
    workloads.wait_for_rollout(cluster, "Deployment", example.NAMESPACE, NAME, timeout=READY_SECONDS, step=step)
    if free:
        bring_home(cluster, node)
        workloads.wait_for_rollout(cluster, "Deployment", example.NAMESPACE, NAME, timeout=READY_SECONDS, step=step)
    for name in SERVICES:
        await_address(lab, cluster, name)


def objects(lab: Lab, image: str, node: str, *, free: bool = False) -> list[Object]:
    """Return ``manifests/drills`` with the lab's address, the bundle's image, and the node."""
    items = manifests.folder("drills")
    spec = manifests.find(items, "Deployment", NAME)["spec"]["template"]["spec"]
    spec["containers"][0]["image"] = image
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    if free:
        wish = [{"weight": 100, "preference": here}]
        spec["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wish}}
    else:
        terms = {"nodeSelectorTerms": [here]}
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
        # It stays when the node is lost, and no taint keeps it off.
        spec["tolerations"] = [{"operator": "Exists"}]
    for name in SERVICES:
        manifests.find(items, "Service", name)["metadata"]["annotations"][example.ADDRESS_ANNOTATION] = str(lab.vip)
    return items


def bring_home(cluster: Cluster, node: str) -> None:
    """Have an echo that an earlier run has driven away made anew where it should be.

    A wish counts only when a pod is given its node.
    """

    def at_home() -> None:
        pods = cluster.list("v1", "Pod", example.NAMESPACE, labels=f"app={NAME}")
        away = [pod for pod in pods if pod["spec"].get("nodeName", node) != node]
        for pod in away:
            if "deletionTimestamp" not in pod["metadata"]:
                cluster.delete("v1", "Pod", pod["metadata"]["name"], example.NAMESPACE)
        if away:
            raise NotYet(f"it runs on {away[0]['spec']['nodeName']}")

    wait.until(at_home, timeout=READY_SECONDS, what=f"the echo to run on {node}")


def await_address(lab: Lab, cluster: Cluster, name: str) -> None:
    """Wait until a service of the echo has the shared address."""

    def check() -> None:
        service = cluster.get("v1", "Service", name, example.NAMESPACE)
        if service is None or metallb_status.service_address(service) != str(lab.vip):
            raise NotYet(f"{name} has not got {lab.vip}")

    wait.until(check, timeout=example.ADDRESS_SECONDS, what=f"{name} to get {lab.vip}")


def strike(cluster: Cluster) -> list[str]:
    """Remove everything that was brought along; return what it was."""
    return experiment.strike(cluster, label=LABEL)
