"""``inv bench --commands``: what a command costs before it does anything, as ratios against ``python -c pass``.

Seconds of a shared machine say little. A ratio against the least a Python program can cost, measured in turn with it,
says how much of a wait is ours. ``docs/budgets.md`` keeps the figures.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metallab import paths
from metallab.config import Lab
from metallab.events import Events
from metallab.machines.labdir import LabDir
from metallab.run.local import run

BARE = "python -c pass"
INVOKE = "inv --version"
"""Invoke alone: what of a command's cost no lazy import of ours can save."""
ALWAYS = ("--list", "config.validate")
ON_A_LAB = ("lab.status",)
"""Asked only where there is a lab; the cost is that of asking it, too."""
COMMAND_SECONDS = 120
COLUMNS = ("command", "times bare python", "least", "most", "median ms")


@dataclass(frozen=True)
class Cost:
    """What a command took in each round, in seconds, and its ratio against bare Python in the same round."""

    command: str
    seconds: tuple[float, ...]
    ratios: tuple[float, ...]


def measure(lab: Lab, events: Events, rounds: int) -> tuple[Cost, ...]:
    """Run bare Python and every command in turn, ``rounds`` times; changes nothing."""
    launcher = str(paths.repo_root() / "inv")
    commands = {BARE: [sys.executable, "-c", "pass"], INVOKE: [launcher, "--version"]}
    asked = (*ALWAYS, *(ON_A_LAB if LabDir.of(lab).inventory.exists() else ()))
    commands |= {f"inv {word}": [launcher, word] for word in asked}
    taken: dict[str, list[float]] = {command: [] for command in commands}
    with events.step("commands beside bare Python") as step:
        for number in range(rounds):
            for command, argv in commands.items():
                step.progress(command, number, rounds)
                # A lab that is not all well is a result of lab.status, and no less an answer.
                taken[command].append(run(argv, timeout=COMMAND_SECONDS, check=False).seconds)
    return costs(taken)


def costs(taken: dict[str, list[float]]) -> tuple[Cost, ...]:
    """Return the ratios of what was taken, each against bare Python of the same round."""
    bare = taken[BARE]
    return tuple(
        Cost(command, tuple(seconds), tuple(each / one for each, one in zip(seconds, bare, strict=True)))
        for command, seconds in taken.items()
    )


def rows(found: Sequence[Cost]) -> list[tuple[str, ...]]:
    """Return rows of a table: the middle ratio, the least, the most, and the middle time in milliseconds."""
    return [
        (
            cost.command,
            *(f"{figure:.1f}" for figure in (statistics.median(cost.ratios), min(cost.ratios), max(cost.ratios))),
            f"{statistics.median(cost.seconds) * 1000:.0f}",
        )
        for cost in found
    ]


def to_dict(found: Sequence[Cost]) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {
        cost.command: {"ratio": statistics.median(cost.ratios), "ratios": cost.ratios, "seconds": cost.seconds}
        for cost in found
    }
