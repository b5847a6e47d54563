"""``inv setup``: what the host itself must have before a lab can be made."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metallab import console
from metallab.events import Events
from metallab.tasks._task import PROVIDER_HELP, Session, task

if TYPE_CHECKING:
    from metallab.config import Lab
    from metallab.host.packages import Purpose


@task(help={"yes": "install without asking", "provider": PROVIDER_HELP}, long=True)
def setup(session: Session, yes: bool = False, provider: str = "") -> None:
    """Name the host packages the lab needs and lacks, and install them if you agree. Example: ./inv setup --yes."""
    install(session.events, yes=yes, purposes=purposes_of(session.lab_on(provider)))


def purposes_of(lab: Lab) -> tuple[Purpose, ...]:
    """Return what the host must be fit for, for this lab."""
    from metallab import providers
    from metallab.host.packages import FOR_A_LAB
    from metallab.site import likely_provider

    return (*FOR_A_LAB, *providers.of(likely_provider(lab)).purposes)


def install(events: Events, *, yes: bool, purposes: Sequence[Purpose]) -> None:
    """Install what the host lacks, asking on the terminal unless ``yes``. For every task that begins from nothing."""
    from metallab.host import packages

    ask = console.confirm if sys.stdin.isatty() and sys.stderr.isatty() else None
    packages.ensure(events, yes=yes, purposes=purposes, ask=ask)
