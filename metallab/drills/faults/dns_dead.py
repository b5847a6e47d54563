"""The cluster's DNS is gone."""

from __future__ import annotations

from metallab.drills import claims, scaling
from metallab.drills.base import ASK_SECONDS, ECHO, Claim, Drill, Facts, Stage

DNS = scaling.Deployment("kube-system", "coredns", "k8s-app=kube-dns")
LOOKUP = "lookup"
NAME = "kubernetes.default.svc.cluster.local"
FOUND, UNKNOWN = "found", "no answer"


def make(stage: Stage, facts: Facts) -> Facts:
    """Take it away, and look a name up."""
    DNS.take_away(stage)
    words = ["kdig", "+time=1", "+retry=0", "+short", f"@{stage.site.lab.dns_address}", NAME]
    done = stage.runner(facts[ECHO]).run(words, timeout=ASK_SECONDS, check=False)
    return {LOOKUP: FOUND if done.ok and done.stdout.strip()[:1].isdigit() else UNKNOWN}


DRILL = Drill(
    id="dns-dead",
    fault="net: DNS dead",
    words="the cluster's DNS is gone",
    shows="names inside the cluster are not found; who knows an address notices nothing",
    look=DNS.look,
    make=make,
    undo=DNS.undo,
    claims=(
        Claim("no-names", "a name of the cluster is not found", claims.noted(LOOKUP, UNKNOWN)),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=5.0,
)
