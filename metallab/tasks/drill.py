"""``inv drill.…``: break the lab for real, see what a client sees, and have it whole again."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from metallab import console
from metallab.errors import LabError
from metallab.tasks import verify
from metallab.tasks._task import Session, finish, require_output, task

if TYPE_CHECKING:
    from metallab.drills.records import DrillReport


@task(help={"output": "table (default) or json"})
def list(_session: Session, output: str = "table") -> None:  # noqa: A001 - the command's name
    """List the drills: what each breaks, and what it shows. Example: ./inv drill.list."""
    from metallab.drills import registry, report, table

    require_output(output)
    if output == "json":
        console.line(report.contents_json(registry.DRILLS))
        return
    console.table("", table.CONTENTS, table.contents(registry.DRILLS))


@task(
    positional=["name"],
    help={
        "name": "a drill of ./inv drill.list",
        "repeat": "so many times, for median and p95",
        "output": "table (default) or json",
        "report": "folder for report.json, report.xml (JUnit) and report.html",
    },
)
def run(session: Session, name: str, repeat: int = 1, output: str = "table", report: str = "") -> None:
    """Break something, measure what a client sees, undo it, prove recovery. Example: ./inv drill.run announcer-off."""
    from metallab import bundle as bundles
    from metallab import collect, lock, steps
    from metallab.drills import play, registry
    from metallab.drills import report as reports
    from metallab.site import existing

    require_output(output)
    verify.require_repeat(repeat)
    drill, site = registry.find(name), existing(session.lab)
    events, subject = session.events, verify.subject(site)
    with lock.held(site.labdir.lock, f"the lab {site.lab.name}"):
        play.heal(site, subject, events)
        steps.complete(site, events)
        image = bundles.require().image_ref("agnhost")
        folder = Path(report) if report else verify.report_folder(site, datetime.now(timezone.utc))

        def keep() -> None:
            """Collect the lab beside the report; when that cannot be, the lab is to be put back all the same."""
            try:
                folder.mkdir(parents=True, exist_ok=True)
                archive, _ = collect.report(site.lab, folder, events)
            except (LabError, OSError) as error:
                events.warn(f"the lab could not be collected: {error}")
            else:
                events.warn(f"the lab as it was when this failed: {archive}")

        found = play.play(site, subject, events, drill, image=image, repeat=repeat, on_failure=keep)
    written = reports.write(found, folder)
    show(found, output)
    events.note(f"report: {written.html}")
    finish(int(found.exit_code))


def show(found: DrillReport, output: str) -> None:
    """Write a report to stdout: for people, or as one JSON document."""
    from metallab.drills import report, table
    from metallab.proof import table as proofs

    if output == "json":
        console.line(report.FORM.to_json(found))
        return
    console.table(table.title(found), proofs.COLUMNS, proofs.rows(found.proof), styles=proofs.STYLES)
    if found.runs:
        console.table("", table.RUNS, table.runs(found))
        console.table("", table.FIGURES, table.figures(found))
    for part in ("", *table.text(found)):
        console.line(part)
