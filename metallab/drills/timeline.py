"""The arithmetic of an outage: from what each probe saw, when, to how long a client was without an answer. Pure.

All times are seconds; those of probes and ARP packets are of one clock, the client's.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from metallab import errors
from metallab.drills.records import Bin, Outage, Phases
from metallab.errors import LabError

FRESH = ("tcp", "udp")
"""Probes each from a port of its own: what a new client would see."""
LONG = ("tcp-long", "udp-long")
KINDS = (*FRESH, *LONG)
STEADY = 1.0
"""A success lasts when nothing fails for so long after it."""
BIN = 0.25
"""Width of a step of a curve: five probes, one on slow machines."""
OK = "ok"

_PROBE = re.compile(r"probe (\d+\.\d{6}) (tcp|udp|tcp-long|udp-long) (\S+) (\d+\.\d{6})")
_ARP = re.compile(
    r"arp (?P<time>\d+\.\d{6}) (?P<mac>[0-9a-f:]{17}) > (?P<to>[0-9a-f:]{17}), ethertype ARP \(0x0806\), length \d+: "
    r"(?:(?P<reply>Reply) (?P<replied>\S+) is-at (?P<claimed>[0-9a-f:]{17})"
    r"|(?:Request who-has (?P<asked>\S+)(?: \([0-9a-f:]{17}\))? tell (?P<asker>[^\s,]+))"
    r"|Announcement (?P<announced>[^\s,]+)).*"
)
_BROADCAST = "ff:ff:ff:ff:ff:ff"


@dataclass(frozen=True)
class Probe:
    """One question of the client: when it was asked, of which kind, ``ok`` or what went wrong, and when that was known.

    A failure of a long flow is told for every message that was on the way.
    """

    began: float
    kind: str
    how: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Tell whether the right answer came in time."""
        return self.how == OK


@dataclass(frozen=True)
class ArpClaim:
    """An ARP packet in which a machine says that the address is its own; ``gratuitous``: nobody had asked."""

    time: float
    mac: str
    gratuitous: bool


def parse(lines: Sequence[str], address: str) -> tuple[tuple[Probe, ...], tuple[ArpClaim, ...]]:
    """Read the observer's lines. Raises LAB-DRL-002 for one that is none of its own."""
    probes: list[Probe] = []
    claims: list[ArpClaim] = []
    for line in lines:
        if line.startswith("pid "):
            continue
        probe, arp = _PROBE.fullmatch(line), _ARP.fullmatch(line)
        if probe is not None:
            probes.append(Probe(float(probe[1]), probe[2], probe[3], float(probe[4])))
        elif arp is not None:
            claims += _claims(arp, address)
        else:
            raise LabError(errors.DRILL_OBSERVER, f"a line of the observer is not understood: {line}")
    return tuple(sorted(probes, key=lambda one: one.began)), tuple(claims)


def _claims(found: re.Match[str], address: str) -> Iterator[ArpClaim]:
    """Yield the claim of an ARP packet, if it is one: a reply, or a request that somebody sends for himself."""
    time = float(found["time"])
    if found["reply"] and found["replied"] == address:
        yield ArpClaim(time, found["claimed"], found["to"] == _BROADCAST)
    elif address in (found["announced"], found["asker"]):
        yield ArpClaim(time, found["mac"], gratuitous=True)


def outages(probes: Sequence[Probe], kind: str, since: float, until: float) -> tuple[Outage, ...]:
    """Return the times without an answer that began from ``since`` on and before ``until``, relative to ``since``.

    One lasts from the first failure to the first success that lasts, by when the probes were asked. An outage that had
    not ended by ``until`` has no end: an answer that came later, to a question from before, is what came then.
    """
    asked = [one for one in probes if one.kind == kind and since <= one.began < until]
    of_kind = [one for one in asked if not one.ok or one.began + one.seconds < until]
    found: list[Outage] = []
    began: float | None = None
    better: float | None = None
    how: list[str] = []
    for one in of_kind:
        if began is None:
            if not one.ok:
                began, better, how = one.began, None, [one.how]
            continue
        if not one.ok:
            better = None
            how.append(one.how)
            continue
        better = one.began if better is None else better
        if one.began - better >= STEADY:
            found.append(_outage(kind, began - since, better - since, how))
            began = None
    if began is not None:
        # A success shortly before the end counts when no failure followed it.
        found.append(_outage(kind, began - since, None if better is None else better - since, how))
    return tuple(found)


def _outage(kind: str, began: float, ended: float | None, how: Sequence[str]) -> Outage:
    words = tuple(sorted(set(how)))
    return Outage(kind, round(began, 3), None if ended is None else round(ended, 3), len(how), words)


def longest(found: Sequence[Outage]) -> Outage | None:
    """Return the outage that lasted longest, one without an end before all others; None when there was none."""
    return max(found, key=lambda one: math.inf if one.seconds is None else one.seconds, default=None)


def served_since(probes: Sequence[Probe], since: float) -> bool:
    """Tell whether every kind of probe has succeeded for a lasting time after its failures from ``since`` on.

    The fresh ones must have failed at all: before that it is only not yet felt.
    """
    for kind in KINDS:
        of_kind = [one for one in probes if one.kind == kind and one.began >= since]
        failed = [one.began for one in of_kind if not one.ok]
        if failed and of_kind[-1].began - failed[-1] < STEADY + BIN:
            return False
        if not failed and kind in FRESH:
            return False
    return True


def steady(probes: Sequence[Probe], seconds: float) -> bool:
    """Tell whether the last ``seconds`` of fresh probes were all answered, and there were that many."""
    for kind in FRESH:
        of_kind = [one for one in probes if one.kind == kind]
        if not of_kind or of_kind[-1].began - of_kind[0].began < seconds:
            return False
        if not all(one.ok for one in of_kind if one.began > of_kind[-1].began - seconds):
            return False
    return True


def phases(outage: Outage, claims: Sequence[ArpClaim], since: float, before: str) -> Phases:
    """Split an outage as far as the evidence shows; ``before`` is the MAC that answered until then.

    ``noticed``: from the fault to the first failure. ``detected``: from the fault to the first gratuitous ARP of
    another machine, which ends the speakers' detection and election. ``client``: from there to the first lasting
    success: the client's ARP table and the way to the server. Where no other machine took over, what was waited for
    is the endpoint.
    """
    others = [one.time - since for one in claims if one.gratuitous and one.mac != before and one.time >= since]
    ended = outage.ended
    taken = next((time for time in others if ended is None or time <= ended + STEADY), None)
    if taken is None:
        return Phases(outage.began, None, None, outage.seconds)
    client = None if ended is None else round(max(0.0, ended - taken), 3)
    return Phases(outage.began, round(taken, 3), client, None)


def curve(probes: Sequence[Probe], kind: str, since: float, until: float) -> tuple[Bin, ...]:
    """Return how many probes were asked and answered in each step of time, from one step before ``since`` on."""
    counted: dict[int, list[int]] = {}
    for one in probes:
        if one.kind == kind and since - 1.0 <= one.began < until:
            asked_answered = counted.setdefault(math.floor((one.began - since) / BIN), [0, 0])
            asked_answered[0] += 1
            asked_answered[1] += one.ok
    return tuple(Bin(round(step * BIN, 3), *counted[step]) for step in sorted(counted))


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return round(statistics.median(values), 3)


def p95(values: Sequence[float]) -> float:
    """Return the smallest value that 95 of 100 do not exceed (nearest rank); of fewer than 20 it is the largest."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def macs(claims: Sequence[ArpClaim], since: float, until: float) -> Mapping[str, float]:
    """Return each MAC that claimed the address in a time, with when it first did, relative to ``since``."""
    found: dict[str, float] = {}
    for one in claims:
        if since <= one.time < until:
            found.setdefault(one.mac, round(one.time - since, 3))
    return found
