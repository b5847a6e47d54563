"""The containerd of the announcer is stopped."""

from __future__ import annotations

from metallab.cluster import ready
from metallab.drills import claims
from metallab.drills.base import ASK_SECONDS, ECHO, Drill, Facts, Stage
from metallab.run.wait import NotYet, until

NODE = "node"
UNIT = "containerd.service"
READY_SECONDS = 120.0


def look(stage: Stage) -> Facts:
    """See who announces; the server runs there, too."""
    return {NODE: stage.announcer, ECHO: stage.announcer}


def make(stage: Stage, facts: Facts) -> None:
    """Stop it."""
    stage.runner(facts[NODE]).run(["systemctl", "stop", UNIT], timeout=ASK_SECONDS)


def undo(stage: Stage, facts: Facts) -> None:
    """Start it, and wait until the node is Ready."""
    stage.runner(facts[NODE]).run(["systemctl", "start", UNIT], timeout=ASK_SECONDS)

    def is_ready() -> None:
        state = ready.node_state(stage.site.cluster.get("v1", "Node", facts[NODE]))
        if state:
            raise NotYet(state)

    until(is_ready, timeout=READY_SECONDS, what=f"{facts[NODE]} to be Ready")


DRILL = Drill(
    id="containerd-stopped",
    fault="node: containerd stop",
    words="the containerd of the announcer is stopped, with the server there",
    shows="containers belong to their shims: without containerd none is started or ended, and none stops",
    look=look,
    make=make,
    undo=undo,
    claims=(claims.GOES_ON, claims.STAYS),
    seconds=10.0,
)
