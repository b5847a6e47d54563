"""How slow the machines are by themselves, and the waits that grow with that and with the host's load."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab import errors
from metallab.run import local, pace
from metallab.run.result import Argv, CommandFailed, OnLine, Result
from metallab.run.wait import NotYet, WaitTimedOut, until

MEASURE_HERE, BUSY = pace.measure_here, pace.busy
"""The real ones: tests are otherwise told that this host is an ordinary one, and that nobody else is at work on it."""
BURNERS = 2
"""So many for each core leave a newcomer a third of one."""


@dataclass
class Here:
    """This host as a machine."""

    name: str = "here"
    asked: list[tuple[Argv, float]] = field(default_factory=list)
    before: tuple[str, ...] = ()

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002 - the word of Runner
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        self.asked.append((argv, timeout))
        return local.run([*self.before, *argv], timeout=timeout, input=input, check=check, on_line=on_line)


@dataclass
class Measured(Here):
    """A machine that prints what the test says instead of measuring."""

    rc: int = 0
    stdout: str = ""

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002 - the word of Runner
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        result = Result(tuple(map(str, argv)), self.rc, self.stdout, "", 0.0, self.name)
        if check and not result.ok:
            raise CommandFailed(result)
        return result


def test_a_process_begins_at_an_ordinary_pace() -> None:
    assert pace.factor() == 1.0
    assert pace.scaled(30.0) == 30.0


@pytest.mark.parametrize(
    ("measured", "factor"),
    [
        ([], 1.0),
        ([0.4, 0.9], 1.0),
        ([1.0, 2.5, 1.5], 2.5),
        ([pace.EMULATED], 12.0),
        ([3.0, 500.0], 20.0),
    ],
)
def test_the_slowest_machine_decides_within_limits(measured: list[float], factor: float) -> None:
    assert pace.settle(measured) == factor
    assert pace.factor() == factor
    assert pace.scaled(2.0) == 2 * factor


@given(st.lists(st.floats(0, 1e6)))
def test_no_measurement_makes_a_wait_shorter_or_endless(measured: list[float]) -> None:
    least, most = pace.LIMITS
    assert least <= pace.settle(measured) <= most
    assert pace.settle([]) == 1.0, "a lab at an ordinary pace after a slow one"


def test_an_iterator_is_as_good_as_a_list() -> None:
    assert pace.settle({"cp": 4.0, "w": 5.0}.values()) == 5.0
    assert pace.settle(number for number in (4.0, 6.0)) == 6.0


@pytest.mark.parametrize(
    ("machines", "now", "own", "factor"),
    [
        ([1.5], [4.0], 1.5, 4.0),
        ([6.0, 2.0], [4.0], 6.0, 6.0),
        ([1.0], [500.0], 1.0, 20.0),
        ([52.0], [], 52.0, 20.0),
        ([500.0], [], 100.0, 20.0),
    ],
)
def test_load_makes_waits_longer_and_no_machine_slower(
    machines: list[float], now: list[float], own: float, factor: float
) -> None:
    pace.settle(machines, now)
    assert (pace.own(), pace.factor()) == (own, factor)


def test_a_wait_for_a_slow_lab_is_longer_and_says_so() -> None:
    def check() -> None:
        raise NotYet("starting")

    pace.settle([4.0])
    began = time.monotonic()
    with pytest.raises(WaitTimedOut) as caught:
        until(check, timeout=0.25, what="the nodes", entry=errors.MACHINE_UNREACHABLE, every=0.05)
    assert 0.95 < time.monotonic() - began < 5
    assert caught.value.what == "waited 1 s for the nodes"


def test_a_machine_is_measured_by_real_work() -> None:
    machine = Here()
    measured = pace.measure(machine)
    assert 0 < measured.own < 100
    assert measured.now > 0.5 * measured.own, "the clock never stands still"
    # Once more where this host is slow: the first measurement was doubtful then.
    assert len(machine.asked) in (1, 2)
    assert all(list(argv) == ["sh", "-c", pace.WORK] for argv, _timeout in machine.asked)
    assert {timeout for _argv, timeout in machine.asked} == {pace.WORK_SECONDS}


@pytest.mark.parametrize(
    ("times", "own", "now"),
    [
        ("100000\n0m0.090000s 0m0.010000s\n0m0.000000s 0m0.000000s\n", 1.0, 1.0),  # dash
        ("57321\n0m0.057s 0m0.000s\n0m0.001s 0m0.002s\n", 0.57, 0.57),  # bash
        ("9689469\n0m0.210000s 0m0.000000s\n0m0.000000s 0m0.000000s\n", 2.1, 96.89),
        ("62345678\n1m2.100000s 0m0.200000s\n0m0.000000s 0m0.000000s\n", 623.0, 623.46),
    ],
)
def test_a_measurement_is_a_multiple_of_an_ordinary_machine_s(times: str, own: float, now: float) -> None:
    assert pace.measure(Measured(stdout=times)) == (own, now)


def test_a_machine_that_cannot_be_measured_is_not_taken_for_a_fast_one() -> None:
    with pytest.raises(CommandFailed):
        pace.measure(Measured(rc=127))
    for half in ("", "100000\n", "100000\n0m0.09s 0m0.01s\n", "100000\nx\n\n", "\n0m0.09s 0m0.01s\n0m0s 0m0s\n"):
        with pytest.raises(ValueError, match=r"invalid literal|not enough values|could not convert"):
            pace.measure(Measured(stdout=half))


def test_this_host_is_measured_by_the_same_work_whatever_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    slowness = MEASURE_HERE()
    assert 0.1 < slowness < 100


# -- a busy host -----------------------------------------------------------------------------------------------

NICE = ("nice", "-n", "19")
"""What is measured is as modest as what it is measured beside, so that it gets its share and no more."""


@contextmanager
def busy_host() -> Iterator[None]:
    """Keep every core busy, by processes that end with this, or by themselves after ten seconds of a core's time."""
    argv = [*NICE, "sh", "-c", "ulimit -t 10; while :; do :; done"]
    count = BURNERS * len(os.sched_getaffinity(0))
    # Each in a session of its own: where the kernel shares by session (autogroup), a group of them would count as one.
    burning = [subprocess.Popen(argv, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


@pytest.mark.timeout(300)  # a second or two; on a host whose every core others keep busy already, a minute
def test_a_busy_host_makes_no_machine_slow_and_waits_longer() -> None:
    quiet = min(pace.measure(Here()).own for _ in range(2))
    with busy_host():
        loaded = pace.measure(Here(before=NICE))
    assert loaded.own < 2 * quiet, "caches and a core's other thread are shared, nothing else"
    assert loaded.now > 1.5 * loaded.own


@pytest.mark.timeout(300)
@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="a kernel that does not count")  # noqa: PTH110
def test_a_process_knows_how_long_it_waited_for_a_processor() -> None:
    ask = "from metallab.run import pace; sum(range(5_000_000)); print(pace.busy())"
    with busy_host():
        loaded = local.run([*NICE, sys.executable, "-c", ask], timeout=50)
    assert float(loaded.stdout) > 1.5
    assert BUSY() >= 1.0
