"""After a power-off the API server's word is believed only for containers that are younger than the machine."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from metallab.cluster.ready import _runs_since

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
