"""A machine's clock, set from this host's: one that stood still with its machine is late afterwards."""

from __future__ import annotations

import time

from metallab.run.result import Runner

ASK_SECONDS = 15.0
BEARABLE_SECONDS = 2.0
"""Kubernetes bears more; half of what an emulated machine needs for an answer is not worth a jump."""


def set_right(runner: Runner) -> float:
    """Set a machine's clock if it is off by more than two seconds; return how many it was late (negative: early)."""
    asked = time.time()
    said = float(runner.run(["date", "+%s.%N"], timeout=ASK_SECONDS).stdout)
    answered = time.time()
    # Half of the way there and back is how old the answer is, and how old what is told next will be.
    way = (answered - asked) / 2
    late = answered - way - said
    if abs(late) > BEARABLE_SECONDS:
        runner.run(["date", "--utc", "--set", f"@{time.time() + way:.3f}"], timeout=ASK_SECONDS)
    return late
