"""``inv demo``: everything, from a bare host to the proof."""

from __future__ import annotations

from metallab import box as boxes
from metallab import bundle as bundles
from metallab import steps
from metallab.tasks._task import Session, task
from metallab.tasks.setup import install
from metallab.tasks.verify import prove


@task(help={"yes": "install missing host packages without asking"})
def demo(session: Session, yes: bool = False) -> None:
    """From a bare host to the proof: packages, bundle, box, lab, MetalLB, iperf3, verify. Example: ./inv demo --yes."""
    lab, events = session.lab, session.events
    install(events, yes=yes)
    boxes.build(bundles.build(events), events)
    site = steps.bring_up(lab, events)
    steps.install_metallb(site, events)
    steps.deploy_example(site, events)
    prove(site, events)
