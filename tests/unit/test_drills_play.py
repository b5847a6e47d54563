"""A drill that cannot be played says why, breaks nothing, and is told from one that went wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from metallab import errors
from metallab.config import Lab
from metallab.drills import echo, memberlist, play, registry, table
from metallab.drills.base import Drill, Facts, NotPossible, Stage
from metallab.drills.records import DrillReport
from metallab.errors import ExitCode, LabError
from metallab.events import silent
from metallab.machines.labdir import LabDir
from metallab.proof import verify
from metallab.proof.records import Report, Verdict
from tests.unit import report_samples

Play = Callable[[Drill], DrillReport]


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    """What the proof says, time after time; the last one again and again."""
    said = [report_samples.passing()]

    def prove(*_args: object, **_flags: object) -> Report:
        return said.pop(0) if len(said) > 1 else said[0]

    monkeypatch.setattr(verify, "verify", prove)
    return said


@pytest.fixture
def played(tmp_path: Path, proofs: list[Report], monkeypatch: pytest.MonkeyPatch) -> Play:
    monkeypatch.setattr(memberlist, "read", lambda _cluster: memberlist.floor(memberlist.LAN, 3))
    monkeypatch.setattr(echo, "strike", lambda _cluster: [])
    monkeypatch.setattr(play, "found", lambda *_: {"Service default/x": "is there"})
    site = cast("Any", SimpleNamespace(lab=Lab(), labdir=LabDir(tmp_path), cluster=None))
    subject = cast("Any", SimpleNamespace(address=Lab().vip, provider="docker"))
    return lambda drill: play.play(site, subject, silent(), drill, image="example/agnhost:1", repeat=3)


def unready(error: Exception) -> Drill:
    """Return a drill that finds no precondition, and must not be made."""

    def look(_stage: Stage) -> Facts:
        raise error

    def make(_stage: Stage, _facts: Facts) -> None:
        raise AssertionError("nothing may be broken")

    return dataclasses.replace(registry.find("announcer-off"), look=look, make=make, undo=make)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotPossible("no other node may announce the address"), "because no other node may announce the address"),
        (
            LabError(errors.MACHINE_UNREACHABLE, "no SSH to worker-1", where="worker-1"),
            "because no SSH to worker-1 on worker-1 (LAB-MACH-002)",
        ),
    ],
)
def test_a_precondition_that_does_not_hold_is_told_and_nothing_is_broken(
    played: Play, error: Exception, words: str
) -> None:
    report = played(unready(error))
    ready, *claims = report.proof.checks
    assert (ready.id, ready.verdict, ready.reason) == ("ready", Verdict.NOT_RUN, words)
    assert {(check.verdict, check.blocked_by) for check in claims} == {(Verdict.NOT_RUN, ("ready",))}
    assert [check.id for check in claims] == [claim.id for claim in registry.find("announcer-off").claims]
    assert (report.runs, report.figures) == ((), ()), "and it is not tried again"
    assert table.closing(report) == f"announcer-off was not run, {words}."


def test_a_lab_that_does_not_work_is_not_broken_further(played: Play, proofs: list[Report]) -> None:
    proofs[:] = [report_samples.failing()]
    report = played(unready(AssertionError("not even looked at")))
    assert report.exit_code is ExitCode.NOTHING_TESTED
    assert report.proof.checks[0].reason.startswith("because the lab does not work as it is: ")
    assert report.floor is None


def test_nothing_could_be_tested_is_an_exit_code_of_its_own(played: Play) -> None:
    assert played(unready(NotPossible("no"))).exit_code is ExitCode.NOTHING_TESTED
