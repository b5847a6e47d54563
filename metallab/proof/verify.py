"""The story of a proof, in order: it works, it must fail when one half is taken away, it works again.

Whatever happens in between - a failed check, a dead machine, Ctrl-C - the half that was taken away is put back.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from metallab.errors import LabError
from metallab.events import Events
from metallab.proof import checks
from metallab.proof.checks import Say, Seen
from metallab.proof.records import Check, Evidence, Report, Verdict
from metallab.proof.subject import TCP_SERVICE, Subject

SECONDS = 3
"""Length of an iperf3 run, unless the user wants another."""
WORKS = ("tcp", "udp", "one-mac")
"""What must hold before the TCP service is taken away: of an address that does not work, or that two machines answer
for, its absence proves nothing."""


@dataclass(frozen=True)
class Claim:
    """Something to prove: its id, the claim in plain words, the ids that must hold before it is asked, the check."""

    id: str
    words: str
    needs: tuple[str, ...]
    check: Callable[[Subject, Say], Seen]


def before(seconds: int) -> tuple[Claim, ...]:
    """Return what must hold with both services in place. ``seconds`` is the length of an iperf3 run."""
    return (
        Claim("nodes", "all nodes are Ready", (), checks.nodes_ready),
        Claim("address", "both services share one address", ("nodes",), checks.shared_address),
        Claim("tcp", "TCP arrives through it", ("address",), functools.partial(checks.tcp_run, seconds=seconds)),
        Claim("udp", "UDP arrives through it", ("address",), functools.partial(checks.udp_run, seconds=seconds)),
        Claim("one-mac", "exactly one node answers ARP for it", ("address",), checks.one_announcer),
    )


def without_tcp() -> tuple[Claim, ...]:
    """Return what must hold while the TCP service is deleted."""
    return (
        Claim("no-tcp-no-udp", "without the TCP service iperf3 -u fails", WORKS, checks.no_tcp_no_udp),
        Claim("still-there", "though the address is still answered", WORKS, checks.still_announced),
    )


def after() -> tuple[Claim, ...]:
    """Return what must hold when the TCP service is back."""
    return (Claim("again", "the TCP service restored, both pass again", WORKS, checks.serves_again),)


def verify(subject: Subject, events: Events, *, seconds: int = SECONDS) -> Report:
    """Prove the lab, or say what does not hold. Takes about 25 s; raises only what a user's Ctrl-C raises.

    A check that cannot be asked (a machine does not answer, its output cannot be read) is ``not-run`` with the reason.
    """
    began, started = time.monotonic(), datetime.now(timezone.utc)
    story = _Story(subject, events)
    story.tell(before(seconds))
    if all(story.holds(name) for name in WORKS):
        with _tcp_service_deleted(story):
            story.tell(without_tcp())
    else:
        story.tell(without_tcp())
    story.tell(after())
    return Report(
        lab=subject.lab.name,
        address=str(subject.address),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 3),
        versions=_versions(subject),
        checks=tuple(story.checks),
    )


class _Story:
    """The checks so far, and how the next one is asked."""

    def __init__(self, subject: Subject, events: Events) -> None:
        self.subject = subject
        self.events = events
        self.checks: list[Check] = []
        self.broken: LabError | None = None

    def holds(self, name: str) -> bool:
        return any(check.id == name and check.verdict is Verdict.PASS for check in self.checks)

    def tell(self, claims: tuple[Claim, ...]) -> None:
        for claim in claims:
            self.checks.append(self._ask(claim))

    def _ask(self, claim: Claim) -> Check:
        lacking = [need for need in claim.needs if not self.holds(need)]
        if lacking:
            return Check(claim.id, claim.words, Verdict.NOT_RUN, reason=f"because {_listed(lacking)} did not pass")
        if self.broken is not None:
            return self._not_run(claim, self.broken, 0.0)
        began = time.monotonic()
        with self.events.step(claim.words) as step:
            try:
                seen = claim.check(self.subject, step.progress)
            except LabError as error:
                check = self._not_run(claim, error, time.monotonic() - began)
                step.fail(check.reason)
                return check
            (step.result if seen.holds else step.fail)(seen.seen)
        verdict = Verdict.PASS if seen.holds else Verdict.FAIL
        took = round(time.monotonic() - began, 3)
        return Check(claim.id, claim.words, verdict, seen.expected, seen.seen, "", took, seen.evidence)

    def _not_run(self, claim: Claim, error: LabError, seconds: float) -> Check:
        where = f" on {error.where}" if error.where else ""
        evidence = (Evidence(error.entry.id, error.where, None, "", error.detail, 0.0),) if error.detail else ()
        reason = f"because {error.what}{where} ({error.entry.id})"
        return Check(
            claim.id, claim.words, Verdict.NOT_RUN, reason=reason, seconds=round(seconds, 3), evidence=evidence
        )


@contextlib.contextmanager
def _tcp_service_deleted(story: _Story) -> Iterator[None]:
    """Take the TCP service away for a while. A delete or restore that fails is kept as ``story.broken``.

    A second Ctrl-C while it is put back does not stop that: restoring is tried once more before it is obeyed.
    """
    cluster = story.subject.cluster
    try:
        with story.events.step(f"delete {TCP_SERVICE}"):
            cluster.delete_service(TCP_SERVICE)
    except LabError as error:
        story.broken = error
    except BaseException:
        _restore(story)
        raise
    try:
        yield
    finally:
        _restore(story)


def _restore(story: _Story) -> None:
    def put_back() -> None:
        with story.events.step(f"restore {TCP_SERVICE}"):
            story.subject.cluster.apply_service(TCP_SERVICE)

    try:
        try:
            put_back()
        except KeyboardInterrupt:
            put_back()
            raise
    except LabError as error:
        story.events.warn(f"{TCP_SERVICE} could not be restored; ./inv iperf3.deploy brings it back")
        story.broken = story.broken or error


def _listed(words: list[str]) -> str:
    """Return words as a sentence names them: a, b and c."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _versions(subject: Subject) -> dict[str, str]:
    """Return the versions; not knowing them fails no proof."""
    try:
        return dict(subject.cluster.versions())
    except LabError:
        return {}
