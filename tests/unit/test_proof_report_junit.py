"""JUnit XML: what CI systems count, and that no output of any program can break it."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab.proof.records import Check, Evidence, Report, Verdict
from metallab.proof.report import junit
from tests.unit import report_samples
from tests.unit.report_samples import ALL, one

OUTCOMES = ("failure", "error", "skipped")
SHAPE = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "id"},
        {"testcase"},
    ),
    "testcase": ({"name", "classname", "time"}, {*OUTCOMES, "system-out"}),
    "failure": ({"message", "type"}, set[str]()),
    "error": ({"message", "type"}, set[str]()),
    "skipped": ({"message", "type"}, set[str]()),
    "system-out": (set[str](), set[str]()),
}
"""What we use of the shape that Jenkins reads: an element's attributes, all of them there, and its children."""


def read(report: Report) -> ET.Element:
    return ET.fromstring(junit.document(report).encode())  # noqa: S314 - we wrote it a moment ago


def case(root: ET.Element, name: str) -> ET.Element:
    return next(item for item in root.iter("testcase") if item.attrib["name"].startswith(f"{name}: "))


@pytest.mark.parametrize("name", ALL)
def test_the_shape_is_the_one_jenkins_reads(name: str) -> None:
    root = read(ALL[name]())
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = SHAPE[element.tag]
        assert set(element.attrib) == attributes
        assert {child.tag for child in element} <= children
        for number in {"time", "tests", "failures", "errors", "skipped", "id"} & attributes:
            assert float(element.attrib[number]) >= 0


@pytest.mark.parametrize("name", ALL)
def test_every_check_is_a_case_and_the_sums_are_right(name: str) -> None:
    report = ALL[name]()
    root = read(report)
    assert len(root.findall("testsuite/testcase")) == len(report.checks) == int(root.attrib["tests"])
    assert len(root.findall(".//failure")) == report.count(Verdict.FAIL) == int(root.attrib["failures"])
    assert len(root.findall(".//error")) == len(report.missing) == int(root.attrib["errors"])
    for suite in root:
        cases = suite.findall("testcase")
        assert len(cases) == int(suite.attrib["tests"])
        for kind, key in zip(OUTCOMES, ("failures", "errors", "skipped"), strict=True):
            assert len(suite.findall(f"testcase/{kind}")) == int(suite.attrib[key])


def test_a_suite_for_each_act_in_its_order() -> None:
    root = read(report_samples.passing())
    assert [suite.attrib["name"] for suite in root][:3] == ["A1 everything in place", "Quality", "Source addresses"]
    assert case(root, "tcp").attrib == {
        "name": "tcp: TCP arrives through it",
        "classname": "metallab.a1-everything-in-place",
        "time": "3.626",
    }


def test_a_failure_tells_all_there_is_to_know() -> None:
    failure = case(read(report_samples.failing()), "one-mac").find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "02:42:c0:a8:60:0c = worker-2; 02:42:c0:a8:60:42 = no node of this lab"
    text = failure.text or ""
    assert text.startswith("expected: one MAC, that of a node\nseen: 02:42:c0:a8:60:0c")
    assert "client$ arping -b -c 3 -w 4 -I eth1 192.168.96.70\nexit status 0\nARPING 192.168.96.70" in text


def test_what_was_not_run_is_skipped_or_an_error_when_it_had_to_be() -> None:
    root = read(report_samples.warned())
    skipped = case(root, "source-local").find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"] == "not run, because the server runs on the announcer"
    error = case(read(report_samples.failing()), "no-udp").find("error")
    assert error is not None
    assert error.attrib["message"] == "not run, because again-tcp did not pass"


def test_a_warning_stands_beside_a_pass() -> None:
    item = case(read(report_samples.warned()), "announcer")
    assert [child.tag for child in item] == ["system-out"]
    assert (item.findtext("system-out") or "").startswith("warning: worker-2 announces")


@given(st.text(st.characters(codec=None, categories=None)))
def test_no_text_breaks_it(text: str) -> None:
    evidence = Evidence(text, text, 1, text, text, 1.0)
    checks = tuple(
        Check(text, text, verdict, text, text, text, text, text, 1.0, (evidence,))
        for verdict in (Verdict.FAIL, Verdict.NOT_RUN, Verdict.PASS)
    )
    root = read(Report(text, text, text, 1.0, checks=checks))
    assert len(root.findall("testsuite/testcase")) == 3


def test_readable_text_comes_back_word_for_word() -> None:
    words = "Grüße, 世界, 🙂 <b>&amp;</b> ]]> \t\n two\n"
    report = report_samples.passing()
    check = dataclasses.replace(one(report, "tcp"), verdict=Verdict.FAIL, expected=words)
    failure = case(read(report_samples.changed(report, tcp=check)), "tcp").find("failure")
    assert failure is not None
    assert f"expected: {words}" in (failure.text or "")
