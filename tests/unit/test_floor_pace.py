"""One number for how slow the machines are, and the waits that grow with it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab import errors
from metallab.run import local, pace
from metallab.run.result import Argv, CommandFailed, OnLine, Result
from metallab.run.wait import NotYet, WaitTimedOut, until

MEASURE_HERE = pace.measure_here
"""The real one: tests are otherwise told that this host is an ordinary one."""


@dataclass
class Here:
    """This host as a machine."""

    name: str = "here"
    asked: list[tuple[Argv, float]] = field(default_factory=list)

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
        return local.run(argv, timeout=timeout, input=input, check=check, on_line=on_line)


MEASURE_HERE = pace.measure_here
"""The real one: tests are otherwise told that this host is an ordinary one."""


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
    assert pace.measure(machine) > 0
    # Once more where this host is busy: the first measurement was doubtful then.
    assert len(machine.asked) in (1, 2)
    assert all(list(argv) == ["sh", "-c", pace.WORK] for argv, _timeout in machine.asked)
    assert {timeout for _argv, timeout in machine.asked} == {pace.WORK_SECONDS}


@pytest.mark.parametrize(("microseconds", "factor"), [("100000\n", 1.0), ("57321\n", 0.57), ("1234567\n", 12.35)])
def test_a_measurement_is_a_multiple_of_an_ordinary_machine_s(microseconds: str, factor: float) -> None:
    assert pace.measure(Measured(stdout=microseconds)) == factor


def test_a_machine_that_cannot_be_measured_is_not_taken_for_a_fast_one() -> None:
    with pytest.raises(CommandFailed):
        pace.measure(Measured(rc=127))
    with pytest.raises(ValueError, match="invalid literal"):
        pace.measure(Measured(stdout=""))


def test_this_host_is_measured_by_the_same_work_whatever_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    slowness = MEASURE_HERE()
    assert 0.1 < slowness < 100
