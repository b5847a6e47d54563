"""``inv setup``: what the host itself must have before a lab can be made."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from metallab import console
from metallab.events import Events
from metallab.host import packages
from metallab.host.packages import FOR_A_LAB, Purpose
from metallab.tasks._task import Session, task


@task(help={"yes": "install without asking"})
def setup(session: Session, yes: bool = False) -> None:
    """Name the host packages the lab needs and lacks, and install them with your consent."""
    install(session.events, yes=yes)


def install(events: Events, *, yes: bool, purposes: Sequence[Purpose] = FOR_A_LAB) -> None:
    """Install what the host lacks, asking on the terminal unless ``yes``. For every task that begins from nothing."""
    ask = console.confirm if sys.stdin.isatty() and sys.stderr.isatty() else None
    packages.ensure(events, yes=yes, purposes=purposes, ask=ask)
