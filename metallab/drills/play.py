"""How a drill is played: preconditions seen, fault made, client watched, fault undone, recovery proven.

Whatever happens in between, the fault is undone: here, or by the next command that calls :func:`heal`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from metallab import errors
from metallab.cluster.api import Cluster
from metallab.cluster.metallb_status import EXCLUDE_LABEL
from metallab.drills import echo, journal, memberlist, registry, summary, timeline
from metallab.drills.base import ECHO, FREE, NOTHING, Claim, Drill, Facts, NotPossible, Stage, View, broken, undo
from metallab.drills.observer import Observer, every
from metallab.drills.records import DrillReport, Floor, Run
from metallab.errors import ExitCode, LabError
from metallab.events import Events
from metallab.proof import probes, verify
from metallab.proof.checks.scene import API, Seen
from metallab.proof.records import Check, Evidence, Picture, Report, Verdict
from metallab.proof.subject import Subject
from metallab.run.wait import NotYet, WaitTimedOut, pause, until
from metallab.site import Site

WORKS = ("metallb", "tcp", "udp", "one-mac", "announcer")
"""Checks of the proof that must pass before anything is broken, and again after it is undone."""
BEFORE_SECONDS = 1.5
"""The client must have been served for so long before a fault: what fails then is the fault's doing."""
QUIET_SECONDS = 2.0
"""A speaker repeats every 1.1 s for 5 s that it announces a new service, and would take back what a drill takes."""
AFTER_SECONDS = 2.0
CALM_SECONDS = 60.0
RULES_SECONDS = 60.0
RECOVERY_SECONDS = 120.0
READY, RECOVERED, AS_FOUND = "ready", "recovered", "as-found"
END = "The end"
NOT_TESTED = (
    "Every other fault than this one, and two at once.",
    "More than one client: what another one's ARP table does with the same packets was not looked at.",
)


def play(
    site: Site,
    subject: Subject,
    events: Events,
    drill: Drill,
    *,
    image: str,
    repeat: int = 1,
    on_failure: Callable[[], None] = lambda: None,
) -> DrillReport:
    """Play a drill so many times and return what was seen; raises when the lab could not be put back (LAB-DRL-001).

    Whoever calls holds the lab's lock and has healed what an earlier drill left. ``image`` is the bundle's reference
    of the echo. ``on_failure`` is called once, when something first goes wrong after the lab was touched: as soon as
    the fault is undone, and while it lasts if it cannot be undone.
    """
    began, started = time.monotonic(), datetime.now(timezone.utc)
    played = _Play(site, subject, events, drill, image, on_failure)
    try:
        played.open()
        for number in range(1, repeat + 1):
            if repeat > 1:
                events.note(f"run {number} of {repeat}")
            if not played.once(f"Run {number}" if repeat > 1 else "The drill", number):
                break
    finally:
        heal(site, subject, events, quietly=True)
    played.compare()
    checks = tuple(played.checks)
    report = Report(
        lab=site.lab.name,
        address=str(subject.address),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 3),
        provider=subject.provider,
        versions=played.versions,
        picture=played.picture,
        checks=checks,
        required=tuple(dict.fromkeys(check.id for check in checks)),
        not_tested=NOT_TESTED,
    )
    return DrillReport(
        drill=drill.id,
        fault=drill.fault,
        words=drill.words,
        shows=drill.shows,
        resolution=every(),
        clock=played.uncertain,
        floor=played.floor,
        figures=summary.figures(played.runs),
        runs=tuple(played.runs),
        proof=report,
    )


def heal(site: Site, subject: Subject, events: Events, *, quietly: bool = False) -> bool:
    """Undo what an interrupted drill has left broken, remove what it brought along, and tell whether there was any.

    Raises LAB-DRL-001 when it cannot be undone; the record stays then.
    """
    record = journal.read(site.labdir)
    if record is None:
        return False
    if not quietly:
        events.note(f"an earlier drill was interrupted: {record.drill or 'its echo is left'}")
    stage = Stage(site, subject, events, Picture("", ""))
    if record.drill:
        undo(registry.find(record.drill), stage, record.facts)
    with events.step("take away what was brought along"):
        echo.strike(site.cluster)
    journal.close(site.labdir)
    return True


def heal_where_up(site: Site, subject: Callable[[Site], Subject], events: Events) -> None:
    """Undo before a bring-up what an interrupted drill has left, if every machine lets us in.

    It may be what the bring-up would fail at: a cluster that nobody can talk to. Where a machine is off, the bring-up
    comes first.
    """
    if journal.read(site.labdir) is not None and all(site.runner(one).answers() for one in site.lab.machines):
        heal(site, subject(site), events)


@dataclass(frozen=True)
class _Watched:
    """A run as it was watched, before anything is worked out of it."""

    view: View
    calm: bool
    observed: Evidence


class _Play:
    """The checks and runs so far, and how the next one is made."""

    def __init__(
        self, site: Site, subject: Subject, events: Events, drill: Drill, image: str, on_failure: Callable[[], None]
    ) -> None:
        self.site, self.subject, self.events, self.drill, self.image = site, subject, events, drill, image
        self._on_failure: Callable[[], None] | None = on_failure
        self.checks: list[Check] = []
        self.runs: list[Run] = []
        self.works: Report | None = None
        self.picture = Picture("", "")
        self.versions: Mapping[str, str] = {}
        self.floor: Floor | None = None
        self.uncertain = 0.0
        self.found: dict[str, str] = {}
        self.touched = False

    def open(self) -> None:
        """See whether the lab works, and write down how it is."""
        self.works = self._prove()
        self.picture, self.versions = self.works.picture, self.works.versions
        if not _failing(self.works):
            self.found = found(self.site.cluster, self.subject)
            self.floor = memberlist.read(self.site.cluster)

    def once(self, act: str, number: int) -> bool:
        """Play the drill once; tell whether another time makes sense."""
        began = time.monotonic()
        try:
            stage, facts = self._ready()
        except (NotPossible, LabError) as error:
            self._not_run(act, READY, _words(error), began)
            return False
        said = ", ".join(f"{name} {value}" for name, value in facts.items())
        self._add(act, READY, READY_WORDS, Seen(holds=True, expected=READY_WORDS, seen=said), began)
        self.touched = True
        try:
            watched = self._watch(stage, facts)
        except LabError as error:
            self._not_run(act, "", _words(error), began)
            self._failed()
            # What could not be undone a moment ago perhaps can now; if not, that is the end.
            heal(self.site, self.subject, self.events, quietly=True)
            self._recovered(act)
            return False
        self._judge(act, number, watched)
        self._look_for_failures()
        again = self._recovered(act)
        self._look_for_failures()
        return again

    def compare(self) -> None:
        """Compare the lab with what it was, if anything was done to it: the last check."""
        if not self.touched:
            return
        began, now = time.monotonic(), found(self.site.cluster, self.subject)
        before = self.found
        differ = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        told = [f"{name}: {before.get(name, 'was not there')} → {now.get(name, 'is not there')}" for name in differ]
        seen = f"different: {', '.join(differ)}" if differ else f"{len(now)} objects as before"
        evidence = (Evidence("GET what could have changed", API, None, "\n".join(told), "", 0.0),) if differ else ()
        words = "the lab is left as it was found"
        self._add(END, AS_FOUND, words, Seen(not differ, words, seen, evidence), began)
        self._look_for_failures()

    # -- what went wrong

    def _look_for_failures(self) -> None:
        if any(check.verdict is Verdict.FAIL for check in self.checks):
            self._failed()

    def _failed(self) -> None:
        """Tell whoever wants to know of the first failure; those that follow are mostly its children."""
        tell, self._on_failure = self._on_failure, None
        if tell is not None:
            tell()

    # -- the parts of a run

    def _prove(self) -> Report:
        return verify.verify(self.subject, self.events, seconds=1, only=WORKS)

    def _ready(self) -> tuple[Stage, Facts]:
        """See that the lab works and the precondition holds, and bring the echo along. Raises NotPossible."""
        works = self.works
        failing = "it was not asked" if works is None else _failing(works)
        if works is None or failing:
            raise NotPossible(f"the lab does not work as it is: {failing}")
        stage = Stage(self.site, self.subject, self.events, works.picture)
        facts = {**self.drill.look(stage)}
        journal.write(self.site.labdir, "", NOTHING)
        with self.events.step(f"an echo on {facts[ECHO]}") as step:
            echo.stage(self.site.lab, self.site.cluster, self.image, facts[ECHO], step, free=FREE in facts)
            step.progress("its rules on every node")
            self._await_rules()
        return stage, facts

    def _await_rules(self) -> None:
        """Wait until kube-proxy leads to the echo on every node, for any may have to announce.

        A table that cannot be read is no reason to give up: kube-proxy is at work on it.
        """

        def programmed() -> None:
            for name, runner in self.site.node_runners().items():
                for protocol in ("TCP", "UDP"):
                    try:
                        there, _ = probes.programmed(runner, self.subject.address, protocol, echo.PORT)
                    except LabError as error:
                        if error.entry is not errors.PROOF_PROBE_FAILED:
                            raise
                        raise NotYet(f"{error.what} ({error.detail})") from error
                    if not there:
                        raise NotYet(f"no rule for {protocol} on {name}")

        until(programmed, timeout=RULES_SECONDS, what="kube-proxy's rules for the echo")

    def _watch(self, stage: Stage, facts: Facts) -> _Watched:
        client, events, drill = self.subject.client, self.events, self.drill
        card, before = stage.card(client.name), stage.mac(stage.announcer)
        with Observer(client, str(self.subject.address), echo.PORT, card) as observer:
            with events.step("the client is served"):
                self._calm(observer, BEFORE_SECONDS, QUIET_SECONDS)
            made = observer.now()
            with broken(drill, stage, facts) as said:
                held = observer.now() + observer.uncertain
                with events.step("watch the client") as step:
                    noted = {**said, **self._look_on(stage, facts, observer, made, step.progress)}
                # By the earliest the client's clock can show: what follows may serve it again. Its kernel hears the
                # answers, too, and may then believe somebody else.
                undone = observer.now() - observer.uncertain
                answers, asked = probes.arp(client, card, self.subject.address)
            calm = True
            try:
                with events.step("the client is served again"):
                    self._calm(observer, AFTER_SECONDS, since=observer.now())
            except WaitTimedOut:
                calm = False
            ended = observer.now()
            seen, arp = observer.seen()
        self.uncertain = max(self.uncertain, round(observer.uncertain, 4))
        owners = {place.mac: place.name for place in stage.seen.places if place.mac}
        view = View(seen, arp, made, undone, ended, before, answers.macs, noted, (asked,), owners, self.floor, held)
        return _Watched(view, calm, summary.observed(view, observer.command, client.name))

    def _look_on(
        self, stage: Stage, facts: Facts, observer: Observer, made: float, say: Callable[[str], None]
    ) -> Facts:
        """Watch for as long as the drill wants, or until the client is served again after it was not."""
        if self.drill.during is not None:
            return self.drill.during(stage, facts)
        if not self.drill.until_served:
            pause(self.drill.seconds)
            return NOTHING

        def served() -> None:
            if not timeline.served_since(observer.probes(), made):
                raise NotYet("not served again")

        with contextlib.suppress(WaitTimedOut):
            until(served, timeout=self.drill.seconds, what="the client to be served again", on_wait=say)
        return NOTHING

    def _calm(self, observer: Observer, seconds: float, quiet: float = 0.0, since: float = 0.0) -> None:
        """Wait until the client was served for so long, and for ``quiet`` nobody spoke of the address unasked.

        Only what was asked from ``since`` on counts.
        """

        def served() -> None:
            seen, arp = observer.seen()
            if not timeline.steady([one for one in seen if one.began >= since], seconds):
                raise NotYet("the client is not served")
            if any(one.gratuitous and one.time > observer.now() - quiet for one in arp):
                raise NotYet("the announcer still says that it announces")
            if seen[-1].began - seen[0].began < quiet:
                raise NotYet("not long enough")

        until(served, timeout=CALM_SECONDS, what="the client to be served without a failure")

    def _judge(self, act: str, number: int, watched: _Watched) -> None:
        self.runs.append(summary.run(number, watched.view))
        for position, claim in enumerate(self.drill.claims):
            began, seen = time.monotonic(), claim.judge(watched.view)
            evidence = (*((watched.observed,) if position == 0 else ()), *seen.evidence)
            self._add(act, claim.id, claim.words, seen, began, evidence)
        if not watched.calm:
            words = f"the client was not served for {AFTER_SECONDS:.0f} s within {CALM_SECONDS:.0f} s"
            self.events.warn(words)

    def _recovered(self, act: str) -> bool:
        """Prove the lab again, for as long as it may take to settle."""
        began, tries = time.monotonic(), list[Report]()

        def works() -> None:
            tries.append(self._prove())
            if _failing(tries[-1]):
                raise NotYet(_failing(tries[-1]))

        with contextlib.suppress(WaitTimedOut):
            until(works, timeout=RECOVERY_SECONDS, what="the lab to work again")
        self.works = tries[-1]
        failing = _failing(self.works)
        seen = failing or f"{len(self.works.checks)} checks of the proof pass"
        if len(tries) > 1:
            seen += f" at the {len(tries)}. time"
        evidence = tuple(item for check in self.works.checks for item in check.evidence)
        self._add(act, RECOVERED, RECOVERED_WORDS, Seen(not failing, RECOVERED_WORDS, seen, evidence), began)
        return not failing

    # -- checks

    def _add(
        self, act: str, name: str, words: str, seen: Seen, began: float, evidence: tuple[Evidence, ...] | None = None
    ) -> None:
        with self.events.step(words) as step:
            (step.result if seen.holds else step.fail)(seen.seen)
        self.checks.append(
            Check(
                id=name,
                claim=words,
                verdict=Verdict.PASS if seen.holds else Verdict.FAIL,
                act=act,
                expected=seen.expected,
                seen=seen.seen,
                warning=seen.warning,
                seconds=round(time.monotonic() - began, 3),
                evidence=seen.evidence if evidence is None else evidence,
            )
        )

    def _not_run(self, act: str, at: str, reason: str, began: float) -> None:
        """Say of every claim that it was not asked; with ``at`` also of the precondition, from which that follows."""
        took = round(time.monotonic() - began, 3)
        told = f"because {reason}"
        self.events.warn(f"{self.drill.id} not run, {told}")
        if at:
            self.checks.append(Check(at, READY_WORDS, Verdict.NOT_RUN, act, reason=told, seconds=took))
        for claim in self.drill.claims:
            blocked = (at,) if at else ()
            self.checks.append(_left_out(claim, act, told, blocked))


READY_WORDS = "the lab works, and what the drill needs is there"
RECOVERED_WORDS = "undone, the lab works again: TCP, UDP, one MAC, the elected announcer"


def found(cluster: Cluster, subject: Subject) -> dict[str, str]:
    """Return how everything is that a drill could leave otherwise."""
    nodes = {
        f"Node {node['metadata']['name']}": (
            f"{'un' if node['spec'].get('unschedulable') else ''}schedulable"
            f"{', excluded' if EXCLUDE_LABEL in node['metadata'].get('labels', {}) else ''}"
        )
        for node in cluster.list("v1", "Node")
    }
    return {**subject.cluster.found(), **nodes}


def _failing(report: Report) -> str:
    """Return what does not hold in a proof, in a few words; empty when all does."""
    if report.exit_code in (ExitCode.OK, ExitCode.WARNINGS):
        return ""
    odd = [check for check in report.checks if check.verdict is not Verdict.PASS and not check.blocked_by]
    return "; ".join(f"{check.id}: {check.seen or check.reason}" for check in odd) or "nothing could be asked"


def _left_out(claim: Claim, act: str, reason: str, blocked_by: tuple[str, ...]) -> Check:
    return Check(claim.id, claim.words, Verdict.NOT_RUN, act, reason=reason, blocked_by=blocked_by)


def _words(error: Exception) -> str:
    if isinstance(error, LabError):
        return f"{error.what}{f' on {error.where}' if error.where else ''} ({error.entry.id})"
    return str(error)
