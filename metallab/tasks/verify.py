"""``inv verify``: prove that the lab does what it is for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from metallab import console, errors, paths
from metallab.errors import ExitCode, LabError
from metallab.events import Events
from metallab.proof.units import SECONDS
from metallab.tasks._task import Session, finish, require_output, task

if TYPE_CHECKING:
    from metallab.proof.records import Report
    from metallab.proof.subject import Subject
    from metallab.site import Site

WORST_FIRST = (ExitCode.CHECK_FAILED, ExitCode.NOTHING_TESTED, ExitCode.WARNINGS, ExitCode.OK)
KEEP = 20
"""So many reports are kept where no folder is named."""


@task(
    help={
        "output": "table (default) or json",
        "seconds": "length of each iperf3 run (3)",
        "only": "ask only these ids (with commas between), and what they need",
        "require": "these ids must have been asked: not run counts as failed",
        "repeat": "prove it so many times, each with a report of its own",
        "report": "folder for report.json, report.xml (JUnit) and report.html",
        "list": "list the ids and their claims, and prove nothing",
    }
)
def verify(
    session: Session,
    output: str = "table",
    seconds: int = SECONDS,
    only: str = "",
    require: str = "",
    repeat: int = 1,
    report: str = "",
    list: bool = False,  # noqa: A002 - the flag's name
) -> None:
    """Prove TCP and UDP on one address, and that neither works for the other. Example: ./inv verify --only no-tcp."""
    from metallab import steps
    from metallab.cluster.api import ApiUnreachable
    from metallab.proof import table
    from metallab.site import existing

    require_output(output)
    if list:
        console.table("", ("id", "claim", "act"), table.contents())
        return
    require_seconds(seconds)
    require_repeat(repeat)
    chosen, required = _ids("only", only), _ids("require", require)
    site = existing(session.lab)
    try:
        steps.complete(site, session.events)
    except ApiUnreachable as error:
        session.events.warn(error.what)
    folder = Path(report) if report else None
    prove(site, session.events, output=output, seconds=seconds, only=chosen, require=required, repeat=repeat, to=folder)


def prove(
    site: Site,
    events: Events,
    *,
    output: str = "table",
    seconds: int = SECONDS,
    only: Sequence[str] = (),
    require: Sequence[str] = (),
    repeat: int = 1,
    to: Path | None = None,
) -> None:
    """Prove a lab that has everything deployed, write and show the reports, and end with the worst exit code."""
    from metallab import lock
    from metallab.drills import play
    from metallab.proof import report
    from metallab.proof import verify as proof

    made: list[Report] = []
    for number in range(1, repeat + 1):
        if repeat > 1:
            events.note(f"proof {number} of {repeat}")
        # A second proof would take what the first has taken away for left behind.
        with lock.held(site.labdir.lock, f"the lab {site.lab.name}"):
            play.heal(site, subject(site), events)
            found = proof.verify(subject(site), events, seconds=seconds, only=only, require=require)
        made.append(found)
        folder = report_folder(site, datetime.fromisoformat(found.started)) if to is None else to
        if to is not None and repeat > 1:
            folder = to / f"{number:02d}"
        written = report.write(found, folder)
        show(found, output if repeat == 1 else "table")
        events.note(f"report: {written.html}")
    if repeat > 1:
        show_all(made, output)
    finish(int(next(code for code in WORST_FIRST if any(each.exit_code is code for each in made))))


def subject(site: Site) -> Subject:
    """Return what the proof needs of a lab."""
    from metallab import bundle as bundles
    from metallab.proof.adapter import RealCluster
    from metallab.proof.subject import Subject

    lab = site.lab
    nodes = {node.name: site.runner(node) for node in lab.nodes}
    bundle = bundles.require()
    images = {name: bundle.image_ref(name) for name in ("agnhost", "iperf3")}
    side = RealCluster(lab, site.cluster, images)
    return Subject(lab, site.runner(lab.client), nodes, side, site.choice.provider)


def show(found: Report, output: str = "table") -> None:
    """Write a report to stdout: for people, or as one JSON document."""
    from metallab.proof import document, table

    if output == "json":
        console.line(document.to_json(found))
        return
    console.table(table.title(found), table.COLUMNS, table.rows(found), styles=table.STYLES)
    for part in ("", *table.text(found)):
        console.line(part)


def show_all(made: Sequence[Report], output: str) -> None:
    """Write how often each check passed, or all reports as one JSON list."""
    from metallab.proof import document, table

    if output == "json":
        console.line(json.dumps([document.to_dict(each) for each in made], indent=2, ensure_ascii=False))
        return
    console.table(f"{len(made)} proofs", ("check", "passed", "failed", "not run"), table.tally(made))


def require_seconds(seconds: int) -> None:
    """Refuse a run that would send for ever: iperf3 takes 0 for that. Raises LAB-HOST-010."""
    if seconds < 1:
        raise _refusal("--seconds should be 1 or more")


def require_repeat(repeat: int) -> None:
    """Refuse to do nothing at all. Raises LAB-HOST-010."""
    if repeat < 1:
        raise _refusal("--repeat should be 1 or more")


def _ids(flag: str, words: str) -> tuple[str, ...]:
    """Read a list of ids. Raises LAB-HOST-010 for one that is none."""
    from metallab.proof import acts

    found = tuple(word for word in words.replace(",", " ").split() if word)
    unknown = [word for word in found if word not in acts.ids()]
    if unknown:
        fix = "run: ./inv verify --list, which names them all"
        raise LabError(errors.HOST_CHOICE_UNKNOWN, f"--{flag}: there is no check {', '.join(unknown)}", fix=fix)
    return found


def _refusal(what: str) -> LabError:
    """Return the error of an option that makes no sense; 1 to 3 are the exit codes of a proof and of nothing else."""
    return LabError(errors.HOST_CHOICE_UNKNOWN, what)


def report_folder(site: Site, began: datetime) -> Path:
    """Return a new folder for the report of what began then, and let the oldest ones go. They outlive the lab."""
    from metallab.proof import report

    home = paths.reports_dir() / site.lab.name
    home.mkdir(parents=True, exist_ok=True)
    report.prune(home, KEEP - 1)
    return home / f"{began.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}"
