"""After a power-off the API server's word is believed only for containers that are younger than the machine."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from metallab.cluster.ready import _runs_since, _stale_endpoints

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
