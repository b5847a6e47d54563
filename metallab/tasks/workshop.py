"""``inv workshop.…``: for the trainer, the evening before."""

from __future__ import annotations

from metallab.tasks._task import Session, task


@task
def check(session: Session) -> None:
    """Play every lesson."""
