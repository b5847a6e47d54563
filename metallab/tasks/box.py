"""``inv box.…``: the machine image, and its wrapping for each provider."""

from __future__ import annotations

from metallab import console
from metallab.tasks._task import Session, task


@task(help={"rebuild": "build it again though it is there", "format": "docker, libvirt or virtualbox"}, long=True)
def build(session: Session, rebuild: bool = False, format: str = "") -> None:  # noqa: A002 - the word of the command line
    """Build the golden root and a provider's box from the bundle. Example: ./inv box.build --format libvirt."""
    from metallab import box as boxes
    from metallab import bundle as bundles
    from metallab import providers
    from metallab.host import packages
    from metallab.site import likely_provider

    provider = providers.of(likely_provider(session.lab_on(format)))
    packages.require("box", *(purpose for purpose in provider.purposes if purpose == "disk"), provider=provider.name)
    box = boxes.build(bundles.require(), session.events, rebuild=rebuild)
    provider.build_box(box, session.events, rebuild=rebuild)
    console.line(f"box {box.key}: {box.dir} ({box.sizes['root.tar'] / 1e6:.0f} MB root)")
