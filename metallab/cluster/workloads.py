"""Deployments and DaemonSets: how far they are, and waiting until they are there."""

from __future__ import annotations

from dataclasses import dataclass

from metallab import errors
from metallab.cluster.api import NOT_FOUND, Cluster, Object, Refused
from metallab.errors import Entry
from metallab.events import Step
from metallab.run import wait
from metallab.run.wait import NotYet

APPS = "apps/v1"
LOOK_ANNOTATION = "metallab/look"


@dataclass(frozen=True)
class Rollout:
    """How many pods of a workload are ready, of how many wanted. ``settled``: the newest version runs everywhere."""

    ready: int
    wanted: int
    settled: bool

    def __str__(self) -> str:
        return f"{self.ready}/{self.wanted} ready"


def rollout(workload: Object) -> Rollout:
    """Read a Deployment's or a DaemonSet's status. Counters that are zero are left out by the API server."""
    status, spec = workload.get("status", {}), workload["spec"]
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        ready = status.get("numberAvailable", 0)
        updated = status.get("updatedNumberScheduled", 0)
        # Before the controller has counted the nodes it wants none, which is not "all there".
        counted = wanted > 0
    else:
        wanted = spec.get("replicas", 1)
        ready = status.get("availableReplicas", 0)
        updated = status.get("updatedReplicas", 0)
        counted = status.get("replicas", 0) == wanted
    seen = status.get("observedGeneration", 0) >= workload["metadata"]["generation"]
    return Rollout(ready, wanted, settled=seen and counted and updated == wanted and ready >= wanted)


def wait_for_rollout(
    cluster: Cluster,
    kind: str,
    namespace: str,
    name: str,
    *,
    timeout: float,
    step: Step,
    entry: Entry = errors.CLUSTER_TIMEOUT,
) -> Rollout:
    """Wait until a workload runs as written and return how; on time-out the last state names the pods' trouble."""

    def check() -> Rollout:
        workload = cluster.get(APPS, kind, name, namespace)
        if workload is None:
            raise NotYet(f"there is no {kind} {name}")
        now = rollout(workload)
        if not now.settled:
            raise NotYet(f"{name}: {now}" + trouble(cluster, workload))
        return now

    what = f"{kind} {name} to be ready"
    return wait.until(check, timeout=timeout, what=what, entry=entry, on_wait=step.progress)


def trouble(cluster: Cluster, workload: Object) -> str:
    """Return what keeps a workload's pods from running, as an addition to a sentence; empty when nothing is known."""
    wanted = workload["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in wanted.items())
    pods = cluster.list("v1", "Pod", workload["metadata"]["namespace"], labels=selector)
    reasons = sorted({reason for pod in pods for reason in pod_trouble(pod)})
    return "".join(f"; {reason}" for reason in reasons)


def hasten(cluster: Cluster, pod: Object) -> None:
    """Let the kubelet look at a pod now, by changing an annotation of it.

    After a pod could not be started the kubelet waits 10 to 15 s (pod_workers.go, backOffPeriod), and what it mounts is
    refreshed once a minute; a change of the pod cuts both short. The value is the pod's own version, so it is new.
    """
    metadata = pod["metadata"]
    change = {"metadata": {"annotations": {LOOK_ANNOTATION: metadata["resourceVersion"]}}}
    try:
        cluster.patch("v1", "Pod", metadata["name"], change, metadata["namespace"])
    except Refused as refused:
        # It may have gone since it was listed.
        if refused.status != NOT_FOUND:
            raise


def pod_trouble(pod: Object) -> list[str]:
    """Return why a pod does not run: what its containers wait for, or why no node takes it."""
    status = pod.get("status", {})
    waiting = [
        state["waiting"]
        for container in status.get("containerStatuses", [])
        if "waiting" in (state := container.get("state", {}))
    ]
    # These two are the normal way up.
    odd = [item for item in waiting if item.get("reason") not in ("ContainerCreating", "PodInitializing")]
    found = [": ".join(filter(None, (item.get("reason"), item.get("message")))) for item in odd]
    found += [
        f"{condition.get('reason')}: {condition.get('message')}"
        for condition in status.get("conditions", [])
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    ]
    return found
