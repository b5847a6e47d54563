"""The lab's own daemon, started for real: how the kernel is asked to schedule it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metallab.host.sandbox import Sandbox
from metallab.run.local import run
from tests.integration.daemon import started


@pytest.mark.parametrize(("batch", "policy"), [(False, os.SCHED_OTHER), (True, os.SCHED_BATCH)], ids=["as is", "batch"])
def test_a_daemon_of_emulated_machines_is_scheduled_for_throughput(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, batch: bool, policy: int
) -> None:
    with started(Sandbox("it-sandbox"), tmp_path, monkeypatch, batch=batch) as made:
        found = run(["pgrep", "--full", f"^dockerd .*{made.run_dir}"], timeout=10).stdout.split()
        assert [os.sched_getscheduler(int(pid)) for pid in found] == [policy]
