"""``lab.up --plan``: it says what would be done, and nothing is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metallab import bundle as bundles
from metallab import config, paths, plan, steps, workflow
from metallab.errors import MACHINE_UNREACHABLE as GONE
from metallab.errors import LabError
from metallab.site import Site
from metallab.workflow import Act, Job, Outlook

LAB = "{name: plan-unit, provider: docker}\n"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab file, and empty folders where the lab keeps things."""
    (tmp_path / "lab.yaml").write_text(LAB)
    monkeypatch.setenv("LAB_FILE", str(tmp_path / "lab.yaml"))
    for variable in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "VAGRANT_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    # A program that is there and leaves a trace when it is started, but for telling its version.
    (tmp_path / "bin").mkdir()
    for program in ("vagrant", "dockerd", "ssh-keygen"):
        (tmp_path / "bin" / program).write_text(
            f'#!/bin/sh\n[ "$*" = --version ] && exec echo Vagrant 2.3.4\necho "{program} $*" >>"{tmp_path}/started"\n'
        )
        (tmp_path / "bin" / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


def traces(world: Path) -> list[object]:
    """Return all that a bring-up would leave: files with what is in them, namespaces, sandboxes."""
    files = [(path, path.read_bytes() if path.is_file() else None) for path in sorted(world.rglob("*"))]
    ours = [path for folder in ("/run/netns", "/run/metallab") for path in Path(folder).glob("*plan-unit*")]
    return [*files, *ours]


def planned(*words: str) -> subprocess.CompletedProcess[str]:
    invoke = [str(Path(sys.executable).parent / "invoke"), "--search-root", str(paths.repo_root())]
    argv = [*invoke, "lab.up", "--plan", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start the lab's own daemon, so elsewhere it ends before")
def test_a_plan_of_a_new_lab_names_every_step_and_touches_nothing(world: Path) -> None:
    before = traces(world)
    done = planned()
    assert (done.returncode, done.stderr) == (0, "")
    assert traces(world) == before
    first = [line.split("  ")[0] for line in done.stdout.splitlines()]
    for step in ("bundle", "box", "host packages", "network", "machine client", "control plane", "join worker-1"):
        assert step in first
    assert "./inv bundle.build" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("lab.up would end with an error at: bundle, box")


def test_a_plan_can_be_read_by_programs(world: Path) -> None:
    done = planned("-o", "json")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said[0]["columns"] == [*plan.COLUMNS]
    assert {row[1] for row in said[0]["rows"]} <= {act.value for act in Act}
    assert said[-1] == {"kind": "result", "ok": True, "code": 0}


def test_a_lab_that_nothing_can_carry_is_told_and_no_error(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_lab: config.Lab) -> Site:
        raise LabError(GONE, "nothing runs here", fix="leave")

    monkeypatch.setattr(plan, "site", nothing)
    drawn = plan.draw(config.parse(LAB))
    assert drawn[-1] == Outlook("provider", Act.BLOCKED, "nothing runs here: leave")


@pytest.mark.skipif(os.geteuid() != 0, reason="elsewhere no provider may answer")
def test_the_plan_is_read_off_the_jobs_that_are_performed(world: Path) -> None:
    lab = config.parse(LAB)
    jobs = steps.jobs(Site.of(lab), bundles.require)
    assert [job.title for job in jobs if job.look is None] == ["kubernetes client"]
    told = [outlook.step for outlook in plan.draw(lab)]
    assert {job.title for job in jobs if job.look is not None} <= set(told)
    assert told.index("machine control-plane") < told.index("control plane") < told.index("cluster ready")


@pytest.mark.skipif(os.geteuid() != 0, reason="elsewhere no provider may answer")
def test_a_machine_that_vagrant_knows_would_be_started_and_its_cluster_comes_back(world: Path) -> None:
    lab = config.parse(LAB)
    here = Site.of(lab)
    record = here.vagrant.records / "machines" / "worker-1" / "docker" / "id"
    record.parent.mkdir(parents=True)
    record.write_text("0123")
    here.labdir.kubeconfig.write_text("{}")
    acts = {outlook.step: outlook.act for outlook in plan.draw(lab)}
    assert acts["machine worker-1"] is Act.GO_ON
    assert acts["machine worker-2"] is Act.MAKE
    assert acts["control plane"] is acts["join worker-1"] is Act.GO_ON


def test_a_plan_in_a_sentence() -> None:
    make, skip = Outlook("a", Act.MAKE, ""), Outlook("b", Act.SKIP, "")
    assert plan.summary([make, skip, Outlook("c", Act.GO_ON, "")]) == "2 of 3 steps to do"
    assert plan.summary([skip, Outlook("c", Act.WAIT, "")]).startswith("nothing to do")
    assert plan.summary([make, Outlook("c", Act.BLOCKED, "")]) == "lab.up would end with an error at: c"


# -- how jobs are looked at ------------------------------------------------------------------------------------


def job(title: str, act: Act, *after: str, asked: dict[str, bool] | None = None) -> Job:
    def look(ready: bool) -> tuple[Act, str]:  # noqa: FBT001
        if asked is not None:
            asked[title] = ready
        return act, title.upper()

    def never(_step: object) -> None:
        raise AssertionError("a plan performs nothing")

    return Job(title, never, after=after, look=look)


def test_a_job_is_asked_only_when_all_it_needs_is_there() -> None:
    asked: dict[str, bool] = {}
    jobs = [
        job("last", Act.WAIT, "b", "c", asked=asked),
        job("b", Act.SKIP, "a", asked=asked),
        job("c", Act.MAKE, "a", asked=asked),
        job("a", Act.SKIP, asked=asked),
    ]
    assert [outlook.step for outlook in workflow.foresee(jobs)] == ["a", "b", "c", "last"]
    assert asked == {"a": True, "b": True, "c": True, "last": False}


def test_a_job_that_cannot_be_looked_at_is_blocked_and_the_others_are_told() -> None:
    def fail(_ready: bool) -> tuple[Act, str]:  # noqa: FBT001
        raise LabError(GONE, "no way in")

    jobs = [Job("a", lambda _step: None, look=fail), Job("quiet", lambda _step: None), job("b", Act.MAKE, "a", "quiet")]
    assert workflow.foresee(jobs) == [Outlook("a", Act.BLOCKED, "no way in"), Outlook("b", Act.MAKE, "B")]


def test_a_job_that_is_needed_and_not_there_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="no job is called nobody"):
        workflow.foresee([job("a", Act.MAKE, "nobody")])
