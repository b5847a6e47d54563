"""After a power-off the API server's word is believed only for containers that are younger than the machine."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from metallab.cluster.api import Cluster
from metallab.cluster.ready import _end_old_leases, _runs_since, _stale_endpoints

PODS = json.loads((Path(__file__).parent.parent / "data" / "cluster" / "pods-running.json").read_text())["items"]
STARTED = datetime(2026, 11, 23, 11, 30, tzinfo=timezone.utc)


def pod(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(PODS[0]), **changes}


def test_a_ready_pod_whose_container_is_younger_than_the_machine_is_back() -> None:
    assert _runs_since(pod(), datetime(2020, 1, 1, tzinfo=timezone.utc))


def test_a_ready_pod_whose_container_is_older_is_only_remembered() -> None:
    assert not _runs_since(pod(), datetime(2100, 1, 1, tzinfo=timezone.utc))


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_ended_is_not_waited_for(phase: str) -> None:
    assert _runs_since(pod(status={"phase": phase}), STARTED)


def test_a_pod_without_a_container_yet_is_not_back() -> None:
    status = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}
    assert not _runs_since(pod(status=status), STARTED)


def endpoint(address: str, *, ready: bool = True) -> dict[str, Any]:
    target = {"kind": "Pod", "namespace": "kube-system", "name": PODS[0]["metadata"]["name"]}
    return {"endpoints": [{"addresses": [address], "conditions": {"ready": ready}, "targetRef": target}]}


def test_an_endpoint_with_the_pods_address_is_in_step() -> None:
    assert _stale_endpoints([endpoint(PODS[0]["status"]["podIP"])], PODS) == set()


def test_an_endpoint_with_the_address_a_pod_had_is_stale() -> None:
    assert _stale_endpoints([endpoint("10.244.9.9")], PODS) == {PODS[0]["metadata"]["name"]}


def test_an_endpoint_that_is_not_ready_is_stale() -> None:
    assert _stale_endpoints([endpoint(PODS[0]["status"]["podIP"], ready=False)], PODS) != set()


def test_a_slice_without_endpoints_is_no_trouble() -> None:
    assert _stale_endpoints([{"endpoints": None}], PODS) == set()


class Leases:
    """A cluster that has leases and nothing else."""

    def __init__(self, **renewed: str | None) -> None:
        self.renewed = {name.replace("_", "-"): time for name, time in renewed.items()}

    def list(self, _version: str, _kind: str, _namespace: str) -> list[dict[str, Any]]:
        return [{"metadata": {"name": name}, "spec": {"renewTime": time}} for name, time in self.renewed.items()]

    def delete(self, _version: str, _kind: str, name: str, _namespace: str) -> bool:
        return self.renewed.pop(name) is not None


def test_only_leaders_that_went_down_with_their_machine_lose_their_lease() -> None:
    old, new = "2026-11-23T11:29:59.000000Z", "2026-11-23T11:30:01.000000Z"
    leases = Leases(kube_controller_manager=old, kube_scheduler=new, apiserver_x=old)
    _end_old_leases(cast("Cluster", leases), STARTED)
    assert sorted(leases.renewed) == ["apiserver-x", "kube-scheduler"]


def test_a_lease_nobody_holds_is_left_alone() -> None:
    leases = Leases(kube_controller_manager=None)
    _end_old_leases(cast("Cluster", leases), STARTED)
    assert leases.renewed
