"""The example of the seed document: one iperf3 server, a TCP and a UDP service, one shared address."""

from __future__ import annotations

from dataclasses import dataclass

from metallab import errors
from metallab.cluster import manifests, workloads
from metallab.cluster.api import Cluster, Object
from metallab.cluster.metallb_status import service_address
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Step
from metallab.run import wait
from metallab.run.wait import NotYet, WaitTimedOut

NAMESPACE = "default"
SERVER = "iperf3-server"
TCP, UDP = "iperf3-server-tcp", "iperf3-server-udp"
PORT = 5201
ADDRESS_ANNOTATION = "metallb.io/loadBalancerIPs"
ADDRESS_SECONDS = 30.0
ROLLOUT_SECONDS = 120.0
DELETE_SECONDS = 60.0


@dataclass(frozen=True)
class Addresses:
    """The addresses the two services were given, None where there is none (or no service)."""

    tcp: str | None
    udp: str | None

    @property
    def shared(self) -> str | None:
        """Return the one address both services have, or None."""
        return self.tcp if self.tcp is not None and self.tcp == self.udp else None


def deploy(lab: Lab, cluster: Cluster, image: str, step: Step) -> Addresses:
    """Deploy server and services and return their addresses; done before, nothing changes.

    Raises LAB-MLB-004 with the service's events when an address is not given, LAB-MLB-002 when nobody could give one.
    """
    if cluster.get("apps/v1", "Deployment", "controller", "metallb-system") is None:
        raise LabError(errors.METALLB_MISSING, "nobody would give the services an address")
    changed = False
    for item in objects(lab, image):
        step.progress(f"applying {item['kind']} {item['metadata']['name']}")
        changed |= cluster.apply(item)
    found = Addresses(*(_await_address(lab, cluster, name, step) for name in (TCP, UDP)))
    workloads.wait_for_rollout(cluster, "Deployment", NAMESPACE, SERVER, timeout=ROLLOUT_SECONDS, step=step)
    if changed:
        step.result(f"{SERVER} on {found.shared}")
    else:
        step.skip(f"already deployed on {found.shared}")
    return found


def objects(lab: Lab, image: str) -> list[Object]:
    """Return ``manifests/iperf3`` with the lab's address and the bundle's image set."""
    items = manifests.folder("iperf3")
    (container,) = manifests.find(items, "Deployment", SERVER)["spec"]["template"]["spec"]["containers"]
    container["image"] = image
    for name in (TCP, UDP):
        manifests.find(items, "Service", name)["metadata"]["annotations"][ADDRESS_ANNOTATION] = str(lab.vip)
    return items


def delete(cluster: Cluster, step: Step) -> None:
    """Delete server and services and return when they are gone."""
    existed = False
    for name in (TCP, UDP):
        step.progress(f"deleting Service {name}")
        existed |= cluster.delete("v1", "Service", name, NAMESPACE, wait_seconds=DELETE_SECONDS)
    step.progress(f"deleting Deployment {SERVER}")
    existed |= cluster.delete("apps/v1", "Deployment", SERVER, NAMESPACE, wait_seconds=DELETE_SECONDS, with_owned=True)
    if not existed:
        step.skip("there was none")


def is_there(cluster: Cluster) -> bool:
    """Tell whether anything of the example is there, in whatever namespace."""
    names = {SERVER, TCP, UDP}
    found = [*cluster.list(workloads.APPS, "Deployment"), *cluster.list("v1", "Service")]
    return any(item["metadata"]["name"] in names for item in found)


def address(cluster: Cluster) -> Addresses:
    """Return the addresses the services have now. Raises LAB-MLB-003 when neither service is there."""
    services = [cluster.get("v1", "Service", name, NAMESPACE) for name in (TCP, UDP)]
    if not any(services):
        raise LabError(errors.EXAMPLE_MISSING, f"there is no service {TCP} and no {UDP}")
    return Addresses(*(service_address(service) if service is not None else None for service in services))


def delete_service(cluster: Cluster, name: str) -> None:
    """Delete one service and return when it is gone."""
    cluster.delete("v1", "Service", name, NAMESPACE, wait_seconds=DELETE_SECONDS)


def apply_service(lab: Lab, cluster: Cluster, name: str) -> str:
    """Put one service (back) in place and return its address as soon as it has it."""
    # The image is none of a service's business.
    cluster.apply(manifests.find(objects(lab, image=""), "Service", name))
    return _await_address(lab, cluster, name, None)


def _await_address(lab: Lab, cluster: Cluster, name: str, step: Step | None) -> str:
    """Wait until a service has the shared address, the only one it asks for."""

    def check() -> str:
        service = cluster.get("v1", "Service", name, NAMESPACE)
        if service is None:
            raise NotYet(f"there is no service {name}")
        found = service_address(service)
        if found != str(lab.vip):
            raise NotYet(f"{name} has {'no address' if found is None else found}")
        return found

    on_wait = step.progress if step is not None else None
    what = f"{name} to get {lab.vip}"
    try:
        return wait.until(check, timeout=ADDRESS_SECONDS, what=what, on_wait=on_wait)
    except WaitTimedOut as error:
        events = _events(cluster, name)
        raise LabError(
            errors.EXAMPLE_NO_ADDRESS, f"{name} did not get {lab.vip}", detail=events or f"last seen: {error.last}"
        ) from error


def _events(cluster: Cluster, service: str) -> str:
    """Return what was reported about a service, one event a line: MetalLB gives its reasons there."""
    fields = f"involvedObject.kind=Service,involvedObject.name={service}"
    found = cluster.list("v1", "Event", NAMESPACE, fields=fields)
    return "\n".join(f"{event.get('reason')}: {event.get('message')}" for event in found)
