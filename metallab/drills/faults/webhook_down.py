"""MetalLB's controller, and with it the webhook that validates its configuration, is gone."""

from __future__ import annotations

from metallab.cluster import metallb_status
from metallab.cluster.api import Refused
from metallab.drills import claims, scaling
from metallab.drills.base import ECHO, Claim, Drill, Facts, Stage

WHERE = (metallb_status.NAMESPACE, metallb_status.CONTROLLER)
LABELS = f"component={metallb_status.CONTROLLER}"
ANSWER = "the API server"
REFUSED = "failed calling webhook"


def look(stage: Stage) -> Facts:
    """See that the controller runs."""
    return {**scaling.count(stage, *WHERE), ECHO: stage.announcer}


def make(stage: Stage, _facts: Facts) -> Facts:
    """Take it away, and try to change the pool."""
    scaling.down(stage, *WHERE, LABELS)
    change = {"metadata": {"annotations": {"metallab-drill": "try"}}}
    try:
        stage.site.cluster.patch(
            metallb_status.GROUP, "IPAddressPool", metallb_status.POOL, change, metallb_status.NAMESPACE
        )
    except Refused as refused:
        return {ANSWER: refused.reason}
    return {ANSWER: "it took the change"}


def undo(stage: Stage, facts: Facts) -> None:
    """Bring it back."""
    scaling.back(stage, *WHERE, facts)


DRILL = Drill(
    id="webhook-down",
    fault="cluster: webhook down",
    words="MetalLB's controller is gone, and its webhook with it",
    shows="no configuration is taken any more, and no new service gets an address; what was given goes on",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("refused", "the API server refuses a change of the pool", claims.noted(ANSWER, REFUSED)),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=6.0,
)
