"""Three of ten packets to the address are lost on the announcer."""

from __future__ import annotations

from metallab.drills import claims, filters
from metallab.drills.base import Claim, Drill

DROP = filters.Drop("""\
        type filter hook prerouting priority raw; policy accept;
        ip daddr {address} numgen random mod 100 < 30 drop""")
LEAST, MOST = 0.15, 0.50
"""Of 160 probes with a chance of 0.3 each, fewer or more fail once in a million runs; a new TCP client sends more than
one packet, of which the kernel repeats only some in time."""

DRILL = Drill(
    id="loss-30",
    fault="net: loss 30%",
    words="the announcer loses 30 % of the packets to the address",
    shows="UDP loses as much as the network does; a new TCP connection waits a second for a lost SYN",
    look=DROP.look,
    make=DROP.make,
    undo=DROP.undo,
    claims=(
        Claim("fails", "about three of ten new clients get no answer within a second", claims.share(LEAST, MOST)),
        claims.STAYS,
    ),
    seconds=9.0,
)
