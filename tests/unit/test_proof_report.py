"""A report on disk: three files, whole or not at all, and a schema that says what the JSON holds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest

from metallab import paths
from metallab.proof import document, units
from metallab.proof.report import html, junit, words, write
from tests.unit import report_samples
from tests.unit.report_samples import ALL

SCHEMA = paths.repo_root() / "docs" / "report.schema.json"
REFRESH = (
    "refresh it: .venv/bin/python -c "
    "'import json; from metallab.proof import document; print(json.dumps(document.schema(), indent=2))'"
    " > docs/report.schema.json"
)


def test_three_files_for_everybody_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    written = write(report_samples.passing(), folder)
    assert sorted(folder.iterdir()) == sorted(dataclasses.astuple(written))
    assert [path.name for path in (written.json, written.junit, written.html)] == [
        "report.json",
        "report.xml",
        "report.html",
    ]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert document.from_json(written.json.read_text(encoding="utf-8")) == report_samples.passing()
    assert written.junit.read_text(encoding="utf-8") == junit.document(report_samples.passing())
    assert written.html.read_text(encoding="utf-8") == html.page(report_samples.passing())


def test_an_older_report_stays_whole_until_the_new_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(report_samples.passing(), tmp_path)
    before = (tmp_path / "report.html").read_bytes()

    def broken(_path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", broken)
    with pytest.raises(OSError, match="No space"):
        write(report_samples.failing(), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before


def test_half_a_character_breaks_no_file(tmp_path: Path) -> None:
    report = dataclasses.replace(report_samples.nothing(), lab="half \ud83d")
    written = write(report, tmp_path)
    assert json.loads(written.json.read_text(encoding="utf-8"))["lab"] == "half \ud83d"
    assert "half ‹U+D83D›" in written.html.read_text(encoding="utf-8")  # noqa: RUF001


def test_the_schema_in_docs_is_the_one_in_use() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json.dumps(document.schema(), indent=2) + "\n", REFRESH


@pytest.mark.parametrize("name", ALL)
def test_the_schema_likes_every_report(name: str) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(document.to_json(ALL[name]())))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plain: plain.pop("lab"),
        lambda plain: plain.update(schema="metallab.report/1"),
        lambda plain: plain.update(exit_code=4),
        lambda plain: plain["checks"][0].update(verdict="perhaps"),
        lambda plain: plain["checks"][0].pop("claim"),
    ],
)
def test_the_schema_refuses_what_is_no_report(spoil: object) -> None:
    plain = json.loads(document.to_json(report_samples.passing()))
    assert callable(spoil)
    spoil(plain)
    assert not jsonschema.Draft202012Validator(document.schema()).is_valid(plain)


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        (0, "0 bit/s"),
        (999, "999 bit/s"),
        (999.9, "1.00 kbit/s"),
        (1_048_576, "1.05 Mbit/s"),
        (999_960_000, "1.00 Gbit/s"),
        (9_996_000_000, "10.0 Gbit/s"),
        (123_456_000_000, "123 Gbit/s"),
    ],
)
def test_rates(bits: float, said: str) -> None:
    assert units.rate(bits) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (118.4, "1 min 58 s")]
)
def test_durations(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("started", "said"),
    [
        ("2026-11-23T10:00:00+00:00", "2026-11-23 10:00:00 UTC"),
        ("2026-11-23T12:00:00+02:00", "2026-11-23 10:00:00 UTC"),
        ("yesterday", "yesterday"),
        ("2026-11-23T12:00:00", "2026-11-23T12:00:00"),
    ],
)
def test_moments(started: str, said: str) -> None:
    assert words.moment(started) == said
