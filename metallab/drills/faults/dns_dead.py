"""The cluster's DNS is gone."""

from __future__ import annotations

from metallab.drills import claims, scaling
from metallab.drills.base import ASK_SECONDS, ECHO, Claim, Drill, Facts, Stage

WHERE = ("kube-system", "coredns")
LABELS = "k8s-app=kube-dns"
NODE, LOOKUP = "node", "lookup"
NAME = "kubernetes.default.svc.cluster.local"
FOUND, UNKNOWN = "found", "no answer"


def look(stage: Stage) -> Facts:
    """See that it runs."""
    return {**scaling.count(stage, *WHERE), NODE: stage.announcer, ECHO: stage.announcer}


def make(stage: Stage, facts: Facts) -> Facts:
    """Take it away, and look a name up."""
    scaling.down(stage, *WHERE, LABELS)
    words = ["kdig", "+time=1", "+retry=0", "+short", f"@{stage.site.lab.dns_address}", NAME]
    done = stage.runner(facts[NODE]).run(words, timeout=ASK_SECONDS, check=False)
    return {LOOKUP: FOUND if done.ok and done.stdout.strip()[:1].isdigit() else UNKNOWN}


def undo(stage: Stage, facts: Facts) -> None:
    """Bring it back."""
    scaling.back(stage, *WHERE, facts)


DRILL = Drill(
    id="dns-dead",
    fault="net: DNS dead",
    words="the cluster's DNS is gone",
    shows="names inside the cluster are not found; who knows an address notices nothing",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("no-names", "a name of the cluster is not found", claims.noted(LOOKUP, UNKNOWN)),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=5.0,
)
