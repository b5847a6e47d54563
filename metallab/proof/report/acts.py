"""The checks of a report by the acts of its story."""

from __future__ import annotations

import re
from dataclasses import dataclass

from metallab.proof.records import Check, Report, Verdict

UNNAMED = "Checks"
"""The title for checks that belong to no act."""


@dataclass(frozen=True)
class Act:
    """A part of the story and its checks, in the order they were asked."""

    title: str
    checks: tuple[Check, ...]

    @property
    def seconds(self) -> float:
        """Return how long its checks took."""
        return sum(check.seconds for check in self.checks)

    @property
    def least(self) -> float:
        """Return how many of these seconds had to be."""
        return sum(item.least for check in self.checks for item in check.evidence)

    def count(self, verdict: Verdict) -> int:
        """Return how many of its checks ended so."""
        return sum(check.verdict is verdict for check in self.checks)


def letter(title: str) -> tuple[str, str]:
    """Return the letter of an act and the rest of its title: ``A1`` and ``everything in place``."""
    found = re.fullmatch(r"([A-Z]\d?) (.+)", title)
    return (found[1], found[2]) if found else ("", title)


def acts(report: Report) -> tuple[Act, ...]:
    """Return the acts in the order in which they first come up."""
    found: dict[str, list[Check]] = {}
    for check in report.checks:
        found.setdefault(check.act or UNNAMED, []).append(check)
    return tuple(Act(title, tuple(checks)) for title, checks in found.items())
