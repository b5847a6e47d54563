"""From what was watched to what is reported: a run's outages and curves, and the figures of several runs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from metallab.drills import timeline
from metallab.drills.base import View
from metallab.drills.records import Claimed, Curve, Figure, Outage, Run
from metallab.drills.timeline import FRESH, KINDS
from metallab.proof.records import Evidence


def run(number: int, view: View) -> Run:
    """Return the record of one run."""
    during = tuple(one for kind in KINDS for one in timeline.outages(view.probes, kind, view.made, view.undone))
    back = (
        _later(one, view.undone - view.made)
        for kind in KINDS
        for one in timeline.outages(view.probes, kind, view.undone, view.ended)
    )
    main = headline(during)
    # What is said later is about the undoing: a machine that comes back may claim the address for a moment.
    heard = [one for one in view.arp if one.time < view.undone]
    return Run(
        number=number,
        undone=round(view.undone - view.made, 3),
        ended=round(view.ended - view.made, 3),
        outages=during,
        after=tuple(back),
        phases=None if main is None else timeline.phases(main, heard, view.made, view.before),
        claimed=tuple(
            Claimed(mac, view.owners.get(mac, ""), first)
            for mac, first in timeline.macs(view.arp, view.made, view.ended).items()
        ),
        curves=tuple(Curve(kind, timeline.curve(view.probes, kind, view.made, view.ended)) for kind in KINDS),
    )


def headline(found: Sequence[Outage]) -> Outage | None:
    """Return the outage that a run is known by: the longest of a new client's, None when new clients had none."""
    return timeline.longest([one for one in found if one.kind in FRESH])


def figures(runs: Sequence[Run]) -> tuple[Figure, ...]:
    """Return the figures of each kind of probe over all runs."""
    return tuple(_figure(kind, runs) for kind in KINDS) if runs else ()


def _figure(kind: str, runs: Sequence[Run]) -> Figure:
    worst = [timeline.longest([one for one in each.outages if one.kind == kind]) for each in runs]
    ended = [0.0 if one is None else one.seconds for one in worst]
    known = [seconds for seconds in ended if seconds is not None]
    middle, high = (timeline.median(known), timeline.p95(known)) if known else (None, None)
    return Figure(kind, len(runs), len(ended) - len(known), middle, high)


def _later(outage: Outage, by: float) -> Outage:
    """Return an outage with its times counted from ``by`` seconds earlier."""
    ended = None if outage.ended is None else round(outage.ended + by, 3)
    return Outage(outage.kind, round(outage.began + by, 3), ended, outage.failed, outage.how)


def observed(view: View, command: str, where: str) -> Evidence:
    """Keep what the observer said, counted, and every claim to the address as it was captured."""
    lines = []
    for name, since, until in (
        ("before", 0.0, view.made),
        ("broken", view.made, view.undone),
        ("undone", view.undone, view.ended),
    ):
        for kind in KINDS:
            counted = Counter(one.how for one in view.probes if one.kind == kind and since <= one.began < until)
            told = ", ".join(f"{how} {number}" for how, number in sorted(counted.items()))
            lines.append(f"{name:<7}{kind:<9}{told or 'nothing'}")
    for claim in view.arp:
        kind = "gratuitous" if claim.gratuitous else "reply"
        lines.append(f"arp {claim.time - view.made:+8.3f} s  {claim.mac} {view.owners.get(claim.mac, '')} {kind}")
    took = round(view.ended - view.made, 3)
    return Evidence(command, where, None, "\n".join(lines), "", took, took)
