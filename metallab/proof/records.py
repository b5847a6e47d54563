"""What a proof is made of: evidence, flows, checks and the report, as frozen records; :mod:`.document` makes JSON."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from metallab.errors import ExitCode
from metallab.run.result import Result


class Verdict(enum.Enum):
    """What became of a check. ``not-run`` is never a pass: nothing is known."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_RUN = "not-run"


@dataclass(frozen=True)
class Evidence:
    """Something that was asked, and the answer word for word. ``rc`` is None where there is no exit status.

    ``seconds`` is what it took, ``least`` how many of them it had to take by its own words: the test time of iperf3,
    the pauses between arping's questions, a wait for the cluster. The rest is the proof's own overhead.
    """

    command: str
    where: str
    rc: int | None
    stdout: str
    stderr: str
    seconds: float
    least: float = 0.0

    @classmethod
    def of(cls, result: Result, least: float = 0.0) -> Evidence:
        """Keep what a command said."""
        took = round(result.seconds, 3)
        return cls(result.command, result.where, result.rc, result.stdout, result.stderr, took, min(least, took))


@dataclass(frozen=True)
class Interval:
    """What a client sent in one stretch of a run: seconds from its start, and bits a second."""

    start: float
    end: float
    bits_per_second: float


@dataclass(frozen=True)
class Flow:
    """Traffic that was measured. Rates are bits a second; what only UDP or only TCP has is None for the other.

    ``received`` is what the server says it got; the intervals are the client's.
    """

    name: str
    protocol: str
    target: str
    seconds: float
    received_bits_per_second: float
    intervals: tuple[Interval, ...] = ()
    retransmits: int | None = None
    offered_bits_per_second: float | None = None
    sent: int | None = None
    lost: int | None = None
    jitter_ms: float | None = None


@dataclass(frozen=True)
class Check:
    """One claim and its verdict. ``reason`` says why a check was not run; ``seen`` is short, the evidence is not.

    ``blocked_by`` are the ids of checks that would have had to pass before it: it is not run because of them alone.
    ``act`` is the part of the story it belongs to. A ``warning`` stands beside a pass: the claim holds, and yet
    somebody should know.
    """

    id: str
    claim: str
    verdict: Verdict
    act: str = ""
    expected: str = ""
    seen: str = ""
    reason: str = ""
    warning: str = ""
    seconds: float = 0.0
    evidence: tuple[Evidence, ...] = ()
    flows: tuple[Flow, ...] = ()
    blocked_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A machine in the picture of the network. ``mac`` is empty when nobody asked for it.

    ``announces``: it answered ARP for the shared address; ``elected``: MetalLB's election has to choose it; ``serves``:
    the iperf3 server runs on it.
    """

    name: str
    role: str
    address: str
    mac: str = ""
    announces: bool = False
    elected: bool = False
    serves: bool = False


@dataclass(frozen=True)
class Picture:
    """The lab network as this run found it, for the drawing."""

    network: str
    pool: str
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole proof. ``started`` is UTC in ISO 8601; ``seconds`` is how long it took.

    ``required`` are the ids whose check must have run: a proof without them proves nothing. ``not_tested`` says in
    plain words what this run says nothing about.
    """

    lab: str
    address: str
    started: str
    seconds: float
    provider: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    picture: Picture = Picture("", "")
    checks: tuple[Check, ...] = ()
    required: tuple[str, ...] = ()
    not_tested: tuple[str, ...] = ()

    def count(self, verdict: Verdict) -> int:
        """Return how many checks ended so."""
        return sum(check.verdict is verdict for check in self.checks)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what passed and yet should be known, and what was not run though nothing required it.

        What only follows from another check is not told again.
        """
        told = [f"{check.id}: {check.warning}" for check in self.checks if check.warning]
        left_out = [check for check in self.checks if check.verdict is Verdict.NOT_RUN and not check.blocked_by]
        return (
            *told,
            *(f"{check.id} was not run {check.reason}" for check in left_out if check.id not in self.required),
        )

    @property
    def missing(self) -> tuple[Check, ...]:
        """Return the required checks that were not run."""
        return tuple(check for check in self.checks if check.verdict is Verdict.NOT_RUN and check.id in self.required)

    @property
    def least(self) -> float:
        """Return the seconds that its runs and waits had to take by their own words."""
        return round(sum(item.least for check in self.checks for item in check.evidence), 3)

    @property
    def exit_code(self) -> ExitCode:
        """Return 0 to 3: all passed; one failed or a required one was not run; nothing could be tested; warnings."""
        if self.count(Verdict.PASS) + self.count(Verdict.FAIL) == 0:
            return ExitCode.NOTHING_TESTED
        if self.count(Verdict.FAIL) or self.missing:
            return ExitCode.CHECK_FAILED
        return ExitCode.WARNINGS if self.warnings else ExitCode.OK
