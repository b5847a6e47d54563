"""How long a client was without an answer, worked out of what each probe saw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metallab import errors
from metallab.drills import timeline
from metallab.drills.records import Outage, Phases
from metallab.drills.timeline import ArpClaim, Probe
from metallab.errors import LabError

DATA = Path(__file__).parent.parent / "data" / "drills"
CAPTURED = sorted(DATA.glob("*.json"))
A, B = "02:42:c0:a8:60:0c", "02:42:c0:a8:60:0b"


def series(marks: str, kind: str = "tcp", every: float = 0.05, start: float = 0.0) -> list[Probe]:
    """Return probes by their marks: ``+`` was answered, ``x`` ran out of time, ``r`` was refused."""
    how = {"+": "ok", "x": "timeout", "r": "refused"}
    return [Probe(round(start + number * every, 3), kind, how[mark], 0.001) for number, mark in enumerate(marks)]


def test_an_outage_lasts_from_the_first_failure_to_the_first_success_that_lasts() -> None:
    probes = series("+" * 10 + "x" * 20 + "+" * 40)
    assert timeline.outages(probes, "tcp", 0.0, 99.0) == (Outage("tcp", 0.5, 1.5, 20, ("timeout",)),)
    assert timeline.outages(probes, "udp", 0.0, 99.0) == ()


def test_times_count_from_the_fault_and_what_was_before_it_is_not_its_doing() -> None:
    probes = series("x" * 5 + "+" * 35 + "r" * 4 + "+" * 40, start=100.0)
    assert timeline.outages(probes, "tcp", 101.0, 199.0) == (Outage("tcp", 1.0, 1.2, 4, ("refused",)),)


def test_a_success_among_failures_ends_no_outage() -> None:
    probes = series("xxxx" + "+" * 19 + "r" + "+" * 40)
    (found,) = timeline.outages(probes, "tcp", 0.0, 99.0)
    assert (found.began, found.ended, found.failed, found.how) == (0.0, 1.2, 5, ("refused", "timeout"))


def test_two_outages_a_lasting_while_apart_are_two() -> None:
    probes = series("xx" + "+" * 30 + "xxx" + "+" * 30)
    assert [(one.began, one.seconds) for one in timeline.outages(probes, "tcp", 0.0, 99.0)] == [(0.0, 0.1), (1.6, 0.15)]


def test_an_outage_that_has_not_ended_has_no_end() -> None:
    (found,) = timeline.outages(series("++xxxx"), "tcp", 0.0, 99.0)
    assert (found.began, found.ended, found.seconds) == (0.1, None, None)


def test_a_success_right_before_the_end_counts_when_nothing_failed_after_it() -> None:
    (found,) = timeline.outages(series("xxxx++"), "tcp", 0.0, 99.0)
    assert found.seconds == 0.2


def test_an_answer_that_came_after_the_end_ends_no_outage() -> None:
    late = [Probe(0.2, "tcp", "ok", 0.5), Probe(0.25, "tcp", "ok", 0.45)]
    (found,) = timeline.outages([*series("xxxx"), *late], "tcp", 0.0, 0.6)
    assert (found.ended, found.failed) == (None, 4)


def test_what_comes_after_the_end_of_the_watch_does_not_count() -> None:
    assert timeline.outages(series("++++xxxx"), "tcp", 0.0, 0.2) == ()


def test_the_longest_outage_is_one_without_an_end() -> None:
    short, long = Outage("tcp", 0.0, 1.0, 1, ()), Outage("tcp", 2.0, 9.0, 1, ())
    endless = Outage("udp", 5.0, None, 1, ())
    assert timeline.longest([]) is None
    assert timeline.longest([short, long]) is long
    assert timeline.longest([short, endless, long]) is endless


def both(marks: str) -> list[Probe]:
    return [*series(marks), *series(marks, "udp")]


@pytest.mark.parametrize(
    ("marks", "served"),
    [("+" * 40, False), ("+x" + "+" * 20, False), ("+x" + "+" * 28, True), ("x" * 40, False), ("", False)],
    ids=["never failed", "too short", "served", "still failing", "nothing"],
)
def test_a_client_is_served_again_when_it_had_failed_and_succeeds_for_a_while(marks: str, served: bool) -> None:  # noqa: FBT001
    assert timeline.served_since(both(marks), 0.0) is served


def test_a_long_connection_that_failed_must_work_again_too() -> None:
    good = both("x" + "+" * 40)
    assert timeline.served_since([*good, *series("+" * 40, "tcp-long")], 0.0)
    assert not timeline.served_since([*good, *series("+" * 30 + "x" * 10, "tcp-long")], 0.0)


def test_steady_means_answered_without_a_gap_and_for_long_enough() -> None:
    assert timeline.steady(both("+" * 40), 1.5)
    assert timeline.steady(both("x" * 10 + "+" * 40), 1.5)
    assert not timeline.steady(both("+" * 20), 1.5), "only a second was seen"
    assert not timeline.steady(both("+" * 30 + "x" + "+" * 9), 1.5)
    assert not timeline.steady(series("+" * 40), 1.5), "UDP was not asked"


def test_an_outage_is_split_by_the_first_gratuitous_arp_of_another_machine() -> None:
    claims = [ArpClaim(9.0, A, gratuitous=True), ArpClaim(15.5, B, gratuitous=True), ArpClaim(16.6, B, gratuitous=True)]
    outage = Outage("tcp", 0.2, 5.6, 100, ("timeout",))
    assert timeline.phases(outage, claims, 10.0, A) == Phases(0.2, 5.5, 0.1, None)


def test_an_answer_to_a_question_is_no_takeover() -> None:
    claims = [ArpClaim(15.5, B, gratuitous=False), ArpClaim(15.6, A, gratuitous=True)]
    assert timeline.phases(Outage("udp", 0.2, 5.6, 1, ()), claims, 10.0, A) == Phases(0.2, None, None, 5.4)


def test_a_takeover_long_after_the_end_has_not_ended_it() -> None:
    claims = [ArpClaim(30.0, B, gratuitous=True)]
    assert timeline.phases(Outage("udp", 0.2, 5.6, 1, ()), claims, 10.0, A) == Phases(0.2, None, None, 5.4)


def test_of_an_outage_without_an_end_the_client_s_part_is_not_known() -> None:
    claims = [ArpClaim(15.5, B, gratuitous=True)]
    assert timeline.phases(Outage("udp", 0.2, None, 1, ()), claims, 10.0, A) == Phases(0.2, 5.5, None, None)


def test_a_curve_counts_what_was_asked_and_answered_in_each_quarter_of_a_second() -> None:
    bins = timeline.curve(series("+" * 20 + "x" * 5 + "+" * 5), "tcp", 1.0, 99.0)
    assert [(one.start, one.asked, one.answered) for one in bins[4:]] == [(0.0, 5, 0), (0.25, 5, 5)]
    assert bins[0].start == -1.0


@pytest.mark.parametrize(
    ("values", "median", "p95"),
    [
        ([4.5], 4.5, 4.5),
        ([1.0, 2.0], 1.5, 2.0),
        ([3.0, 1.0, 2.0], 2.0, 3.0),
        ([float(number) for number in range(1, 21)], 10.5, 19.0),
        ([float(number) for number in range(1, 101)], 50.5, 95.0),
    ],
)
def test_median_and_p95(values: list[float], median: float, p95: float) -> None:
    assert (timeline.median(values), timeline.p95(values)) == (median, p95)


def test_the_macs_that_claimed_the_address_with_when_they_first_did() -> None:
    claims = [
        ArpClaim(9.0, A, gratuitous=True),
        ArpClaim(10.2, B, gratuitous=True),
        ArpClaim(11.0, B, gratuitous=False),
    ]
    assert timeline.macs(claims, 10.0, 20.0) == {B: 0.2}


@pytest.mark.parametrize(
    "line",
    [
        "probe 1.000000 tcp ok",
        "probe one tcp ok 0.1",
        "probe 1.000000 sctp ok 0.100000",
        "arp what is this",
        "observer: socket: Too many open files",
        "",
    ],
)
def test_a_line_that_is_none_of_the_observer_s_is_an_error(line: str) -> None:
    with pytest.raises(LabError) as caught:
        timeline.parse(["pid 1", line], "192.168.96.70")
    assert caught.value.entry is errors.DRILL_OBSERVER


@pytest.mark.parametrize("file", CAPTURED, ids=lambda file: file.stem)
def test_a_captured_series_gives_the_outages_that_were_measured(file: Path) -> None:
    known = json.loads(file.read_text(encoding="utf-8"))
    probes, arp = timeline.parse(known["lines"], known["address"])
    since, until = known["made"], known["undone"]
    found = {
        kind: [[one.began, one.ended, one.failed] for one in timeline.outages(probes, kind, since, until)]
        for kind in timeline.KINDS
    }
    assert found == known["outages"]
    assert timeline.macs(arp, since, known["ended"]) == known["macs"]


def test_there_are_captured_series() -> None:
    assert len(CAPTURED) >= 3
