"""More packets than a policer lets through: what is above the rate is dropped on the announcer."""

from __future__ import annotations

from metallab.drills import claims, filters
from metallab.drills.base import Claim, Drill

DROP = filters.Drop("""\
        type filter hook prerouting priority raw; policy accept;
        ip daddr {address} limit rate over 40/second burst 5 packets drop""")
"""The observer's four kinds of probes send about 200 packets a second."""
LEAST, MOST = 0.2, 0.98

DRILL = Drill(
    id="rate-limit",
    fault="net: rate limit",
    words="the announcer lets 40 packets a second to the address through",
    shows="a policer drops whoever comes when the second is used up: most of them fail, some never notice",
    look=DROP.look,
    make=DROP.make,
    undo=DROP.undo,
    claims=(
        Claim("fails", "many new UDP clients get no answer, and some do", claims.share(LEAST, MOST, ("udp",))),
        claims.STAYS,
    ),
    seconds=8.0,
)
