"""The cluster as the proof sees it, read from objects as the API server gives them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from metallab.cluster import experiment, metallb_status
from metallab.cluster.api import Cluster
from metallab.cluster.metallb_status import MetallbStatus, ServiceStatus
from metallab.config import Lab
from metallab.proof.adapter import RealCluster
from metallab.proof.subject import TCP_SERVICE, UDP_SERVICE, Part, Pod, ServiceState

LAB = Lab()


def service(name: str, protocol: str, *addresses: str, namespace: str = "default") -> dict[str, Any]:
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid of {namespace}/{name}"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 5201, "protocol": protocol}]},
        "status": {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]} if addresses else {}},
    }


def event(of: dict[str, Any], when: str, words: str) -> dict[str, Any]:
    return {
        "kind": "Event",
        "metadata": {"name": f"{when} {words}", "namespace": of["metadata"]["namespace"]},
        "uid": of["metadata"]["uid"],
        "reason": "AllocationFailed",
        "message": words,
        "lastTimestamp": when,
    }


def pod(name: str, node: str = "", address: str = "", *, ready: str = "True", ends: bool = False) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "default", "labels": {"app": "iperf3-server"}}
    return {
        "kind": "Pod",
        "metadata": {**metadata, **({"deletionTimestamp": "2026-11-23T10:00:00Z"} if ends else {})},
        "spec": {"nodeName": node} if node else {},
        "status": {
            **({"podIP": address} if address else {}),
            **({"conditions": [{"type": "Ready", "status": ready}]} if ready else {}),
        },
    }


def workload(kind: str, name: str, ready: int, wanted: int) -> dict[str, Any]:
    status = {"readyReplicas": ready, "replicas": wanted, "updatedReplicas": wanted, "availableReplicas": ready}
    if kind == "DaemonSet":
        status = {"numberAvailable": ready, "desiredNumberScheduled": wanted, "updatedNumberScheduled": wanted}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "metallb-system", "generation": 1},
        "spec": {"replicas": wanted},
        "status": {**status, "observedGeneration": 1},
    }


class Objects:
    """The part of a cluster client that reads."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = objects

    def get(self, api_version: str, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        found = [item for item in self.list(api_version, kind, namespace) if item["metadata"]["name"] == name]
        return found[0] if found else None

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[dict[str, Any]]:
        groups = {"Deployment": "apps/v1", "DaemonSet": "apps/v1", "IPAddressPool": "metallb.io/v1beta1"}
        assert api_version == groups.get(kind, "v1")
        _, _, uid = fields.partition("involvedObject.uid=")
        return [
            item
            for item in self.objects
            if item["kind"] == kind
            and namespace in (None, item["metadata"]["namespace"])
            and (not labels or labels.split("=") in [list(each) for each in item["metadata"]["labels"].items()])
            and (not uid or item["uid"] == uid)
        ]


def side(*objects: dict[str, Any]) -> RealCluster:
    return RealCluster(LAB, cast("Cluster", Objects(*objects)), {})


def test_services_that_exist_with_their_addresses() -> None:
    found = side(service(UDP_SERVICE, "UDP"), service(TCP_SERVICE, "TCP", "192.168.96.70")).services()
    assert found == (
        ServiceState(TCP_SERVICE, "TCP", 5201, LAB.vip, "default"),
        ServiceState(UDP_SERVICE, "UDP", 5201, None, "default", ("there is no address pool",)),
    )
    assert side(service(UDP_SERVICE, "UDP", "192.168.96.70")).services()[0].name == UDP_SERVICE
    assert side(service("other", "UDP", "192.168.96.70")).services() == ()


def test_the_example_in_another_namespace_is_found_and_told() -> None:
    (found,) = side(service(TCP_SERVICE, "TCP", "192.168.96.70", namespace="mine")).services()
    assert found.namespace == "mine"


@pytest.mark.parametrize("order", [1, -1])
def test_one_in_its_own_namespace_counts_before_others(order: int) -> None:
    both = [service(TCP_SERVICE, "TCP", "192.168.96.71", namespace="mine"), service(TCP_SERVICE, "TCP")]
    (found,) = side(*both[::order]).services()
    assert found.namespace == "default"


def test_a_service_without_an_address_has_its_own_events_with_the_newest_last() -> None:
    mine, other = service(TCP_SERVICE, "TCP"), service(UDP_SERVICE, "UDP", "192.168.96.70")
    events = [
        event(mine, "2026-11-23T10:00:02Z", "no available IPs"),
        event(mine, "2026-11-23T10:00:01Z", "is not allowed"),
        event(other, "2026-11-23T10:00:03Z", "somebody else's"),
    ]
    tcp, udp = side(mine, other, *events).services()
    assert tcp.events == ("AllocationFailed: is not allowed", "AllocationFailed: no available IPs")
    assert udp.events == (), "nothing is to be explained"


def test_a_service_that_was_brought_along_is_found_by_its_name() -> None:
    cluster = side(service("metallab-proof-local", "UDP", "192.168.96.65"), service("x", "UDP", namespace="mine"))
    found = cluster.service("metallab-proof-local")
    assert found is not None
    assert found.address == LAB.at(65)
    assert cluster.service("x") is None


def test_servers_are_ready_only_while_they_do_not_end() -> None:
    found = side(
        pod("a", "worker-1", "10.244.1.3"),
        pod("b", "worker-2", "10.244.2.3", ends=True),
        pod("c", "worker-2", "10.244.2.4", ready="False"),
        pod("d", ready=""),
    ).servers()
    assert found == (
        Pod("a", "worker-1", "10.244.1.3", ready=True),
        Pod("b", "worker-2", "10.244.2.3", ready=False),
        Pod("c", "worker-2", "10.244.2.4", ready=False),
        Pod("d", "", "", ready=False),
    )


def test_metallb_is_its_controller_and_its_speakers() -> None:
    controller, speaker = workload("Deployment", "controller", 1, 1), workload("DaemonSet", "speaker", 2, 3)
    assert side(controller, speaker).metallb() == (
        Part("controller", ready=True, words="1/1 ready"),
        Part("speaker", ready=False, words="2/3 ready"),
    )


def test_what_is_missing_of_metallb_is_told() -> None:
    assert side(workload("DaemonSet", "speaker", 3, 3)).metallb() == (
        Part("controller", ready=False, words="missing"),
        Part("speaker", ready=True, words="3/3 ready"),
    )


@pytest.mark.parametrize(
    ("address", "node", "told"),
    [
        ("192.168.96.70", "worker-2", ("worker-2", "worker-1")),
        # Of another address's service nothing is taken over.
        ("192.168.96.71", "worker-2", (None, "control-plane")),
    ],
)
def test_announcer_and_elected_are_those_of_the_shared_address(
    monkeypatch: pytest.MonkeyPatch, address: str, node: str, told: tuple[str | None, str]
) -> None:
    known = ServiceStatus("default", UDP_SERVICE, ("5201/UDP",), address, node, "worker-1")
    silent = ServiceStatus("default", TCP_SERVICE, ("5201/TCP",), "192.168.96.70", None, "control-plane")
    status = MetallbStatus(installed=True, services=(silent, known))
    monkeypatch.setattr(metallb_status, "status", lambda *_: status)
    assert (side().announcer(), side().elected()) == told


def test_nobody_is_elected_for_an_address_that_no_service_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metallb_status, "status", lambda *_: MetallbStatus(installed=True))
    assert (side().announcer(), side().elected()) == (None, None)


CHANGES = [
    ("stage", ("worker-1",), (LAB, "cluster", {"agnhost": "a"}, "worker-1"), None, None),
    ("strike", ("x",), ("cluster", "x"), ["Service x"], None),
    ("take_away", ("x",), ("cluster", "x"), None, None),
    ("put_back", ("x",), ("cluster", "x"), None, None),
    ("scale_down", (), ("cluster",), None, None),
    ("scale_back", (), ("cluster",), None, None),
    ("heal", (), ("cluster",), ["x put back"], ("x put back",)),
    ("refused", ("case", ("words",)), (LAB, "cluster", "case", ("words",)), ["said"], ("said",)),
    ("found", (), ("cluster",), {"a": "b"}, {"a": "b"}),
]


@pytest.mark.parametrize(("name", "given", "handed", "made", "told"), CHANGES, ids=[each[0] for each in CHANGES])
def test_every_change_is_the_experiments_own(
    monkeypatch: pytest.MonkeyPatch, name: str, given: tuple[Any, ...], handed: tuple[Any, ...], made: Any, told: Any
) -> None:
    seen: list[tuple[Any, ...]] = []

    def change(*words: Any) -> Any:
        seen.append(words)
        return made

    monkeypatch.setattr(experiment, name, change)
    real = RealCluster(LAB, cast("Cluster", "cluster"), {"agnhost": "a"})
    assert getattr(real, name)(*given) == told
    assert seen == [handed]
