"""A report as JUnit XML, the form that CI systems know: a suite for each act, a test case for each check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from metallab.proof.records import Check, Evidence, Report, Verdict
from metallab.proof.report.acts import Act, acts
from metallab.proof.report.words import printable, slug

PACKAGE = "metallab"
RULE = "-" * 72


def document(report: Report) -> str:
    """Return the report as JUnit XML in the shape that Jenkins reads.

    What was not run is skipped; when the report requires it, it is an error: a proof without it proves nothing.
    """
    suites = [_suite(report, number, act) for number, act in enumerate(acts(report))]
    tests = {name: str(sum(int(suite.attrib[name]) for suite in suites)) for name in ("tests", "failures", "errors")}
    name = f"{PACKAGE} {report.lab} {report.address}"
    root = _element("testsuites", name=name, **tests, time=_seconds(report.seconds))
    root.extend(suites)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(report: Report, number: int, act: Act) -> ET.Element:
    required = {check.id for check in report.missing}
    cases = [_case(check, _classname(act), required=check.id in required) for check in act.checks]
    found = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error", "skipped")}
    suite = _element(
        "testsuite",
        name=act.title,
        tests=str(len(cases)),
        failures=str(found["failure"]),
        errors=str(found["error"]),
        skipped=str(found["skipped"]),
        time=_seconds(act.seconds),
        timestamp=report.started,
        hostname=report.lab,
        id=str(number),
    )
    suite.extend(cases)
    return suite


def _case(check: Check, classname: str, *, required: bool) -> ET.Element:
    case = _element("testcase", name=f"{check.id}: {check.claim}", classname=classname, time=_seconds(check.seconds))
    if check.verdict is Verdict.FAIL:
        told = [f"expected: {check.expected}", f"seen: {check.seen}", *_answers(check.evidence)]
        case.append(_element("failure", "\n".join(told), message=check.seen, type="expected-otherwise"))
    if check.verdict is Verdict.NOT_RUN:
        answers = "\n".join(_answers(check.evidence))
        kind = "error" if required else "skipped"
        case.append(_element(kind, answers, message=f"not run, {check.reason}", type="not-run"))
    if check.warning:
        case.append(_element("system-out", f"warning: {check.warning}"))
    return case


def _answers(evidence: Sequence[Evidence]) -> Iterator[str]:
    for item in evidence:
        yield RULE
        yield f"{item.where}$ {item.command}"
        yield "no exit status" if item.rc is None else f"exit status {item.rc}"
        yield from (text.rstrip("\n") for text in (item.stdout, item.stderr) if text)


def _classname(act: Act) -> str:
    return f"{PACKAGE}.{slug(act.title)}"


def _element(tag: str, text: str = "", /, **attributes: str) -> ET.Element:
    made = ET.Element(tag, {name: printable(value) for name, value in attributes.items()})
    made.text = printable(text) or None
    return made


def _seconds(value: float) -> str:
    return f"{value:.3f}"
