from __future__ import annotations

import json
from pathlib import Path

from metallab import console
from metallab.proof import table
from metallab.proof.records import Check, Evidence, Report, Verdict, from_json

DATA = Path(__file__).parent.parent / "data" / "proof"


def sample(name: str) -> Report:
    return from_json((DATA / name).read_text(encoding="utf-8"))


def drawn(report: Report, width: int) -> str:
    grid = console.table_text(table.title(report), table.COLUMNS, table.rows(report), width)
    return "\n".join([grid, "", *table.text(report)]) + "\n"


def test_a_good_report_at_80_columns() -> None:
    assert drawn(sample("report-passed.json"), 80) == (DATA / "report-passed.80.txt").read_text(encoding="utf-8")


def test_a_failed_report_says_expected_and_seen() -> None:
    assert drawn(sample("report-failed.json"), 80) == (DATA / "report-failed.80.txt").read_text(encoding="utf-8")


def test_the_table_is_never_wider_than_asked() -> None:
    for width in (60, 80, 120):
        grid = console.table_text("", table.COLUMNS, table.rows(sample("report-passed.json")), width)
        assert max(len(line) for line in grid.splitlines()) <= width


def test_nothing_tested_is_said_plainly() -> None:
    report = Report("metallab", "192.168.96.70", "", 1.0, {}, (Check("tcp", "TCP", Verdict.NOT_RUN, reason="because"),))
    assert table.title(report) == "lab metallab, 192.168.96.70"
    assert table.rows(report) == [("–", "tcp", "TCP", "because")]  # noqa: RUF001
    assert table.text(report) == ["Nothing could be tested: 1 checks not run."]


def test_an_empty_report_proves_nothing() -> None:
    assert table.closing(Report("metallab", "192.168.96.70", "", 0.0)) == ["Nothing could be tested: 0 checks not run."]


def test_a_failure_names_the_commands_to_repeat() -> None:
    evidence = (Evidence("iperf3 -u -c 192.168.96.70", "client", 0, "", "", 1.0),)
    check = Check("no-tcp-no-udp", "it fails", Verdict.FAIL, "an error", "it works", evidence=evidence)
    assert table.failures([check]) == [
        "✗ no-tcp-no-udp: it fails",
        "  expected: an error",
        "  seen:     it works",
        "  client: iperf3 -u -c 192.168.96.70",
    ]


def test_the_samples_are_whole_reports() -> None:
    for name in ("report-passed.json", "report-failed.json"):
        document = json.loads((DATA / name).read_text(encoding="utf-8"))
        assert len(document["checks"]) == 8
