"""``inv demo``: everything, from a bare host to the proof."""

from __future__ import annotations

from metallab.tasks._task import PROVIDER_HELP, Session, task


@task(help={"yes": "install missing host packages without asking", "provider": PROVIDER_HELP}, long=True)
def demo(session: Session, yes: bool = False, provider: str = "") -> None:
    """From a bare host to the proof: packages, bundle, box, lab, MetalLB, iperf3, verify. Example: ./inv demo --yes."""
    from metallab import box as boxes
    from metallab import bundle as bundles
    from metallab import providers, steps
    from metallab.host import doctor
    from metallab.site import choose, likely_provider
    from metallab.tasks.setup import install, purposes_of
    from metallab.tasks.verify import prove

    lab, events = session.lab_on(provider), session.events
    if bundles.find() is None:
        doctor.require_room()
    install(events, yes=yes, purposes=purposes_of(lab))
    # Before twenty minutes of building: can it run here at all?
    choose(lab)
    box = boxes.build(bundles.build(events), events)
    providers.of(likely_provider(lab)).build_box(box, events)
    site = steps.bring_up(lab, events)
    steps.install_metallb(site, events)
    steps.deploy_example(site, events)
    prove(site, events)
