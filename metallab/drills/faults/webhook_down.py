"""MetalLB's controller, and with it the webhook that validates its configuration, is gone."""

from __future__ import annotations

from metallab.cluster import metallb_status
from metallab.cluster.api import Refused
from metallab.drills import claims, scaling
from metallab.drills.base import Claim, Drill, Facts, Stage

CONTROLLER = scaling.Deployment(
    metallb_status.NAMESPACE, metallb_status.CONTROLLER, f"component={metallb_status.CONTROLLER}"
)
ANSWER = "the API server"
REFUSED = "failed calling webhook"


def make(stage: Stage, _facts: Facts) -> Facts:
    """Take it away, and try to change the pool."""
    CONTROLLER.take_away(stage)
    change = {"metadata": {"annotations": {"metallab-drill": "try"}}}
    try:
        stage.site.cluster.patch(
            metallb_status.GROUP, "IPAddressPool", metallb_status.POOL, change, metallb_status.NAMESPACE
        )
    except Refused as refused:
        return {ANSWER: refused.reason}
    return {ANSWER: "it took the change"}


DRILL = Drill(
    id="webhook-down",
    fault="cluster: webhook down",
    words="MetalLB's controller is gone, and its webhook with it",
    shows="no configuration is taken any more, and no new service gets an address; what was given goes on",
    look=CONTROLLER.look,
    make=make,
    undo=CONTROLLER.undo,
    claims=(
        Claim("refused", "the API server refuses a change of the pool", claims.noted(ANSWER, REFUSED)),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=6.0,
)
