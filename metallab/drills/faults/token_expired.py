"""A bootstrap token runs out: the one a machine would have joined the cluster with."""

from __future__ import annotations

from datetime import timedelta

from metallab.cluster import kubeadm
from metallab.cluster.kubeadm_config import Token
from metallab.drills import claims
from metallab.drills.base import ECHO, NODE, Claim, Drill, Facts, Stage
from metallab.run.result import Result
from metallab.run.wait import NotYet, until

MINTED = "token"
LIFE = timedelta(seconds=15)
KNOWN_SECONDS = 10.0
"""The API server hears of a new token by a watch."""
OVER_SECONDS = LIFE.total_seconds() + 45.0
VALID, EXPIRED = "while it is valid", "when it has run out"
SOMEBODY, NOBODY = "system:bootstrap:", "Unauthorized"


def look(stage: Stage) -> Facts:
    """Choose the token's public half, by which it can be taken away, and the node that shows it to the API server."""
    return {MINTED: kubeadm.new_token().id, NODE: stage.announcer, ECHO: stage.announcer}


def make(stage: Stage, facts: Facts) -> Facts:
    """Make a token for some seconds, and ask with it who we are, until the API server does not know any more."""
    token = Token(facts[MINTED], kubeadm.new_token().secret)
    kubeadm.mint_token(stage.site.cluster, token, LIFE)

    def ask() -> Result:
        return kubeadm.whoami(stage.site.lab, stage.runner(facts[NODE]), stage.site.cluster, token)

    def known() -> str:
        said = ask()
        if not said.ok:
            raise NotYet(said.tail)
        return said.stdout

    def refused() -> str:
        said = ask()
        if said.ok:
            raise NotYet("it is still valid")
        return said.tail

    valid = until(known, timeout=KNOWN_SECONDS, what="the API server to know the token")
    return {VALID: valid, EXPIRED: until(refused, timeout=OVER_SECONDS, what="the token to run out", every=1.0)}


def undo(stage: Stage, facts: Facts) -> None:
    """Remove it; the controller manager may have done so."""
    kubeadm.drop_token(stage.site.cluster, Token(facts[MINTED], ""))


DRILL = Drill(
    id="token-expired",
    fault="cluster: token expired",
    words="the bootstrap token with which a machine could have joined runs out",
    shows="a token is needed once, to join: who is in has a certificate of its own, and who comes late gets a 401",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("valid", "as long as it is valid the API server knows whose it is", claims.noted(VALID, SOMEBODY)),
        Claim("refused", "when it has run out the API server does not know him", claims.noted(EXPIRED, NOBODY)),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=3.0,
)
