"""``inv kubeconfig.…``: the lab's own kubeconfig, and the lab in the user's."""

from __future__ import annotations

import os
from pathlib import Path

from metallab import console
from metallab.tasks._task import Session, task

ONLY_INSIDE = """\
the API server answers only inside the lab's network namespace: use ./inv kubectl -- get nodes, or as root \
nsenter --net=/run/netns/{namespace} kubectl --context {name} get nodes"""


@task
def path(session: Session) -> None:
    """Print the lab's own kubeconfig (admin, mode 0600). Example: ./inv kubeconfig.path."""
    from metallab.machines import kubeconfig
    from metallab.machines.labdir import LabDir

    console.line(str(kubeconfig.require(session.lab, LabDir.of(session.lab))))


@task
def merge(session: Session) -> None:
    """Add the lab to your kubeconfig as context lab-NAME; the current one stays. Example: ./inv kubeconfig.merge."""
    from metallab.machines import kubeconfig
    from metallab.machines.kubeconfig import entry_name
    from metallab.site import existing

    site, file = existing(session.lab), _user_file()
    name = entry_name(site.lab)
    changed = kubeconfig.merge(site.lab, site.labdir, file)
    session.events.note(f"{file} has the context {name}{'' if changed else ' already'}: kubectl --context {name}")
    if site.choice.sandbox is not None:
        session.events.warn(ONLY_INSIDE.format(namespace=site.choice.sandbox.namespace, name=name))
    console.line(str(file))


@task
def remove(session: Session) -> None:
    """Take the lab out of your kubeconfig; lab.destroy does it, too. Example: ./inv kubeconfig.remove."""
    from metallab.machines import kubeconfig
    from metallab.machines.kubeconfig import entry_name
    from metallab.machines.labdir import LabDir

    file, name = _user_file(), entry_name(session.lab)
    was_there = kubeconfig.remove(session.lab, LabDir.of(session.lab), file)
    session.events.note(f"{name} taken out of {file}" if was_there else f"{file} has nothing of {name}")


def _user_file() -> Path:
    from metallab.machines import kubeconfig

    return kubeconfig.user_file(os.environ.get("KUBECONFIG", ""), Path.home())
