"""Reports of drills to draw: one as expected, one that lasted, one that failed, one that was not run."""

from __future__ import annotations

import dataclasses

from metallab.drills import summary
from metallab.drills.base import View
from metallab.drills.records import DrillReport, Floor
from metallab.drills.timeline import KINDS, ArpClaim, Probe
from metallab.proof.records import Check, Evidence, Verdict
from tests.unit import report_samples

A, B = "02:42:c0:a8:60:0c", "02:42:c0:a8:60:0b"
MADE = 1000.0


def view(seconds: float | None) -> View:
    """Return a run in which every kind is out from 0.2 s on for so long, or until it is undone after ten."""
    ended = 99.0 if seconds is None else 0.2 + seconds
    probes = tuple(
        Probe(MADE + at / 20, kind, "timeout" if 0.2 <= at / 20 < min(ended, 10.0) - 1e-6 else "ok", 0.001)
        for kind in KINDS
        for at in range(-40, 240)
    )
    arp = (ArpClaim(MADE + 5.5, B, gratuitous=True), ArpClaim(MADE + 10.5, A, gratuitous=True))
    return View(probes, arp, MADE, MADE + 10, MADE + 12, A, (B,), owners={A: "worker-2", B: "worker-1"})


def sample(*seconds: float | None, verdict: Verdict = Verdict.PASS) -> DrillReport:
    """Return a report of a run for each outage given."""
    runs = tuple(summary.run(number + 1, view(one)) for number, one in enumerate(seconds))
    checks = tuple(
        Check(
            name,
            f"the claim {name}",
            verdict,
            f"Run {run.number}",
            "one thing",
            "another <b>thing</b>" if verdict is Verdict.FAIL else "one thing",
            reason="because there is no other node" if verdict is Verdict.NOT_RUN else "",
            evidence=(Evidence("perl - <observer.pl", "client", None, "tcp ok 36", "", 1.0),),
        )
        for run in (runs or (summary.run(1, view(None)),))
        for name in ("ready", "back", "recovered")
    )
    proof = dataclasses.replace(
        report_samples.passing(), checks=checks, required=("ready", "back", "recovered"), seconds=42.0
    )
    floor = Floor("LAN", 3, 5.0, 7.0)
    return DrillReport(
        "announcer-off",
        "node: power-off",
        "the announcer's machine is powered off",
        "the others notice",
        0.05,
        0.004,
        floor,
        summary.figures(runs),
        runs,
        proof,
    )


NOT_RUN = dataclasses.replace(sample(verdict=Verdict.NOT_RUN), floor=None)
SAMPLES = {
    "as expected": sample(5.4, 6.0, 5.5),
    "until undone": sample(None),
    "failed": sample(5.4, verdict=Verdict.FAIL),
    "not run": NOT_RUN,
}
