"""A report as a JSON document, its JSON Schema, and the way back; pydantic reads both off the records."""

from __future__ import annotations

import functools
import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from metallab import errors
from metallab.errors import LabError
from metallab.proof.records import Report, Verdict

SCHEMA = "metallab.report/2"
"""Changes when a reader of the old form could misread the new one."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SHOWN = 5
"""So many problems of a document are told."""


def to_dict(report: Report) -> dict[str, Any]:
    """Return a report as plain values: a summary for those who only want to know how it ended, then all of it."""
    plain: dict[str, Any] = _adapter().dump_python(report, mode="json")
    return {"schema": SCHEMA, **_summary(report), **plain}


def to_json(report: Report) -> str:
    """Return a report as text of JSON."""
    return json.dumps(to_dict(report), indent=2, ensure_ascii=False)


def from_json(text: str) -> Report:
    """Read a report back. Raises LAB-PRF-001 naming the path of what is missing or odd."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabError(errors.PROOF_UNREADABLE, f"report: not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise LabError(errors.PROOF_UNREADABLE, f"report: schema should be {SCHEMA}")
    fields = {name: value for name, value in document.items() if name not in ("schema", *_SUMMARY)}
    try:
        return _adapter().validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        told = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:SHOWN]]
        raise LabError(errors.PROOF_UNREADABLE, f"report: {'; '.join(told)}") from error


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document; ``docs/report.schema.json`` holds it for those without the code."""
    made = _adapter().json_schema(mode="serialization")
    # pydantic calls optional whatever has a default; the document always has all of it, and nothing else.
    for item in (made, *made["$defs"].values()):
        if "properties" in item:
            item["required"] = list(item["properties"])
            item["additionalProperties"] = False
    summary = {
        "schema": {"const": SCHEMA},
        "exit_code": {"type": "integer", "minimum": 0, "maximum": 3},
        "counts": {
            "type": "object",
            "properties": {verdict.value: {"type": "integer", "minimum": 0} for verdict in Verdict},
            "required": [verdict.value for verdict in Verdict],
            "additionalProperties": False,
        },
        "warnings": {"type": "array", "items": {"type": "string"}},
        "least": {"type": "number", "minimum": 0},
    }
    made["properties"] = {**summary, **made["properties"]}
    made["required"] = list(made["properties"])
    return {**made, "$schema": DIALECT, "title": SCHEMA, "description": "What ./inv verify found."}


_SUMMARY = ("exit_code", "counts", "warnings", "least")


def _summary(report: Report) -> dict[str, Any]:
    counts = {verdict.value: report.count(verdict) for verdict in Verdict}
    values = (int(report.exit_code), counts, list(report.warnings), report.least)
    return dict(zip(_SUMMARY, values, strict=True))


@functools.cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)
