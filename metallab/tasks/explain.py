"""``inv explain``: what an error means."""

from __future__ import annotations

from metallab import console, guide
from metallab.tasks._task import Session, task


@task(positional=["id"], help={"id": "of the error, like LAB-HOST-001; all lists them"})
def explain(_session: Session, id: str) -> None:  # noqa: A002 - the word of the command line
    """Say what an error means, why it happens and what to do. Example: ./inv explain LAB-HOST-001."""
    if id == "all":
        console.table("errors", ("id", "exit code", "meaning"), guide.contents())
    else:
        console.line(guide.explanation(guide.find(id)))
