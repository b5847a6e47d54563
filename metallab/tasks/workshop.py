"""``inv workshop.…``: for the trainer, the evening before."""

from __future__ import annotations

from pathlib import Path

from metallab import console, paths
from metallab.errors import ExitCode
from metallab.tasks._task import Session, finish, task

COLUMNS = ("lesson", "title", "start", "solutions", "state")


@task(
    long=True,
    help={"only": "these lessons' numbers (with commas between)", "to": "file of the sheet (beside the reports)"},
)
def check(session: Session, only: str = "", to: str = "") -> None:
    """Play every lesson by its solution and write a sheet with times and memory. Example: ./inv workshop.check."""
    from metallab.classroom import xterm
    from metallab.lessons import format as lessons
    from metallab.lessons import sheet, workshop
    from metallab.site import existing

    # The room of the next day may have no internet; before this process enters the lab's network, which has none.
    xterm.fetched(session.events)
    site = existing(session.lab)
    chosen = [lessons.find(word) for word in only.replace(",", " ").split()] if only else lessons.shelf()
    played = workshop.rehearse(session.lab, site, chosen, session.events)
    file = Path(to) if to else paths.reports_dir() / site.lab.name / "workshop.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(sheet.page(site.lab, played, workshop.memory(site.lab)), encoding="utf-8")
    console.table("", COLUMNS, [sheet.row(each) for each in played], styles={"ok": "green"})
    session.events.note(f"sheet: {file}")
    finish(0 if all(each.ok for each in played) else int(ExitCode.CHECK_FAILED))
