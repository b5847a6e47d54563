"""The machine of the only server loses its power, while another one announces."""

from __future__ import annotations

from metallab import providers, steps
from metallab.drills import claims
from metallab.drills.base import ECHO, Drill, Facts, Stage


def look(stage: Stage) -> Facts:
    """Choose a worker that does not announce; the only echo runs there."""
    node = stage.other_worker()
    return {"node": node, ECHO: node}


def make(stage: Stage, facts: Facts) -> None:
    """Cut the power."""
    providers.of(stage.site.choice.provider).power_off(stage.site, stage.machine(facts["node"]))


def undo(stage: Stage, _facts: Facts) -> None:
    """Bring it up again as ``lab.up`` does, and return when the cluster works."""
    steps.bring_back(stage.site, stage.events)


DRILL = Drill(
    id="server-off",
    fault="node: power-off",
    words="the machine of the only server is powered off while another announces",
    shows="a working address is no working service: for minutes Kubernetes sends traffic to a server that is gone",
    look=look,
    make=make,
    undo=undo,
    claims=(claims.OUT, claims.STAYS),
    seconds=10.0,
)
