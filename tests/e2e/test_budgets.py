"""A small lab from its plan to its repair, with every vagrant that is started counted: they cost seconds each.

The tests are one story and run in order.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REPO, Leftovers, User

pytestmark = pytest.mark.timeout(900)
LAB = """\
name: e2e
provider: docker
machines:
  - {name: control-plane, role: control-plane, host: 10}
  - {name: worker-1, role: worker, host: 11}
  - {name: client, role: client, host: 200}
"""
MACHINES = 3
# The real one, with a line written down for every process.
WRAPPER = """\
#!/bin/sh
echo "$*" >>"{log}"
exec "{real}" "$@"
"""


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, built: None) -> Iterator[User]:
    """A user with a small lab and a PATH on which vagrant keeps count; the lab is destroyed at the end."""
    folder = tmp_path_factory.mktemp("budgets")
    real = shutil.which("vagrant")
    assert real is not None
    (folder / "lab.yaml").write_text(LAB)
    (folder / "bin").mkdir()
    wrapper = folder / "bin" / "vagrant"
    wrapper.write_text(WRAPPER.format(log=folder / "calls", real=real))
    wrapper.chmod(0o755)
    someone = User(folder / "lab.yaml", folder / "state")
    path = f"{folder / 'bin'}:{someone.environment['PATH']}"
    someone = User(someone.lab_file, someone.state, extra=(("PATH", path),))
    try:
        yield someone
    finally:
        argv = [str(REPO / "inv"), "lab.destroy", "--yes"]
        subprocess.run(argv, env=someone.environment, check=False, capture_output=True, timeout=300)


def calls(user: User) -> list[str]:
    """Return the vagrant processes since the last look."""
    log = user.lab_file.parent / "calls"
    found = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return found


def planned(user: User) -> dict[str, str]:
    """Return step -> what ``lab.up`` would do of it."""
    said = [json.loads(line) for line in user.inv("lab.up", "--plan", "-o", "json").stdout.splitlines()]
    (table,) = [record for record in said if record["kind"] == "table"]
    return {row[0]: row[1] for row in table["rows"]}


def test_before_there_is_anything_the_plan_touches_nothing(counted: User) -> None:
    before = Leftovers.now()
    acts = planned(counted)
    assert acts["bundle"] == acts["box"] == acts["host packages"] == "skip"
    assert acts["machine client"] == acts["control plane"] == acts["join worker-1"] == "make"
    assert Leftovers.now() == before
    assert not counted.state.exists()
    # The doctor asks which version it is, once; a lab that has machines is not asked again.
    assert calls(counted) == ["--version"]


def test_a_bring_up_tells_its_events_and_starts_one_vagrant_a_machine(counted: User) -> None:
    said = [json.loads(line) for line in counted.inv("lab.up", "-o", "json").stdout.splitlines()]
    assert said[-1] == {"kind": "result", "ok": True, "code": 0}
    ended = {record["step"] for record in said if record["kind"] == "done"}
    assert {"machine client", "control plane", "join worker-1", "cluster ready"} <= ended
    started = [words for words in calls(counted) if " up " in words]
    # Two vagrants may get in each other's way; then one is started once more.
    assert MACHINES <= len(started) <= 2 * MACHINES


def test_of_a_lab_that_is_up_the_plan_leaves_nothing_to_do(counted: User) -> None:
    assert set(planned(counted).values()) == {"skip", "wait"}
    assert calls(counted) == []


@pytest.mark.parametrize(
    "words",
    [
        ("lab.up",),
        ("metallb.install",),
        ("iperf3.deploy",),
        ("lab.status",),
        ("metallb.status",),
        ("kubectl", "--", "get", "nodes"),
        ("lab.ssh", "client", "--", "true"),
        ("iperf3.run", "--seconds", "1"),
        ("config.validate",),
    ],
    ids=lambda words: str(words[0]),
)
def test_no_command_on_a_lab_that_is_up_starts_vagrant(counted: User, words: tuple[str, ...]) -> None:
    calls(counted)
    counted.inv(*words)
    assert calls(counted) == []


def test_a_machine_that_stopped_is_in_the_plan_and_one_vagrant_brings_it_back(counted: User) -> None:
    docker = ["docker", "--host", "unix:///run/metallab/e2e/docker.sock"]
    subprocess.run([*docker, "stop", "metallab-e2e_worker-1"], check=True, capture_output=True, timeout=60)
    acts = planned(counted)
    assert acts["machine worker-1"] == "go on"
    assert acts["join worker-1"] == "go on"
    assert acts["machine client"] == acts["control plane"] == "skip"
    assert calls(counted) == []
    counted.inv("lab.up")
    assert [words.split()[-1] for words in calls(counted)] == ["worker-1"]
    assert set(planned(counted).values()) == {"skip", "wait"}


def test_destroying_it_leaves_nothing(counted: User) -> None:
    said = counted.inv("lab.destroy", "--yes", "-o", "json").stdout.splitlines()
    assert json.loads(said[-1]) == {"kind": "result", "ok": True, "code": 0}
    assert not Path("/run/metallab/e2e").exists()
