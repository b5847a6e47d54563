"""The kubelet of the announcer is stopped."""

from __future__ import annotations

from metallab.cluster import ready
from metallab.drills import claims
from metallab.drills.base import ASK_SECONDS, ECHO, Drill, Facts, Stage
from metallab.run.wait import NotYet, until

NODE = "node"
UNIT = "kubelet.service"
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
    id="kubelet-stopped",
    fault="node: kubelet stop",
    words="the kubelet of the announcer is stopped, with the server there",
    shows="the kubelet starts containers and reports; those that run go on without it, and so does the address",
    look=look,
    make=make,
    undo=undo,
    claims=(claims.GOES_ON, claims.STAYS),
    seconds=10.0,
)
