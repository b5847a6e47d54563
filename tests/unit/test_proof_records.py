from __future__ import annotations

from typing import Any

import pytest

from metallab.errors import ExitCode
from metallab.proof.records import Check, Evidence, Report, Verdict
from metallab.run.result import Result

PASS, FAIL, NOT_RUN = Verdict.PASS, Verdict.FAIL, Verdict.NOT_RUN


def report(*verdicts: Verdict, required: tuple[str, ...] = ("c0", "c1"), **first: Any) -> Report:
    checks = tuple(
        Check(f"c{number}", "a claim", verdict, reason="because", **(first if number == 0 else {}))
        for number, verdict in enumerate(verdicts)
    )
    return Report("metallab", "192.168.96.70", "2026-11-23T10:00:00+00:00", 25.0, checks=checks, required=required)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((PASS, PASS), ExitCode.OK),
        ((PASS, FAIL), ExitCode.CHECK_FAILED),
        ((PASS, NOT_RUN), ExitCode.CHECK_FAILED),
        ((FAIL, NOT_RUN), ExitCode.CHECK_FAILED),
        ((FAIL, FAIL), ExitCode.CHECK_FAILED),
        ((NOT_RUN, NOT_RUN), ExitCode.NOTHING_TESTED),
        ((), ExitCode.NOTHING_TESTED),
        # c2 is not required: that it fails counts, that it was not run is only worth a warning.
        ((PASS, PASS, PASS), ExitCode.OK),
        ((PASS, PASS, FAIL), ExitCode.CHECK_FAILED),
        ((PASS, PASS, NOT_RUN), ExitCode.WARNINGS),
        ((PASS, NOT_RUN, NOT_RUN), ExitCode.CHECK_FAILED),
        ((NOT_RUN, NOT_RUN, FAIL), ExitCode.CHECK_FAILED),
    ],
)
def test_exit_codes(verdicts: tuple[Verdict, ...], code: ExitCode) -> None:
    assert report(*verdicts).exit_code == code


@pytest.mark.parametrize(
    ("verdict", "code"), [(PASS, ExitCode.WARNINGS), (FAIL, ExitCode.CHECK_FAILED), (NOT_RUN, ExitCode.CHECK_FAILED)]
)
def test_a_warning_changes_the_end_of_what_passed_and_of_nothing_else(verdict: Verdict, code: ExitCode) -> None:
    assert report(verdict, PASS, warning="12.1% lost").exit_code == code


def test_warnings_are_those_of_checks_and_what_nobody_required_and_was_not_run() -> None:
    made = report(PASS, NOT_RUN, NOT_RUN, warning="12.1% lost")
    assert made.warnings == ("c0: 12.1% lost", "c2 was not run because")
    assert [check.id for check in made.missing] == ["c1"]


def test_what_is_required_and_failed_is_not_missing() -> None:
    assert report(FAIL, PASS).missing == ()


def test_the_least_time_is_the_sum_over_all_evidence() -> None:
    evidence = tuple(Evidence("x", "client", 0, "", "", seconds, least) for seconds, least in ((3.2, 3.0), (0.4, 0.0)))
    assert report(PASS, PASS, evidence=(*evidence, *evidence)).least == 6.0
    assert report(PASS).least == 0.0


def test_evidence_keeps_what_a_command_said() -> None:
    result = Result(("iperf3", "-c", "a b"), 1, "out", "err", 2.5, "client")
    assert Evidence.of(result) == Evidence("iperf3 -c 'a b'", "client", 1, "out", "err", 2.5, 0.0)


@pytest.mark.parametrize(("took", "least", "kept"), [(3.2, 3.0, 3.0), (0.1234, 3.0, 0.123), (2.0, 0.0, 0.0)])
def test_no_run_had_to_take_longer_than_it_took(took: float, least: float, kept: float) -> None:
    """A run that ended early, because of an error, did not have to take its time."""
    assert Evidence.of(Result(("iperf3",), 1, "", "", took), least).least == kept
