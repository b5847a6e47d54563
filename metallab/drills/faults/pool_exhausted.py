"""A service asks for an address of a pool that has none left."""

from __future__ import annotations

from metallab.drills import claims, refused
from metallab.drills.base import Drill, nothing_to_undo

CASE = "exhausted"

DRILL = Drill(
    id="pool-exhausted",
    fault="cluster: pool exhausted",
    words="a service asks for an address of a pool that has none left",
    shows="MetalLB refuses it in an event, and gives it one as soon as there is one; nobody else is touched",
    look=refused.look,
    make=refused.ask(CASE),
    # What was asked for is taken away as soon as it is refused; after kill -9 the next proof does it.
    undo=nothing_to_undo,
    claims=(refused.says_why(CASE), claims.GOES_ON, claims.STAYS),
    seconds=3.0,
)
