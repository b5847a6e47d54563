"""The control plane loses its power: nobody decides any more, but what was decided stays."""

from __future__ import annotations

from metallab.drills import claims, power
from metallab.drills.base import ECHO, NODE, Drill, Facts, NotPossible, Stage


def look(stage: Stage) -> Facts:
    """See that neither the address nor the server is on the control plane itself."""
    control_plane = stage.site.lab.control_plane.name
    if control_plane in (stage.announcer, stage.server):
        raise NotPossible("the control plane announces or serves itself")
    return {NODE: control_plane, ECHO: stage.announcer}


DRILL = Drill(
    id="control-plane-off",
    fault="node: power-off",
    words="the control plane's machine is powered off",
    shows="traffic does not go through the control plane: announcer, rules and server go on without it",
    look=look,
    make=power.off,
    undo=power.on,
    claims=(claims.GOES_ON, claims.STAYS),
    seconds=12.0,
)
