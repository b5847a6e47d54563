"""The report of a drill, in the forms that a proof's has: JSON for programs, JUnit XML for CI, one page for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from metallab.drills import page
from metallab.drills.base import Drill
from metallab.drills.records import DrillReport
from metallab.proof import report as proofs
from metallab.proof.document import Form
from metallab.proof.report import Written, html, junit

SCHEMA = "metallab.drill/1"
FORM: Form[DrillReport] = Form(
    SCHEMA, DrillReport, "What ./inv drill.run found.", "drill report", lambda report: report.proof
)


def write(report: DrillReport, folder: Path) -> Written:
    """Write ``report.json``, ``report.xml`` and ``report.html`` into the folder, each whole or not at all."""
    return proofs.put(
        folder,
        FORM.to_json(report),
        lambda: junit.document(report.proof),
        lambda: html.render(page.TEMPLATE, view=page.view(report)),
    )


def contents_json(drills: Sequence[Drill]) -> str:
    """Return every drill there is, as a JSON list."""
    listed = [{"drill": drill.id, "fault": drill.fault, "words": drill.words, "shows": drill.shows} for drill in drills]
    return json.dumps(listed, indent=2, ensure_ascii=False)
