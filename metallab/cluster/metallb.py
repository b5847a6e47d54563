"""MetalLB in layer 2 mode: installed from its own manifest, with the lab's pool, on the lab's network card.

The manifest is the upstream one; what the lab wants otherwise is changed on the parsed objects (:func:`prepare`).
Everything is applied server-side, so a second run changes nothing.
"""

from __future__ import annotations

import base64
import copy
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from metallab import errors
from metallab.cluster import manifests, workloads
from metallab.cluster.api import Cluster, Object, WebhookNotReady
from metallab.cluster.metallb_status import (
    CONTROLLER,
    EXCLUDE_LABEL,
    GROUP,
    NAMESPACE,
    POOL,
    SPEAKER,
    MetallbStatus,
    predicted_announcer,
    silent_addresses,
    status,
)
from metallab.cluster.nic import lab_interfaces
from metallab.cluster.ready import condition
from metallab.cluster.tuning import ORDINARY, Tuning
from metallab.config import Lab
from metallab.errors import Entry
from metallab.events import Step
from metallab.run import wait
from metallab.run.result import Runner
from metallab.run.wait import NotYet, WaitTimedOut

__all__ = ["MetallbStatus", "install", "predicted_announcer", "prepare", "status"]

ROLLOUT_SECONDS = 180.0
WEBHOOK_SECONDS = 120.0
CRD_SECONDS = 30.0
ANNOUNCED_SECONDS = 30.0
CRD = "CustomResourceDefinition"
MEMBERLIST = "memberlist"
WIDE_GOSSIP = "--ml-wan-config"
"""The speaker's flag for memberlist's WAN profile: a slow neighbour is not taken for a dead one (MetalLB 0.13+)."""
CERTIFICATE = "metallb-webhook-cert"


def install(
    lab: Lab, cluster: Cluster, manifest: Path, runners: Mapping[str, Runner], step: Step, tuning: Tuning = ORDINARY
) -> None:
    """Install MetalLB and the lab's pool; done before, nothing changes.

    ``manifest`` is the bundle's, ``runners`` are those of the nodes, by name. kube-proxy must have programmed the
    nodes already (``ready.wait_for_services``). Raises LAB-MLB-001 with the last state
    seen when a part does not get ready.
    """
    objects = prepare(manifests.read(manifest), tuning)
    interfaces = lab_interfaces(lab, runners)
    pool = pool_objects(lab, interfaces)
    changed = _apply_all(cluster, [item for item in objects if item["kind"] in ("Namespace", CRD)], step)
    changed |= _ensure_memberlist_key(cluster)
    changed |= _apply_all(cluster, [item for item in objects if item["kind"] not in ("Namespace", CRD)], step)
    changed |= _let_control_plane_announce(lab, cluster)
    _await_kinds(cluster, [item["metadata"]["name"] for item in objects if item["kind"] == CRD])
    _deliver_certificate(cluster, step)
    _await(cluster, "Deployment", CONTROLLER, step)
    for item in pool:
        changed |= apply_when_validated(cluster, item, on_wait=step.progress)
    _await(cluster, "DaemonSet", SPEAKER, step)
    _await_pool(cluster, step)
    if changed:
        step.result(f"pool {lab.pool_range} on {', '.join(interfaces)}")
    else:
        step.skip("already installed")


def is_there(cluster: Cluster) -> bool:
    """Tell whether anything of MetalLB is installed, working or not."""
    return any(
        cluster.get(workloads.APPS, kind, name, NAMESPACE) is not None
        for kind, name in (("Deployment", CONTROLLER), ("DaemonSet", SPEAKER))
    )


def wait_for_announcers(cluster: Cluster, step: Step) -> str:
    """Wait until somebody says of each served address that it announces it; return what is still to be said then.

    For a lab whose machines came back. Not an error: whether the addresses work is not what a bring-up promises, and
    somebody may have taken the announcement away on purpose.
    """

    def check() -> None:
        silent = silent_addresses(cluster)
        if silent:
            raise NotYet(f"nobody says it announces {', '.join(sorted(silent))}")

    if not is_there(cluster):
        return ""
    try:
        wait.until(check, timeout=ANNOUNCED_SECONDS, what="the speakers", every=0.5, on_wait=step.progress)
    except WaitTimedOut as error:
        return error.last
    return ""


def prepare(objects: Sequence[Object], tuning: Tuning = ORDINARY) -> list[Object]:
    """Return the manifest's objects with the lab's changes; the given ones stay as they are."""
    prepared = copy.deepcopy(list(objects))
    for item in prepared:
        # An artefact of the generator; applied as it is, it would claim a field that belongs to the API server.
        item["metadata"].pop("creationTimestamp", None)
        if item["kind"] == "Secret":
            # The default. An object without any field of ours is written again at every apply.
            item.setdefault("type", "Opaque")
        template = item.get("spec", {}).get("template")
        if template is None:
            continue
        for container in template["spec"]["containers"]:
            # The images are baked into the machines.
            container["imagePullPolicy"] = "IfNotPresent"
            # Upstream looks every ten seconds from the tenth on; until then the webhook has no endpoint and refuses
            # the pool. The liveness probe stays patient: asked every second, it kills the controller as it starts.
            container["readinessProbe"] |= {"initialDelaySeconds": 1, "periodSeconds": 1}
            if tuning.probe_seconds is not None:
                container["readinessProbe"] |= {"periodSeconds": 5, "timeoutSeconds": tuning.probe_seconds}
                container["livenessProbe"] |= {"initialDelaySeconds": 120, "timeoutSeconds": tuning.probe_seconds}
            if tuning.wide_gossip and container["name"] == SPEAKER:
                container["args"] += [WIDE_GOSSIP]
    return prepared


def pool_objects(lab: Lab, interfaces: Sequence[str]) -> list[Object]:
    """Return ``manifests/metallb`` with the lab's values set."""
    objects = manifests.folder("metallb")
    manifests.find(objects, "IPAddressPool", POOL)["spec"]["addresses"] = [lab.pool_range]
    manifests.find(objects, "L2Advertisement", POOL)["spec"]["interfaces"] = list(interfaces)
    return objects


def _apply_all(cluster: Cluster, objects: Sequence[Object], step: Step) -> bool:
    changed = False
    for number, item in enumerate(objects):
        step.progress(f"applying {item['kind']} {item['metadata']['name']}", number, len(objects))
        changed |= cluster.apply(item)
    return changed


def _ensure_memberlist_key(cluster: Cluster) -> bool:
    """Make the speakers' shared key if there is none.

    The controller would make the same Secret, but only once it runs, and until then the speakers' pods wait for it
    with growing pauses.
    """
    if cluster.get("v1", "Secret", MEMBERLIST, NAMESPACE) is not None:
        return False
    return cluster.apply(memberlist_key())


def memberlist_key() -> Object:
    """Return a new key for the speakers' gossip, as the Secret that MetalLB looks for."""
    key = base64.b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    metadata = {"name": MEMBERLIST, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"secretkey": key}}


def _let_control_plane_announce(lab: Lab, cluster: Cluster) -> bool:
    """Where there are no workers, take away the label that keeps load balancers off the control plane.

    kubeadm sets it on every control plane. With workers it stays: they announce, and the status says so.
    """
    name = lab.control_plane.name
    node = None if lab.workers else cluster.get("v1", "Node", name)
    if node is None or EXCLUDE_LABEL not in node["metadata"].get("labels", {}):
        return False
    cluster.patch("v1", "Node", name, {"metadata": {"labels": {EXCLUDE_LABEL: None}}})
    return True


def _await_kinds(cluster: Cluster, names: Sequence[str]) -> None:
    def check() -> None:
        for name in names:
            definition = cluster.get("apiextensions.k8s.io/v1", CRD, name) or {}
            established = condition(definition, "Established")
            if established is None or established["status"] != "True":
                raise NotYet(f"{name} is not established")

    wait.until(check, timeout=CRD_SECONDS, what="MetalLB's kinds of objects", entry=errors.METALLB_TIMEOUT)


def _deliver_certificate(cluster: Cluster, step: Step) -> None:
    """Let the controller see the webhook certificate it has made.

    It writes the certificate into a Secret and waits for it to appear in its own volume, but the kubelet refreshes a
    volume only about once a minute (measured: 45 s until Ready) - or when the pod changes.
    """

    def check() -> None:
        controller = cluster.get(workloads.APPS, "Deployment", CONTROLLER, NAMESPACE)
        if controller is None:
            raise NotYet("there is no controller")
        if workloads.rollout(controller).settled:
            return
        secret = cluster.get("v1", "Secret", CERTIFICATE, NAMESPACE)
        if secret is None or "tls.crt" not in secret.get("data", {}):
            raise NotYet("controller: makes its certificate" + workloads.trouble(cluster, controller))
        for pod in cluster.list("v1", "Pod", NAMESPACE, labels=f"component={CONTROLLER}"):
            workloads.hasten(cluster, pod)

    what = "MetalLB's controller to make its certificate"
    wait.until(check, timeout=ROLLOUT_SECONDS, what=what, entry=errors.METALLB_TIMEOUT, on_wait=step.progress)


def _await(cluster: Cluster, kind: str, name: str, step: Step) -> None:
    entry = errors.METALLB_TIMEOUT
    workloads.wait_for_rollout(cluster, kind, NAMESPACE, name, timeout=ROLLOUT_SECONDS, step=step, entry=entry)


def apply_when_validated(
    cluster: Cluster,
    item: Object,
    *,
    timeout: float = WEBHOOK_SECONDS,
    entry: Entry = errors.METALLB_TIMEOUT,
    on_wait: Callable[[str], None] | None = None,
) -> bool:
    """Apply an object that MetalLB's webhook validates.

    Ready, the controller still has to give the API server its certificate, and the service an endpoint: for a second
    or two the webhook cannot be called. Exactly that is waited out; a refusal is final.
    """

    def check() -> bool:
        try:
            return cluster.apply(item)
        except WebhookNotReady as error:
            raise NotYet(error.reason) from error

    what = f"MetalLB's webhook to accept {item['kind']} {item['metadata']['name']}"
    return wait.until(check, timeout=timeout, what=what, entry=entry, every=0.5, on_wait=on_wait)


def _await_pool(cluster: Cluster, step: Step) -> None:
    """Wait until the controller has taken up the pool, which it shows by counting its addresses."""

    def check() -> None:
        pool = cluster.get(GROUP, "IPAddressPool", POOL, NAMESPACE) or {}
        if "status" not in pool:
            raise NotYet("the controller has not counted its addresses")

    wait.until(
        check,
        timeout=ROLLOUT_SECONDS,
        what=f"MetalLB to take up the pool {POOL}",
        entry=errors.METALLB_TIMEOUT,
        on_wait=step.progress,
    )
