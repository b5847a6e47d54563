"""The announcer gets the label that keeps load balancers off a node."""

from __future__ import annotations

from metallab.cluster.metallb_status import EXCLUDE_LABEL
from metallab.drills import claims
from metallab.drills.base import ECHO, Claim, Drill, Facts, Stage

NODE = "node"
AT_ONCE_SECONDS = 2.0


def look(stage: Stage) -> Facts:
    """See who announces, and who would take over."""
    return {NODE: stage.announcer, ECHO: stage.heirs()[0]}


def make(stage: Stage, facts: Facts) -> None:
    """Label it."""
    _label(stage, facts[NODE], "")


def undo(stage: Stage, facts: Facts) -> None:
    """Take the label away."""
    _label(stage, facts[NODE], None)


def _label(stage: Stage, node: str, value: str | None) -> None:
    stage.site.cluster.patch("v1", "Node", node, {"metadata": {"labels": {EXCLUDE_LABEL: value}}})


DRILL = Drill(
    id="exclude-label",
    fault="cluster: exclude label",
    words="the announcer is labelled exclude-from-external-load-balancers",
    shows="the address moves at once and says so: kubeadm sets this label on control planes, which then never announce",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("back", "new clients miss it for two seconds at most", claims.back_within(AT_ONCE_SECONDS)),
        claims.MOVED,
    ),
    seconds=6.0,
)
