"""The announcer is drained, and the server on it has to go elsewhere."""

from __future__ import annotations

from metallab.drills import claims, nodes
from metallab.drills.base import ASK_SECONDS, ECHO, FREE, NODE, Claim, Drill, Facts, NotPossible, Stage

DRAIN_SECONDS = 120.0
WITHIN_SECONDS = 30.0


def look(stage: Stage) -> Facts:
    """See who announces, and that there is another worker for what is driven away."""
    if stage.announcer == stage.site.lab.control_plane.name:
        raise NotPossible("the control plane announces, and its own pods cannot be driven away")
    stage.heirs()
    return {NODE: stage.announcer, ECHO: stage.announcer, FREE: "yes"}


def make(stage: Stage, facts: Facts) -> None:
    """Drain it as an administrator would, with kubectl on the control plane."""
    options = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={DRAIN_SECONDS:.0f}s"]
    control_plane = stage.runner(stage.site.lab.control_plane.name)
    control_plane.run(["kubectl", "drain", facts[NODE], *options], timeout=DRAIN_SECONDS + ASK_SECONDS)


DRILL = Drill(
    id="drain",
    fault="node: drain",
    words="the announcer is drained, with the server on it",
    shows="only the server moves: speakers are a DaemonSet, and a cordoned node goes on announcing",
    look=look,
    make=make,
    undo=nodes.change({"spec": {"unschedulable": None}}),
    claims=(
        Claim("back", "new clients are served again by the server elsewhere", claims.back_within(WITHIN_SECONDS)),
        claims.STAYS,
    ),
    seconds=8.0,
)
