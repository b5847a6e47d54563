"""The announcer gets the label that keeps load balancers off a node."""

from __future__ import annotations

from metallab.cluster.api import Object
from metallab.cluster.metallb_status import EXCLUDE_LABEL
from metallab.drills import claims, nodes
from metallab.drills.base import ECHO, NODE, Claim, Drill, Facts, Stage

AT_ONCE_SECONDS = 2.0


def look(stage: Stage) -> Facts:
    """See who announces, and who would take over."""
    return {NODE: stage.announcer, ECHO: stage.heirs()[0]}


def _label(value: str | None) -> Object:
    return {"metadata": {"labels": {EXCLUDE_LABEL: value}}}


DRILL = Drill(
    id="exclude-label",
    fault="cluster: exclude label",
    words="the announcer is labelled exclude-from-external-load-balancers",
    shows="the address moves at once and says so: kubeadm sets this label on control planes, which then never announce",
    look=look,
    make=nodes.change(_label("")),
    undo=nodes.change(_label(None)),
    claims=(
        Claim("back", "new clients miss it for two seconds at most", claims.back_within(AT_ONCE_SECONDS)),
        claims.MOVED,
    ),
    seconds=6.0,
)
