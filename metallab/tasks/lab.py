"""``inv lab.…``: the machines and the cluster on them."""

from __future__ import annotations

import json

from metallab import console
from metallab.errors import ExitCode
from metallab.tasks._task import PROVIDER_HELP, Session, finish, task


@task(help={"provider": PROVIDER_HELP, "plan": "say what would be done, and do nothing"}, long=True)
def up(session: Session, provider: str = "", plan: bool = False) -> None:
    """Bring the machines and the cluster up; go on where an interruption left it. Example: ./inv lab.up --plan."""
    from metallab import plan as plans
    from metallab import steps

    lab = session.lab_on(provider)
    if not plan:
        steps.bring_up(lab, session.events)
        return
    drawn = plans.draw(lab)
    console.table(f"lab.up of {lab.name} would", plans.COLUMNS, plans.rows(drawn))
    console.line(f"\n{plans.summary(drawn)}")


@task(help={"output": "table (default) or json"})
def status(session: Session, output: str = "table") -> None:
    """Show machines, nodes, MetalLB, the address and who announces it. Example: ./inv lab.status."""
    from metallab import overview
    from metallab.site import existing

    seen = overview.look(existing(session.lab))
    if output == "json":
        console.line(json.dumps(seen.to_dict(), indent=2))
    else:
        console.table(f"{seen.lab} · {seen.network} · {seen.provider}", ("layer", "part", "state"), seen.lines())
        console.line(f"\nfirst broken layer: {seen.broken}" if seen.broken else "\nall is well")
    finish(int(ExitCode.CHECK_FAILED) if seen.broken else 0)


@task(positional=["name"], help={"name": "a machine of lab.yaml; a command may follow after --"})
def ssh(session: Session, name: str) -> None:
    """Log in to a machine, or run one command on it. Example: ./inv lab.ssh client -- ip address."""
    from metallab.machines import access
    from metallab.site import existing

    site = existing(session.lab)
    access.become_ssh(site.lab, site.labdir, name, session.remainder)


@task(help={"yes": "do not ask"}, long=True)
def destroy(session: Session, yes: bool = False) -> None:
    """Remove the machines, the cluster and the sandbox; the cache stays. Example: ./inv lab.destroy --yes."""
    from metallab import steps

    if not yes:
        console.confirm(f"Destroy the lab {session.lab.name} with all its machines?")
    steps.tear_down(session.lab, session.events)


@task(long=True)
def halt(session: Session) -> None:
    """Power the machines off; ./inv lab.up brings them back. Example: ./inv lab.halt."""
    from metallab import steps

    steps.halt(session.lab, session.events)


@task
def inventory(session: Session) -> None:
    """Print the file the Vagrantfile reads (vagrant asks for it). Example: ./inv lab.inventory."""
    from metallab import steps

    console.line(str(steps.write_inventory(session.lab, session.events).labdir.inventory))


@task(long=True)
def prepare(session: Session) -> None:
    """Make what a bare `vagrant up` needs and print the file it reads. Example: ./inv lab.prepare."""
    from metallab import steps

    console.line(str(steps.prepare(session.lab, session.events).labdir.inventory))
