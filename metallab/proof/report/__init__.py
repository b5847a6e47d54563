"""The report of a proof for those who were not there: JSON for programs, JUnit XML for CI, one HTML page for people.

The record is all they are made from, so a report kept as JSON can be drawn again at any time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metallab.proof import document
from metallab.proof.records import Report
from metallab.proof.report import junit

MODE = 0o644
"""Whoever may read the folder may read the report: there is no secret in it."""


@dataclass(frozen=True)
class Written:
    """Where a report was written to."""

    json: Path
    junit: Path
    html: Path


def write(report: Report, folder: Path) -> Written:
    """Write ``report.json``, ``report.xml`` and ``report.html`` into the folder, each whole or not at all."""
    from metallab.proof.report import html  # noqa: PLC0415 - jinja2, which all other commands would pay for

    return put(folder, document.to_json(report), lambda: junit.document(report), lambda: html.page(report))


def put(folder: Path, plain: str, as_junit: Callable[[], str], as_html: Callable[[], str]) -> Written:
    """Write the three forms of a report; the JSON first, from which the other two can be made again."""
    folder.mkdir(parents=True, exist_ok=True)
    written = Written(folder / "report.json", folder / "report.xml", folder / "report.html")
    _put(written.json, plain + "\n")
    _put(written.junit, as_junit())
    _put(written.html, as_html())
    return written


def prune(home: Path, keep: int) -> None:
    """Remove the oldest reports of a folder, so that ``keep`` are left; what is no report of ours stays."""
    reports = sorted(folder for folder in home.iterdir() if (folder / "report.json").is_file())
    for folder in reports[: max(0, len(reports) - keep)]:
        shutil.rmtree(folder)


def _put(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    # JSON writes a lone surrogate the same way; the other two have none.
    draft.write_bytes(text.encode("utf-8", "backslashreplace"))
    draft.chmod(MODE)
    draft.replace(path)
