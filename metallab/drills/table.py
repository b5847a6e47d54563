"""Drills and their reports as rows and sentences. Pure: ``console`` draws."""

from __future__ import annotations

from collections.abc import Sequence

from metallab.drills import claims, timeline
from metallab.drills.base import Drill
from metallab.drills.records import DrillReport, Figure, Floor, Outage, Run
from metallab.errors import ExitCode
from metallab.proof import table
from metallab.proof.records import Verdict
from metallab.proof.report.words import count

CONTENTS = ("drill", "what is broken", "what it shows", "fault")
RUNS = ("run", "TCP", "UDP", "long TCP", "long UDP", "noticed", "detected", "client")
FIGURES = ("new and long clients", "median", "p95", "until undone")


def contents(drills: Sequence[Drill]) -> list[tuple[str, ...]]:
    """Return every drill there is."""
    return [(drill.id, drill.words, drill.shows, drill.fault) for drill in drills]


def title(report: DrillReport) -> str:
    """Return what was broken, where."""
    return f"{report.drill}: {report.words} ({table.title(report.proof)})"


def runs(report: DrillReport) -> list[tuple[str, ...]]:
    """Return a row for each run: how long each kind of client was without an answer, and what that consisted of."""
    return [(str(run.number), *(outage(run, kind) for kind in claims.NAMES), *_phases(run)) for run in report.runs]


def figures(report: DrillReport) -> list[tuple[str, ...]]:
    """Return a row for each kind of probe."""
    return [
        (claims.NAMES[one.kind], _seconds(one.median), _seconds(one.p95), f"{one.lasting} of {one.runs}")
        for one in report.figures
    ]


def text(report: DrillReport) -> list[str]:
    """Return what stands below the tables."""
    parts = [
        [resolution(report), *([floor(report.floor)] if report.floor is not None else [])] if report.runs else [],
        table.failures(report.proof.checks),
        [f"! {words}" for words in report.proof.warnings],
        [closing(report)],
    ]
    return [line for part in parts if part for line in (*part, "")][:-1]


def floor(known: Floor) -> str:
    """Return memberlist's floor as a sentence."""
    return (
        f"Floor: with {count(known.speakers, 'speaker')} and memberlist's {known.profile} timers a dead one is replaced"
        f" after {known.least:.1f} to {known.most:.1f} s."
    )


def closing(report: DrillReport) -> str:
    """Return the last sentence."""
    proof, code = report.proof, report.exit_code
    if code is ExitCode.NOTHING_TESTED:
        reason = next((check.reason for check in proof.checks if check.reason), "")
        return f"{report.drill} was not run{f', {reason}' if reason else ''}."
    passed, total = proof.count(Verdict.PASS), len(proof.checks)
    how = "as expected, and the lab works again" if code in (ExitCode.OK, ExitCode.WARNINGS) else "NOT as expected"
    return f"{how[0].upper()}{how[1:]}: {passed} of {total} checks passed in {proof.seconds:.0f} s."


def headline(figures_: Sequence[Figure]) -> str:
    """Return the outage of new clients in a few words: the worse of TCP and UDP."""
    new = [one for one in figures_ if one.kind in timeline.FRESH]
    if any(one.lasting for one in new):
        return "until undone"
    return _seconds(max((one.median for one in new if one.median is not None), default=None))


def outage(run: Run, kind: str) -> str:
    """Return how long a kind of client was without an answer in a run."""
    found = [one for one in run.outages if one.kind == kind]
    worst = timeline.longest(found)
    return "none" if worst is None else length(worst)


def length(found: Outage) -> str:
    """Return how long an outage was."""
    return f"from {found.began:.2f} s on" if found.seconds is None else f"{found.seconds:.2f} s"


def _phases(run: Run) -> tuple[str, str, str]:
    if run.phases is None:
        return "", "", ""
    client = run.phases.client if run.phases.endpoint is None else None
    return _seconds(run.phases.noticed), _seconds(run.phases.detected), _seconds(client)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def resolution(report: DrillReport) -> str:
    """Return how exact the figures are, as a sentence."""
    return (
        f"An outage is told to {report.resolution * 1000:.0f} ms, the time between two probes; the moment of the fault"
        f" to {report.clock * 1000:.0f} ms."
    )
