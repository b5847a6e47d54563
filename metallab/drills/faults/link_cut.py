"""The announcer loses its link to the lab network for a while, and comes back believing that it still announces."""

from __future__ import annotations

from metallab import errors
from metallab.drills import claims
from metallab.drills.base import ASK_SECONDS, ECHO, Claim, Drill, Facts, NotPossible, Stage
from metallab.proof import probes
from metallab.run.wait import NotYet, until

NODE, CARD, ASKER, ASKER_CARD = "node", "card", "asker", "asker card"
CUT_SECONDS = 15
REJOIN_SECONDS = 60
"""A speaker looks for those it has lost once a minute (MetalLB v0.15.2, internal/speakerlist, joinMembers)."""
WATCH_SECONDS = CUT_SECONDS + REJOIN_SECONDS + 15
UNIT = "metallab-drill-link"
SCRIPT = f"""\
ip link set "$1" down
sleep {CUT_SECONDS}
ip link set "$1" up
systemctl restart metallab-podnet.service
"""
"""Run by the machine itself: with its link it loses our way in. Routes through a card go when it does."""
BACK_SECONDS = 90.0
ANSWERS, SENT = "answers", "asked"


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
    """Ask once a second from a third machine who has the address, past the moment at which the link returns."""
    address = str(stage.subject.address)
    words = ["arping", "-b", "-w", str(WATCH_SECONDS), "-I", facts[ASKER_CARD], address]
    done = stage.runner(facts[ASKER]).run(words, timeout=WATCH_SECONDS + ASK_SECONDS, check=False)
    found = probes.parse_arping(done.stdout)
    return {SENT: str(found.sent), ANSWERS: " ".join(reply.mac for reply in found.replies)}


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
    shows="the others take over; when the link returns two may answer, until the speakers look for lost ones again",
    look=look,
    make=make,
    undo=undo,
    claims=(
        claims.BROKE,
        claims.REPLACED,
        Claim("one-answer", "a minute after the link is back one machine alone answers", claims.one_in_the_end),
    ),
    seconds=float(WATCH_SECONDS),
    during=during,
)
