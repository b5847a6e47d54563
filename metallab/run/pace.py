"""How fast the machines are, as one number: every wait for them is that many times as long.

A deadline that suits a machine with its own processor is far too short for one whose every instruction is emulated.
So waits are written down in seconds of an ordinary machine, and scaled here, in the one place: by what a machine needed
for a fixed piece of work when it was first up, and before that by what is known of the provider.

The number belongs to the process: one command works on one lab, and the slowest machine decides for all.
"""

from __future__ import annotations

from collections.abc import Iterable

from metallab.run import local
from metallab.run.result import Result, Runner

COUNT = 100_000
WORK = f"""\
began=$(date +%s%N)
i=0
while [ "$i" -lt {COUNT} ]; do i=$((i + 1)); done
echo $((($(date +%s%N) - began) / 1000))
"""
"""Counting in a shell: it needs nothing but sh, no cache holds it, and it takes a tenth of a second."""
ORDINARY_SECONDS = 0.1
"""What an ordinary machine needs for it; 0.05 to 0.09 s were measured on servers and laptops of 2018 to 2024."""
WORK_SECONDS = 60.0
DOUBTFUL = 2.0
"""From here on a machine is measured once more: 3 was seen of a container whose neighbours were starting."""
EMULATED = 12.0
"""Taken for a machine that is emulated and was not measured yet."""
LIMITS = (1.0, 20.0)
"""A fast machine does not make waits shorter; a stuck one does not make them endless."""

_factor = 1.0


def factor() -> float:
    """Return how many times as long as written down a wait is; 1.0 unless a lab said otherwise."""
    return _factor


def scaled(seconds: float) -> float:
    """Return seconds of an ordinary machine as seconds of the lab's."""
    return seconds * _factor


def settle(slowness: Iterable[float]) -> float:
    """Take the slowest of what was measured as the process's number, and return it."""
    global _factor  # noqa: PLW0603 - see the module's own words
    least, most = LIMITS
    _factor = min(most, max(least, *slowness, least))
    return _factor


def measure(runner: Runner) -> float:
    """Return how many times as long as an ordinary machine this one takes. About 0.1 s there, 2 s under emulation."""
    first = _slowness(runner.run(["sh", "-c", WORK], timeout=WORK_SECONDS))
    if first < DOUBTFUL:
        return first
    # A machine that is still busy starting is not a slow one: of two answers the better one is true.
    return min(first, _slowness(runner.run(["sh", "-c", WORK], timeout=WORK_SECONDS)))


def measure_here() -> float:
    """Return the same of this host, whose processor the machines have, or which emulates theirs."""
    # Not the user's PATH: the work needs a shell and a clock, wherever else his programs are.
    return _slowness(local.run(["/bin/sh", "-c", WORK], timeout=WORK_SECONDS, env={"PATH": "/usr/bin:/bin"}))


def _slowness(result: Result) -> float:
    return round(int(result.stdout) / 1e6 / ORDINARY_SECONDS, 2)
