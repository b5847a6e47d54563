from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab.errors import ExitCode, LabError
from metallab.proof.records import Check, Evidence, Report, Verdict, from_json, to_dict
from metallab.run.result import Result

EVIDENCE = Evidence("iperf3 -u -c 192.168.96.70", "client", 1, "", "iperf3: error - …\n", 3.1)


def report(*verdicts: Verdict) -> Report:
    checks = tuple(
        Check(f"c{number}", "a claim", verdict, "this", "that", "", 1.5, (EVIDENCE,))
        for number, verdict in enumerate(verdicts)
    )
    return Report("metallab", "192.168.96.70", "2026-11-23T10:00:00+00:00", 25.0, {"MetalLB": "v0.15.2"}, checks)


PASS, FAIL, NOT_RUN = Verdict.PASS, Verdict.FAIL, Verdict.NOT_RUN


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((PASS, PASS), ExitCode.OK),
        ((PASS, FAIL), ExitCode.CHECK_FAILED),
        ((PASS, NOT_RUN), ExitCode.CHECK_FAILED),
        ((FAIL, NOT_RUN), ExitCode.CHECK_FAILED),
        ((NOT_RUN, NOT_RUN), ExitCode.NOTHING_TESTED),
        ((), ExitCode.NOTHING_TESTED),
    ],
)
def test_exit_codes(verdicts: tuple[Verdict, ...], code: ExitCode) -> None:
    assert report(*verdicts).exit_code == code


def test_json_and_back() -> None:
    made = report(PASS, FAIL, NOT_RUN)
    assert from_json(json.dumps(to_dict(made))) == made


texts = st.text(max_size=20)
seconds = st.floats(min_value=0, max_value=1e6)
evidences = st.builds(Evidence, texts, texts, st.none() | st.integers(-1, 255), texts, texts, seconds)
checks = st.builds(
    Check,
    texts,
    texts,
    st.sampled_from(Verdict),
    texts,
    texts,
    texts,
    seconds,
    st.lists(evidences, max_size=2).map(tuple),
)
reports = st.builds(
    Report,
    texts,
    texts,
    texts,
    seconds,
    st.dictionaries(texts, texts, max_size=2),
    st.lists(checks, max_size=3).map(tuple),
)


@given(reports)
def test_every_report_survives_json(made: Report) -> None:
    assert from_json(json.dumps(to_dict(made))) == made


@pytest.mark.parametrize("key", ["lab", "address", "started", "seconds", "versions", "checks", "schema"])
def test_a_missing_key_is_named(key: str) -> None:
    document = to_dict(report(PASS))
    del document[key]
    with pytest.raises(LabError, match=f"LAB-PRF-001: report: {key} is missing"):
        from_json(json.dumps(document))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Evidence)])
def test_a_missing_piece_of_evidence_is_named(field: str) -> None:
    document = to_dict(report(PASS))
    del document["checks"][0]["evidence"][0][field]
    with pytest.raises(LabError) as caught:
        from_json(json.dumps(document))
    assert caught.value.what == f"report: checks[0].evidence[0].{field} is missing"


def test_an_unknown_verdict_or_schema_is_refused() -> None:
    document = to_dict(report(PASS))
    document["checks"][0]["verdict"] = "maybe"
    with pytest.raises(LabError, match=r"checks\[0\].verdict should be one of pass, fail, not-run \(it is 'maybe'\)"):
        from_json(json.dumps(document))
    document["schema"] = "metallab.report/0"
    with pytest.raises(LabError, match=r"schema should be metallab\.report/1"):
        from_json(json.dumps(document))
    document = to_dict(report(PASS)) | {"versions": []}
    with pytest.raises(LabError, match="versions should be an object"):
        from_json(json.dumps(document))


def test_evidence_keeps_what_a_command_said() -> None:
    result = Result(("iperf3", "-c", "a b"), 1, "out", "err", 2.5, "client")
    assert Evidence.of(result) == Evidence("iperf3 -c 'a b'", "client", 1, "out", "err", 2.5)
