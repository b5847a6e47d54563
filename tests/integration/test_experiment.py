"""What a proof does to a cluster and takes back, at a real API server.

Nobody runs there who would do what follows a change; a thread imitates as little of them as is needed: MetalLB gives
addresses, the garbage collector ends deletions, the Deployment's controller counts and removes pods.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest

from metallab import errors
from metallab.cluster import example, experiment, manifests, metallb, metallb_status
from metallab.cluster.api import Cluster, Object, WebhookNotReady
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import silent
from metallab.run.wait import NotYet, WaitTimedOut, until

from .conftest import ApiServer

pytestmark = pytest.mark.integration

LAB = Lab()
IMAGES = {"agnhost": "localhost/metallab/agnhost:any", "iperf3": "localhost/metallab/iperf3:any"}
WEBHOOK = ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "metallb-webhook-configuration")
MERGE = "application/merge-patch+json"
KINDS = (("v1", "Service"), ("apps/v1", "Deployment"), ("v1", "Pod"), (metallb_status.GROUP, "IPAddressPool"))


class Others:
    """Those who follow a change in a real cluster, as far as a test lets them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.gives = True
        """MetalLB gives addresses."""
        self.counts = True
        """The Deployment's controller counts and removes pods."""
        self._stop = threading.Event()
        self._round = threading.Lock()
        self._thread = threading.Thread(target=self._run)
        self._troubles: list[BaseException] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)
        assert self._troubles == []

    def let(self, *, gives: bool = True, counts: bool = True) -> None:
        """Say who acts from now on. When it returns nobody is about to act on what he saw before."""
        with self._round:
            self.gives, self.counts = gives, counts

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            try:
                with self._round:
                    self._once()
            except LabError as error:
                # Something went while it was looked at.
                if getattr(error, "status", 0) not in (404, 409):
                    self._troubles.append(error)
                    return

    def _once(self) -> None:
        for api_version, kind in KINDS:
            for item in self.cluster.list(api_version, kind):
                if "deletionTimestamp" in item["metadata"]:
                    self._collect(api_version, kind, item)
        if self.gives:
            for service in self.cluster.list("v1", "Service", "default"):
                asked = service["metadata"].get("annotations", {}).get(example.ADDRESS_ANNOTATION)
                if asked is not None and metallb_status.service_address(service) is None:
                    give_address(self.cluster, service["metadata"]["name"], asked)
        if self.counts:
            for deployment in self.cluster.list("apps/v1", "Deployment", "default"):
                self._count(deployment)

    def _collect(self, api_version: str, kind: str, item: Object) -> None:
        finalizers = item["metadata"].get("finalizers", [])
        left = [name for name in finalizers if name != "foregroundDeletion"]
        if left != finalizers:
            name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
            self.cluster.patch(api_version, kind, name, {"metadata": {"finalizers": left or None}}, namespace)

    def _count(self, deployment: Object) -> None:
        name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
        selector = ",".join(f"{key}={value}" for key, value in deployment["spec"]["selector"]["matchLabels"].items())
        pods = self.cluster.list("v1", "Pod", "default", labels=selector)
        for pod in pods[wanted:]:
            self.cluster.delete("v1", "Pod", pod["metadata"]["name"], "default")
        generation = deployment["metadata"]["generation"]
        if deployment.get("status", {}).get("observedGeneration") != generation:
            counted = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted)
            change = {"status": {"observedGeneration": generation, **counted}}
            path = f"/apis/apps/v1/namespaces/default/deployments/{name}/status"
            self.cluster._request("PATCH", path, None, change, MERGE)


def give_address(cluster: Cluster, name: str, address: str) -> None:
    """Do what MetalLB's controller does: write the address into the service's status."""
    path = f"/api/v1/namespaces/default/services/{name}/status"
    change = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
    cluster._request("PATCH", path, None, change, MERGE)


@pytest.fixture(scope="module")
def metallb_kinds(apiserver: ApiServer) -> list[Object]:
    """Give the cluster MetalLB's kinds and its namespace, and nothing that would ask a webhook. Returns the rest."""
    cluster = Cluster(apiserver.kubeconfig)
    objects = metallb.prepare(manifests.read(apiserver.bundle.metallb_manifest))
    kinds = [item for item in objects if item["kind"] in ("Namespace", metallb.CRD)]
    with silent().step("kinds") as step:
        metallb._apply_all(cluster, kinds, step)
        metallb._await_kinds(cluster, [item["metadata"]["name"] for item in kinds if item["kind"] == metallb.CRD])
    cluster.delete(*WEBHOOK)
    return objects


@pytest.fixture
def others(cluster: Cluster, metallb_kinds: list[Object]) -> Iterator[Others]:
    """Give a cluster with the example, and with those who follow changes; leave nothing of it."""
    for item in example.objects(LAB, "localhost/metallab/iperf3:any"):
        cluster.apply(item)
    found = Others(cluster)
    found.start()
    try:
        until(lambda: settled(cluster), timeout=20, what="the example")
        yield found
    finally:
        found.let()
        cluster.delete("v1", "ConfigMap", experiment.NOTE, "default")
        for api_version, kind in KINDS:
            for item in cluster.list(api_version, kind):
                name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
                labels = [f"{key}={value}" for key, value in item["metadata"].get("labels", {}).items()]
                if (namespace == "default" and name != "kubernetes") or experiment.LABEL in labels:
                    free(cluster, api_version, kind, name, namespace)
                    cluster.delete(api_version, kind, name, namespace, wait_seconds=20)
        found.stop()


def free(cluster: Cluster, api_version: str, kind: str, name: str, namespace: str) -> None:
    with contextlib.suppress(LabError):
        cluster.patch(api_version, kind, name, {"metadata": {"finalizers": None}}, namespace)


def settled(cluster: Cluster) -> None:
    for name in (example.TCP, example.UDP):
        service = cluster.get("v1", "Service", name, "default")
        if service is None or metallb_status.service_address(service) is None:
            raise NotYet(f"{name} has no address")


def get(cluster: Cluster, kind: str, name: str) -> Object:
    found = cluster.get("apps/v1" if kind == "Deployment" else "v1", kind, name, "default")
    assert found is not None, f"there is no {kind} {name}"
    return found


def note(cluster: Cluster) -> dict[str, str] | None:
    """Return what is kept for the next one, or None when there is no note at all."""
    found = cluster.get("v1", "ConfigMap", experiment.NOTE, "default")
    return None if found is None else dict(found.get("data") or {})


def brought(cluster: Cluster) -> list[str]:
    return sorted(
        f"{kind} {item['metadata']['name']}"
        for api_version, kind in KINDS
        for item in cluster.list(api_version, kind, labels=experiment.LABEL)
    )


# -- brought along


STAGED = [
    "Deployment metallab-proof-echo",
    "Pod metallab-proof-control",
    "Service metallab-proof-cluster",
    "Service metallab-proof-echo",
    "Service metallab-proof-local",
]


def test_what_is_brought_along_is_as_written_with_the_labs_address_and_images(cluster: Cluster, others: Others) -> None:
    experiment.stage(LAB, cluster, IMAGES, "worker-1")
    assert brought(cluster) == STAGED
    (echo,) = get(cluster, "Deployment", experiment.ECHO)["spec"]["template"]["spec"]["containers"]
    control = get(cluster, "Pod", experiment.CONTROL)
    assert (echo["image"], control["spec"]["containers"][0]["image"]) == (IMAGES["agnhost"], IMAGES["iperf3"])
    assert (control["spec"]["nodeName"], control["spec"]["hostNetwork"]) == ("worker-1", True)
    annotations = get(cluster, "Service", experiment.ECHO)["metadata"]["annotations"]
    example_s = get(cluster, "Service", example.UDP)["metadata"]["annotations"]
    for key in (example.ADDRESS_ANNOTATION, "metallb.io/allow-shared-ip"):
        assert annotations[key] == example_s[key], "or MetalLB would not let them share the address"
    policies = {name: get(cluster, "Service", name)["spec"]["externalTrafficPolicy"] for name in SOURCES}
    assert policies == SOURCES


SOURCES = {"metallab-proof-cluster": "Cluster", "metallab-proof-local": "Local"}


def test_nothing_of_it_is_left_and_nothing_else_is_touched(cluster: Cluster, others: Others) -> None:
    before = experiment.found(cluster)
    experiment.stage(LAB, cluster, IMAGES, "worker-1")
    assert experiment.found(cluster) != before
    assert sorted(experiment.strike(cluster)) == STAGED
    assert brought(cluster) == []
    assert experiment.found(cluster) == before
    assert experiment.strike(cluster) == []


def test_staging_again_changes_nothing(cluster: Cluster, others: Others) -> None:
    for _ in range(2):
        experiment.stage(LAB, cluster, IMAGES, "worker-1")
    assert brought(cluster) == STAGED


def test_one_service_of_it_can_go_alone(cluster: Cluster, others: Others) -> None:
    experiment.stage(LAB, cluster, IMAGES, "worker-1")
    assert experiment.strike(cluster, "metallab-proof-local") == ["Service metallab-proof-local"]
    assert brought(cluster) == [each for each in STAGED if each != "Service metallab-proof-local"]


def test_what_does_not_go_is_an_error_that_names_it(
    cluster: Cluster, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "GONE_SECONDS", 0.5)
    experiment.stage(LAB, cluster, IMAGES, "worker-1")
    hold(cluster, "Pod", experiment.CONTROL)
    with pytest.raises(WaitTimedOut) as caught:
        experiment.strike(cluster)
    assert caught.value.entry is errors.CLUSTER_TIMEOUT
    assert caught.value.last == "Pod metallab-proof-control is still there"


def hold(cluster: Cluster, kind: str, name: str) -> None:
    """Let an object not go, as one does whose node does not answer."""
    cluster.patch("v1", kind, name, {"metadata": {"finalizers": ["metallab.example/never"]}}, "default")


# -- taken away and put back


@pytest.mark.parametrize("name", [example.TCP, example.UDP])
def test_a_service_goes_and_comes_back_as_it_was_written(cluster: Cluster, others: Others, name: str) -> None:
    change = {"metadata": {"labels": {"mine": "too"}, "annotations": {"somebody": 'wrote this: "…"\n'}}}
    cluster.patch("v1", "Service", name, change, "default")
    before, found = get(cluster, "Service", name), experiment.found(cluster)
    experiment.take_away(cluster, name)
    assert cluster.get("v1", "Service", name, "default") is None
    assert list(note(cluster) or {}) == [name]
    experiment.put_back(cluster, name)
    after = get(cluster, "Service", name)
    assert after["metadata"]["uid"] != before["metadata"]["uid"], "it was really gone"
    for key in ("labels", "annotations"):
        assert after["metadata"][key] == before["metadata"][key]
    assert [without_node_port(port) for port in after["spec"]["ports"]] == [
        without_node_port(port) for port in before["spec"]["ports"]
    ]
    assert after["spec"]["selector"] == before["spec"]["selector"]
    assert metallb_status.service_address(after) == str(LAB.vip)
    assert note(cluster) == {}
    assert experiment.heal(cluster) == []
    assert note(cluster) is None
    assert experiment.found(cluster) == found


def without_node_port(port: Object) -> Object:
    return {key: value for key, value in port.items() if key != "nodePort"}


def test_it_is_written_down_before_it_goes(cluster: Cluster, others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str] | None] = []

    def killed(*_: object) -> None:
        seen.append(note(cluster))
        raise KeyboardInterrupt

    monkeypatch.setattr(example, "delete_service", killed)
    with pytest.raises(KeyboardInterrupt):
        experiment.take_away(cluster, example.TCP)
    (kept,) = seen
    assert kept is not None
    assert json.loads(kept[example.TCP]) == experiment.as_written(get(cluster, "Service", example.TCP))
    uid = get(cluster, "Service", example.TCP)["metadata"]["uid"]
    assert experiment.heal(cluster) == [f"{example.TCP} put back"]
    assert get(cluster, "Service", example.TCP)["metadata"]["uid"] == uid, "it had not gone, so it is the same"


def test_what_a_killed_proof_left_is_healed_by_the_next_command(cluster: Cluster, others: Others) -> None:
    before = experiment.found(cluster)
    experiment.stage(LAB, cluster, IMAGES, "worker-1")
    for name in (example.TCP, example.UDP):
        experiment.take_away(cluster, name)
    experiment.scale_down(cluster)
    assert set(note(cluster) or {}) == {example.TCP, example.UDP, experiment.REPLICAS}
    healed = experiment.heal(cluster)
    assert sorted(healed) == sorted(
        [
            *(f"{each} removed" for each in STAGED),
            f"{example.TCP} put back",
            f"{example.UDP} put back",
            f"{example.SERVER} scaled back",
        ]
    )
    assert experiment.found(cluster) == before
    assert experiment.heal(cluster) == []


def test_a_lab_in_order_needs_no_healing(cluster: Cluster, others: Others) -> None:
    before = get(cluster, "Service", example.TCP)["metadata"]["resourceVersion"]
    assert experiment.heal(cluster) == []
    assert get(cluster, "Service", example.TCP)["metadata"]["resourceVersion"] == before


def test_a_service_that_gets_no_address_is_told_and_stays_written_down(
    cluster: Cluster, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "ADDRESS_SECONDS", 0.5)
    experiment.take_away(cluster, example.UDP)
    others.let(gives=False)
    with pytest.raises(WaitTimedOut, match=f"{example.UDP} to get its address back"):
        experiment.put_back(cluster, example.UDP)
    get(cluster, "Service", example.UDP)
    assert list(note(cluster) or {}) == [example.UDP]
    others.let()
    monkeypatch.setattr(example, "ADDRESS_SECONDS", 20.0)
    experiment.put_back(cluster, example.UDP)
    assert note(cluster) == {}


def test_what_is_not_there_cannot_be_taken_away_and_what_is_not_kept_not_put_back(
    cluster: Cluster, others: Others
) -> None:
    cluster.delete("v1", "Service", example.TCP, "default", wait_seconds=20)
    experiment.take_away(cluster, example.TCP)
    experiment.put_back(cluster, example.TCP)
    assert cluster.get("v1", "Service", example.TCP, "default") is None
    assert note(cluster) is None


def test_healing_puts_the_services_back_although_something_brought_along_does_not_go(
    cluster: Cluster, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example is the user's; a leftover of the proof is only litter."""
    monkeypatch.setattr(experiment, "GONE_SECONDS", 0.5)
    experiment.stage(LAB, cluster, IMAGES, "worker-1")
    experiment.take_away(cluster, example.TCP)
    hold(cluster, "Pod", experiment.CONTROL)
    with pytest.raises(WaitTimedOut):
        experiment.heal(cluster)
    get(cluster, "Service", example.TCP)


def test_healing_puts_back_everything_although_one_service_gets_no_address(
    cluster: Cluster, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "ADDRESS_SECONDS", 0.5)
    for name in (example.TCP, example.UDP):
        experiment.take_away(cluster, name)
    others.let(gives=False)
    with pytest.raises(WaitTimedOut):
        experiment.heal(cluster)
    for name in (example.TCP, example.UDP):
        get(cluster, "Service", name)


# -- scaled


def pod(name: str) -> Object:
    metadata = {"name": name, "namespace": "default", "labels": {"app": example.SERVER}}
    container = {"name": "iperf3", "image": "localhost/none"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_servers_go_and_come_back_in_their_number(cluster: Cluster, others: Others, replicas: int) -> None:
    cluster.patch("apps/v1", "Deployment", example.SERVER, {"spec": {"replicas": replicas}}, "default")
    cluster.apply(pod("iperf3-server-x"))
    before = experiment.found(cluster)
    experiment.scale_down(cluster)
    assert get(cluster, "Deployment", example.SERVER)["spec"]["replicas"] == 0
    assert cluster.list("v1", "Pod", "default", labels=experiment.SERVER_LABEL) == []
    assert note(cluster) == {experiment.REPLICAS: str(replicas)}
    experiment.scale_back(cluster)
    assert get(cluster, "Deployment", example.SERVER)["spec"]["replicas"] == replicas
    assert note(cluster) == {}
    experiment.heal(cluster)
    assert experiment.found(cluster) == before


def test_a_server_that_does_not_go_is_an_error_and_its_number_stays_written_down(
    cluster: Cluster, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "GONE_SECONDS", 0.5)
    cluster.apply(pod("iperf3-server-x"))
    hold(cluster, "Pod", "iperf3-server-x")
    with pytest.raises(WaitTimedOut, match="the iperf3 server to be gone"):
        experiment.scale_down(cluster)
    assert note(cluster) == {experiment.REPLICAS: "1"}


def test_a_number_that_is_written_down_is_not_written_over(cluster: Cluster, others: Others) -> None:
    """After a proof that was killed there are none, and that is not how many there should be."""
    experiment.scale_down(cluster)
    experiment.scale_down(cluster)
    assert note(cluster) == {experiment.REPLICAS: "1"}


def test_servers_that_do_not_come_back_are_told(
    cluster: Cluster, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "ROLLOUT_SECONDS", 0.5)
    experiment.scale_down(cluster)
    until(lambda: counted(cluster), timeout=20, what="the controller to count none")
    others.let(counts=False)
    with pytest.raises(WaitTimedOut, match="iperf3-server to be ready again") as caught:
        experiment.scale_back(cluster)
    assert caught.value.last.startswith("0/1 ready")
    assert note(cluster) == {experiment.REPLICAS: "1"}


def counted(cluster: Cluster) -> None:
    deployment = get(cluster, "Deployment", example.SERVER)
    if deployment["status"].get("observedGeneration") != deployment["metadata"]["generation"]:
        raise NotYet("not yet")


def test_without_a_server_nothing_is_scaled(cluster: Cluster, others: Others) -> None:
    cluster.delete("apps/v1", "Deployment", example.SERVER, "default", wait_seconds=20)
    experiment.scale_down(cluster)
    assert note(cluster) is None
    experiment.scale_back(cluster)


# -- refused


def say_refused(cluster: Cluster, name: str, message: str) -> None:
    """Do what MetalLB's controller does with a service it gives no address."""
    uid = get(cluster, "Service", name)["metadata"]["uid"]
    of = {"apiVersion": "v1", "kind": "Service", "name": name, "namespace": "default", "uid": uid}
    metadata = {"name": f"{name}.{uid}", "namespace": "default"}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": metadata,
            "involvedObject": of,
            "reason": "AllocationFailed",
            "message": message,
            "type": "Warning",
        }
    )


REFUSED_SERVICE = {
    "other-key": "metallab-proof-other-key",
    "port-clash": "metallab-proof-port-clash",
    "exhausted": "metallab-proof-second",
}


@pytest.mark.parametrize(("case", "name"), REFUSED_SERVICE.items())
def test_a_refusal_is_read_from_the_events_and_what_was_asked_goes(
    cluster: Cluster, others: Others, case: str, name: str
) -> None:
    others.let(gives=False)
    # One of the same name that was there an hour ago.
    (old,) = [item for item in manifests.folder(f"proof/{case}") if item["metadata"]["name"] == name]
    cluster.apply(old)
    say_refused(cluster, name, "what we wait for, long ago")
    cluster.delete("v1", "Service", name, "default", wait_seconds=20)
    before = experiment.found(cluster)

    def answer() -> None:
        until(lambda: get_or_wait(cluster, name), timeout=20, what=name)
        say_refused(cluster, name, "what we wait for: no available IPs")

    metallb_s = threading.Thread(target=answer)
    metallb_s.start()
    events = experiment.refused(LAB, cluster, case, ("what we wait for",))
    metallb_s.join(30)
    assert events == ["AllocationFailed: what we wait for: no available IPs"]
    assert brought(cluster) == []
    assert experiment.found(cluster) == before


def get_or_wait(cluster: Cluster, name: str) -> None:
    if cluster.get("v1", "Service", name, "default") is None:
        raise NotYet("not yet")


def test_the_address_that_must_be_refused_is_the_labs(
    cluster: Cluster, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "EVENT_SECONDS", 0.0)
    asked: dict[str, Any] = {}
    apply = cluster.apply

    def keep(item: Object) -> bool:
        asked[item["metadata"]["name"]] = item["metadata"]["annotations"][example.ADDRESS_ANNOTATION]
        return apply(item)

    monkeypatch.setattr(cluster, "apply", keep)
    lab = Lab(network=IPv4Network("192.168.77.0/24"))
    experiment.refused(lab, cluster, "other-key", ("x",))
    assert asked == {"metallab-proof-other-key": "192.168.77.70"}


@pytest.mark.parametrize(("message", "seen"), [("", []), ("something else", ["AllocationFailed: something else"])])
def test_a_refusal_that_does_not_come_is_no_error_and_what_was_asked_goes(
    cluster: Cluster, others: Others, monkeypatch: pytest.MonkeyPatch, message: str, seen: list[str]
) -> None:
    monkeypatch.setattr(experiment, "EVENT_SECONDS", 1.5)
    others.let(gives=False)
    name = REFUSED_SERVICE["port-clash"]

    def answer() -> None:
        until(lambda: get_or_wait(cluster, name), timeout=20, what=name)
        if message:
            say_refused(cluster, name, message)

    metallb_s = threading.Thread(target=answer)
    metallb_s.start()
    assert experiment.refused(LAB, cluster, "port-clash", ("what we wait for",)) == seen
    metallb_s.join(30)
    assert brought(cluster) == []


def test_a_service_that_got_an_address_was_not_refused(
    cluster: Cluster, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if there was a word of refusal before."""
    monkeypatch.setattr(experiment, "EVENT_SECONDS", 8.0)
    name = REFUSED_SERVICE["port-clash"]

    def answer() -> None:
        until(lambda: given(cluster, name), timeout=20, what=name)
        say_refused(cluster, name, "what we wait for")

    metallb_s = threading.Thread(target=answer)
    metallb_s.start()
    assert experiment.refused(LAB, cluster, "port-clash", ("what we wait for",)) == []
    metallb_s.join(30)


def given(cluster: Cluster, name: str) -> None:
    get_or_wait(cluster, name)
    if metallb_status.service_address(get(cluster, "Service", name)) is None:
        raise NotYet("not yet")


def test_a_webhook_that_cannot_be_called_is_no_missing_refusal(
    cluster: Cluster, others: Others, metallb_kinds: list[Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was asked of MetalLB then, so nothing is known."""
    monkeypatch.setattr(experiment, "WEBHOOK_SECONDS", 1.0)
    monkeypatch.setattr(experiment, "EVENT_SECONDS", 1.0)
    cluster.apply(manifests.find(metallb_kinds, WEBHOOK[1], WEBHOOK[2]))
    try:
        until(lambda: webhook_is_called(cluster), timeout=20, what="the API server to call the webhook")
        with pytest.raises(WaitTimedOut, match="webhook to accept IPAddressPool"):
            experiment.refused(LAB, cluster, "exhausted", ("x",))
    finally:
        cluster.delete(*WEBHOOK)
    assert brought(cluster) == []


def webhook_is_called(cluster: Cluster) -> None:
    pool, _ = metallb.pool_objects(LAB, ["eth1"])
    with contextlib.suppress(WebhookNotReady):
        cluster.apply(pool)
        cluster.delete(metallb_status.GROUP, "IPAddressPool", pool["metadata"]["name"], metallb_status.NAMESPACE)
        raise NotYet("not yet")


# -- how it was


def test_what_can_differ_is_what_a_proof_could_leave_otherwise(cluster: Cluster, others: Others) -> None:
    for item in metallb.pool_objects(LAB, ["eth1"]):
        cluster.apply(item)
    found = experiment.found(cluster)
    names = set(found)
    services = {f"Service default/{name}" for name in (example.TCP, example.UDP)}
    assert {*services, f"Deployment default/{example.SERVER}", "IPAddressPool metallb-system/lab"} <= names
    assert "Service default/kubernetes" not in names, "it is no LoadBalancer"
    assert found[f"Service default/{example.TCP}"].startswith(f"{LAB.vip} ")
    for api_version, kind, name in (
        (metallb_status.GROUP, "IPAddressPool", "lab"),
        (metallb_status.GROUP, "L2Advertisement", "lab"),
    ):
        cluster.delete(api_version, kind, name, metallb_status.NAMESPACE, wait_seconds=20)
    assert names - set(experiment.found(cluster)) == {
        "IPAddressPool metallb-system/lab",
        "L2Advertisement metallb-system/lab",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"externalTrafficPolicy": "Local"}},
        {"metadata": {"annotations": {"metallb.io/allow-shared-ip": "another"}}},
        {"metadata": {"labels": {"mine": "too"}}},
    ],
    ids=["policy", "annotation", "label"],
)
def test_what_somebody_changed_is_a_difference(cluster: Cluster, others: Others, change: Object) -> None:
    before = experiment.found(cluster)
    cluster.patch("v1", "Service", example.UDP, change, "default")
    after = experiment.found(cluster)
    assert [name for name in before if before[name] != after[name]] == [f"Service default/{example.UDP}"]


def test_an_advertisement_of_everything_has_nothing_written_in_it(cluster: Cluster, others: Others) -> None:
    """As MetalLB's own documents begin with: one without a spec."""
    metadata = {"name": "everything", "namespace": metallb_status.NAMESPACE}
    cluster.apply({"apiVersion": metallb_status.GROUP, "kind": "L2Advertisement", "metadata": metadata})
    try:
        assert "L2Advertisement metallb-system/everything" in experiment.found(cluster)
    finally:
        cluster.delete(metallb_status.GROUP, "L2Advertisement", "everything", metallb_status.NAMESPACE)


# -- as it was written


@pytest.mark.parametrize("name", [example.TCP, example.UDP])
def test_a_service_read_back_is_what_was_written(cluster: Cluster, others: Others, name: str) -> None:
    written = manifests.find(example.objects(LAB, ""), "Service", name)
    read = experiment.as_written(get(cluster, "Service", name))
    assert read["metadata"] == written["metadata"]
    assert without_target(read["spec"]) == without_target(written["spec"])


def without_target(spec: Object) -> Object:
    """Leave out the port of the pods, which the API server fills in."""
    ports = [{key: value for key, value in port.items() if key != "targetPort"} for port in spec["ports"]]
    return {**spec, "ports": ports}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local", "sessionAffinity": "ClientIP"},
        {"allocateLoadBalancerNodePorts": False, "loadBalancerSourceRanges": ["192.168.96.0/24"]},
        {"loadBalancerClass": "metallb.example/other", "publishNotReadyAddresses": True},
        {"ports": [{"name": name, "port": port, "protocol": "UDP"} for name, port in (("a", 5201), ("b", 5202))]},
    ],
    ids=["plain", "local", "no node ports", "class", "two ports"],
)
def test_what_was_written_makes_the_same_service_again(cluster: Cluster, others: Others, spec: Object) -> None:
    others.let(gives=False)
    metadata: Object = {"name": "round", "namespace": "default", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    ports = [{"port": 5201, "protocol": "TCP", "targetPort": "iperf3"}]
    full = {"type": "LoadBalancer", "selector": {"app": "x"}, "ports": ports, **spec}
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": full})
    first = get(cluster, "Service", "round")
    written = experiment.as_written(first)
    assert not {"clusterIP", "clusterIPs", "healthCheckNodePort", "status"} & {*written, *written["spec"]}
    cluster.delete("v1", "Service", "round", "default", wait_seconds=20)
    cluster.apply(written)
    second = get(cluster, "Service", "round")
    assert experiment.as_written(second) == written
    dropped = {"clusterIP", "clusterIPs", "healthCheckNodePort", "ports", "sessionAffinityConfig"}
    assert {k: v for k, v in second["spec"].items() if k not in dropped} == {
        k: v for k, v in first["spec"].items() if k not in dropped
    }
    assert (second["metadata"]["labels"], second["metadata"]["annotations"]) == ({"a": "b"}, {"c": "d"})


def test_what_metallb_wrote_into_a_service_is_not_taken_for_somebodys_words(cluster: Cluster, others: Others) -> None:
    before = experiment.as_written(get(cluster, "Service", example.TCP))
    change = {"metadata": {"annotations": {experiment.ALLOCATED_FROM: "lab"}}}
    cluster.patch("v1", "Service", example.TCP, change, "default")
    assert experiment.as_written(get(cluster, "Service", example.TCP)) == before
