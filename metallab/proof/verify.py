"""How a proof is played: the acts in order, each change undone, and at the end the lab compared with how it was found.

Whatever happens in between - a failed check, a dead machine, Ctrl-C, even kill -9 - the lab gets back what was taken
away: here, or by the next command that runs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timezone

from metallab.errors import LabError
from metallab.events import Events
from metallab.proof import acts
from metallab.proof.acts import Act, Change, Claim
from metallab.proof.checks.scene import API, Scene, Seen, asked
from metallab.proof.records import Check, Evidence, Picture, Place, Report, Verdict
from metallab.proof.subject import Say, Subject
from metallab.proof.units import SECONDS, listed


def verify(
    subject: Subject,
    events: Events,
    *,
    seconds: int = SECONDS,
    only: Collection[str] = (),
    require: Collection[str] = (),
) -> Report:
    """Prove the lab, or say what does not hold; raises only what a user's Ctrl-C raises. Takes about a minute.

    ``seconds`` is the length of an iperf3 run. ``only`` are ids to ask (with what they need), all when empty;
    ``require`` are ids that must have been asked, beside those without which nothing is proven. A check that cannot be
    asked (a machine does not answer, its output cannot be read) is ``not-run`` with the reason.
    """
    began, started = time.monotonic(), datetime.now(timezone.utc)
    chosen = acts.with_needs({*only, *require}) if only else frozenset(acts.ids())
    play = _Play(subject, events, seconds, chosen)
    play.open()
    try:
        for act in acts.STORY:
            play.act(act)
    finally:
        play.close()
    play.compare()
    checks = tuple(play.checks)
    core = {claim.id for _, claim in acts.known() if claim.core} | {acts.AS_FOUND}
    return Report(
        lab=subject.lab.name,
        address=str(subject.address),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 3),
        provider=subject.provider,
        versions=_versions(subject),
        picture=_picture(subject, play),
        checks=checks,
        required=tuple(check.id for check in checks if check.id in core | set(require)),
        not_tested=(*acts.NOT_TESTED, *_left_out(chosen)),
    )


class _Play:
    """The checks so far, what they saw, and how the next one is asked."""

    def __init__(self, subject: Subject, events: Events, seconds: int, chosen: Collection[str]) -> None:
        self.subject = subject
        self.events = events
        self.seconds = seconds
        self.chosen = chosen
        self.checks: list[Check] = []
        self.changes: list[Evidence] = []
        self.past: dict[str, Seen] = {}
        self.found: dict[str, str] | LabError = {}
        self.broken: LabError | None = None
        self.touched = False
        self.unstaged: LabError | None = None

    def holds(self, name: str) -> bool:
        return any(check.id == name and check.verdict is Verdict.PASS for check in self.checks)

    def scene(self, say: Say) -> Scene:
        return Scene(self.subject, self.past, self.seconds, say)

    # -- before and after

    def open(self) -> None:
        """Heal what an interrupted proof left behind, and write down how the lab is."""
        try:
            healed = self.subject.cluster.heal()
            self.found = dict(self.subject.cluster.found())
        except LabError as error:
            self.found = error
            return
        for words in healed:
            self.events.note(f"an earlier proof was interrupted: {words}")

    def close(self) -> None:
        """Undo everything; a second Ctrl-C does not stop that, only a third does."""

        def heal() -> None:
            with self._change("take away what was brought along"):
                self.subject.cluster.heal()

        # Where the cluster could not be asked at the beginning nothing was changed, unless it answered later on.
        if not isinstance(self.found, LabError) or self.touched:
            self._undo(heal, "the lab may not be as it was; the next ./inv verify puts it back")

    def compare(self) -> None:
        """Ask the last claim: the lab is as it was found."""
        if acts.AS_FOUND in self.chosen:
            claim = Claim(acts.AS_FOUND, acts.AS_FOUND_WORDS, self._as_found)
            self.checks.append(self._ask(claim, acts.END))

    def _as_found(self, _scene: Scene) -> Seen:
        expected = "services, their addresses, servers, pools and advertisements as before"
        if isinstance(self.found, LabError):
            raise self.found
        before, now = self.found, dict(self.subject.cluster.found())
        differ = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        evidence = asked("what could have changed", [f"{name}: {how}" for name, how in sorted(now.items())])
        then = asked("the same before", [f"{name}: {before.get(name, 'was not there')}" for name in differ])
        seen = f"different: {', '.join(differ)}" if differ else f"{len(now)} objects as before"
        return Seen(not differ, expected, seen, (evidence, *((then,) if differ else ())))

    # -- the acts

    def act(self, act: Act) -> None:
        """Play an act: under its change, if a claim of it can be asked at all."""
        claims = [claim for claim in act.claims if claim.id in self.chosen]
        can = any(not self._lacking(claim) for claim in claims) and self.broken is None
        with self._under(act.change) if act.change is not None and can else contextlib.nullcontext():
            for claim in claims:
                self.checks.append(self._ask(claim, act.title))
                self._stage_after(claim)

    def _stage_after(self, claim: Claim) -> None:
        """Bring along what later claims need, as soon as the node of the server and the address are known.

        It starts while iperf3 runs; not before, since nothing is brought into a lab that cannot be proven anyway.
        """
        wanted = claim.id == "server" and acts.BRINGS & set(self.chosen)
        if not wanted or not (self.holds("server") and self.holds("address")):
            return
        node = self.past["server"].facts["node"]
        try:
            with self._change("bring along an echo and a control server"):
                self.subject.cluster.stage(node)
        except LabError as error:
            self.unstaged = error

    @contextlib.contextmanager
    def _under(self, change: Change) -> Iterator[None]:
        """Make a change for a while. One that cannot be made or undone is kept as ``self.broken``."""
        try:
            with self._change(change.words):
                change.make(self.subject)
        except LabError as error:
            self.broken = error
        except BaseException:
            self._restore(change)
            raise
        try:
            yield
        finally:
            self._restore(change)

    def _restore(self, change: Change) -> None:
        def undo() -> None:
            with self._change(change.undo_words):
                change.undo(self.subject)

        self._undo(undo, f"could not {change.undo_words}; the next ./inv verify does it")

    def _undo(self, undo: Callable[[], None], warning: str) -> None:
        interrupted = False
        for _ in range(2):
            try:
                undo()
            except KeyboardInterrupt:
                interrupted = True
                continue
            except LabError as error:
                self.events.warn(warning)
                self.broken = self.broken or error
            break
        if interrupted:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def _change(self, words: str) -> Iterator[None]:
        """Change the lab as a step of its own; what it took is evidence of the next claim, and had to be waited for."""
        self.touched = True
        began = time.monotonic()
        with self.events.step(words):
            yield
        took = round(time.monotonic() - began, 3)
        self.changes.append(Evidence(words, API, None, "", "", took, took))

    # -- one claim

    def _lacking(self, claim: Claim) -> list[str]:
        return [need for need in claim.needs if not self.holds(need)]

    def _ask(self, claim: Claim, act: str) -> Check:
        lacking = self._lacking(claim)
        if lacking:
            reason = f"because {listed(lacking)} did not pass"
            return Check(claim.id, claim.words, Verdict.NOT_RUN, act, reason=reason, blocked_by=tuple(lacking))
        if self.broken is not None and claim.id != acts.AS_FOUND:
            return _not_run(claim, act, self.broken, 0.0)
        if self.unstaged is not None and claim.id in acts.BRINGS:
            return _not_run(claim, act, self.unstaged, 0.0)
        began = time.monotonic()
        with self.events.step(claim.words) as step:
            try:
                seen = claim.check(self.scene(step.progress))
            except LabError as error:
                check = _not_run(claim, act, error, time.monotonic() - began)
                step.fail(check.reason)
                return check
            (step.result if seen.holds else step.fail)(seen.seen)
        self.past[claim.id] = seen
        changes, self.changes = tuple(self.changes), []
        if seen.warning:
            self.events.warn(seen.warning)
        return Check(
            id=claim.id,
            claim=claim.words,
            verdict=Verdict.PASS if seen.holds else Verdict.FAIL,
            act=act,
            expected=seen.expected,
            seen=seen.seen,
            warning=seen.warning if seen.holds else "",
            seconds=round(time.monotonic() - began, 3),
            evidence=(*changes, *seen.evidence),
            flows=seen.flows,
        )


def _not_run(claim: Claim, act: str, error: LabError, seconds: float) -> Check:
    where = f" on {error.where}" if error.where else ""
    evidence = (Evidence(error.entry.id, error.where, None, "", error.detail, 0.0),) if error.detail else ()
    reason = f"because {error.what}{where} ({error.entry.id})"
    took = round(seconds, 3)
    return Check(claim.id, claim.words, Verdict.NOT_RUN, act, reason=reason, seconds=took, evidence=evidence)


def _picture(subject: Subject, play: _Play) -> Picture:
    """Return the network as the checks saw it; what was not asked stays unmarked."""
    fact = play.scene(play.events.note).fact
    answering, elected, server = fact("one-mac", "answering"), fact("announcer", "elected"), fact("server", "node")
    places = tuple(
        Place(
            name=machine.name,
            role=machine.role,
            address=str(subject.lab.address(machine)),
            mac=fact("one-mac", f"mac of {machine.name}"),
            announces=machine.name in answering.split(),
            elected=machine.name == elected,
            serves=machine.name == server,
        )
        for machine in subject.lab.machines
    )
    return Picture(str(subject.lab.network), subject.lab.pool_range, places)


def _left_out(chosen: Collection[str]) -> tuple[str, ...]:
    left_out = [name for name in acts.ids() if name not in chosen]
    return (f"Not asked for in this run: {', '.join(left_out)}.",) if left_out else ()


def _versions(subject: Subject) -> dict[str, str]:
    """Return the versions; not knowing them fails no proof."""
    try:
        return dict(subject.cluster.versions())
    except LabError:
        return {}
