"""How fast the machines are, as two numbers: what they are by themselves, and what a wait for them takes now.

A deadline that suits a machine with its own processor is far too short for one whose every instruction is emulated.
So waits are written down in seconds of an ordinary machine, and scaled here, in the one place.

A machine's own number is the processor time it needed for a fixed piece of work when it was first up, and before that
what is known of the provider. It is kept, and it chooses what the cluster is told for good: whoever else is at work on
the host does not change it. (Only a guest that is emulated cannot tell: its host's load looks like its own slowness.)
A wait does get longer by that load, but for this command only: by how long this process itself had to wait for a
processor, and by the clock while the command measures a machine.

Both belong to the process: one command works on one lab, and the slowest machine decides for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from metallab.run import local
from metallab.run.result import Result, Runner

COUNT = 100_000
WORK = f"""\
LC_ALL=C
began=$(date +%s%N)
i=0
while [ "$i" -lt {COUNT} ]; do i=$((i + 1)); done
echo $((($(date +%s%N) - began) / 1000))
times
"""
"""Counting in a shell: it needs nothing but sh, no cache holds it, and it takes a tenth of a second.

It prints the microseconds of the clock, and the processor time of the shell (and, a line below, of its children).
"""
ORDINARY_SECONDS = 0.1
"""What an ordinary machine needs for it; 0.05 to 0.09 s were measured on servers and laptops of 2018 to 2024."""
WORK_SECONDS = 60.0
DOUBTFUL = 2.0
"""From here on a machine is measured once more: caches and cores are shared, and one was seen from 1.3 to 2.3."""
EMULATED = 12.0
"""Taken for a machine that is emulated and was not measured yet."""
LIMITS = (1.0, 20.0)
"""A fast machine does not make waits shorter; a stuck one does not make them endless."""
SLOWEST = 100.0
"""The slowest machine seen, one of four emulated ones on two cores; more is taken for this."""

_factor = 1.0
_own = 1.0


class Slowness(NamedTuple):
    """How many times as long as an ordinary machine one takes: by its processor's time, and just now by the clock."""

    own: float
    now: float


def own() -> float:
    """Return how slow the slowest machine is by itself: what a cluster is told for good depends on that alone."""
    return _own


def factor() -> float:
    """Return how many times as long as written down a wait is; 1.0 unless a lab said otherwise."""
    return _factor


def scaled(seconds: float) -> float:
    """Return seconds of an ordinary machine as seconds of the lab's."""
    return seconds * _factor


def settle(machines: Iterable[float], now: Iterable[float] = ()) -> float:
    """Take the slowest machine's own number, let waits follow ``now`` where that is more, and return the latter."""
    global _factor, _own  # noqa: PLW0603 - see the module's own words
    least, most = LIMITS
    _own = min(SLOWEST, max(least, *machines, least))
    _factor = min(most, max(_own, *now, least))
    return _factor


def busy() -> float:
    """Return how many times as long as its processor time this process needed up to now, 1.0 with a core to itself.

    What the kernel counts of every process anyway costs nothing to ask, and starting Python is half a second of work.
    """
    try:
        ran, waited, _slices = map(int, Path("/proc/self/schedstat").read_text(encoding="ascii").split())
        return 1.0 + waited / ran
    except (OSError, ValueError, ZeroDivisionError):
        return 1.0  # a kernel that does not count


def measure(runner: Runner) -> Slowness:
    """Return how many times as long as an ordinary machine this one takes. About 0.1 s there, 2 s under emulation."""
    first = _slowness(runner.run(["sh", "-c", WORK], timeout=WORK_SECONDS))
    if first.own < DOUBTFUL:
        return first
    # What comes in between only adds to it: of two answers the better one is true.
    return min(first, _slowness(runner.run(["sh", "-c", WORK], timeout=WORK_SECONDS)))


def measure_here() -> float:
    """Return how slow this host is by itself, whose processor the machines have, or which emulates theirs."""
    # Not the user's PATH: the work needs a shell and a clock, wherever else his programs are.
    return _slowness(local.run(["/bin/sh", "-c", WORK], timeout=WORK_SECONDS, env={"PATH": "/usr/bin:/bin"})).own


def _slowness(result: Result) -> Slowness:
    clock, times, _children = result.stdout.splitlines()
    parts = [part.rstrip("s").split("m") for part in times.split()]  # "0m0.080000s 0m0.010000s": user, system
    spent = sum(60 * int(minutes) + float(seconds) for minutes, seconds in parts)
    return Slowness(round(spent / ORDINARY_SECONDS, 2), round(int(clock) / 1e6 / ORDINARY_SECONDS, 2))
