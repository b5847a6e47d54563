"""``inv kubectl -- …``: the bundle's kubectl on the lab's cluster, from any shell."""

from __future__ import annotations

from metallab.tasks._task import Session, task


@task
def kubectl(session: Session) -> None:
    """Run kubectl as the lab's admin; its words follow after --. Example: ./inv kubectl -- get nodes."""
    from metallab import bundle as bundles
    from metallab.machines import access
    from metallab.site import existing

    site = existing(session.lab)
    access.become_kubectl(bundles.require().dir / "bin" / "kubectl", site.labdir.kubeconfig, session.remainder)
