"""Three of ten packets to the address are lost on the announcer."""

from __future__ import annotations

from metallab.drills import claims, filters
from metallab.drills.base import ECHO, Claim, Drill, Facts, Stage

NODE = "node"
CHAIN = """\
        type filter hook prerouting priority raw; policy accept;
        ip daddr {address} numgen random mod 100 < 30 drop"""
LEAST, MOST = 0.15, 0.50
"""Of 160 probes with a chance of 0.3 each, fewer or more fail once in a million runs; a new TCP client sends more than
one packet, of which the kernel repeats only some in time."""


def look(stage: Stage) -> Facts:
    """See who announces, and that its kernel can drop by chance (without any queueing discipline)."""
    filters.require(stage.runner(stage.announcer), "ip", _chain(stage))
    return {NODE: stage.announcer, ECHO: stage.announcer}


def make(stage: Stage, facts: Facts) -> None:
    """Begin to drop."""
    filters.put(stage.runner(facts[NODE]), "ip", _chain(stage))


def undo(stage: Stage, facts: Facts) -> None:
    """Drop no more."""
    filters.take_away(stage.runner(facts[NODE]), "ip")


def _chain(stage: Stage) -> str:
    return CHAIN.format(address=stage.subject.address)


DRILL = Drill(
    id="loss-30",
    fault="net: loss 30%",
    words="the announcer loses 30 % of the packets to the address",
    shows="UDP loses as much as the network does; a new TCP connection waits a second for a lost SYN",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("fails", "about three of ten new clients get no answer within a second", claims.share(LEAST, MOST)),
        claims.STAYS,
    ),
    seconds=9.0,
)
