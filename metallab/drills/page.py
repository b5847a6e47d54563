"""What the page of a drill says, worked out of its report as plain values. Pure; the template only lays it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metallab.drills import claims, table, timeline
from metallab.drills.records import DrillReport, Run
from metallab.errors import ExitCode
from metallab.proof.records import Check
from metallab.proof.report.acts import Act, acts
from metallab.proof.report.tracks import Track
from metallab.proof.report.words import duration, moment, slug

TEMPLATE = Path(__file__).parent / "templates" / "drill.html.j2"
TITLES = {
    ExitCode.OK: ("pass", "As expected"),
    ExitCode.WARNINGS: ("pass", "As expected, with warnings"),
    ExitCode.CHECK_FAILED: ("fail", "Not as expected"),
    ExitCode.NOTHING_TESTED: ("not-run", "Not run"),
}


@dataclass(frozen=True)
class Course:
    """One run as a picture: a line for each kind of client, the moments marked, and the same in words."""

    title: str
    tracks: tuple[Track, ...]
    keys: tuple[tuple[str, str], ...]
    marks: tuple[float, ...]
    words: str
    claimed: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """A page: the headline, then its parts in the order of reading."""

    report: DrillReport
    kind: str
    title: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    figure_columns: tuple[str, ...]
    figures: tuple[tuple[str, ...], ...]
    run_columns: tuple[str, ...]
    runs: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    courses: tuple[Course, ...]
    acts: tuple[Act, ...]
    missing: tuple[Check, ...]
    repeat: str

    def anchor(self, check: Check) -> str:
        """Return the id of a check's place in the page; every run has the same checks."""
        return f"check-{slug(check.act)}-{slug(check.id)}"


def view(report: DrillReport) -> View:
    """Return what the page of a drill says."""
    kind, title = TITLES[report.exit_code]
    floor = (table.floor(report.floor),) if report.floor is not None else ()
    return View(
        report=report,
        kind=kind,
        title=title,
        sentence=table.closing(report),
        facts=tuple(_facts(report)),
        figure_columns=table.FIGURES,
        figures=tuple(table.figures(report)),
        run_columns=table.RUNS,
        runs=tuple(table.runs(report)),
        notes=(table.resolution(report), *floor) if report.runs else (),
        courses=tuple(_course(run) for run in report.runs),
        acts=acts(report.proof),
        missing=report.proof.missing,
        repeat=f"./inv drill.run {report.drill}",
    )


def _facts(report: DrillReport) -> Iterator[tuple[str, str]]:
    proof = report.proof
    yield "Drill", report.drill
    yield "Fault", report.fault
    yield "Lab", proof.lab
    yield "Shared address", proof.address
    yield "Began", moment(proof.started)
    yield "Took", duration(proof.seconds)
    yield "Provider", proof.provider
    yield from proof.versions.items()
    yield "Exit status", f"{int(report.exit_code)}"


def _course(run: Run) -> Course:
    styles = {curve.kind: f"run-{number}" for number, curve in enumerate(run.curves)}
    tracks = (
        Track(styles[curve.kind], tuple((one.start, one.answered / one.asked) for one in curve.bins), timeline.BIN)
        for curve in run.curves
    )
    told = [table.outage(run, kind) for kind in claims.NAMES]
    named = "; ".join(f"{name} {words}" for name, words in zip(claims.NAMES.values(), told, strict=True))
    back = timeline.longest(run.after)
    after = f" After it was undone, the longest was {table.length(back)}." if back is not None else ""
    return Course(
        title=f"Run {run.number}",
        tracks=tuple(tracks),
        keys=tuple((style, claims.NAMES[kind]) for kind, style in styles.items()),
        marks=(0.0, run.undone),
        words=f"Without an answer while it was broken: {named}.{after}",
        claimed=tuple(f"{one.owner or one.mac} from {one.first:.2f} s on" for one in run.claimed),
    )
