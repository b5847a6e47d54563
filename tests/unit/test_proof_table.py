from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metallab import console
from metallab.proof import acts, table
from metallab.proof.document import from_json
from metallab.proof.records import Check, Evidence, Report, Verdict

DATA = Path(__file__).parent.parent / "data" / "proof"
SAMPLES = ("report-passed", "report-failed")
PASS, FAIL, NOT_RUN = Verdict.PASS, Verdict.FAIL, Verdict.NOT_RUN


def sample(name: str) -> Report:
    return from_json((DATA / f"{name}.json").read_text(encoding="utf-8"))


def drawn(report: Report, width: int) -> str:
    grid = console.table_text(table.title(report), table.COLUMNS, table.rows(report), width)
    return "\n".join([grid, "", *table.text(report)]) + "\n"


def report(*checks: Check, **how: Any) -> Report:
    return Report("metallab", "192.168.96.70", "", 61.7, checks=checks, **how)


def check(name: str, verdict: Verdict = PASS, act: str = "A1", **how: Any) -> Check:
    seen = "" if verdict is NOT_RUN else "it is so"
    return Check(name, f"claim of {name}", verdict, act, "this", seen, "because" * (verdict is NOT_RUN), **how)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_lab_s_own_report_at_80_columns(name: str) -> None:
    assert drawn(sample(name), 80) == (DATA / f"{name}.80.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_are_whole_reports(name: str) -> None:
    document = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    assert [each["id"] for each in document["checks"]] == list(acts.ids())


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", SAMPLES)
def test_the_table_is_never_wider_than_asked(name: str, width: int) -> None:
    grid = console.table_text("", table.COLUMNS, table.rows(sample(name)), width)
    assert max(len(line) for line in grid.splitlines()) <= width


def test_each_act_has_a_line_of_its_own_before_its_checks() -> None:
    rows = table.rows(report(check("a"), check("b"), check("c", act="B")))
    assert [[word for word in row if word] for row in rows] == [
        ["A1"],
        ["✓", "a", "claim of a", "it is so"],
        ["✓", "b", "claim of b", "it is so"],
        ["B"],
        ["✓", "c", "claim of c", "it is so"],
    ]


@pytest.mark.parametrize(
    ("verdict", "warning", "mark", "seen"),
    [
        (PASS, "", "✓", "it is so"),
        (PASS, "12.1% lost", "!", "it is so"),
        (FAIL, "", "✗", "it is so"),
        (NOT_RUN, "", "–", "not run, because"),  # noqa: RUF001
    ],
)
def test_a_mark_says_how_it_ended(verdict: Verdict, warning: str, mark: str, seen: str) -> None:
    (row,) = [row for row in table.rows(report(check("a", verdict, warning=warning))) if "a" in row]
    assert (row[0], row[-1]) == (mark, seen)
    assert mark in table.STYLES


def test_the_title_names_the_versions_that_are_known() -> None:
    assert table.title(report()) == "lab metallab, 192.168.96.70"
    versions = {"Kubernetes": "v1.37.2", "MetalLB": "v0.15.2"}
    assert table.title(report(versions=versions)).endswith("(Kubernetes v1.37.2, MetalLB v0.15.2)")


def test_nothing_tested_is_said_plainly() -> None:
    assert (
        table.text(report(check("tcp", NOT_RUN), required=("tcp",)))[-1] == "Nothing could be tested: 1 checks not run."
    )
    assert table.closing(report()) == ["Nothing could be tested: 0 checks not run."]


def test_a_failure_names_the_commands_to_repeat() -> None:
    evidence = (Evidence("iperf3 -u -c 192.168.96.70", "client", 0, "", "", 1.0),)
    failed = Check("no-tcp", "it fails", FAIL, "B", "an error", "it works", evidence=evidence)
    assert table.failures([check("a"), failed, check("c", NOT_RUN)]) == [
        "✗ no-tcp: it fails",
        "  expected: an error",
        "  seen:     it works",
        "  client: iperf3 -u -c 192.168.96.70",
    ]


PROOF = (check("no-tcp"), check("no-udp"))


@pytest.mark.parametrize(
    ("checks", "required", "last"),
    [
        (PROOF, (), "Proven: TCP and UDP share 192.168.96.70, and neither works for the other."),
        (
            (*PROOF, check("udp", warning="12.1% lost")),
            (),
            "Proven, with warnings: TCP and UDP share 192.168.96.70, and neither works for the other.",
        ),
        (
            (*PROOF, check("direct", NOT_RUN)),
            (),
            "Proven, with warnings: TCP and UDP share 192.168.96.70, and neither works for the other.",
        ),
        ((*PROOF, check("direct", NOT_RUN)), ("direct",), "NOT proven."),
        ((*PROOF, check("udp", FAIL)), (), "NOT proven."),
        ((check("no-tcp"),), (), "What was asked for holds; the proof was not asked for as a whole."),
        ((check("no-udp"), check("tcp")), (), "What was asked for holds; the proof was not asked for as a whole."),
        ((check("no-tcp", FAIL),), (), "NOT proven."),
    ],
)
def test_the_last_sentence_claims_no_more_than_was_asked(
    checks: tuple[Check, ...], required: tuple[str, ...], last: str
) -> None:
    assert table.text(report(*checks, required=required))[-1] == last


def test_the_last_sentence_but_one_counts() -> None:
    evidence = (Evidence("iperf3", "client", 0, "", "", 3.2, 3.0),)
    counts = table.closing(report(check("a", evidence=evidence), check("b", FAIL), check("c", NOT_RUN)))[0]
    assert counts == "1 of 3 checks passed, 1 failed, 1 not run in 62 s, of which runs and waits had to take 3."
    assert table.closing(report(check("a")))[0].startswith("1 of 1 checks passed in 62 s")


def test_warnings_and_what_was_not_tested_stand_below_the_table() -> None:
    lines = table.text(report(check("udp", warning="12.1% lost"), not_tested=("Failover.",)))
    assert lines[:4] == ["! udp: 12.1% lost", "", "Not tested in this run:", "  - Failover."]


def test_several_proofs_are_counted_by_check() -> None:
    made = [report(check("a"), check("b")), report(check("a"), check("b", FAIL)), report(check("a", NOT_RUN))]
    assert table.tally(made) == [("a", "2", "0", "1"), ("b", "1", "1", "0")]


def test_the_list_of_checks_is_complete() -> None:
    assert [row[0] for row in table.contents()] == list(acts.ids())
    assert all(all(row) for row in table.contents())
