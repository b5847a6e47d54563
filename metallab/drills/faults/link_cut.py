"""The announcer loses its link to the lab network for a while, and comes back believing that it still announces."""

from __future__ import annotations

import time
from collections.abc import Sequence

from metallab import errors
from metallab.drills import claims
from metallab.drills.base import ASK_SECONDS, CARD, ECHO, NODE, Claim, Drill, Facts, NotPossible, Stage
from metallab.proof import probes
from metallab.run.wait import NotYet, until

ASKER, ASKER_CARD = "asker", "asker card"
CUT_SECONDS = 15
TURN_SECONDS = 5
TURNS = 16
REJOIN_SECONDS = 60.0 + TURN_SECONDS
"""Speakers that have lost each other look for each other once a minute, and when their node changes (MetalLB v0.15.2,
internal/speakerlist, joinMembers). Until then each believes that the other is dead, and both announce."""
UNIT = "metallab-drill-link"
SCRIPT = f"""\
ip link set "$1" down
sleep {CUT_SECONDS}
ip link set "$1" up
systemctl restart metallab-podnet.service
"""
"""Run by the machine itself: with its link it loses our way in. Routes through a card go when it does."""
BACK_SECONDS = 90.0
NOBODY = "-"
QUIET_TURNS = 3
"""A machine that is back needs a moment to announce again."""


def look(stage: Stage) -> Facts:
    """See who announces and who would take over, and choose who asks for the address meanwhile."""
    asker = stage.site.lab.control_plane.name
    if stage.announcer == asker:
        raise NotPossible("the control plane announces, and nobody would be left to ask")
    facts = {NODE: stage.announcer, CARD: stage.card(stage.announcer), ASKER: asker, ASKER_CARD: stage.card(asker)}
    return {**facts, ECHO: stage.heirs()[0]}


def make(stage: Stage, facts: Facts) -> None:
    """Have the machine cut its own link, and mend it by itself some seconds later, whatever becomes of us."""
    words = ["systemd-run", "--collect", f"--unit={UNIT}", "sh", "-c", SCRIPT, "cut", facts[CARD]]
    stage.runner(facts[NODE]).run(words, timeout=ASK_SECONDS)
    stage.runner(facts[NODE]).close()


def during(stage: Stage, facts: Facts) -> Facts:
    """Ask once a second from a third machine who has the address, until one alone answers again after the cut."""
    _asked(stage, facts, CUT_SECONDS)
    turns: list[str] = []
    returned, two = time.monotonic(), 0.0
    while len(turns) < TURNS and not _settled(turns):
        turns.append("+".join(_asked(stage, facts, TURN_SECONDS)) or NOBODY)
        if "+" in turns[-1]:
            two = time.monotonic() - returned
    return {claims.TURNS: " ".join(turns), claims.TWO: f"{two:.1f}"}


def _asked(stage: Stage, facts: Facts, seconds: int) -> list[str]:
    """Ask for some seconds and return the MACs that answered."""
    words = ["arping", "-b", "-w", str(seconds), "-I", facts[ASKER_CARD], str(stage.subject.address)]
    done = stage.runner(facts[ASKER]).run(words, timeout=seconds + ASK_SECONDS, check=False)
    return sorted({reply.mac for reply in probes.parse_arping(done.stdout).replies})


def _settled(turns: Sequence[str]) -> bool:
    """Tell whether the same one machine alone answered twice running, once two had, or for long enough."""
    last = turns[-2:]
    alone = len(last) == 2 and last[0] == last[1] != NOBODY and "+" not in last[0]  # noqa: PLR2004 - twice
    return alone and (any("+" in turn for turn in turns) or len(turns) > QUIET_TURNS)


def undo(stage: Stage, facts: Facts) -> None:
    """Wait until the machine lets us in again, and see that card and routes are as they should be."""
    runner = stage.runner(facts[NODE])

    def lets_us_in() -> None:
        if not runner.answers():
            raise NotYet(f"no SSH to {facts[NODE]}")

    what, entry = f"{facts[NODE]} to have its link again", errors.MACHINE_UNREACHABLE
    until(lets_us_in, timeout=BACK_SECONDS, what=what, entry=entry)
    runner.run(["systemctl", "stop", f"{UNIT}.service"], timeout=ASK_SECONDS, check=False)
    runner.run(["ip", "link", "set", facts[CARD], "up"], timeout=ASK_SECONDS)
    runner.run(["systemctl", "restart", "metallab-podnet.service"], timeout=ASK_SECONDS)


DRILL = Drill(
    id="link-cut",
    fault="net: link down",
    words=f"the announcer's link to the lab network is cut for {CUT_SECONDS} s",
    shows="the others take over; when the link returns two announce for up to a minute, until they meet again",
    look=look,
    make=make,
    undo=undo,
    claims=(
        claims.BROKE,
        claims.REPLACED,
        Claim(
            "one-answer", "soon after the link is back one machine alone answers", claims.alone_within(REJOIN_SECONDS)
        ),
    ),
    seconds=float(CUT_SECONDS),
    during=during,
)
