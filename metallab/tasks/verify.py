"""``inv verify``: prove that the lab does what it is for."""

from __future__ import annotations

import json

from invoke.exceptions import Exit

from metallab import console, steps
from metallab.events import Events
from metallab.proof import records, table
from metallab.proof import verify as proof
from metallab.proof.adapter import RealCluster
from metallab.proof.records import Report
from metallab.proof.subject import Subject
from metallab.site import Site, existing
from metallab.tasks._task import Session, finish, task

OUTPUTS = ("table", "json")


@task(help={"output": "table (default) or json", "seconds": "length of each iperf3 run (3)"})
def verify(session: Session, output: str = "table", seconds: int = proof.SECONDS) -> None:
    """Prove TCP and UDP on one address, and the failure without TCP. Example: ./inv verify --seconds 5."""
    if output not in OUTPUTS:
        raise Exit(f"--output should be one of: {', '.join(OUTPUTS)}", code=2)
    require_seconds(seconds)
    site = existing(session.lab)
    steps.install_metallb(site, session.events)
    steps.deploy_example(site, session.events)
    prove(site, session.events, output=output, seconds=seconds)


def prove(site: Site, events: Events, *, output: str = "table", seconds: int = proof.SECONDS) -> None:
    """Prove a lab that has everything deployed, show the report and end with its exit code."""
    report = proof.verify(subject(site), events, seconds=seconds)
    show(report, output)
    finish(int(report.exit_code))


def subject(site: Site) -> Subject:
    """Return what the proof needs of a lab."""
    lab = site.lab
    nodes = {node.name: site.runner(node) for node in lab.nodes}
    return Subject(lab, site.runner(lab.client), nodes, RealCluster(lab, site.cluster))


def show(report: Report, output: str = "table") -> None:
    """Write a report to stdout: for people, or as one JSON document."""
    if output == "json":
        console.line(json.dumps(records.to_dict(report), indent=2, ensure_ascii=False))
        return
    console.table(table.title(report), table.COLUMNS, table.rows(report), styles=table.STYLES)
    for part in ("", *table.text(report)):
        console.line(part)


def require_seconds(seconds: int) -> None:
    """Refuse a run that would send for ever: iperf3 takes 0 for that."""
    if seconds < 1:
        raise Exit("--seconds should be 1 or more", code=2)
