"""ARP answers for the address do not reach the client's kernel: a filter, or a switch that trusts nobody."""

from __future__ import annotations

from metallab.drills import claims, filters
from metallab.drills.base import ECHO, Claim, Drill, Facts, Stage

CHAIN = """\
        type filter hook input priority filter; policy accept;
        arp saddr ip {address} drop"""


def look(stage: Stage) -> Facts:
    """See that the client's kernel can filter ARP."""
    filters.require(stage.runner(stage.site.lab.client.name), "arp", _chain(stage))
    return {ECHO: stage.announcer}


def make(stage: Stage, _facts: Facts) -> None:
    """Drop them, and let the client forget the MAC it knows."""
    filters.put(stage.subject.client, "arp", _chain(stage))
    stage.forget_address()


def undo(stage: Stage, _facts: Facts) -> None:
    """Take the filter away."""
    filters.take_away(stage.subject.client, "arp")


def _chain(stage: Stage) -> str:
    return CHAIN.format(address=stage.subject.address)


DRILL = Drill(
    id="arp-blocked",
    fault="net: ARP blocked",
    words="the client's kernel gets no ARP answer for the address",
    shows="arping reads the wire itself and sees the announcer answer; the kernel does not, and has no way to it",
    look=look,
    make=make,
    undo=undo,
    claims=(
        claims.OUT,
        Claim("on-the-wire", "on the wire the announcer answers all the same", claims.still_answers),
    ),
    seconds=6.0,
)
