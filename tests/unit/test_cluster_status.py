"""What the cluster and MetalLB say of themselves, read from what a real lab said."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from metallab.cluster import api, metallb_status, ready, status, workloads
from metallab.cluster.metallb_status import MetallbStatus, predicted_announcer

DATA = Path(__file__).parent.parent / "data" / "cluster"
NODES = ["control-plane", "worker-1", "worker-2"]


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def test_nodes_of_a_real_lab() -> None:
    found = [status.node_status(item) for item in load("nodes.json")]
    assert [node.name for node in found] == NODES
    assert all(node.ready and node.reason == "" and node.version == "v1.37.2" for node in found)
    assert [node.address for node in found] == ["192.168.97.10", "192.168.97.11", "192.168.97.12"]
    assert [node.roles for node in found] == [("control-plane",), (), ()]
    assert [node.pod_network for node in found] == ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"]


def test_a_node_that_is_not_ready_says_why() -> None:
    node = load("nodes.json")[1]
    condition = ready.condition(node, "Ready")
    assert condition is not None
    condition |= {"status": "Unknown", "message": "Kubelet stopped posting node status."}
    assert ready.node_state(node) == "Kubelet stopped posting node status."
    assert not status.node_status(node).ready
    assert ready.node_state(None) == "not registered"
    assert ready.node_state({"status": {}}) == "no state yet"
    assert ready.node_state({"status": {"conditions": None}}) == "no state yet"


def test_a_kubelet_that_should_have_reported_is_named() -> None:
    leases = [
        {"metadata": {"name": name}, "spec": {"renewTime": time, "leaseDurationSeconds": 40}}
        for name, time in (("fresh", "2026-11-23T11:43:29.290472Z"), ("old", "2026-11-23T11:42:00.000000Z"))
    ]
    now = datetime(2026, 11, 23, 11, 43, 34, tzinfo=timezone.utc)
    assert ready.silent_kubelets(leases, now) == {"old": "its kubelet has not reported for 94 s"}


def test_rollout_of_real_workloads() -> None:
    deployment, daemons = load("deployment-controller.json"), load("daemonset-speaker.json")
    assert workloads.rollout(deployment) == workloads.Rollout(1, 1, settled=True)
    assert workloads.rollout(daemons) == workloads.Rollout(3, 3, settled=True)
    assert str(workloads.rollout(daemons)) == "3/3 ready"


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("deployment-controller.json", {"availableReplicas": 0}),
        ("deployment-controller.json", {"updatedReplicas": 0}),
        ("deployment-controller.json", {"observedGeneration": 0}),
        ("daemonset-speaker.json", {"numberAvailable": 2}),
        ("daemonset-speaker.json", {"updatedNumberScheduled": 2}),
        ("daemonset-speaker.json", {"desiredNumberScheduled": 0, "numberAvailable": 0, "updatedNumberScheduled": 0}),
    ],
)
def test_a_workload_that_is_not_there_yet(file: str, change: dict[str, int]) -> None:
    workload = load(file)
    workload["status"] |= change
    assert not workloads.rollout(workload).settled


def test_a_workload_without_a_status_is_not_there_yet() -> None:
    for file in ("deployment-controller.json", "daemonset-speaker.json"):
        workload = load(file)
        workload["status"] = {}
        assert not workloads.rollout(workload).settled


def test_trouble_of_a_pod_that_crashed_for_real() -> None:
    (reason,) = workloads.pod_trouble(load("pod-crashloop.json"))
    assert reason.startswith("CrashLoopBackOff: back-off ")


def test_a_pod_on_its_way_is_no_trouble() -> None:
    pod = load("pod-crashloop.json")
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    assert workloads.pod_trouble(pod) == []
    assert workloads.pod_trouble({"status": {}}) == []


def test_a_pod_no_node_takes_says_why() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert workloads.pod_trouble({"status": {"conditions": [condition]}}) == ["Unschedulable: 0/3 nodes"]


def test_announcer_is_the_one_the_election_gives() -> None:
    """In the captured lab worker-1 said it announced the address, and its MAC answered ARP (arping.txt)."""
    workers = metallb_status.candidates(load("nodes.json"), load("speaker-pods.json"))
    assert workers == ["worker-1", "worker-2"]
    assert predicted_announcer(workers, "192.168.97.70") == "worker-1"
    assert {item["status"]["node"] for item in load("servicel2statuses.json")} == {"worker-1"}
    assert "02:42:C0:A8:61:0B" in (DATA / "arping.txt").read_text()


def test_election_differs_by_address_and_needs_a_candidate() -> None:
    assert predicted_announcer(["worker-1", "worker-2"], "192.168.96.70") == "worker-2"
    assert predicted_announcer([], "192.168.96.70") is None


def test_who_may_not_announce() -> None:
    nodes, speakers = load("nodes.json"), load("speaker-pods.json")
    silent = copy.deepcopy(speakers)
    for pod in silent:
        if pod["spec"]["nodeName"] == "worker-1":
            condition = ready.condition(pod, "Ready")
            assert condition is not None
            condition["status"] = "False"
    assert metallb_status.candidates(nodes, silent) == ["worker-2"]
    nodes[2]["status"]["conditions"].append({"type": "NetworkUnavailable", "status": "True"})
    assert metallb_status.candidates(nodes, speakers) == ["worker-1"]
    for node in nodes:
        node["metadata"]["labels"].pop(metallb_status.EXCLUDE_LABEL, None)
    assert metallb_status.candidates(nodes, speakers) == ["control-plane", "worker-1"]


def test_services_of_a_real_lab() -> None:
    announcers = {("default", "iperf3-server-tcp"): "worker-1"}
    tcp, udp = (metallb_status.service_status(item, announcers, ["worker-1"]) for item in load("services.json"))
    assert (tcp.name, tcp.ports, tcp.address, tcp.announcer) == (
        "iperf3-server-tcp",
        ("5201/TCP",),
        "192.168.97.70",
        "worker-1",
    )
    assert (udp.name, udp.address, udp.announcer, udp.predicted) == (
        "iperf3-server-udp",
        "192.168.97.70",
        None,
        "worker-1",
    )
    assert tcp.line()[-1] == "192.168.97.70, announced by worker-1"
    assert udp.line()[-1] == "192.168.97.70, announcer not reported"


def both(announcers: dict[tuple[str, str], str]) -> list[metallb_status.ServiceStatus]:
    """Return the captured services, of which these say that they are announced."""
    return [metallb_status.service_status(item, announcers, ["worker-1"]) for item in load("services.json")]


def slice_of(service: str, *, ready: bool) -> dict[str, Any]:
    """Return an EndpointSlice with one server."""
    labels = {"kubernetes.io/service-name": service}
    return {
        "metadata": {"namespace": "default", "name": f"{service}-x", "labels": labels},
        "endpoints": [{"addresses": ["10.244.1.2"], "conditions": {"ready": ready}}],
    }


def test_an_address_is_announced_when_one_of_its_services_says_so() -> None:
    pool = metallb_status._pool(load("pools.json")[0])
    one = both({("default", "iperf3-server-udp"): "worker-1"})
    assert list(metallb_status._warnings(load("nodes.json"), [pool], one, advertised=True)) == []
    assert metallb_status.silent(one, [slice_of("iperf3-server-tcp", ready=True)]) == set()
    none = both({})
    assert list(metallb_status._warnings(load("nodes.json"), [pool], none, advertised=True)) == [
        f"nobody says it announces 192.168.97.70 for service default/iperf3-server-{protocol}"
        for protocol in ("tcp", "udp")
    ]


def test_only_an_address_that_is_served_has_to_be_announced() -> None:
    assert metallb_status.silent(both({}), [slice_of("iperf3-server-tcp", ready=True)]) == {"192.168.97.70"}
    assert metallb_status.silent(both({}), [slice_of("iperf3-server-tcp", ready=False)]) == set()
    assert metallb_status.silent(both({}), [{"metadata": {"namespace": "default"}, "endpoints": None}]) == set()


def test_a_service_without_an_address() -> None:
    service = load("services.json")[0]
    service["status"] = {"loadBalancer": {}}
    found = metallb_status.service_status(service, {}, ["worker-1"])
    assert (found.address, found.predicted) == (None, None)
    assert found.line()[-1] == "no address"
    assert list(metallb_status._warnings([], [], [found], advertised=True)) == [
        "there is no address pool: services get no address",
        "service default/iperf3-server-tcp has no address",
    ]


def test_pool_of_a_real_lab() -> None:
    (pool,) = (metallb_status._pool(item) for item in load("pools.json"))
    assert (pool.name, pool.addresses, pool.assigned, pool.available) == (
        "lab",
        ("192.168.97.64-192.168.97.95",),
        1,
        31,
    )


def test_the_wrong_announcer_is_a_warning() -> None:
    pool = metallb_status._pool(load("pools.json")[0])
    service = metallb_status.service_status(
        load("services.json")[0], {("default", "iperf3-server-tcp"): "worker-2"}, ["worker-1", "worker-2"]
    )
    (warning,) = metallb_status._warnings(load("nodes.json"), [pool], [service], advertised=True)
    assert warning == "192.168.97.70 is announced by worker-2, but worker-1 should be elected"
    (unseen,) = metallb_status._warnings(load("nodes.json"), [pool], [], advertised=False)
    assert unseen == "there is no L2Advertisement: nobody answers for any address"


def test_lines_when_nothing_is_known() -> None:
    assert MetallbStatus(installed=False).lines() == [("MetalLB", "", "not installed")]
    assert MetallbStatus(installed=False, problem="no answer").lines() == [("MetalLB", "", "no answer")]


@pytest.mark.parametrize(
    ("status_code", "body", "kind"),
    [
        (500, '{"message": "Internal error occurred: failed calling webhook \\"x\\": refused"}', api.WebhookNotReady),
        (403, '{"message": "admission webhook \\"x\\" denied the request: overlaps"}', api.Refused),
        (422, '{"message": "Invalid value"}', api.Refused),
        (502, "<html>a proxy</html>", api.Refused),
        (500, "[]", api.Refused),
    ],
)
def test_refusals_are_told_apart(status_code: int, body: str, kind: type[api.Refused]) -> None:
    found = api.refusal("IPAddressPool lab", status_code, body)
    assert type(found) is kind
    assert found.what.startswith("IPAddressPool lab: ")
