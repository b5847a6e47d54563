"""The lab's own daemon, started for real: how the kernel is asked to schedule it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from metallab.events import silent
from metallab.host import sandbox
from metallab.host.sandbox import Sandbox
from metallab.run.local import run


@pytest.mark.parametrize(("batch", "policy"), [(False, os.SCHED_OTHER), (True, os.SCHED_BATCH)], ids=["as is", "batch"])
def test_a_daemon_of_emulated_machines_is_scheduled_for_throughput(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, batch: bool, policy: int
) -> None:
    if shutil.which("dockerd") is None:
        pytest.skip("needs dockerd: ./inv setup")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Sandbox("it-sandbox")
    try:
        with silent().step("daemon") as step:
            sandbox.start(made, tmp_path / "daemon.log", step, batch=batch)
        found = run(["pgrep", "--full", f"^dockerd .*{made.run_dir}"], timeout=10).stdout.split()
        assert [os.sched_getscheduler(int(pid)) for pid in found] == [policy]
    finally:
        sandbox.stop(made)
