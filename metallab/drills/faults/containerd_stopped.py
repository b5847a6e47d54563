"""The containerd of the announcer is stopped."""

from __future__ import annotations

from metallab.drills import claims, units
from metallab.drills.base import Drill

UNIT = "containerd.service"

DRILL = Drill(
    id="containerd-stopped",
    fault="node: containerd stop",
    words="the containerd of the announcer is stopped, with the server there",
    shows="containers belong to their shims: without containerd none is started or ended, and none stops",
    look=units.look,
    make=units.stop(UNIT),
    undo=units.start(UNIT),
    claims=(claims.GOES_ON, claims.STAYS),
    seconds=10.0,
)
