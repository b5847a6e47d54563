"""A report as rows and sentences. Pure: ``console`` draws, and the record knows nothing of this."""

from __future__ import annotations

from collections.abc import Sequence

from metallab.errors import ExitCode
from metallab.proof import acts
from metallab.proof.records import Check, Report, Verdict

MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.NOT_RUN: "–"}  # noqa: RUF001 - a dash as long as the other marks are wide
WARNED = "!"
COLUMNS = ("", "check", "claim", "seen")
STYLES = {"✓": "green", "✗": "bold red", "–": "yellow", WARNED: "yellow"}  # noqa: RUF001


def title(report: Report) -> str:
    """Return the table's title: which lab, which address, with what."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return f"lab {report.lab}, {report.address}" + (f" ({versions})" if versions else "")


def rows(report: Report) -> list[tuple[str, ...]]:
    """Return a row for each check, and one before each act; a check that was not run shows the reason."""
    found: list[tuple[str, ...]] = []
    act = ""
    for check in report.checks:
        if check.act != act:
            act = check.act
            found.append(("", "", act, ""))
        mark = WARNED if check.warning else MARKS[check.verdict]
        found.append((mark, check.id, check.claim, check.seen or f"not run, {check.reason}"))
    return found


def contents() -> list[tuple[str, ...]]:
    """Return every check there is: id, claim, act."""
    known = [(claim.id, claim.words, act) for act, claim in acts.known()]
    return [*known, (acts.AS_FOUND, acts.AS_FOUND_WORDS, acts.END)]


def tally(reports: Sequence[Report]) -> list[tuple[str, ...]]:
    """Return how often each check of several proofs passed, failed and was not run."""
    names = dict.fromkeys(check.id for report in reports for check in report.checks)
    ended = [(check.id, check.verdict) for report in reports for check in report.checks]
    return [(name, *(str(ended.count((name, verdict))) for verdict in Verdict)) for name in names]


def failures(checks: Sequence[Check]) -> list[str]:
    """Return, for each claim that does not hold, what was expected, what was seen, and the command to repeat it."""
    lines: list[str] = []
    for check in checks:
        if check.verdict is Verdict.FAIL:
            lines += [f"✗ {check.id}: {check.claim}", f"  expected: {check.expected}", f"  seen:     {check.seen}"]
            lines += [f"  {item.where}: {item.command}" for item in check.evidence if item.rc is not None]
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
    counts = f"{', '.join(parts)} in {report.seconds:.0f} s, of which runs and waits had to take {report.least:.0f}."
    return [counts, verdict(report)]


def verdict(report: Report) -> str:
    """Return the last sentence."""
    if report.exit_code not in (ExitCode.OK, ExitCode.WARNINGS):
        return "NOT proven."
    asked = {check.id for check in report.checks}
    if not {"no-tcp", "no-udp"} <= asked:
        return "What was asked for holds; the proof was not asked for as a whole."
    warned = ", with warnings" if report.warnings else ""
    return f"Proven{warned}: TCP and UDP share {report.address}, and neither works for the other."


def not_tested(report: Report) -> list[str]:
    """Return what this run says nothing about, as lines."""
    return ["Not tested in this run:", *(f"  - {words}" for words in report.not_tested)]


def text(report: Report) -> list[str]:
    """Return what stands below the table."""
    told = failures(report.checks)
    warned = [f"! {words}" for words in report.warnings]
    parts = [part for part in (told, warned, not_tested(report), closing(report)) if part]
    return [line for part in parts for line in (*part, "")][:-1]
