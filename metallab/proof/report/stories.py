"""The negative proof as a short story: it works, it fails without one half, it works again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metallab.proof.records import Check, Report, Verdict
from metallab.proof.report.acts import UNNAMED
from metallab.proof.units import listed

QUOTED = 6
"""So many lines of an answer are quoted; the evidence has them all."""


@dataclass(frozen=True)
class Plot:
    """Which checks tell a story: what held before, the one that has to fail, what else held then, what held after."""

    pivot: str
    title: str
    gone: str
    before: tuple[str, ...]
    controls: tuple[str, ...]
    after: tuple[str, ...]


PLOTS = (
    Plot(
        "no-tcp",
        "The TCP service taken away",
        "the TCP service",
        ("tcp", "udp"),
        ("b-echo", "b-control", "b-arp"),
        ("again-tcp",),
    ),
    Plot(
        "no-udp",
        "The UDP service taken away",
        "the UDP service",
        ("again-tcp",),
        ("c-tcp", "c-echo"),
        ("again-udp",),
    ),
)


@dataclass(frozen=True)
class Scene:
    """A part of a story. ``deleted``: it plays while one half is gone."""

    title: str
    checks: tuple[Check, ...]
    deleted: bool = False


@dataclass(frozen=True)
class Quote:
    """A command and the last it said, in its own words."""

    where: str
    command: str
    words: str
    rc: int | None


@dataclass(frozen=True)
class Story:
    """A story as far as it went; ``pivot`` is the check that had to find a failure."""

    title: str
    pivot: Check
    quote: Quote | None
    scenes: tuple[Scene, ...]
    ending: str
    holds: bool


def stories(report: Report) -> tuple[Story, ...]:
    """Return the stories whose deciding check this report has."""
    found = {check.id: check for check in report.checks}
    return tuple(_story(plot, found) for plot in PLOTS if plot.pivot in found)


def _story(plot: Plot, found: Mapping[str, Check]) -> Story:
    before, controls, after = (
        tuple(found[name] for name in names if name in found) for names in (plot.before, plot.controls, plot.after)
    )
    pivot = found[plot.pivot]
    parts = ((before, False), ((pivot, *controls), True), (after, False))
    scenes = tuple(Scene(checks[0].act or UNNAMED, checks, deleted) for checks, deleted in parts if _ran(checks))
    ending, holds = _ending(plot, pivot, (before, controls, after))
    return Story(plot.title, pivot, _quote(pivot), scenes, ending, holds)


def _ran(checks: Sequence[Check]) -> bool:
    return any(check.verdict is not Verdict.NOT_RUN for check in checks)


def _quote(pivot: Check) -> Quote | None:
    """Return the answer that says what was seen, or else the last one; nothing of a check that was not run."""
    if pivot.verdict is Verdict.NOT_RUN or not pivot.evidence:
        return None
    telling = [item for item in pivot.evidence if pivot.seen and pivot.seen in item.stdout + item.stderr]
    item = (telling or pivot.evidence)[-1]
    words = (item.stderr.strip() or item.stdout.strip()).splitlines()
    left_out = ["…"] if len(words) > QUOTED else []
    return Quote(item.where, item.command, "\n".join([*left_out, *words[-QUOTED:]]), item.rc)


def _ending(plot: Plot, pivot: Check, others: tuple[Sequence[Check], ...]) -> tuple[str, bool]:
    """Return what may be concluded, which is nothing unless everything around the failure held."""
    if pivot.verdict is Verdict.NOT_RUN:
        return f"This was not run, {pivot.reason}. So this run says nothing about it.", False
    if pivot.verdict is Verdict.FAIL:
        seen = f"With {plot.gone} deleted, what had to fail did not: “{pivot.seen}”."
        return f"{seen} So this run does not show that it needs {plot.gone}.", False
    before, controls, after = ([check for check in checks if check.verdict is not Verdict.PASS] for checks in others)
    doubts = [*_doubt(before, "before"), *_doubt(controls, "meanwhile"), *_doubt(after, "afterwards")]
    if doubts:
        return f"It failed as it should, but {'; '.join(doubts)}. So the failure may have another cause.", False
    failed = f"with {plot.gone} deleted it failed: “{pivot.seen}”"
    return f"The UDP test worked; {failed}; with {plot.gone} back it works again.", True


def _doubt(checks: Sequence[Check], when: str) -> list[str]:
    return [f"{when} {listed([check.id for check in checks])} did not pass"] if checks else []
