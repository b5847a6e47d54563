"""Four tiers by folder: ``unit`` (no machine), ``integration`` (real parts), ``e2e`` (a real lab), ``vm`` (a real lab
on virtual machines).

A tier gets its marker, its time limit, and its reason when it cannot run. What did not run is said in the summary.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from metallab.config import VARIABLES
from metallab.run import cancel, pace

HERE = Path(__file__).parent
ITEMS = pytest.StashKey[dict[str, int]]()
REASONS = pytest.StashKey[dict[str, str]]()

for variable in ("LAB_FILE", *VARIABLES):
    # What the shell says of a lab is about none of the tests'.
    os.environ.pop(variable, None)
settings.register_profile("house", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("house")


@dataclass(frozen=True)
class Tier:
    """A kind of test: the seconds one may take, its fixtures included, and whether it needs root."""

    seconds: int
    root: bool


TIERS = {
    "unit": Tier(60, root=False),
    "integration": Tier(300, root=True),
    "e2e": Tier(3600, root=True),
    "vm": Tier(3600, root=True),
}
CI_SECONDS = 85 * 60
"""What CI gives one run, less the time its machine needs to end it."""
TOO_LATE = "NOT RUN for want of time"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    counts = dict.fromkeys(TIERS, 0)
    reasons: dict[str, str] = {}
    for item in items:
        name = item.path.relative_to(HERE).parts[0]
        tier = TIERS[name]
        counts[name] += 1
        item.add_marker(name)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(tier.seconds))
        if tier.root and os.geteuid() != 0:
            reasons[name] = "needs root (network namespaces, a Docker daemon of its own)"
            item.add_marker(pytest.mark.skip(reason=f"{name} tests: {reasons[name]}"))
    config.stash[ITEMS] = counts
    config.stash[REASONS] = reasons


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing is skipped but for want of time: a test that cannot run there fails with its reason."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        if TOO_LATE in str(reason):
            return report
        report.outcome, report.longrepr = "failed", f"not run, and CI is to run everything: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if ITEMS not in config.stash:
        return
    for name, count in config.stash[ITEMS].items():
        reason = config.stash[REASONS].get(name, "" if count else "not asked for")
        if reason:
            terminalreporter.write_line(f"NOT RUN: {name} tests: {reason}", yellow=True, bold=True)


def ci_seconds_left() -> float | None:
    """Return how long CI's run still lasts; None anywhere else, where time is the user's own."""
    began = os.environ.get("METALLAB_CI_BEGAN")
    return None if began is None else CI_SECONDS - (time.time() - float(began))


def need_ci_minutes(minutes: int) -> None:
    """Skip, loudly, what CI has no time for any more."""
    left = ci_seconds_left()
    if left is not None and left < minutes * 60:
        pytest.skip(f"{TOO_LATE}: {left / 60:.0f} minutes are left, these tests may need {minutes}")


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A job in the background of a script ignores Ctrl-C and hands that on; a test that presses it must be heard."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _nobody_pressed_ctrl_c() -> None:
    """A test that asks for a stop must not stop the next one."""
    cancel.reset()


@pytest.fixture(autouse=True)
def _every_wait_is_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test about a slow lab must not slow the next one down, and what a test expects not follow this host's load."""
    pace.settle([])
    monkeypatch.setattr(pace, "measure_here", lambda: 1.0)
    monkeypatch.setattr(pace, "busy", lambda: 1.0)
