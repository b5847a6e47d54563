"""``inv box.…``: the machine image."""

from __future__ import annotations

from metallab import box as boxes
from metallab import bundle as bundles
from metallab import console
from metallab.host import packages
from metallab.tasks._task import Session, task


@task(help={"rebuild": "build it again though it is there"})
def build(session: Session, rebuild: bool = False) -> None:
    """Build the golden root and the machine image from the bundle. Example: ./inv box.build."""
    packages.require("box")
    box = boxes.build(bundles.require(), session.events, rebuild=rebuild)
    console.line(f"box {box.key}: {box.dir} ({box.sizes['root.tar'] / 1e6:.0f} MB root)")
