"""The machine that announces loses its power: nothing on it can say goodbye."""

from __future__ import annotations

from metallab import providers, steps
from metallab.drills import claims
from metallab.drills.base import ECHO, Drill, Facts, NotPossible, Stage

NODE = "node"


def look(stage: Stage) -> Facts:
    """See who announces, that it is no control plane, and who would take over; the echo runs there."""
    if stage.announcer == stage.site.lab.control_plane.name:
        raise NotPossible("the control plane announces, and nobody would notice its loss without it")
    return {NODE: stage.announcer, ECHO: stage.heirs()[0]}


def make(stage: Stage, facts: Facts) -> None:
    """Cut the power."""
    providers.of(stage.site.choice.provider).power_off(stage.site, stage.machine(facts[NODE]))


def undo(stage: Stage, _facts: Facts) -> None:
    """Bring the machine up again as ``lab.up`` does, and return when the cluster works."""
    steps.bring_back(stage.site, stage.events)


DRILL = Drill(
    id="announcer-off",
    fault="node: power-off",
    words="the announcer's machine is powered off",
    shows="the other speakers notice by memberlist, one takes the address over and says so by gratuitous ARP",
    look=look,
    make=make,
    undo=undo,
    claims=(claims.BROKE, claims.REPLACED, claims.MOVED),
    seconds=40.0,
    until_served=True,
)
