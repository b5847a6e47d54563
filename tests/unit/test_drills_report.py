"""The report of a drill: the same in JSON, as JUnit, as a page and on the terminal, drawn from its record alone."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from metallab import errors, paths
from metallab.drills import report, summary, table
from metallab.drills.records import Floor
from metallab.drills.timeline import KINDS, ArpClaim
from metallab.errors import ExitCode, LabError
from tests.unit.drill_samples import MADE, SAMPLES, B, sample, view

SCHEMA = paths.repo_root() / "docs" / "drill.schema.json"
REFRESH = (
    "refresh it: .venv/bin/python -c "
    "'import json; from metallab.drills import report; print(json.dumps(report.FORM.schema(), indent=2))'"
    " > docs/drill.schema.json"
)


def test_a_run_is_worked_out_of_what_was_watched() -> None:
    (run,) = sample(5.4).runs
    assert {one.kind: one.seconds for one in run.outages} == dict.fromkeys(KINDS, 5.4)
    assert (run.undone, run.ended, run.after) == (10.0, 12.0, ())
    assert run.phases is not None
    assert (run.phases.noticed, run.phases.detected, run.phases.client) == (0.2, 5.5, 0.1)
    assert [(one.owner, one.first) for one in run.claimed] == [("worker-1", 5.5), ("worker-2", 10.5)]
    assert [curve.kind for curve in run.curves] == list(KINDS)


def test_an_outage_that_comes_with_the_undoing_is_told_apart() -> None:
    before = view(0.5)
    late = tuple(
        dataclasses.replace(one, how="refused") if 10.5 <= one.began - MADE < 10.7 else one for one in before.probes
    )
    run = summary.run(1, dataclasses.replace(before, probes=late))
    assert {(one.began, one.ended) for one in run.after} == {(10.5, 10.7)}
    assert {one.seconds for one in run.outages} == {0.5}


def test_who_claims_the_address_after_the_undoing_did_not_take_it_over() -> None:
    late = (ArpClaim(MADE + 10.5, B, gratuitous=True),)
    run = summary.run(1, dataclasses.replace(view(None), arp=late))
    assert run.phases is not None
    assert (run.phases.detected, run.phases.client) == (None, None)
    assert [one.owner for one in run.claimed] == ["worker-1"]


def test_figures_are_of_the_runs_that_ended_by_themselves() -> None:
    figure = next(one for one in sample(5.4, 6.0, None, 5.5).figures if one.kind == "tcp")
    assert (figure.runs, figure.lasting, figure.median, figure.p95) == (4, 1, 5.5, 6.0)
    figure = sample(None).figures[0]
    assert (figure.lasting, figure.median, figure.p95) == (1, None, None)
    assert summary.figures(()) == ()


@pytest.mark.parametrize("name", SAMPLES)
def test_json_is_read_back_as_it_was_and_keeps_to_its_schema(name: str) -> None:
    text = report.FORM.to_json(SAMPLES[name])
    assert report.FORM.from_json(text) == SAMPLES[name]
    jsonschema.Draft202012Validator(report.FORM.schema()).validate(json.loads(text))
    assert json.loads(text)["schema"] == report.SCHEMA


def test_a_document_of_another_kind_is_refused() -> None:
    plain = report.FORM.to_dict(SAMPLES["as expected"]) | {"schema": "metallab.report/2"}
    with pytest.raises(LabError) as caught:
        report.FORM.from_json(json.dumps(plain))
    assert caught.value.entry is errors.PROOF_UNREADABLE
    assert caught.value.what == f"drill report: schema should be {report.SCHEMA}"


def test_the_schema_in_the_docs_is_the_code_s() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json.dumps(report.FORM.schema(), indent=2) + "\n", REFRESH


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("as expected", ExitCode.OK, "As expected, and the lab works again: 9 of 9 checks passed in 42 s."),
        ("until undone", ExitCode.OK, "As expected, and the lab works again: 3 of 3 checks passed in 42 s."),
        ("failed", ExitCode.CHECK_FAILED, "NOT as expected: 0 of 3 checks passed in 42 s."),
        ("not run", ExitCode.NOTHING_TESTED, "announcer-off was not run, because there is no other node."),
    ],
)
def test_exit_codes_and_the_last_sentence(name: str, code: ExitCode, words: str) -> None:
    assert SAMPLES[name].exit_code is code
    assert table.closing(SAMPLES[name]) == words
    assert table.text(SAMPLES[name])[-1] == words


def test_the_tables_of_the_terminal() -> None:
    shown = sample(5.4, None)
    assert table.runs(shown) == [
        ("1", "5.40 s", "5.40 s", "5.40 s", "5.40 s", "0.20 s", "5.50 s", "0.10 s"),
        ("2", *["from 0.20 s on"] * 4, "0.20 s", "5.50 s", ""),
    ]
    assert table.figures(shown)[0] == ("TCP", "5.40 s", "5.40 s", "1 of 2")
    assert table.floor(Floor("LAN", 3, 5.0, 7.0)) in table.text(shown)


@pytest.mark.parametrize("name", SAMPLES)
def test_three_files_in_the_forms_of_every_report(name: str, tmp_path: Path) -> None:
    written = report.write(SAMPLES[name], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json", "report.xml"]
    root = ET.fromstring(written.junit.read_text(encoding="utf-8"))  # noqa: S314 - written a moment ago
    assert root.tag == "testsuites"
    assert int(root.attrib["tests"]) == len(SAMPLES[name].proof.checks)
    page = written.html.read_text(encoding="utf-8")
    # Everything is in the page, and nothing that programs said is markup in it.
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert "<script" not in page
    assert "<b>thing</b>" not in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert sorted(set(ids)) == sorted(ids)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert page.count('class="run-0"') == 2 * len(SAMPLES[name].runs)


def test_what_the_observer_said_is_kept_as_evidence() -> None:
    kept = summary.observed(view(5.4), "perl - <observer.pl", "client")
    assert (kept.where, kept.rc) == ("client", None)
    assert "broken tcp      ok 92, timeout 108" in kept.stdout
    assert f"arp   +5.500 s  {B} worker-1 gratuitous" in kept.stdout
