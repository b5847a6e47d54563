"""What a proof does to the example, and what it brings along: every change is written down first and can be undone.

What is taken away is kept in a ConfigMap before it goes, so that also a proof that was killed in the middle leaves
nothing lost: :func:`heal` puts it back, whoever runs it next. What is brought along carries one label.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence

from metallab import errors
from metallab.cluster import example, manifests, metallb, metallb_status, workloads
from metallab.cluster.api import Cluster, Object
from metallab.config import Lab
from metallab.run import wait
from metallab.run.wait import NotYet, WaitTimedOut

NOTE = "metallab-proof"
LABEL = "app.kubernetes.io/part-of=metallab-proof"
REPLICAS = "replicas"
SERVER_LABEL = f"app={example.SERVER}"
CONTROL = "metallab-proof-control"
ECHO = "metallab-proof-echo"
BROUGHT = (
    ("v1", "Service", example.NAMESPACE),
    ("apps/v1", "Deployment", example.NAMESPACE),
    ("v1", "Pod", example.NAMESPACE),
    (metallb_status.GROUP, "IPAddressPool", metallb_status.NAMESPACE),
)
"""The kinds of what is brought along, in the order it is removed."""
GONE_SECONDS = 60.0
EVENT_SECONDS = 20.0
WEBHOOK_SECONDS = 60.0
SERVER_FIELDS = {
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "healthCheckNodePort",
    "nodePort",
}
"""What the API server gives a service anew."""
SERVER_DEFAULTS = {
    "allocateLoadBalancerNodePorts": True,
    "externalTrafficPolicy": "Cluster",
    "internalTrafficPolicy": "Cluster",
    "sessionAffinity": "None",
}
ALLOCATED_FROM = "metallb.io/ip-allocated-from-pool"


# -- brought along -----------------------------------------------------------------------------------------------


def stage(lab: Lab, cluster: Cluster, images: Mapping[str, str], node: str) -> None:
    """Apply ``manifests/proof``; the control server goes on ``node``. Returns before anything of it runs.

    ``images`` are the bundle's references of ``agnhost`` and ``iperf3``.
    """
    for item in objects(lab, images, node):
        cluster.apply(item)


def objects(lab: Lab, images: Mapping[str, str], node: str) -> list[Object]:
    """Return ``manifests/proof`` with the lab's address and the bundle's images set."""
    items = manifests.folder("proof")
    (echo,) = manifests.find(items, "Deployment", ECHO)["spec"]["template"]["spec"]["containers"]
    echo["image"] = images["agnhost"]
    control = manifests.find(items, "Pod", CONTROL)
    control["spec"]["nodeName"] = node
    control["spec"]["containers"][0]["image"] = images["iperf3"]
    manifests.find(items, "Service", ECHO)["metadata"]["annotations"][example.ADDRESS_ANNOTATION] = str(lab.vip)
    return items


def strike(cluster: Cluster, name: str = "", label: str = LABEL) -> list[str]:
    """Remove what was brought along, or the one object of that name; return when it is gone, and what it was.

    ``label`` is what marks it: a proof's things have one, those of others another.
    """
    found = [
        (api_version, kind, item["metadata"]["name"], namespace)
        for api_version, kind, namespace in BROUGHT
        for item in cluster.list(api_version, kind, namespace, labels=label)
        # A pod that a Deployment owns goes with it.
        if name in ("", item["metadata"]["name"]) and not item["metadata"].get("ownerReferences")
    ]
    for api_version, kind, each, namespace in found:
        cluster.delete(api_version, kind, each, namespace, with_owned=True)

    def gone() -> None:
        for api_version, kind, each, namespace in found:
            if cluster.get(api_version, kind, each, namespace) is not None:
                raise NotYet(f"{kind} {each} is still there")

    wait.until(gone, timeout=GONE_SECONDS, what="what was brought along to be gone")
    return [f"{kind} {each}" for _, kind, each, _ in found]


def refused(lab: Lab, cluster: Cluster, case: str, words: Sequence[str]) -> list[str]:
    """Apply ``manifests/proof/<case>`` and wait until MetalLB gives one of its services no address, in those words.

    Returns the events of the refused service, all that were seen when the deadline passed without. What was applied is
    removed again, whatever happens.
    """
    items = manifests.folder(f"proof/{case}")
    names = [item["metadata"]["name"] for item in items if item["kind"] == "Service"]
    seen: list[str] = []

    def answered() -> list[str]:
        seen.clear()
        for name in names:
            service = cluster.get("v1", "Service", name, example.NAMESPACE)
            if service is not None and metallb_status.service_address(service) is None:
                said = events(cluster, service)
                if any(word in line for line in said for word in words):
                    return said
                seen.extend(said)
        raise NotYet("it has not refused")

    try:
        for item in items:
            annotations = item["metadata"].get("annotations", {})
            if example.ADDRESS_ANNOTATION in annotations:
                annotations[example.ADDRESS_ANNOTATION] = str(lab.vip)
            metallb.apply_when_validated(cluster, item, timeout=WEBHOOK_SECONDS, entry=errors.CLUSTER_TIMEOUT)
        with contextlib.suppress(WaitTimedOut):
            return wait.until(answered, timeout=EVENT_SECONDS, what="MetalLB to refuse")
        return seen
    finally:
        for item in reversed(items):
            metadata = item["metadata"]
            cluster.delete(item["apiVersion"], item["kind"], metadata["name"], metadata["namespace"])


def events(cluster: Cluster, service: Object) -> list[str]:
    """Return what was reported about this very service, oldest first: ``reason: message``.

    One of the same name that was there an hour ago has left its events, too.
    """
    fields = f"involvedObject.kind=Service,involvedObject.uid={service['metadata']['uid']}"
    found = cluster.list("v1", "Event", fields=fields)
    found.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return [f"{event.get('reason')}: {event.get('message')}" for event in found]


def why_no_address(cluster: Cluster, service: Object) -> list[str]:
    """Return what is known of why a service has no address, the best reason last; empty when nothing is.

    Without any pool MetalLB (v0.15.2) reports no event, it only logs "failed to handle service".
    """
    said = events(cluster, service)
    if not said and not cluster.list(metallb_status.GROUP, "IPAddressPool", metallb_status.NAMESPACE):
        return ["there is no address pool"]
    return said


# -- taken away and put back -------------------------------------------------------------------------------------


def take_away(cluster: Cluster, name: str) -> None:
    """Keep a service of the example and delete it; return when the object is gone. Without one nothing is done."""
    service = cluster.get("v1", "Service", name, example.NAMESPACE)
    if service is None:
        return
    _keep(cluster, name, json.dumps(as_written(service)))
    example.delete_service(cluster, name)


def put_back(cluster: Cluster, name: str) -> None:
    """Create a kept service again, as it was written, and return when it has an address. Kept none, nothing is done."""
    kept = _kept(cluster).get(name)
    if kept is None:
        return
    cluster.apply(json.loads(kept))
    _await_address(cluster, name)
    _keep(cluster, name, None)


def _await_address(cluster: Cluster, name: str) -> None:
    def has_address() -> None:
        service = cluster.get("v1", "Service", name, example.NAMESPACE)
        if service is None or metallb_status.service_address(service) is None:
            raise NotYet(f"{name} has no address")

    wait.until(has_address, timeout=example.ADDRESS_SECONDS, what=f"{name} to get its address back")


def scale_down(cluster: Cluster) -> None:
    """Keep how many iperf3 servers there are, scale to none, and return when the last one is gone."""
    deployment = cluster.get(workloads.APPS, "Deployment", example.SERVER, example.NAMESPACE)
    if deployment is None:
        return
    if REPLICAS not in _kept(cluster):
        _keep(cluster, REPLICAS, str(deployment["spec"].get("replicas", 1)))
    _scale(cluster, 0)

    def gone() -> None:
        left = len(cluster.list("v1", "Pod", example.NAMESPACE, labels=SERVER_LABEL))
        if left:
            raise NotYet(f"{left} still there")

    wait.until(gone, timeout=GONE_SECONDS, what="the iperf3 server to be gone")


def scale_back(cluster: Cluster) -> None:
    """Scale to the number that was kept and return when they are ready. Kept none, nothing is done."""
    kept = _kept(cluster).get(REPLICAS)
    if kept is None:
        return
    _scale(cluster, int(kept))
    _await_servers(cluster)
    _keep(cluster, REPLICAS, None)


def _await_servers(cluster: Cluster) -> None:
    def ready() -> None:
        deployment = cluster.get(workloads.APPS, "Deployment", example.SERVER, example.NAMESPACE)
        if deployment is not None and not workloads.rollout(deployment).settled:
            raise NotYet(f"{workloads.rollout(deployment)}{workloads.trouble(cluster, deployment)}")

    wait.until(ready, timeout=example.ROLLOUT_SECONDS, what=f"{example.SERVER} to be ready again")


def heal(cluster: Cluster) -> list[str]:
    """Put back what was kept and remove what was brought along; return it in words, empty when all was in order."""
    kept = _kept(cluster)
    services = sorted(kept.keys() - {REPLICAS})
    # Everything is created before anything is waited for: one thing that does not come must not keep back the rest.
    for name in services:
        cluster.apply(json.loads(kept[name]))
    if REPLICAS in kept:
        _scale(cluster, int(kept[REPLICAS]))
    for name in services:
        _await_address(cluster, name)
        _keep(cluster, name, None)
    if REPLICAS in kept:
        _await_servers(cluster)
        _keep(cluster, REPLICAS, None)
    healed = [f"{name} put back" for name in services]
    healed += [f"{example.SERVER} scaled back"] if REPLICAS in kept else []
    healed += [f"{what} removed" for what in strike(cluster)]
    cluster.delete("v1", "ConfigMap", NOTE, example.NAMESPACE)
    return healed


def found(cluster: Cluster) -> dict[str, str]:
    """Return how everything is that a proof could leave otherwise: what is written in it, and its address."""
    return dict(_found(cluster))


def _found(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for service in cluster.list("v1", "Service"):
        if service["spec"]["type"] == "LoadBalancer":
            address = metallb_status.service_address(service)
            yield _name("Service", service), f"{address} {json.dumps(as_written(service), sort_keys=True)}"
    for deployment in cluster.list(workloads.APPS, "Deployment"):
        yield _name("Deployment", deployment), f"{deployment['spec'].get('replicas', 1)} replicas"
    for kind in ("IPAddressPool", "L2Advertisement"):
        for item in cluster.list(metallb_status.GROUP, kind):
            yield _name(kind, item), json.dumps(item.get("spec", {}), sort_keys=True)
    for pod in cluster.list("v1", "Pod", labels=LABEL):
        yield _name("Pod", pod), "is there"
    if cluster.get("v1", "ConfigMap", NOTE, example.NAMESPACE) is not None:
        yield f"ConfigMap {NOTE}", "is there"


def _name(kind: str, item: Object) -> str:
    return f"{kind} {item['metadata']['namespace']}/{item['metadata']['name']}"


def as_written(service: Object) -> Object:
    """Return a service as somebody wrote it: without what the API server and MetalLB add by themselves."""
    metadata, spec = service["metadata"], dict(service["spec"])
    for field in SERVER_FIELDS:
        spec.pop(field, None)
    for field, value in SERVER_DEFAULTS.items():
        if spec.get(field) == value:
            del spec[field]
    spec["ports"] = [
        {field: value for field, value in port.items() if field not in SERVER_FIELDS} for port in spec["ports"]
    ]
    annotations = {name: value for name, value in metadata.get("annotations", {}).items() if name != ALLOCATED_FROM}
    kept = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        **({"labels": metadata["labels"]} if "labels" in metadata else {}),
        **({"annotations": annotations} if annotations else {}),
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": kept, "spec": spec}


def _scale(cluster: Cluster, replicas: int) -> None:
    change = {"spec": {"replicas": replicas}}
    cluster.patch(workloads.APPS, "Deployment", example.SERVER, change, example.NAMESPACE)


def _kept(cluster: Cluster) -> dict[str, str]:
    note = cluster.get("v1", "ConfigMap", NOTE, example.NAMESPACE) or {}
    return dict(note.get("data") or {})


def _keep(cluster: Cluster, name: str, value: str | None) -> None:
    """Write one line of the note; None crosses it out."""
    data = _kept(cluster)
    if value is None:
        data.pop(name, None)
    else:
        data[name] = value
    metadata = {"name": NOTE, "namespace": example.NAMESPACE}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
