"""A drill that cannot be played says why, breaks nothing, and is told from one that went wrong."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from metallab import errors
from metallab.config import Lab
from metallab.drills import base, claims, echo, journal, memberlist, play, registry, table
from metallab.drills.base import Drill, Facts, NotPossible, Stage
from metallab.drills.records import DrillReport
from metallab.drills.timeline import KINDS, ArpClaim, Probe
from metallab.errors import ExitCode, LabError
from metallab.events import silent
from metallab.machines.labdir import LabDir
from metallab.proof import probes, verify
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
    return lambda drill: play.play(
        site, subject, silent(), drill, image="example/agnhost:1", repeat=3, on_failure=never
    )


def never() -> None:
    raise AssertionError("nothing was touched, so nothing is to be collected")


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


# -- when something goes wrong


class Witness:
    """A client that is served all the time."""

    offset, uncertain, command = 0.0, 0.0, "perl - <observer.pl"

    def __init__(self, *_where: object) -> None:
        self.began = time.time()

    def __enter__(self) -> Witness:  # noqa: PYI034 - typing.Self came with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing runs."""

    def now(self) -> float:
        return time.time()

    def probes(self) -> tuple[Probe, ...]:
        since = int((time.time() - self.began) / 0.05)
        return tuple(Probe(self.began + at * 0.05, kind, "ok", 0.001) for at in range(-60, since) for kind in KINDS)

    def seen(self) -> tuple[tuple[Probe, ...], tuple[ArpClaim, ...]]:
        return self.probes(), ()


class Story:
    """A lab whose client is always served; what happens to it is kept in order."""

    def __init__(self, folder: Path) -> None:
        self.told: list[str] = []
        self.rules: Iterator[bool] = iter(())
        self.drill = dataclasses.replace(
            registry.find("rogue-arp"),
            look=lambda _stage: {base.ECHO: "worker-1"},
            make=self.make,
            undo=self.undo,
            seconds=0.2,
        )
        self.make_raises: list[LabError] = []
        self.undo_raises: list[LabError] = []
        lab = Lab()
        nodes = dict.fromkeys(("control-plane", "worker-1"))
        self.site = cast(
            "Any", SimpleNamespace(lab=lab, labdir=LabDir(folder), cluster=None, node_runners=lambda: nodes)
        )
        client = SimpleNamespace(name="client")
        self.subject = cast("Any", SimpleNamespace(address=lab.vip, provider="docker", client=client))

    def make(self, _stage: Stage, _facts: Facts) -> None:
        self.told.append("made")
        if self.make_raises:
            raise self.make_raises.pop()

    def undo(self, _stage: Stage, _facts: Facts) -> None:
        if self.undo_raises:
            raise self.undo_raises.pop()
        self.told.append("undone")

    def play(self, judge: claims.Judge, repeat: int = 1) -> DrillReport:
        claim = base.Claim("claim", "what it claims", judge)
        return play.play(
            self.site,
            self.subject,
            silent(),
            dataclasses.replace(self.drill, claims=(claim,)),
            image="example/agnhost:1",
            repeat=repeat,
            on_failure=lambda: self.told.append("collected"),
        )


@pytest.fixture
def story(tmp_path: Path, proofs: list[Report], monkeypatch: pytest.MonkeyPatch) -> Story:
    made = Story(tmp_path)
    answers = probes.ArpAnswers(1, ())
    proof = verify.verify

    def prove(*args: Any, **flags: Any) -> Report:
        made.told.append("proven")
        return proof(*args, **flags)

    def strike(_cluster: object) -> list[str]:
        made.told.append("struck")
        return []

    # Whoever heals knows nothing but the drill's id.
    monkeypatch.setattr(registry, "DRILLS", (made.drill,))
    monkeypatch.setattr(verify, "verify", prove)
    monkeypatch.setattr(echo, "strike", strike)
    monkeypatch.setattr(echo, "stage", lambda *_args, **_flags: None)
    monkeypatch.setattr(memberlist, "read", lambda _cluster: memberlist.floor(memberlist.LAN, 3))
    monkeypatch.setattr(play, "found", lambda *_: {"Service default/x": "is there"})
    monkeypatch.setattr(play, "Observer", Witness)
    monkeypatch.setattr(probes, "programmed", lambda *_: (next(made.rules, True), None))
    monkeypatch.setattr(probes, "arp", lambda *_: (answers, report_samples.passing().checks[0].evidence[0]))
    monkeypatch.setattr(Stage, "card", lambda *_: "eth1")
    for name in ("BEFORE_SECONDS", "QUIET_SECONDS", "AFTER_SECONDS", "RECOVERY_SECONDS"):
        monkeypatch.setattr(play, name, 0.1)
    return made


def test_a_drill_that_goes_as_expected_collects_nothing(story: Story) -> None:
    assert story.play(claims.goes_on()).exit_code is ExitCode.OK
    assert story.told == ["proven", "made", "undone", "proven", "struck"]


def test_a_check_that_fails_has_the_lab_collected_as_soon_as_the_fault_is_undone(story: Story) -> None:
    assert story.play(claims.breaks()).exit_code is ExitCode.CHECK_FAILED
    assert story.told == ["proven", "made", "undone", "collected", "proven", "struck"]


def test_it_is_collected_once_however_often_it_fails(story: Story) -> None:
    story.play(claims.breaks(), repeat=3)
    assert story.told.count("undone") == 3
    assert story.told.count("collected") == 1


def test_a_lab_that_does_not_recover_is_collected(story: Story, proofs: list[Report]) -> None:
    proofs[:] = [report_samples.passing(), report_samples.failing()]
    story.play(claims.goes_on())
    assert story.told[-2:] == ["collected", "struck"]


def test_a_lab_that_is_left_otherwise_than_it_was_is_collected(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter(({"Node a": "schedulable"}, {"Node a": "unschedulable"}))
    monkeypatch.setattr(play, "found", lambda *_: next(states))
    story.play(claims.goes_on())
    assert story.told[-2:] == ["struck", "collected"]


def test_a_fault_that_could_not_be_made_is_undone_and_the_lab_collected(story: Story) -> None:
    story.make_raises = [LabError(errors.MACHINE_COMMAND_FAILED, "no")]
    report = story.play(claims.goes_on())
    assert [check.verdict for check in report.proof.checks if check.id == "claim"] == [Verdict.NOT_RUN]
    assert story.told == ["proven", "made", "undone", "collected", "struck", "proven"]


def test_a_fault_that_is_undone_at_the_second_try_is_collected_while_it_lasts(story: Story) -> None:
    story.undo_raises = [LabError(errors.MACHINE_UNREACHABLE, "no SSH to worker-1", where="worker-1")]
    story.play(claims.goes_on())
    assert story.told == ["proven", "made", "collected", "undone", "struck", "proven"]
    assert journal.read(story.site.labdir) is None


def test_a_fault_that_cannot_be_undone_at_all_is_collected_before_that_is_said(story: Story) -> None:
    story.undo_raises = [LabError(errors.MACHINE_UNREACHABLE, "no SSH to worker-1") for _ in range(9)]
    with pytest.raises(LabError) as caught:
        story.play(claims.goes_on())
    assert caught.value.entry is errors.DRILL_NOT_UNDONE
    assert story.told == ["proven", "made", "collected"]
    assert journal.read(story.site.labdir) is not None


def test_nothing_is_broken_before_every_node_leads_to_the_echo(story: Story) -> None:
    asked: list[bool] = []

    def rules() -> Iterator[bool]:
        for answer in (True, True, True, False, True, True, True, True):
            asked.append("made" in story.told)
            yield answer

    story.rules = rules()
    assert story.play(claims.goes_on()).exit_code is ExitCode.OK
    assert asked == [False] * 8


def test_rules_that_cannot_be_read_for_a_moment_are_waited_for(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter([LabError(errors.PROOF_PROBE_FAILED, "cannot be read", detail="busy")])

    def programmed(*_: object) -> tuple[bool, None]:
        for error in busy:
            raise error
        return True, None

    monkeypatch.setattr(probes, "programmed", programmed)
    assert story.play(claims.goes_on()).exit_code is ExitCode.OK


def test_rules_that_never_come_are_a_reason_not_to_break_anything(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play, "RULES_SECONDS", 0.1)
    story.rules = iter([False] * 999)
    report = story.play(claims.goes_on())
    assert report.exit_code is ExitCode.NOTHING_TESTED
    assert "kube-proxy's rules for the echo" in report.proof.checks[0].reason
    assert story.told == ["proven", "struck"]
