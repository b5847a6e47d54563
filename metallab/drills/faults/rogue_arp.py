"""A machine that is none of MetalLB's takes the address for itself and says so by gratuitous ARP."""

from __future__ import annotations

from metallab.drills import claims, filters
from metallab.drills.base import ASK_SECONDS, CARD, ECHO, Claim, Drill, Facts, NotPossible, Stage

ROGUE = "rogue"
CHAIN = """\
        type filter hook prerouting priority raw; policy accept;
        ip daddr {address} notrack"""
"""Without connection tracking kube-proxy's rules do not apply, and a node is a machine like any other."""


def look(stage: Stage) -> Facts:
    """Choose a node that does not announce: the control plane, which has no workload of the example."""
    rogue = stage.site.lab.control_plane.name
    if stage.announcer == rogue:
        raise NotPossible("the control plane announces itself, and it would have to be the rogue")
    return {ROGUE: rogue, CARD: stage.card(rogue), ECHO: stage.announcer}


def make(stage: Stage, facts: Facts) -> None:
    """Give it the address, let it say so three times, and let nothing that arrives there be passed on."""
    runner, address = stage.runner(facts[ROGUE]), str(stage.subject.address)
    filters.put(runner, "ip", CHAIN.format(address=address))
    runner.run(["ip", "address", "replace", f"{address}/32", "dev", facts[CARD]], timeout=ASK_SECONDS)
    words = ["arping", "-A", "-c", "3", "-I", facts[CARD], "-s", address, address]
    runner.run(words, timeout=ASK_SECONDS, check=False)


def undo(stage: Stage, facts: Facts) -> None:
    """Take address and rules away, and let the client forget what it was told."""
    runner, address = stage.runner(facts[ROGUE]), str(stage.subject.address)
    runner.run(["ip", "address", "delete", f"{address}/32", "dev", facts[CARD]], timeout=ASK_SECONDS, check=False)
    filters.take_away(runner, "ip")
    stage.forget_address()


DRILL = Drill(
    id="rogue-arp",
    fault="net: rogue ARP answer",
    words="another machine answers ARP for the address",
    shows="whoever speaks last is believed: ARP has no proof of ownership, and MetalLB does not defend an address",
    look=look,
    make=make,
    undo=undo,
    claims=(
        claims.OUT,
        Claim("two", "two machines answer for one address", claims.two_answer),
    ),
    seconds=8.0,
)
