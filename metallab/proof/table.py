"""A report as rows and sentences. Pure: ``console`` draws, and the record knows nothing of this."""

from __future__ import annotations

from collections.abc import Sequence

from metallab.proof.records import Check, Report, Verdict

MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.NOT_RUN: "–"}  # noqa: RUF001 - a dash as long as the other marks are wide
COLUMNS = ("", "check", "claim", "seen")
STYLES = {"✓": "green", "✗": "bold red", "–": "yellow"}  # noqa: RUF001


def title(report: Report) -> str:
    """Return the table's title: which lab, which address, with what."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return f"lab {report.lab}, {report.address}" + (f" ({versions})" if versions else "")


def rows(report: Report) -> list[tuple[str, ...]]:
    """Return a row for each check; one that was not run shows the reason."""
    return [(MARKS[check.verdict], check.id, check.claim, check.seen or check.reason) for check in report.checks]


def failures(checks: Sequence[Check]) -> list[str]:
    """Return, for each claim that does not hold, what was expected, what was seen, and the command to repeat it."""
    lines: list[str] = []
    for check in checks:
        if check.verdict is Verdict.FAIL:
            lines += [f"✗ {check.id}: {check.claim}", f"  expected: {check.expected}", f"  seen:     {check.seen}"]
            lines += [f"  {item.where}: {item.command}" for item in check.evidence]
    return lines


def closing(report: Report) -> list[str]:
    """Return the sentences that say what was proven, or that it was not."""
    total, passed = len(report.checks), report.count(Verdict.PASS)
    failed, missing = report.count(Verdict.FAIL), report.count(Verdict.NOT_RUN)
    if failed + passed == 0:
        return [f"Nothing could be tested: {missing} checks not run."]
    parts = [f"{passed} of {total} checks passed"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{missing} not run"] if missing else []
    counts = f"{', '.join(parts)} in {report.seconds:.0f} s."
    if passed < total:
        return [counts, "NOT proven."]
    return [counts, f"Proven: TCP and UDP share {report.address}, and UDP cannot do without TCP."]


def text(report: Report) -> list[str]:
    """Return what stands below the table."""
    told = failures(report.checks)
    return [*told, *([""] if told else []), *closing(report)]
