"""Every packet from the announcer takes 200 ms longer."""

from __future__ import annotations

from metallab.drills import claims
from metallab.drills.base import ASK_SECONDS, CARD, ECHO, NODE, Claim, Drill, Facts, NotPossible, Stage

DELAY = 0.2


def look(stage: Stage) -> Facts:
    """See who announces, and that its kernel has tc's netem: that of many hosts of containers has not."""
    runner = stage.runner(stage.announcer)
    card = stage.card(stage.announcer)
    tried = runner.run(
        ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "0"], timeout=ASK_SECONDS, check=False
    )
    if not tried.ok:
        raise NotPossible(f"the kernel of {stage.announcer} has no tc netem ({tried.tail})")
    runner.run(["tc", "qdisc", "delete", "dev", "lo", "root"], timeout=ASK_SECONDS)
    return {NODE: stage.announcer, CARD: card, ECHO: stage.announcer}


def make(stage: Stage, facts: Facts) -> None:
    """Let them wait."""
    words = ["tc", "qdisc", "replace", "dev", facts[CARD], "root", "netem", "delay", f"{DELAY * 1000:.0f}ms"]
    stage.runner(facts[NODE]).run(words, timeout=ASK_SECONDS)


def undo(stage: Stage, facts: Facts) -> None:
    """Let them go."""
    words = ["tc", "qdisc", "delete", "dev", facts[CARD], "root"]
    stage.runner(facts[NODE]).run(words, timeout=ASK_SECONDS, check=False)


DRILL = Drill(
    id="delay-200",
    fault="net: delay 200 ms",
    words="packets from the announcer take 200 ms longer",
    shows="nothing fails, everything waits: a new TCP connection twice",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("slower", "an answer takes at least 180 ms longer", claims.slower(0.9 * DELAY)),
        claims.STAYS,
    ),
    seconds=8.0,
)
