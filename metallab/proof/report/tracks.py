"""A share over time, as plain values: what a plot of answers is drawn from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Track:
    """One line of a plot: ``style`` is the class that gives it colour and dashes, ``points`` are seconds and shares."""

    style: str
    points: tuple[tuple[float, float], ...]
    width: float
    """How many seconds a share is of."""
