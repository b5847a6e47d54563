"""What a proof is made of: evidence, checks and the report, as frozen records that survive JSON and back."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metallab.errors import ExitCode
from metallab.proof.reader import Node, loads
from metallab.run.result import Result

SCHEMA = "metallab.report/1"
"""Changes when a reader of the old form could misread the new one."""


class Verdict(enum.Enum):
    """What became of a check. ``not-run`` is never a pass: nothing is known."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_RUN = "not-run"


@dataclass(frozen=True)
class Evidence:
    """Something that was asked, and the answer word for word. ``rc`` is None where there is no exit status."""

    command: str
    where: str
    rc: int | None
    stdout: str
    stderr: str
    seconds: float

    @classmethod
    def of(cls, result: Result) -> Evidence:
        """Keep what a command said."""
        return cls(result.command, result.where, result.rc, result.stdout, result.stderr, result.seconds)


@dataclass(frozen=True)
class Check:
    """One claim and its verdict. ``reason`` says why a check was not run; ``seen`` is short, the evidence is not."""

    id: str
    claim: str
    verdict: Verdict
    expected: str = ""
    seen: str = ""
    reason: str = ""
    seconds: float = 0.0
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole proof. ``started`` is UTC in ISO 8601; ``seconds`` is how long it took."""

    lab: str
    address: str
    started: str
    seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()

    def count(self, verdict: Verdict) -> int:
        """Return how many checks ended so."""
        return sum(check.verdict is verdict for check in self.checks)

    @property
    def exit_code(self) -> ExitCode:
        """Return 0 only when every check passed, 2 when none could be tested, else 1.

        A check that was not run leaves its claim unproven, so beside passed ones it counts like a failed one.
        """
        tested = self.count(Verdict.PASS) + self.count(Verdict.FAIL)
        if tested == 0:
            return ExitCode.NOTHING_TESTED
        if self.count(Verdict.PASS) == len(self.checks):
            return ExitCode.OK
        return ExitCode.CHECK_FAILED


def to_dict(report: Report) -> dict[str, Any]:
    """Return a report as plain values for JSON; :func:`from_json` is the way back."""
    return {
        "schema": SCHEMA,
        "lab": report.lab,
        "address": report.address,
        "started": report.started,
        "seconds": report.seconds,
        "versions": dict(report.versions),
        "exit_code": int(report.exit_code),
        "checks": [_check_to_dict(check) for check in report.checks],
    }


def _check_to_dict(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "claim": check.claim,
        "verdict": check.verdict.value,
        "expected": check.expected,
        "seen": check.seen,
        "reason": check.reason,
        "seconds": check.seconds,
        "evidence": [
            {
                "command": item.command,
                "where": item.where,
                "rc": item.rc,
                "stdout": item.stdout,
                "stderr": item.stderr,
                "seconds": item.seconds,
            }
            for item in check.evidence
        ],
    }


def from_json(text: str) -> Report:
    """Read a report back. Raises LAB-PRF-001 naming the path of what is missing or odd."""
    root = loads(text, "report")
    if root["schema"].text() != SCHEMA:
        root["schema"].refuse(f"should be {SCHEMA}")
    versions = root["versions"]
    if not isinstance(versions.value, dict):
        versions.refuse("should be an object")
    return Report(
        lab=root["lab"].text(),
        address=root["address"].text(),
        started=root["started"].text(),
        seconds=root["seconds"].number(),
        versions={name: versions[name].text() for name in versions.value},
        checks=tuple(_check_from(node) for node in root["checks"].items()),
    )


def _check_from(node: Node) -> Check:
    verdicts = {verdict.value: verdict for verdict in Verdict}
    word = node["verdict"].text()
    if word not in verdicts:
        node["verdict"].refuse(f"should be one of {', '.join(verdicts)}")
    return Check(
        id=node["id"].text(),
        claim=node["claim"].text(),
        verdict=verdicts[word],
        expected=node["expected"].text(),
        seen=node["seen"].text(),
        reason=node["reason"].text(),
        seconds=node["seconds"].number(),
        evidence=tuple(_evidence_from(item) for item in node["evidence"].items()),
    )


def _evidence_from(node: Node) -> Evidence:
    rc = node["rc"]
    return Evidence(
        command=node["command"].text(),
        where=node["where"].text(),
        rc=None if rc.value is None else rc.integer(minimum=None),
        stdout=node["stdout"].text(),
        stderr=node["stderr"].text(),
        seconds=node["seconds"].number(),
    )
