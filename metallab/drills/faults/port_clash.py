"""Another service asks for a port of the address that is taken."""

from __future__ import annotations

from metallab.drills import claims, refused
from metallab.drills.base import Drill, nothing_to_undo

CASE = "port-clash"

DRILL = Drill(
    id="port-clash",
    fault="cluster: port clash",
    words="another service asks for a port of the address that is taken",
    shows="MetalLB refuses the newcomer in an event; who was there first goes on",
    look=refused.look,
    make=refused.ask(CASE),
    # What was asked for is taken away as soon as it is refused; after kill -9 the next proof does it.
    undo=nothing_to_undo,
    claims=(refused.says_why(CASE), claims.GOES_ON, claims.STAYS),
    seconds=3.0,
)
