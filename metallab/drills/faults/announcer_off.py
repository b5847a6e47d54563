"""The machine that announces loses its power: nothing on it can say goodbye."""

from __future__ import annotations

from metallab.drills import claims, power
from metallab.drills.base import ECHO, NODE, Drill, Facts, NotPossible, Stage


def look(stage: Stage) -> Facts:
    """See who announces, that it is no control plane, and who would take over; the echo runs there."""
    if stage.announcer == stage.site.lab.control_plane.name:
        raise NotPossible("the control plane announces, and nobody would notice its loss without it")
    return {NODE: stage.announcer, ECHO: stage.heirs()[0]}


DRILL = Drill(
    id="announcer-off",
    fault="node: power-off",
    words="the announcer's machine is powered off",
    shows="the other speakers notice by memberlist, one takes the address over and says so by gratuitous ARP",
    look=look,
    make=power.off,
    undo=power.on,
    claims=(claims.BROKE, claims.REPLACED, claims.MOVED),
    seconds=40.0,
    until_served=True,
)
