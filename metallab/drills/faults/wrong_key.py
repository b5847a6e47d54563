"""One of two services on an address gets another sharing key."""

from __future__ import annotations

from metallab.cluster.api import Object
from metallab.drills import claims, echo, services
from metallab.drills.base import ECHO, Claim, Drill, Facts, Stage

KEY, OTHER = "iperf3-server", "somebody-else"
REFUSED = "can't change sharing key"


def look(stage: Stage) -> Facts:
    """Need nothing but the two services that a drill brings along."""
    return {ECHO: stage.announcer}


def make(stage: Stage, _facts: Facts) -> Facts:
    """Give the UDP service another key."""
    services.change(stage, echo.UDP, _with(OTHER))
    return services.await_loss(stage, echo.UDP, REFUSED)


def undo(stage: Stage, _facts: Facts) -> None:
    """Give it the key of the others again."""
    services.restore(stage, echo.UDP, _with(KEY))


def _with(key: str) -> Object:
    return {"metadata": {"annotations": {"metallb.io/allow-shared-ip": key}}}


DRILL = Drill(
    id="wrong-key",
    fault="cluster: sharing-key mismatch",
    words="the UDP service gets another sharing key than the TCP service",
    shows="MetalLB takes the address from the one whose key differs; the other goes on, and so do old flows",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("udp-out", "new UDP clients get no answer until it is undone", claims.breaks(("udp",))),
        Claim("kept", "an old UDP flow goes on: connection tracking remembers it", claims.goes_on(("udp-long",))),
        Claim("tcp-goes-on", "TCP clients notice nothing", claims.goes_on(("tcp", "tcp-long"))),
        Claim("said", "MetalLB says why", claims.noted(services.EVENT, REFUSED)),
        claims.STAYS,
    ),
    seconds=6.0,
)
