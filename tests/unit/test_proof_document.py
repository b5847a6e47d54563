from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab.errors import ExitCode, LabError
from metallab.proof import document
from metallab.proof.document import from_json, schema, to_dict, to_json
from metallab.proof.records import Check, Evidence, Flow, Interval, Picture, Place, Report, Verdict

DATA = Path(__file__).parent.parent / "data" / "proof"
SAMPLES = ("report-passed.json", "report-failed.json")
VALIDATOR = jsonschema.Draft202012Validator(schema())

texts = st.text(max_size=20)
numbers = st.floats(min_value=0, max_value=1e15)
counts = st.integers(0, 2**53)


def many(each: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(each, max_size=most).map(tuple)


intervals = st.builds(Interval, numbers, numbers, numbers)
flows = st.builds(
    Flow,
    texts,
    st.sampled_from(["TCP", "UDP"]),
    texts,
    numbers,
    numbers,
    many(intervals),
    retransmits=st.none() | counts,
    offered_bits_per_second=st.none() | numbers,
    sent=st.none() | counts,
    lost=st.none() | counts,
    jitter_ms=st.none() | numbers,
)
evidences = st.builds(Evidence, texts, texts, st.none() | st.integers(-64, 255), texts, texts, numbers, numbers)
checks = st.builds(
    Check,
    texts,
    texts,
    st.sampled_from(Verdict),
    act=texts,
    expected=texts,
    seen=texts,
    reason=texts,
    warning=texts,
    seconds=numbers,
    evidence=many(evidences),
    flows=many(flows),
)
places = st.builds(Place, texts, texts, texts, texts, st.booleans(), st.booleans(), st.booleans())
reports = st.builds(
    Report,
    texts,
    texts,
    texts,
    numbers,
    provider=texts,
    versions=st.dictionaries(texts, texts, max_size=2),
    picture=st.builds(Picture, texts, texts, many(places)),
    checks=many(checks, 3),
    required=many(texts),
    not_tested=many(texts),
)


def good(**how: Any) -> Report:
    evidence = Evidence("iperf3 -u -c 192.168.96.70", "client", 1, "", "iperf3: error - …\n", 3.1, 3.0)
    flow = Flow("TCP", "TCP", "192.168.96.70:5201", 3.0, 1e9, (Interval(0.0, 1.0, 1e9),), retransmits=2)
    check = Check("tcp", "TCP arrives", Verdict.PASS, "A1", "this", "that", evidence=(evidence,), flows=(flow,), **how)
    picture = Picture("192.168.96.0/24", "192.168.96.64-192.168.96.95", (Place("worker-1", "worker", "192.168.96.11"),))
    started = "2026-11-23T10:00:00+00:00"
    return Report("metallab", "192.168.96.70", started, 25.0, "docker", {"MetalLB": "v0.15.2"}, picture, (check,))


def as_json(made: Report) -> Any:
    return json.loads(to_json(made))


@given(reports)
def test_every_report_survives_json(made: Report) -> None:
    assert from_json(to_json(made)) == made


@given(reports)
def test_every_report_keeps_to_the_schema(made: Report) -> None:
    VALIDATOR.validate(as_json(made))


def test_the_schema_is_itself_a_schema_and_says_what_it_is_of() -> None:
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    assert made["$schema"] == document.DIALECT
    assert (made["title"], made["description"]) == (document.SCHEMA, "What ./inv verify found.")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_lab_s_own_report_keeps_to_the_schema_and_comes_back_as_it_was(name: str) -> None:
    text = (DATA / name).read_text(encoding="utf-8")
    VALIDATOR.validate(json.loads(text))
    assert as_json(from_json(text)) == json.loads(text)


@pytest.mark.parametrize("field", sorted(schema()["properties"]))
def test_the_schema_misses_every_field_that_is_left_out(field: str) -> None:
    made = as_json(good())
    del made[field]
    with pytest.raises(jsonschema.ValidationError, match=f"'{field}' is a required property"):
        VALIDATOR.validate(made)


@pytest.mark.parametrize(
    ("path", "odd"),
    [
        (("exit_code",), 4),
        (("exit_code",), "0"),
        (("counts", "pass"), -1),
        (("counts", "maybe"), 1),
        (("checks", 0, "verdict"), "maybe"),
        (("checks", 0, "evidence", 0, "rc"), "1"),
        (("checks", 0, "flows", 0, "intervals", 0, "end"), None),
        (("versions", "MetalLB"), 15),
        (("picture", "places", 0, "announces"), "yes"),
        (("schema",), "metallab.report/1"),
    ],
)
def test_the_schema_refuses_what_is_odd(path: tuple[Any, ...], odd: object) -> None:
    made = as_json(good())
    VALIDATOR.validate(made)
    holder = made
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = odd
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(made)


def test_a_summary_stands_first() -> None:
    found = to_dict(good(warning="12.1% lost"))
    assert list(found)[:5] == ["schema", "exit_code", "counts", "warnings", "least"]
    assert (found["exit_code"], found["counts"]) == (int(ExitCode.WARNINGS), {"pass": 1, "fail": 0, "not-run": 0})
    assert (found["warnings"], found["least"]) == (["tcp: 12.1% lost"], 3.0)


def test_text_of_any_language_is_kept_readable() -> None:
    assert "iperf3: error - …" in to_json(good())


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (("lab",), "report: lab: Field required"),
        (("seconds",), "report: seconds: Field required"),
        (("checks", 0, "id"), "report: checks.0.id: Field required"),
        (("checks", 0, "verdict"), "report: checks.0.verdict: Field required"),
        (("checks", 0, "evidence", 0, "stderr"), "report: checks.0.evidence.0.stderr: Field required"),
        (("checks", 0, "flows", 0, "target"), "report: checks.0.flows.0.target: Field required"),
        (("picture", "network"), "report: picture.network: Field required"),
        (("picture", "places", 0, "role"), "report: picture.places.0.role: Field required"),
    ],
)
def test_what_is_missing_is_named_by_its_path(path: tuple[Any, ...], what: str) -> None:
    made = as_json(good())
    holder = made
    for step in path[:-1]:
        holder = holder[step]
    del holder[path[-1]]
    with pytest.raises(LabError, match="LAB-PRF-001") as caught:
        from_json(json.dumps(made))
    assert caught.value.what == what


@pytest.mark.parametrize(
    ("path", "odd", "what"),
    [
        (("lab",), 1, "report: lab: "),
        (("seconds",), "25", "report: seconds: "),
        (("versions",), [], "report: versions: "),
        (("checks", 0, "verdict"), "maybe", "report: checks.0.verdict: "),
        (("checks", 0, "evidence", 0, "rc"), True, "report: checks.0.evidence.0.rc: "),
        (("checks", 0, "flows", 0, "intervals", 0, "end"), None, "report: checks.0.flows.0.intervals.0.end: "),
        (("picture", "places", 0, "serves"), "yes", "report: picture.places.0.serves: "),
    ],
)
def test_what_is_odd_is_named_by_its_path(path: tuple[Any, ...], odd: object, what: str) -> None:
    made = as_json(good())
    holder = made
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = odd
    with pytest.raises(LabError, match="LAB-PRF-001") as caught:
        from_json(json.dumps(made))
    assert caught.value.what.startswith(what)


def test_several_troubles_are_told_but_not_hundreds() -> None:
    made = as_json(dataclasses.replace(good(), checks=good().checks * 9))
    for check in made["checks"]:
        check["verdict"] = "maybe"
    with pytest.raises(LabError) as caught:
        from_json(json.dumps(made))
    assert caught.value.what.count(".verdict: ") == document.SHOWN


@pytest.mark.parametrize("odd", ["metallab.report/1", 2, None])
def test_another_schema_is_not_read(odd: object) -> None:
    others: list[object] = [{**as_json(good()), "schema": odd}, [], "report", None]
    for made in others:
        with pytest.raises(LabError, match=r"LAB-PRF-001: report: schema should be metallab\.report/2"):
            from_json(json.dumps(made))


@pytest.mark.parametrize("text", ["", "  \n", "{", "not JSON", "1" * 5000, "[" * 100000])
def test_what_is_not_json_is_unreadable(text: str) -> None:
    with pytest.raises(LabError, match=r"LAB-PRF-001: report: not JSON: "):
        from_json(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [field.name for field in dataclasses.fields(Report)]


@given(st.sampled_from(FIELDS), json_values)
def test_any_value_in_any_field_is_a_report_or_an_error(field: str, value: object) -> None:
    check_report_or_error(json.dumps({**as_json(good()), field: value}))


@given(st.sampled_from([field.name for field in dataclasses.fields(Check)]), json_values)
def test_any_value_in_any_field_of_a_check_is_a_report_or_an_error(field: str, value: object) -> None:
    made = as_json(good())
    made["checks"][0][field] = value
    check_report_or_error(json.dumps(made))


def check_report_or_error(text: str) -> None:
    try:
        read = from_json(text)
    except LabError as error:
        assert error.entry.id == "LAB-PRF-001"  # noqa: PT017 - both ends are good, nothing else is
    else:
        assert from_json(to_json(read)) == read
