"""``inv metallb.…``: the load balancer."""

from __future__ import annotations

import json
from dataclasses import asdict

from metallab import console
from metallab.errors import ExitCode
from metallab.tasks._task import Session, finish, require_output, task


@task(long=True)
def install(session: Session) -> None:
    """Install MetalLB with the lab's address pool. Example: ./inv metallb.install."""
    from metallab import steps
    from metallab.site import existing

    steps.install_metallb(existing(session.lab), session.events)


@task(help={"output": "table (default) or json"})
def status(session: Session, output: str = "table") -> None:
    """Show MetalLB, its pool, the services and who announces them. Example: ./inv metallb.status."""
    from metallab.cluster import metallb
    from metallab.site import existing

    require_output(output)
    site = existing(session.lab)
    found = metallb.status(site.cluster, site.lab)
    if output == "json":
        console.line(json.dumps(asdict(found), indent=2))
    else:
        console.table("MetalLB", ("layer", "part", "state"), found.lines())
    finish(0 if found.installed and not found.warnings else int(ExitCode.CHECK_FAILED))
