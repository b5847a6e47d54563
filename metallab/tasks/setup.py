"""``inv setup``: what the host itself must have before a lab can be made."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from metallab import console, providers
from metallab.config import Lab
from metallab.events import Events
from metallab.host import packages
from metallab.host.packages import FOR_A_LAB, Purpose
from metallab.site import likely_provider
from metallab.tasks._task import PROVIDER_HELP, Session, task


@task(help={"yes": "install without asking", "provider": PROVIDER_HELP}, long=True)
def setup(session: Session, yes: bool = False, provider: str = "") -> None:
    """Name the host packages the lab needs and lacks, and install them if you agree. Example: ./inv setup --yes."""
    install(session.events, yes=yes, purposes=purposes_of(session.lab_on(provider)))


def purposes_of(lab: Lab) -> tuple[Purpose, ...]:
    """Return what the host must be fit for, for this lab."""
    return (*FOR_A_LAB, *providers.of(likely_provider(lab)).purposes)


def install(events: Events, *, yes: bool, purposes: Sequence[Purpose]) -> None:
    """Install what the host lacks, asking on the terminal unless ``yes``. For every task that begins from nothing."""
    ask = console.confirm if sys.stdin.isatty() and sys.stderr.isatty() else None
    packages.ensure(events, yes=yes, purposes=purposes, ask=ask)
