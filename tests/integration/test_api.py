"""The API room against a real API server: what is applied, read, refused and not reachable."""

from __future__ import annotations

import base64
import io
import json
import socket
import tarfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from metallab import errors
from metallab.bundle import Bundle
from metallab.cluster import (
    example,
    kubeadm,
    kubeadm_config,
    manifests,
    metallb,
    metallb_status,
    ready,
    status,
    workloads,
)
from metallab.cluster.api import ApiUnreachable, Cluster, Object, Refused, WebhookNotReady
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Event, Events, Kind
from metallab.run.local import run
from metallab.run.result import Argv, CommandFailed, OnLine, Result
from metallab.run.wait import WaitTimedOut

from .conftest import ApiServer

pytestmark = pytest.mark.integration


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def test_apply_again_changes_nothing(cluster: Cluster) -> None:
    assert cluster.apply(config_map("again", a="1"))
    assert not cluster.apply(config_map("again", a="1"))
    assert cluster.apply(config_map("again", a="2"))
    found = cluster.get("v1", "ConfigMap", "again", "default")
    assert found is not None
    assert found["data"] == {"a": "2"}


def test_apply_leaves_the_fields_of_others_alone(cluster: Cluster) -> None:
    cluster.apply(config_map("shared", ours="1"))
    cluster.patch("v1", "ConfigMap", "shared", {"data": {"theirs": "1"}}, "default")
    assert not cluster.apply(config_map("shared", ours="1"))
    found = cluster.get("v1", "ConfigMap", "shared", "default")
    assert found is not None
    assert found["data"] == {"ours": "1", "theirs": "1"}


def test_patch_removes_a_field_with_none(cluster: Cluster) -> None:
    cluster.apply(config_map("patched", a="1", b="2"))
    assert cluster.patch("v1", "ConfigMap", "patched", {"data": {"a": None}}, "default")["data"] == {"b": "2"}


def test_delete_tells_whether_there_was_one_and_waits(cluster: Cluster) -> None:
    cluster.apply(config_map("gone"))
    assert cluster.delete("v1", "ConfigMap", "gone", "default", wait_seconds=10)
    assert cluster.get("v1", "ConfigMap", "gone", "default") is None
    assert not cluster.delete("v1", "ConfigMap", "gone", "default", wait_seconds=10)


def test_delete_that_takes_too_long_is_an_error(cluster: Cluster) -> None:
    held = config_map("held")
    held["metadata"]["finalizers"] = ["metallab.example/never"]
    cluster.apply(held)
    with pytest.raises(WaitTimedOut) as caught:
        cluster.delete("v1", "ConfigMap", "held", "default", wait_seconds=0.5)
    assert caught.value.entry is errors.CLUSTER_TIMEOUT
    cluster.patch("v1", "ConfigMap", "held", {"metadata": {"finalizers": None}}, "default")
    assert cluster.get("v1", "ConfigMap", "held", "default") is None


def test_lists_by_label_and_field(cluster: Cluster) -> None:
    labelled = config_map("labelled")
    labelled["metadata"]["labels"] = {"colour": "green"}
    cluster.apply(labelled)
    names = [item["metadata"]["name"] for item in cluster.list("v1", "ConfigMap", labels="colour=green")]
    assert names == ["labelled"]
    names = [item["metadata"]["name"] for item in cluster.list("v1", "ConfigMap", fields="metadata.name=labelled")]
    assert names == ["labelled"]


def test_what_is_unknown_is_nothing(cluster: Cluster) -> None:
    assert cluster.get("v1", "ConfigMap", "nobody", "default") is None
    assert cluster.get("example.org/v1", "Whatever", "x", "default") is None
    assert cluster.get("v1", "Whatever", "x") is None
    assert cluster.list("example.org/v1", "Whatever") == []
    assert cluster.list("v1", "Whatever") == []


def test_version_and_health(cluster: Cluster, apiserver: ApiServer) -> None:
    assert cluster.healthz()
    assert cluster.version() == apiserver.bundle.versions.kubernetes


def test_refusal_carries_the_servers_reason(cluster: Cluster) -> None:
    broken = config_map("broken")
    broken["data"] = {"not a key": "1"}
    with pytest.raises(Refused) as caught:
        cluster.apply(broken)
    assert caught.value.entry is errors.CLUSTER_REFUSED
    assert caught.value.status == 422
    assert "data[not a key]" in caught.value.what


def test_a_token_is_an_account_s_own_and_ends(cluster: Cluster) -> None:
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "learner", "namespace": "default"}}
    )
    token = cluster.issue_token("default", "learner", seconds=3600)
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["sub"] == "system:serviceaccount:default:learner"
    assert claims["exp"] - claims["iat"] == 3600
    with pytest.raises(Refused, match="nobody"):
        cluster.issue_token("default", "nobody", seconds=3600)


def test_unknown_kind_is_refused_by_apply(cluster: Cluster) -> None:
    with pytest.raises(Refused, match="no such kind"):
        cluster.apply({"apiVersion": "v1", "kind": "Whatever", "metadata": {"name": "x"}})


def test_wrong_token_is_refused_not_unreachable(apiserver: ApiServer, tmp_path: Path) -> None:
    other = tmp_path / "kubeconfig"
    other.write_text(apiserver.kubeconfig.read_text().replace("integration-only-token", "somebody-elses"))
    with pytest.raises(Refused) as caught:
        Cluster(other).list("v1", "Node")
    assert caught.value.status == 401
    assert not Cluster(other).healthz()


def test_wrong_authority_is_unreachable(apiserver: ApiServer, tmp_path: Path) -> None:
    certificates = Path("/etc/ssl/certs/ca-certificates.crt").read_text(encoding="ascii")
    end = "-----END CERTIFICATE-----\n"
    stranger = base64.b64encode((certificates.partition(end)[0] + end).encode()).decode()
    other = tmp_path / "kubeconfig"
    text = apiserver.kubeconfig.read_text()
    other.write_text(text.replace(kubeadm.authority_of(text), stranger))
    with pytest.raises(ApiUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        Cluster(other).version()


def test_nobody_there_is_unreachable_at_once(apiserver: ApiServer, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    other = tmp_path / "kubeconfig"
    text = apiserver.kubeconfig.read_text()
    line = next(line for line in text.splitlines() if "server:" in line)
    other.write_text(text.replace(line.rpartition(":")[2], str(port)))
    began = time.monotonic()
    with pytest.raises(ApiUnreachable, match="refused") as caught:
        Cluster(other).get("v1", "Node", "x")
    assert time.monotonic() - began < 2
    assert caught.value.entry is errors.CLUSTER_UNREACHABLE
    assert status.cluster_status(Cluster(other)).problem.startswith("no answer from https://127.0.0.1:")
    assert metallb_status.status(Cluster(other), Lab()).problem.startswith("no answer from https://127.0.0.1:")


def test_no_kubeconfig_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(ApiUnreachable, match="no usable kubeconfig"):
        Cluster(tmp_path / "none").version()


def test_a_proxy_in_the_environment_is_passed_by(apiserver: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert Cluster(apiserver.kubeconfig).healthz()


# -- kubeadm ---------------------------------------------------------------------------------------------------


class Worker:
    """A fresh machine whose kubeadm only looks around: at the files it was given, and at the token's Secret."""

    name = "worker-1"

    def __init__(self, cluster: Cluster, rc: int) -> None:
        self.cluster = cluster
        self.rc = rc
        self.files: dict[str, str] = {}
        self.removed: list[str] = []
        self.secrets: list[Object] = []

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002 - the word of Runner
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        assert timeout
        words = tuple(str(word) for word in argv)
        rc = 0
        if words[0] == "tar":
            assert isinstance(input, bytes)
            with tarfile.open(fileobj=io.BytesIO(input)) as archive:
                self.files = {f"/{entry.name}": _text(archive, entry) for entry in archive}
        elif words[0] == "rm":
            self.removed += words[3:]
        elif words[0] == "kubeadm":
            rc = self.rc
            self.secrets = self._tokens()
            if on_line is not None:
                on_line("[kubelet-start] Starting the kubelet")
        result = Result(words, rc, "", "error: as asked" if rc else "", 0.0, self.name)
        if check and not result.ok:
            raise CommandFailed(result)
        return result

    def _tokens(self) -> list[Object]:
        secrets = self.cluster.list("v1", "Secret", "kube-system", fields="type=bootstrap.kubernetes.io/token")
        return [item["data"] for item in secrets]


def _text(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    stream = archive.extractfile(entry)
    assert stream is not None
    return stream.read().decode()


@pytest.fixture
def kube_system(cluster: Cluster) -> Cluster:
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}})
    return cluster


def test_join_has_a_token_only_while_it_joins(kube_system: Cluster) -> None:
    lab, worker = Lab(), Worker(kube_system, rc=0)
    with Events(lambda _event: None).step("join") as step:
        kubeadm.join(lab, lab.workers[0], worker, kube_system, step)
    (secret,) = worker.secrets
    token = ".".join(base64.b64decode(secret[key]).decode() for key in ("token-id", "token-secret"))
    assert token in worker.files[kubeadm.CONFIG]
    assert token not in worker.files[kubeadm.DISCOVERY]
    assert set(worker.removed) == set(worker.files)
    left = datetime.fromisoformat(base64.b64decode(secret["expiration"]).decode().replace("Z", "+00:00"))
    assert 14 * 60 < (left - datetime.now(timezone.utc)).total_seconds() <= 15 * 60
    assert worker._tokens() == []


def test_join_that_fails_leaves_no_token_and_names_the_phase(kube_system: Cluster) -> None:
    lab, worker = Lab(), Worker(kube_system, rc=1)
    with Events(lambda _event: None).step("join") as step, pytest.raises(LabError) as caught:
        kubeadm.join(lab, lab.workers[0], worker, kube_system, step)
    assert caught.value.entry is errors.CLUSTER_INIT_FAILED
    assert caught.value.what == "kubeadm join failed while starting the kubelet"
    assert len(worker.secrets) == 1
    assert worker._tokens() == []
    assert set(worker.removed) == set(worker.files)


def test_join_removes_a_node_object_its_machine_knows_nothing_of(kube_system: Cluster) -> None:
    lab, worker = Lab(), Worker(kube_system, rc=0)
    kube_system.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker-1"}})
    with Events(lambda _event: None).step("join") as step:
        kubeadm.join(lab, lab.workers[0], worker, kube_system, step)
    assert kube_system.get("v1", "Node", "worker-1") is None


def test_kubeadm_accepts_its_configuration(bundle: Bundle, tmp_path: Path) -> None:
    program = next(path for path in bundle.binaries if path.name == "kubeadm")
    lab, token = Lab(), kubeadm.new_token()
    discovery = tmp_path / "discovery.conf"
    discovery.write_text(kubeadm_config.discovery(lab, "Q0E="))
    texts = {
        "init": kubeadm_config.init_config(lab, bundle.versions, token, str(tmp_path), lacks_resources=True),
        "join": kubeadm_config.join_config(lab, lab.workers[0], token, str(discovery)),
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.write_text(text)
        run([program, "config", "validate", f"--config={path}"], timeout=30)


# -- MetalLB and the example -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def metallb_objects(apiserver: ApiServer) -> list[Object]:
    return metallb.prepare(manifests.read(apiserver.bundle.metallb_manifest))


@pytest.fixture(scope="module")
def installed(apiserver: ApiServer, metallb_objects: list[Object]) -> Cluster:
    """Give a cluster that has MetalLB's objects. Nothing runs, so its webhook can't be called."""
    cluster = Cluster(apiserver.kubeconfig)
    definitions = [item for item in metallb_objects if item["kind"] in ("Namespace", metallb.CRD)]
    with Events(lambda _event: None).step("apply") as step:
        metallb._apply_all(cluster, definitions, step)
        metallb._await_kinds(cluster, [item["metadata"]["name"] for item in definitions if item["kind"] == metallb.CRD])
        metallb._apply_all(cluster, [item for item in metallb_objects if item not in definitions], step)
    return cluster


def test_applying_metallb_again_changes_nothing(installed: Cluster, metallb_objects: list[Object]) -> None:
    changed = [f"{item['kind']} {item['metadata']['name']}" for item in metallb_objects if installed.apply(item)]
    assert changed == []


def test_what_the_controller_fills_in_survives_another_apply(installed: Cluster, metallb_objects: list[Object]) -> None:
    group, kind, name = (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "metallb-webhook-configuration",
    )
    found = installed.get(group, kind, name)
    assert found is not None
    for hook in found["webhooks"]:
        hook["clientConfig"]["caBundle"] = "QUJD"
    installed.patch(group, kind, name, {"webhooks": found["webhooks"]})
    assert not installed.apply(manifests.find(metallb_objects, kind, name))
    after = installed.get(group, kind, name)
    assert after is not None
    assert {hook["clientConfig"]["caBundle"] for hook in after["webhooks"]} == {"QUJD"}


def test_a_webhook_that_cannot_be_called_is_told_from_a_refusal(installed: Cluster) -> None:
    pool, advertisement = metallb.pool_objects(Lab(), ["eth1"])
    for item in (pool, advertisement):
        with pytest.raises(WebhookNotReady) as caught:
            installed.apply(item)
        assert "failed calling webhook" in caught.value.reason


def test_the_webhook_is_waited_for_with_a_deadline(installed: Cluster) -> None:
    seen: list[Event] = []
    pool, _ = metallb.pool_objects(Lab(), ["eth1"])
    with (
        pytest.raises(WaitTimedOut, match="webhook to accept IPAddressPool lab") as caught,
        Events(seen.append).step("pool") as step,
    ):
        metallb.apply_when_validated(installed, pool, timeout=1.0, on_wait=step.progress)
    assert caught.value.entry is errors.METALLB_TIMEOUT
    assert any(event.kind is Kind.PROGRESS and "failed calling webhook" in event.text for event in seen)


def test_the_controller_is_shown_its_certificate(installed: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that changes gets its volumes refreshed at once; without a certificate the wait ends with its reason."""
    monkeypatch.setattr(metallb, "ROLLOUT_SECONDS", 0.5)
    namespace = metallb_status.NAMESPACE
    metadata: Object = {"name": "controller-x", "namespace": namespace, "labels": {"component": "controller"}}
    container = {"name": "controller", "image": "localhost/none"}
    installed.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    with Events(lambda _event: None).step("certificate") as step, pytest.raises(WaitTimedOut) as caught:
        metallb._deliver_certificate(installed, step)
    assert caught.value.last == "controller: makes its certificate"
    assert caught.value.entry is errors.METALLB_TIMEOUT
    installed.patch("v1", "Secret", metallb.CERTIFICATE, {"data": {"tls.crt": "QQ=="}}, namespace)
    before = installed.get("v1", "Pod", "controller-x", namespace)
    with Events(lambda _event: None).step("certificate") as step:
        metallb._deliver_certificate(installed, step)
    pod = installed.get("v1", "Pod", "controller-x", namespace)
    assert before is not None
    assert pod is not None
    assert pod["metadata"]["annotations"][workloads.LOOK_ANNOTATION] == before["metadata"]["resourceVersion"]


class Proxied:
    """A node that has kube-proxy's rules from the second time on that it is asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0

    def run(self, argv: Argv, **how: Any) -> Result:
        self.asked += 1
        words = tuple(str(word) for word in argv)
        assert words[:3] == ("nft", "get", "element")
        assert not how["check"], "that it is not there is an answer"
        return Result(words, 0 if self.asked > 1 else 1, "", "", 0.0, self.name)


def test_a_kube_proxy_that_came_too_early_is_looked_at_again_at_once(cluster: Cluster) -> None:
    reasons = {"kube-proxy-early": ready.TOO_EARLY, "kube-proxy-busy": "ContainerCreating"}
    for name, reason in reasons.items():
        metadata: Object = {"name": name, "namespace": "kube-system", "labels": {"k8s-app": "kube-proxy"}}
        container = {"name": "kube-proxy", "image": "localhost/none"}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
        status = {"name": "kube-proxy", "image": "", "imageID": "", "ready": False, "restartCount": 0}
        change = {"status": {"containerStatuses": [{**status, "state": {"waiting": {"reason": reason}}}]}}
        path = f"/api/v1/namespaces/kube-system/pods/{name}/status"
        cluster._request("PATCH", path, None, change, "application/merge-patch+json")
    lab = Lab()
    seen: list[Event] = []
    with Events(seen.append).step("cluster ready") as step:
        ready.wait_for_services(lab, cluster, {node.name: Proxied(node.name) for node in lab.nodes}, step)
    pods = {pod["metadata"]["name"]: pod for pod in cluster.list("v1", "Pod", "kube-system", labels=ready.PROXY)}
    looked = {name for name, pod in pods.items() if workloads.LOOK_ANNOTATION in pod["metadata"].get("annotations", {})}
    assert looked == {"kube-proxy-early"}
    assert seen[1].text == "kube-proxy has not yet programmed control-plane, worker-1, worker-2"
    for name in reasons:
        cluster.delete("v1", "Pod", name, "kube-system")
    workloads.hasten(cluster, pods["kube-proxy-early"])  # gone since it was listed, which is no error


def test_status_of_a_metallb_that_does_not_run(installed: Cluster) -> None:
    found = metallb.status(installed, Lab())
    assert found.installed
    assert found.problem == ""
    assert found.version == "v0.15.2"
    assert found.controller is not None
    assert str(found.controller) == "0/1 ready"
    assert found.pools == ()
    assert "there is no address pool: services get no address" in found.warnings


def test_pool_and_example_without_the_webhook(installed: Cluster) -> None:
    """With the webhook out of the way the objects themselves are accepted by MetalLB's own schemas."""
    installed.delete(
        "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "metallb-webhook-configuration"
    )
    lab = Lab()
    with Events(lambda _event: None).step("pool") as step:
        for item in metallb.pool_objects(lab, ["eth1"]):
            metallb.apply_when_validated(installed, item, on_wait=step.progress)
            assert not installed.apply(item)
    found = metallb.status(installed, lab)
    assert [(pool.name, pool.addresses, pool.assigned) for pool in found.pools] == [("lab", (lab.pool_range,), None)]


def test_example_without_an_address_names_the_reason(installed: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "ADDRESS_SECONDS", 1.0)
    lab = Lab()
    installed.apply(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "iperf3-server-tcp.1", "namespace": "default"},
            "involvedObject": {"kind": "Service", "name": "iperf3-server-tcp", "namespace": "default"},
            "reason": "AllocationFailed",
            "message": 'Failed to allocate IP for "default/iperf3-server-tcp"',
            "type": "Warning",
        }
    )
    with Events(lambda _event: None).step("example") as step, pytest.raises(LabError) as caught:
        example.deploy(lab, installed, "localhost/metallab/iperf3:any", step)
    assert caught.value.entry is errors.EXAMPLE_NO_ADDRESS
    assert "AllocationFailed: Failed to allocate IP" in caught.value.detail
    assert example.address(installed) == example.Addresses(None, None)
    for item in example.objects(lab, "localhost/metallab/iperf3:any"):
        assert not installed.apply(item)


def give_address(cluster: Cluster, name: str, address: str) -> None:
    """Do what MetalLB's controller does: write the address into the service's status."""
    path = f"/api/v1/namespaces/default/services/{name}/status"
    change = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
    cluster._request("PATCH", path, None, change, "application/merge-patch+json")


def test_services_go_and_come_back(installed: Cluster) -> None:
    lab = Lab()
    for item in example.objects(lab, "localhost/metallab/iperf3:any"):
        installed.apply(item)
    for name in (example.TCP, example.UDP):
        give_address(installed, name, str(lab.vip))
    assert example.apply_service(lab, installed, example.TCP) == str(lab.vip)
    assert example.address(installed).shared == str(lab.vip)
    example.delete_service(installed, example.TCP)
    assert example.address(installed) == example.Addresses(None, str(lab.vip))
    assert example.address(installed).shared is None
    seen: list[Event] = []
    with Events(seen.append).step("delete") as step:
        # Without a controller-manager nobody would say that the Deployment's pods are gone.
        installed.delete("apps/v1", "Deployment", example.SERVER, "default")
        example.delete(installed, step)
    with pytest.raises(LabError) as caught:
        example.address(installed)
    assert caught.value.entry is errors.EXAMPLE_MISSING
    with Events(seen.append).step("delete again") as step:
        example.delete(installed, step)
    assert seen[-1].kind is Kind.SKIPPED


def test_example_without_metallb_is_refused_before_anything_is_made(installed: Cluster) -> None:
    installed.delete("apps/v1", "Deployment", "controller", metallb_status.NAMESPACE)
    with Events(lambda _event: None).step("example") as step, pytest.raises(LabError) as caught:
        example.deploy(Lab(), installed, "localhost/metallab/iperf3:any", step)
    assert caught.value.entry is errors.METALLB_MISSING
    assert metallb.status(installed, Lab()) == metallb.MetallbStatus(installed=False)
