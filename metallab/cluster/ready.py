"""Waiting until the cluster really works: nodes Ready, cluster DNS up, services reachable from every node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from metallab import errors
from metallab.cluster import workloads
from metallab.cluster.api import Cluster, Object
from metallab.config import Lab
from metallab.events import Step
from metallab.run import wait
from metallab.run.result import Runner
from metallab.run.wait import NotYet

LEASE = ("coordination.k8s.io/v1", "Lease")
LEASES = (*LEASE, "kube-node-lease")
LEADERS = ("kube-controller-manager", "kube-scheduler")
API_SECONDS = 60.0
NODES_SECONDS = 180.0
DNS_SECONDS = 180.0
PROXY_SECONDS = 180.0
RETURN_SECONDS = 180.0
PROXY_SYNC_SECONDS = 2.0
PROXY = "k8s-app=kube-proxy"
TOO_EARLY = "CreateContainerConfigError"
"""What a kubelet says of a container when it has not yet read the services or a ConfigMap the container needs."""
ASK_SECONDS = 15.0


def wait_for_cluster(lab: Lab, cluster: Cluster, runners: Mapping[str, Runner], step: Step) -> str:
    """Wait until pods run on every node, find each other by name and reach services; return what there is then.

    ``runners`` are the nodes', by name.
    """
    wait_for_api(cluster, step)
    wait_for_nodes(lab, cluster, step)
    wait_for_services(lab, cluster, runners, step)
    wait_for_dns(cluster, step)
    count = "1 node" if len(lab.nodes) == 1 else f"{len(lab.nodes)} nodes"
    return f"{count} Ready, {cluster.version()}"


def wait_for_api(cluster: Cluster, step: Step) -> None:
    """Wait until the API server can be reached from here and calls itself ready."""

    def check() -> None:
        if not cluster.healthz():
            raise NotYet("the API server is not ready")

    wait.until(
        check,
        timeout=API_SECONDS,
        what="the API server",
        entry=errors.CLUSTER_UNREACHABLE,
        on_wait=step.progress,
    )


def wait_for_nodes(lab: Lab, cluster: Cluster, step: Step) -> None:
    """Wait until every node of the lab is Ready; each is told its pod network as soon as it is registered."""
    told: set[str] = set()

    def check() -> None:
        nodes = {node["metadata"]["name"]: node for node in cluster.list("v1", "Node")}
        _tell_pod_networks(lab, cluster, nodes, told)
        silent = silent_kubelets(cluster.list(*LEASES), datetime.now(timezone.utc))
        states = {
            machine.name: node_state(nodes.get(machine.name)) or silent.get(machine.name) for machine in lab.nodes
        }
        missing = {name: state for name, state in states.items() if state}
        if missing:
            raise NotYet(", ".join(f"{name}: {state}" for name, state in missing.items()))

    wait.until(check, timeout=NODES_SECONDS, what="the nodes to be Ready", on_wait=step.progress)


def silent_kubelets(leases: Sequence[Object], now: datetime) -> dict[str, str]:
    """Return node -> since when its kubelet is silent, for those that should have reported by ``now``.

    Right after a lab was powered on, nodes still carry the Ready of the time before: nobody was there to change it.
    """
    silent = {}
    for lease in leases:
        age = (now - datetime.fromisoformat(lease["spec"]["renewTime"].replace("Z", "+00:00"))).total_seconds()
        if age > lease["spec"]["leaseDurationSeconds"]:
            silent[lease["metadata"]["name"]] = f"its kubelet has not reported for {age:.0f} s"
    return silent


def node_state(node: Object | None) -> str:
    """Return why a node is not Ready, or nothing when it is."""
    if node is None:
        return "not registered"
    ready = condition(node, "Ready")
    if ready is None:
        return "no state yet"
    return "" if ready["status"] == "True" else str(ready.get("message") or ready.get("reason") or "not Ready")


def condition(item: Object, name: str) -> Object | None:
    """Return one condition of an object's status, if it is there."""
    # A CustomResourceDefinition that was made a moment ago has the key, with nothing in it.
    for entry in item.get("status", {}).get("conditions") or []:
        if entry["type"] == name:
            found: Object = entry
            return found
    return None


def _tell_pod_networks(lab: Lab, cluster: Cluster, nodes: Mapping[str, Object], told: set[str]) -> None:
    """Write each node's pod network into its spec: nothing needs it, but ``kubectl get node`` should tell the truth."""
    for machine in lab.nodes:
        node = nodes.get(machine.name)
        if node is None or machine.name in told:
            continue
        told.add(machine.name)
        network = str(lab.pod_network(machine))
        if "podCIDR" not in node["spec"]:
            cluster.patch("v1", "Node", machine.name, {"spec": {"podCIDR": network, "podCIDRs": [network]}})


def wait_for_return(cluster: Cluster, started: Mapping[str, datetime], step: Step) -> None:
    """Wait until the pods of nodes that were started again have been started again, too.

    For 40 s after a power-off the API server goes on calling node and pods ready, so their word is believed only for
    containers that are younger than the machine. ``started`` is when each node's machine was started, by name.
    """
    if started:
        _end_old_leases(cluster, max(started.values()))

    def check() -> None:
        for name, since in started.items():
            pods = cluster.list("v1", "Pod", fields=f"spec.nodeName={name}")
            old = [pod["metadata"]["name"] for pod in pods if not _runs_since(pod, since)]
            if old:
                raise NotYet(f"not yet started again on {name}: {', '.join(sorted(old))}")
        stale = _stale_endpoints(cluster.list("discovery.k8s.io/v1", "EndpointSlice"), cluster.list("v1", "Pod"))
        if stale:
            raise NotYet(f"services still lead to where pods were: {', '.join(sorted(stale))}")

    wait.until(check, timeout=RETURN_SECONDS, what="the pods to come back", on_wait=step.progress)
    if started:
        # kube-proxy gathers changes for a second (minSyncPeriod) before it programs them.
        wait.pause(PROXY_SYNC_SECONDS)


def _end_old_leases(cluster: Cluster, since: datetime) -> None:
    """Delete the leases of leaders that were ended with their machine: the new ones would wait 15 s for their end.

    One that was renewed after ``since``, when the last machine was started, is alive and left alone.
    """
    for lease in cluster.list(*LEASE, "kube-system"):
        name, renewed = lease["metadata"]["name"], lease["spec"].get("renewTime")
        if name in LEADERS and renewed and datetime.fromisoformat(renewed.replace("Z", "+00:00")) < since:
            cluster.delete(*LEASE, name, "kube-system")


def _stale_endpoints(slices: Sequence[Object], pods: Sequence[Object]) -> set[str]:
    """Return the pods that endpoints name with another address than they have, or as not ready.

    They are corrected by the controller-manager, which after a power-off first waits for its old lease to end.
    """
    addresses = {
        (pod["metadata"]["namespace"], pod["metadata"]["name"]): pod.get("status", {}).get("podIP") for pod in pods
    }
    stale = set()
    for endpoint in (endpoint for item in slices for endpoint in item.get("endpoints") or []):
        target = endpoint.get("targetRef") or {}
        key = (target.get("namespace"), target.get("name"))
        ready = (endpoint.get("conditions") or {}).get("ready", True)
        if target.get("kind") == "Pod" and (not ready or addresses.get(key) not in endpoint["addresses"]):
            stale.add(str(target["name"]))
    return stale


def _runs_since(pod: Object, since: datetime) -> bool:
    """Tell whether a pod is done for good, or ready with every container started after ``since``."""
    status = pod.get("status", {})
    if status.get("phase") in ("Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]:
        return True
    state = condition(pod, "Ready")
    containers = status.get("containerStatuses") or []
    starts = [container["state"].get("running", {}).get("startedAt") for container in containers]
    # The API server's times end in Z, which Python reads only from 3.11 on; they have whole seconds.
    young = [start is not None and datetime.fromisoformat(start.replace("Z", "+00:00")) >= since for start in starts]
    return state is not None and state["status"] == "True" and bool(young) and all(young)


def wait_for_dns(cluster: Cluster, step: Step) -> None:
    """Wait until CoreDNS runs."""
    workloads.wait_for_rollout(cluster, "Deployment", "kube-system", "coredns", timeout=DNS_SECONDS, step=step)


def wait_for_services(lab: Lab, cluster: Cluster, runners: Mapping[str, Runner], step: Step) -> None:
    """Wait until kube-proxy has programmed the Kubernetes service itself on every node.

    MetalLB's controller asks the API server through that service once when it starts; refused, it ends and waits out
    a back-off of ten seconds. So the nodes' own packet filter is asked, not a pod's condition. ``runners`` are those
    of the nodes, by name.

    A kubelet that has just joined often tries to start kube-proxy before it has read the cluster's services, which is
    an error it would wait out for 10 to 15 s.
    """
    element = f"{{ {lab.services.network_address + 1} . tcp . 443 }}"
    argv = ["nft", "get", "element", "ip", "kube-proxy", "service-ips", element]
    waiting = [machine.name for machine in lab.nodes]

    def check() -> None:
        for name in list(waiting):
            if runners[name].run(argv, timeout=ASK_SECONDS, check=False).ok:
                waiting.remove(name)
        if waiting:
            for pod in cluster.list("v1", "Pod", "kube-system", labels=PROXY):
                if TOO_EARLY in waiting_reasons(pod):
                    workloads.hasten(cluster, pod)
            raise NotYet(f"kube-proxy has not yet programmed {', '.join(waiting)}")

    what = "kube-proxy to program the nodes"
    wait.until(check, timeout=PROXY_SECONDS, what=what, every=0.5, on_wait=step.progress)


def waiting_reasons(pod: Object) -> set[str]:
    """Return why containers of a pod wait, in the kubelet's words."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return {status["state"].get("waiting", {}).get("reason", "") for status in statuses} - {""}
