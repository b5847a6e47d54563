"""One of two services on an address gets externalTrafficPolicy Local, the other keeps Cluster."""

from __future__ import annotations

from metallab.cluster.api import Object
from metallab.drills import claims, echo, services
from metallab.drills.base import ECHO, Claim, Drill, Facts, Stage

FAILED = "AllocationFailed"


def look(stage: Stage) -> Facts:
    """Have the server on another node than the announcer."""
    return {ECHO: stage.other_worker()}


def make(stage: Stage, _facts: Facts) -> Facts:
    """Set the TCP service to Local."""
    services.change(stage, echo.TCP, _with("Local"))
    return services.await_loss(stage, echo.TCP, FAILED)


def undo(stage: Stage, _facts: Facts) -> None:
    """Set it back to Cluster."""
    services.restore(stage, echo.TCP, _with("Cluster"))


def _with(policy: str) -> Object:
    return {"spec": {"externalTrafficPolicy": policy}}


DRILL = Drill(
    id="local-policy",
    fault="cluster: externalTrafficPolicy",
    words="the TCP service is set to externalTrafficPolicy Local, its server elsewhere than the announcer",
    shows="services of different policies cannot share an address: they could need different announcers",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("tcp-out", "new TCP clients get no answer until it is undone", claims.breaks(("tcp",))),
        Claim("udp-goes-on", "UDP clients notice nothing", claims.goes_on(("udp", "udp-long"))),
        Claim("said", "MetalLB says why", claims.noted(services.EVENT, FAILED)),
        # Until the controller takes the address away, the server's node announces it, too: seen, but not every time.
        Claim("one-answer", "in the end the announcer alone answers", claims.still_answers),
    ),
    seconds=6.0,
)
