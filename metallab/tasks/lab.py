"""``inv lab.…``: the machines and the cluster on them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from metallab import console, errors
from metallab.console import View
from metallab.errors import ExitCode, LabError
from metallab.tasks._task import PROVIDER_HELP, Session, finish, require_output, task

if TYPE_CHECKING:
    from metallab.overview import LabStatus, Observer
    from metallab.site import Site

LEAST_SECONDS, MOST_SECONDS = 0.5, 3600.0


@task(help={"provider": PROVIDER_HELP, "plan": "say what would be done, and do nothing"}, long=True)
def up(session: Session, provider: str = "", plan: bool = False) -> None:
    """Bring the machines and the cluster up; go on where an interruption left it. Example: ./inv lab.up --plan."""
    from metallab import lock, steps
    from metallab import plan as plans
    from metallab.drills import play
    from metallab.tasks import verify

    lab = session.lab_on(provider)
    if not plan:

        def first(site: Site) -> None:
            play.heal_where_up(site, verify.subject, session.events)

        site = steps.bring_up(lab, session.events, first)
        with lock.held(site.labdir.lock, f"the lab {lab.name}"):
            play.heal(site, verify.subject(site), session.events)
        return
    drawn = plans.draw(lab)
    console.table(f"lab.up of {lab.name} would", plans.COLUMNS, plans.rows(drawn))
    console.line(f"\n{plans.summary(drawn)}")


@task(
    help={
        "output": "table (default) or json",
        "watch": "look again and again, until Ctrl-C",
        "every": "seconds between two looks (2)",
    }
)
def status(session: Session, output: str = "table", watch: bool = False, every: float = 2.0) -> None:
    """Show machines, nodes, MetalLB, the address and who announces it. Example: ./inv lab.status --watch."""
    from metallab.overview import Observer
    from metallab.site import existing

    require_output(output)
    observer = Observer(existing(session.lab))
    if watch:
        _watch(observer, every, as_json=output == "json")
        return
    seen = observer.look()
    if output == "json":
        console.line(json.dumps(seen.to_dict(), indent=2))
    else:
        view = _view(seen)
        console.table(view.title, view.columns, view.rows)
        for told in ("", *view.below):
            console.line(told)
    finish(int(ExitCode.CHECK_FAILED) if seen.broken else 0)


def _watch(observer: Observer, every: float, *, as_json: bool) -> None:
    """Show every look until Ctrl-C, which is the ordinary end; as JSON, one line a look that saw something new."""
    from metallab.run.wait import pause

    if not LEAST_SECONDS <= every <= MOST_SECONDS:
        what = f"--every should be between {LEAST_SECONDS:g} and {MOST_SECONDS:g} seconds"
        raise LabError(errors.HOST_CHOICE_UNKNOWN, what)
    before = None
    with contextlib.suppress(KeyboardInterrupt), console.watching() as show:
        while True:
            seen = observer.look()
            if not as_json:
                show(_view(seen))
            elif seen != before:
                console.line(json.dumps(seen.to_dict()))
            before = seen
            pause(every)


def _view(seen: LabStatus) -> View:
    title = f"{seen.lab} · {seen.network} · {seen.provider}"
    return View(title, ("layer", "part", "state"), seen.lines(), seen.ending())


@task(help={"output": "table (default) or json"})
def list(_session: Session, output: str = "table") -> None:  # noqa: A001 - the task is called so
    """Show every lab of yours on this host, running or not, whatever LAB_FILE says. Example: ./inv lab.list."""
    from metallab import labs

    require_output(output)
    known = labs.known()
    if output == "json":
        console.line(json.dumps({"schema": labs.SCHEMA, "labs": [asdict(one) for one in known]}, indent=2))
    else:
        console.table("labs of this user", labs.COLUMNS, [one.row() for one in known])


@task(help={"format": "mermaid (default) or svg"})
def graph(session: Session, format: str = "mermaid") -> None:  # noqa: A002 - the flag is called so
    """Draw the lab: machines, network, who announces what. Example: ./inv lab.graph --format svg."""
    from metallab import graph as graphs

    require_output(format, tuple(graphs.FORMATS))
    drawn = graphs.picture(session.lab)
    session.events.note(drawn.note)
    console.line(graphs.FORMATS[format](drawn).rstrip("\n"))


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
