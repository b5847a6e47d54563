"""The announcer's connection tracking keeps a UDP flow to a server that is gone."""

from __future__ import annotations

from collections.abc import Sequence

from metallab.drills import claims, echo
from metallab.drills.base import ASK_SECONDS, ECHO, NODE, Claim, Drill, Facts, Stage

PORT = 40001
GONE, GONE_PORT = "10.244.9.9", 8081
"""An address of the pods' range that no pod has."""
OLD, NEW = "the old port", "a new port"
WORD, SILENCE = "hello", "no answer"


def look(stage: Stage) -> Facts:
    """See who announces: the flow is kept there."""
    return {NODE: stage.announcer, ECHO: stage.announcer}


def make(stage: Stage, facts: Facts) -> Facts:
    """Have it remembered, and ask from the port of that flow and from another one."""
    back = ("--reply-src", GONE, "--reply-dst", _client(stage))
    ports = ("--reply-port-src", str(GONE_PORT), "--reply-port-dst", str(PORT))
    stage.runner(facts[NODE]).run(
        ["conntrack", "--create", "--timeout", "600", *_there(stage), *back, *ports], timeout=ASK_SECONDS
    )
    return {OLD: _ask(stage, PORT), NEW: _ask(stage, PORT + 1)}


def undo(stage: Stage, facts: Facts) -> None:
    """Have it forgotten."""
    stage.runner(facts[NODE]).run(["conntrack", "--delete", *_there(stage)], timeout=ASK_SECONDS, check=False)


def _client(stage: Stage) -> str:
    return str(stage.site.lab.address(stage.site.lab.client))


def _there(stage: Stage) -> Sequence[str]:
    way = ("--orig-src", _client(stage), "--orig-dst", str(stage.subject.address))
    return ("-p", "udp", *way, "--sport", str(PORT), "--dport", str(echo.PORT))


def _ask(stage: Stage, port: int) -> str:
    """Send a word from a port and return what comes back within two seconds."""
    words = ["nc", "-u", "-w", "2", "-p", str(port), str(stage.subject.address), str(echo.PORT)]
    done = stage.subject.client.run(words, input=f"echo {WORD}", timeout=ASK_SECONDS, check=False)
    return done.stdout or SILENCE


DRILL = Drill(
    id="stale-flow",
    fault="cluster: stale conntrack",
    words="the announcer's connection tracking keeps a UDP flow to a server that is gone",
    shows="who keeps his port speaks into the void, with everything well; every new client is served",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("void", "from the old port there is no answer", claims.noted(OLD, SILENCE)),
        Claim("fresh", "from a new port there is", claims.noted(NEW, WORD)),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=3.0,
)
