"""The announcer's card in the lab network takes smaller packets than everybody else's."""

from __future__ import annotations

from metallab.drills import claims
from metallab.drills.base import ASK_SECONDS, CARD, ECHO, NODE, Claim, Drill, Facts, Stage
from metallab.proof import iperf3
from metallab.proof.reader import Node, loads
from metallab.run.wait import NotYet, until

FOUND = "mtu found"
MTU = 1300
HEADERS = 28
"""An IPv4 and an ICMP header, which ping's sizes leave out."""
MSS = (MTU - 52, MTU - 40)
"""What TCP then sends at once: less the headers, with time stamps and without."""
SECONDS = 2
RATE = "20M"
TOO_BIG = (f"mtu={MTU}", f"mtu = {MTU}")
UNCUT = "ping of 1400 bytes, not to be cut"
LEARNT = "segments"


def look(stage: Stage) -> Facts:
    """See who announces, and the MTU of its card."""
    node, card = stage.announcer, stage.card(stage.announcer)
    said = stage.runner(node).run(["ip", "-j", "link", "show", "dev", card], timeout=ASK_SECONDS).stdout
    (link,) = loads(said, "ip -j link").items()
    return {NODE: node, CARD: card, FOUND: str(link["mtu"].integer(1)), ECHO: node}


def make(stage: Stage, facts: Facts) -> None:
    """Make it smaller, and connect anew: a connection from before sends packets that are now too big for the card."""
    _set(stage, facts, str(MTU))
    stage.runner(facts[NODE]).close()


def during(stage: Stage, facts: Facts) -> Facts:
    """Send what may not be cut, then let the server send much, twice: it has learnt something by then."""
    client = str(stage.site.lab.address(stage.site.lab.client))
    words = ["ping", "-c", "1", "-W", "2", "-M", "do", "-s", str(1400 - HEADERS), client]
    ping = stage.runner(facts[NODE]).run(words, timeout=ASK_SECONDS, check=False)
    first, second = _download(stage), _download(stage)
    megabytes = first["end"]["sum_received"]["bytes"].integer() / 1e6
    sizes = [run["start"]["tcp_mss_default"].integer() for run in (first, second)]
    learnt = f"{megabytes:.1f} MB came; {sizes[0]} bytes at once to begin with, {sizes[1]} the next time"
    return {UNCUT: "answered" if ping.ok else ping.stderr.strip() or ping.stdout.strip(), LEARNT: learnt}


def undo(stage: Stage, facts: Facts) -> None:
    """Give the card the MTU that was found."""
    _set(stage, facts, facts[FOUND])


def _set(stage: Stage, facts: Facts, mtu: str) -> None:
    stage.runner(facts[NODE]).run(["ip", "link", "set", "dev", facts[CARD], "mtu", mtu], timeout=ASK_SECONDS)


def _download(stage: Stage) -> Node:
    """Have the iperf3 server send for some seconds, and return what iperf3 says."""
    argv = [*iperf3.json_argv(stage.subject.address, seconds=SECONDS), "--reverse", "--bitrate", RATE]

    def done() -> Node:
        said = loads(stage.subject.client.run(argv, timeout=ASK_SECONDS, check=False).stdout, "iperf3 -J")
        if said.has("error"):
            raise NotYet(said["error"].text())
        return said

    return until(done, timeout=iperf3.BUSY_SECONDS, every=1.0, what="iperf3 to be done")


DRILL = Drill(
    id="mtu-1300",
    fault="net: MTU 1300",
    words=f"the announcer's card takes packets of {MTU} bytes, everybody else's 1500",
    shows="small packets pass as ever; a server that sends big ones is told by ICMP, and sends smaller ones after that",
    look=look,
    make=make,
    undo=undo,
    during=during,
    claims=(
        Claim(
            "too-big",
            "what may not be cut does not leave the announcer",
            claims.noted(UNCUT, *TOO_BIG),
        ),
        Claim(
            "learnt",
            "a big transfer comes all the same, and the next one begins with segments that fit",
            claims.noted(LEARNT, *(f"{size} the next time" for size in MSS)),
        ),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=8.0,
)
