"""The kubelet of the announcer is stopped."""

from __future__ import annotations

from metallab.drills import claims, units
from metallab.drills.base import Drill

UNIT = "kubelet.service"

DRILL = Drill(
    id="kubelet-stopped",
    fault="node: kubelet stop",
    words="the kubelet of the announcer is stopped, with the server there",
    shows="the kubelet starts containers and reports; those that run go on without it, and so does the address",
    look=units.look,
    make=units.stop(UNIT),
    undo=units.start(UNIT),
    claims=(claims.GOES_ON, claims.STAYS),
    seconds=10.0,
)
