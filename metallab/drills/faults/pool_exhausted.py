"""A service asks for an address of a pool that has none left."""

from __future__ import annotations

from metallab.drills import claims
from metallab.drills.base import ECHO, Claim, Drill, Facts, Stage, nothing_to_undo
from metallab.proof.checks import refusals

CASE = "exhausted"
EVENT = "event"


def look(stage: Stage) -> Facts:
    """Need nothing but what a drill brings along."""
    return {ECHO: stage.announcer}


def make(stage: Stage, _facts: Facts) -> Facts:
    """Ask for it, wait for the answer, and take the request away again."""
    said = stage.subject.cluster.refused(CASE, refusals.EXPECTED[CASE])
    return {EVENT: "; ".join(line for line in said if line.startswith(refusals.FAILED))}


DRILL = Drill(
    id="pool-exhausted",
    fault="cluster: pool exhausted",
    words="a service asks for an address of a pool that has none left",
    shows="MetalLB refuses it in an event, and gives it one as soon as there is one; nobody else is touched",
    look=look,
    make=make,
    # What was asked for is taken away as soon as it is refused; after kill -9 the next proof does it.
    undo=nothing_to_undo,
    claims=(
        Claim("said", "MetalLB says why", claims.noted(EVENT, *refusals.EXPECTED[CASE])),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=3.0,
)
