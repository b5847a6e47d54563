"""A report as a JSON document, its JSON Schema, and the way back; pydantic reads both off the records."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from metallab import errors
from metallab.errors import LabError
from metallab.proof.records import Report, Verdict

SCHEMA = "metallab.report/2"
"""Changes when a reader of the old form could misread the new one."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SHOWN = 5
"""So many problems of a document are told."""
SUMMARY: Mapping[str, Any] = {
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
"""What a document tells first, for those who only want to know how it ended, and the schema of each."""
T = TypeVar("T")


class Form(Generic[T]):
    """A kind of document: its name, the record it holds, what it is in words, and the proof that it is the sum of.

    ``label`` begins the words of an error.
    """

    def __init__(self, name: str, record: type[T], words: str, label: str, proof: Callable[[T], Report]) -> None:
        self.name = name
        self._record, self._words, self._label, self._proof = record, words, label, proof

    @functools.cached_property
    def _adapter(self) -> TypeAdapter[T]:
        return TypeAdapter(self._record)

    def to_dict(self, record: T) -> dict[str, Any]:
        """Return a record as plain values: the summary, then all of it."""
        plain: dict[str, Any] = self._adapter.dump_python(record, mode="json")
        return {"schema": self.name, **_summary(self._proof(record)), **plain}

    def to_json(self, record: T) -> str:
        """Return a record as text of JSON."""
        return json.dumps(self.to_dict(record), indent=2, ensure_ascii=False)

    def from_json(self, text: str) -> T:
        """Read a record back. Raises LAB-PRF-001 naming the path of what is missing or odd."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise LabError(errors.PROOF_UNREADABLE, f"{self._label}: not JSON: {error}") from error
        if not isinstance(document, dict) or document.get("schema") != self.name:
            raise LabError(errors.PROOF_UNREADABLE, f"{self._label}: schema should be {self.name}")
        fields = {name: value for name, value in document.items() if name not in ("schema", *SUMMARY)}
        try:
            return self._adapter.validate_json(json.dumps(fields), strict=True)
        except ValidationError as error:
            told = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:SHOWN]]
            raise LabError(errors.PROOF_UNREADABLE, f"{self._label}: {'; '.join(told)}") from error

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the document; ``docs/`` holds it for those without the code."""
        made = self._adapter.json_schema(mode="serialization")
        # pydantic calls optional whatever has a default; the document always has all of it, and nothing else.
        for item in (made, *made["$defs"].values()):
            if "properties" in item:
                item["required"] = list(item["properties"])
                item["additionalProperties"] = False
        made["properties"] = {"schema": {"const": self.name}, **SUMMARY, **made["properties"]}
        made["required"] = list(made["properties"])
        return {**made, "$schema": DIALECT, "title": self.name, "description": self._words}


PROOF: Form[Report] = Form(SCHEMA, Report, "What ./inv verify found.", "report", lambda report: report)


def to_dict(report: Report) -> dict[str, Any]:
    """Return a report as plain values: a summary for those who only want to know how it ended, then all of it."""
    return PROOF.to_dict(report)


def to_json(report: Report) -> str:
    """Return a report as text of JSON."""
    return PROOF.to_json(report)


def from_json(text: str) -> Report:
    """Read a report back. Raises LAB-PRF-001 naming the path of what is missing or odd."""
    return PROOF.from_json(text)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a report; ``docs/report.schema.json`` holds it."""
    return PROOF.schema()


def _summary(report: Report) -> dict[str, Any]:
    counts = {verdict.value: report.count(verdict) for verdict in Verdict}
    values = (int(report.exit_code), counts, list(report.warnings), report.least)
    return dict(zip(SUMMARY, values, strict=True))
