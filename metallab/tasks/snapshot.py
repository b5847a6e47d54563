"""``inv lab.snapshot.…``: the whole lab kept under a name, and put back."""

from __future__ import annotations

import json
from dataclasses import asdict

from metallab import console
from metallab.tasks._task import Session, require_output, task

COLUMNS = ("name", "made", "machines")
NAME_HELP = "of the snapshot: a-z, 0-9 and dashes, up to 24"


@task(positional=["name"], help={"name": NAME_HELP}, long=True)
def save(session: Session, name: str) -> None:
    """Keep all machines as they are now; they pause for it. Example: ./inv lab.snapshot.save fresh."""
    from metallab import snapshots

    snapshots.save(session.lab, name, session.events)


@task(positional=["name"], help={"name": NAME_HELP}, long=True)
def restore(session: Session, name: str) -> None:
    """Put all machines back, and wait until the cluster works. Example: ./inv lab.snapshot.restore fresh."""
    from metallab import snapshots

    snapshots.restore(session.lab, name, session.events)


@task(help={"output": "table (default) or json"})
def list(session: Session, output: str = "table") -> None:  # noqa: A001 - the task is called so
    """Show the lab's snapshots, the oldest first. Example: ./inv lab.snapshot.list."""
    from metallab import snapshots

    require_output(output)
    known = snapshots.recorded(session.lab)
    if output == "json":
        shown = [{key: value for key, value in asdict(one).items() if key != "layout"} for one in known]
        console.line(json.dumps(shown, indent=2))
    else:
        rows = [(one.name, one.made, " ".join(one.machines)) for one in known]
        console.table(f"snapshots of {session.lab.name}", COLUMNS, rows)


@task(positional=["name"], help={"name": NAME_HELP}, long=True)
def delete(session: Session, name: str) -> None:
    """Remove a snapshot; the machines stay as they are. Example: ./inv lab.snapshot.delete fresh."""
    from metallab import snapshots

    snapshots.delete(session.lab, name, session.events)
