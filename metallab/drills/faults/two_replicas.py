"""The iperf3 server in two replicas: a test needs one server for its control connection and its data."""

from __future__ import annotations

from metallab.cluster import example, experiment
from metallab.drills import claims, scaling
from metallab.drills.base import Claim, Drill, Facts, Stage
from metallab.proof import iperf3

SERVER = scaling.Deployment(example.NAMESPACE, example.SERVER, experiment.SERVER_LABEL)
TRIES, LIMIT_SECONDS = 14, 4
"""Each works with a chance of one half: that all do, or none, happens once in eight thousand times."""
WORKED = "worked"
TESTS = "iperf3 -u"


def make(stage: Stage, _facts: Facts) -> None:
    """Have two, both ready."""
    SERVER.scale(stage, 2)


def during(stage: Stage, _facts: Facts) -> Facts:
    """Test UDP again and again, each time from fresh ports, and note how each ended."""
    client, address = stage.subject.client, stage.subject.address
    ends = [iperf3.try_udp(client, address, seconds=1, limit=LIMIT_SECONDS)[0] or WORKED for _ in range(TRIES)]
    return {TESTS: "\n".join(" ".join(words.split()) for words in ends)}


DRILL = Drill(
    id="two-replicas",
    fault="cluster: two replicas",
    words="the iperf3 server runs in two replicas",
    shows="each connection is given a server by chance, and iperf3 needs the same for both: half of its UDP tests fail",
    look=SERVER.look,
    make=make,
    undo=SERVER.undo,
    during=during,
    claims=(
        Claim("by-chance", "some UDP tests of iperf3 work and some do not", claims.sometimes(TESTS, WORKED)),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=60.0,
)
