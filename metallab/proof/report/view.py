"""What the page says, worked out of a report as plain values. Pure; the templates only lay it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from metallab.errors import ExitCode
from metallab.proof.document import SCHEMA
from metallab.proof.records import Check, Report, Verdict
from metallab.proof.report import network, rates, stories
from metallab.proof.report.acts import Act, acts
from metallab.proof.report.network import Drawing
from metallab.proof.report.rates import Group
from metallab.proof.report.stories import Story
from metallab.proof.report.words import count, duration, moment, slug
from metallab.proof.units import listed

WORDS = {Verdict.PASS: "pass", Verdict.FAIL: "fail", Verdict.NOT_RUN: "not run"}
TITLES = {
    ExitCode.OK: ("pass", "Proven"),
    ExitCode.WARNINGS: ("pass", "Proven, with warnings"),
    ExitCode.CHECK_FAILED: ("fail", "Not proven"),
    ExitCode.NOTHING_TESTED: ("not-run", "Nothing could be tested"),
}
REPEAT = "./inv verify"
BAR = 100


@dataclass(frozen=True)
class Line:
    """A row of the table that says where the time went. ``long`` and ``short`` are the parts of a bar of 100."""

    title: str
    seconds: float
    least: float | None
    long: float
    short: float


@dataclass(frozen=True)
class View:
    """A page: the headline, then its parts in the order of reading.

    ``first`` are the checks to look at first; ``followed`` is how many were not run only because of others.
    """

    report: Report
    kind: str
    title: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    counts: tuple[tuple[str, str], ...]
    first: tuple[Check, ...]
    followed: int
    warnings: tuple[str, ...]
    anchors: dict[int, str]
    drawings: tuple[Drawing, ...]
    drawing_words: str
    stories: tuple[Story, ...]
    acts: tuple[Act, ...]
    groups: tuple[Group, ...]
    times: tuple[Line, ...]
    time_words: str
    untested: tuple[Check, ...]
    schema: str = SCHEMA
    repeat: str = REPEAT

    def anchor(self, check: Check) -> str:
        """Return the id of a check's place in the page."""
        return self.anchors[id(check)]


def view(report: Report) -> View:
    """Return what the page of a report says."""
    kind, title = TITLES[report.exit_code]
    told = acts(report)
    failed = (check for check in report.checks if check.verdict is Verdict.FAIL)
    # Where nothing ran, all of them would be named.
    tested = report.exit_code is not ExitCode.NOTHING_TESTED
    return View(
        report=report,
        kind=kind,
        title=title,
        sentence=_sentence(report),
        facts=tuple(_facts(report)),
        counts=tuple(_counts(report)),
        first=(*failed, *(check for check in report.missing if not check.blocked_by)) if tested else (),
        followed=sum(bool(check.blocked_by) for check in report.checks),
        warnings=report.warnings if tested else (),
        anchors=_anchors(report),
        drawings=network.drawings(report.picture, report.address),
        drawing_words=network.words(report.picture, report.address),
        stories=stories.stories(report),
        acts=told,
        groups=rates.groups(report),
        times=tuple(_times(report, told)),
        time_words=_time_words(report),
        untested=tuple(check for check in report.checks if check.verdict is Verdict.NOT_RUN),
    )


def _counts(report: Report) -> Iterator[tuple[str, str]]:
    """Return how many checks ended how, and the class of that; a zero deserves no colour."""
    for verdict, word in ((Verdict.PASS, "passed"), (Verdict.FAIL, "failed"), (Verdict.NOT_RUN, "not run")):
        number = report.count(verdict)
        yield verdict.value if number else "none", f"{number} {word}"
    if report.warnings and report.exit_code is not ExitCode.NOTHING_TESTED:
        yield "warning", count(len(report.warnings), "warning")


def _sentence(report: Report) -> str:
    code, total = report.exit_code, count(len(report.checks), "check")
    if code is ExitCode.NOTHING_TESTED:
        reasons = {check.reason for check in report.checks}
        why = f", {reasons.pop()}" if len(reasons) == 1 else ""
        return f"Of {total} none could be run{why}. Nothing is known about the lab."
    if code is ExitCode.CHECK_FAILED:
        failed, missing = report.count(Verdict.FAIL), len(report.missing)
        parts = [f"{failed} failed"] if failed else []
        parts += [f"{missing} that had to run {'was' if missing == 1 else 'were'} not run"] if missing else []
        return f"Of {total} {listed(parts)}."
    passed = {check.id for check in report.checks if check.verdict is Verdict.PASS}
    if {"tcp", "udp", "no-tcp"} <= passed:
        return f"TCP and UDP share {report.address}, and the UDP test cannot do without the TCP service."
    return f"Of {total} none failed."


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    yield "Lab", report.lab
    yield "Shared address", report.address
    yield "Began", moment(report.started)
    yield "Took", duration(report.seconds)
    if report.provider:
        yield "Provider", report.provider
    yield from report.versions.items()
    yield "Exit status", f"{int(report.exit_code)}"


def _anchors(report: Report) -> dict[int, str]:
    """Return a name for each check that is fit for a link; ids may be odd or come twice."""
    names: dict[int, str] = {}
    for number, check in enumerate(report.checks):
        name = f"check-{slug(check.id)}"
        names[id(check)] = f"{name}-at-{number}" if name in names.values() else name
    return names


def _times(report: Report, told: tuple[Act, ...]) -> Iterator[Line]:
    between = report.seconds - sum(act.seconds for act in told)
    longest = max([act.seconds for act in told] + [between, 1e-9])
    for act in told:
        least = min(act.least, act.seconds)
        yield Line(act.title, act.seconds, act.least, BAR * act.seconds / longest, BAR * least / longest)
    if between > 0:
        yield Line("Between the checks", between, None, BAR * between / longest, 0.0)


def _time_words(report: Report) -> str:
    had, rest = duration(report.least), duration(max(0.0, report.seconds - report.least))
    return (
        f"The run took {duration(report.seconds)}. {had} of it had to be: the length of the iperf3 runs, the pauses"
        f" between questions, waits for the cluster. The proof itself took {rest}."
    )
