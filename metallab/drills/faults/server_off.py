"""The machine of the only server loses its power, while another one announces."""

from __future__ import annotations

from metallab.drills import claims, power
from metallab.drills.base import ECHO, NODE, Drill, Facts, Stage


def look(stage: Stage) -> Facts:
    """Choose a worker that does not announce; the only echo runs there."""
    node = stage.other_worker()
    return {NODE: node, ECHO: node}


DRILL = Drill(
    id="server-off",
    fault="node: power-off",
    words="the machine of the only server is powered off while another announces",
    shows="a working address is no working service: for minutes Kubernetes sends traffic to a server that is gone",
    look=look,
    make=power.off,
    undo=power.on,
    claims=(claims.OUT, claims.STAYS),
    seconds=10.0,
)
