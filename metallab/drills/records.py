"""What a drill leaves behind, as frozen records; ``proof.document`` makes JSON of them. Times are seconds.

Within a run, times count from the moment the fault was made.
"""

from __future__ import annotations

from dataclasses import dataclass

from metallab.errors import ExitCode
from metallab.proof.records import Report


@dataclass(frozen=True)
class Outage:
    """A time without an answer: from the first failure to the first success that lasted.

    ``ended`` is None when it lasted until the fault was undone. ``failed`` counts the probes, ``how`` says how.
    """

    kind: str
    began: float
    ended: float | None
    failed: int
    how: tuple[str, ...]

    @property
    def seconds(self) -> float | None:
        """Return how long it lasted, None while it had not ended."""
        return None if self.ended is None else round(self.ended - self.began, 3)


@dataclass(frozen=True)
class Phases:
    """What an outage consisted of; None where the evidence does not show it.

    ``noticed``: fault to first failure. ``detected``: fault to the first gratuitous ARP of another machine. ``client``:
    from that to the first lasting success. ``endpoint``: the whole, where no other machine took over.
    """

    noticed: float
    detected: float | None
    client: float | None
    endpoint: float | None


@dataclass(frozen=True)
class Bin:
    """A step of a curve: how many probes were asked from ``start`` on, and how many of them answered."""

    start: float
    asked: int
    answered: int


@dataclass(frozen=True)
class Curve:
    """The share of answers over time, of one kind of probe."""

    kind: str
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Claimed:
    """A machine that said the address was its own, and when it first did after the fault. ``owner`` may be unknown."""

    mac: str
    owner: str
    first: float


@dataclass(frozen=True)
class Run:
    """One time the fault was made. ``undone`` and ``ended`` are when undoing began, and when watching ended.

    ``outages`` are those while it was broken, ``after`` those that began with the undoing.
    """

    number: int
    undone: float
    ended: float
    outages: tuple[Outage, ...]
    after: tuple[Outage, ...]
    phases: Phases | None
    claimed: tuple[Claimed, ...]
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Figure:
    """The longest outage of one kind of probe over all runs. ``lasting``: how many lasted until the fault was undone.

    Median and p95 are of those that ended by themselves, with 0 for a run without any; None when there is none.
    """

    kind: str
    runs: int
    lasting: int
    median: float | None
    p95: float | None


@dataclass(frozen=True)
class Floor:
    """How soon the speakers can take over from one that is dead, computed from memberlist's timers as they are set.

    ``least`` is a probe interval and the suspicion that follows, ``most`` has the wait until its turn comes.
    """

    profile: str
    speakers: int
    least: float
    most: float


@dataclass(frozen=True)
class DrillReport:
    """A drill, once or several times. ``proof`` holds its checks, in the form of every proof's.

    ``resolution`` is the time between two probes of a kind, ``clock`` how far off the fault's time may be.
    """

    drill: str
    fault: str
    words: str
    shows: str
    resolution: float
    clock: float
    floor: Floor | None
    figures: tuple[Figure, ...]
    runs: tuple[Run, ...]
    proof: Report

    @property
    def exit_code(self) -> ExitCode:
        """Return 0 to 3, as of every proof."""
        return self.proof.exit_code
