"""What a learner answers, compared with what the lab shows at this moment; never with a constant."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address

from metallab import errors
from metallab.cluster import experiment, metallb_status
from metallab.errors import LabError
from metallab.lessons.world import World

MAC = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")
NOT_THAT = "that is not what the lab shows"
RECORD = "/run/metallab-lesson/arp.log"
"""What the recorder on the client writes: seconds since 1970, and the MAC that answered or ``-``, a line a look."""
TOLERANCE_SECONDS = 1.0
OUTAGE_SECONDS = 1.5
"""A recorder that gets no answer needs a second for a look: a gap below this is none."""
READ_SECONDS = 15.0


def judge(asks: str, about: str, world: World) -> str:
    """Return what is wrong with the learner's answer, empty when nothing is. Never says what would be right."""
    words = world.answer.strip()
    if not words:
        return "this step wants an answer: ./inv lesson.check --answer '…'"
    return QUESTIONS[asks](words, about, world)


def _announcer(words: str, about: str, world: World) -> str:
    """Compare a MAC and a machine with who answers ARP for an address."""
    parts = words.lower().replace(",", " ").split()
    macs = [part for part in parts if MAC.match(part)]
    machines = [part for part in parts if part in {machine.name for machine in world.subject.lab.machines}]
    if len(macs) != 1 or len(machines) != 1 or len(parts) != 2:  # noqa: PLR2004 - one of each
        return "it should be a MAC and a machine's name, like: 02:00:5e:00:53:01 some-machine"
    answering = world.macs(IPv4Address(about))
    if tuple(macs) != answering:
        return f"{macs[0]} does not answer for {about}"
    return "" if world.owners().get(macs[0]) == machines[0] else f"{macs[0]} is not a card of {machines[0]}"


def _first_elsewhere(words: str, about: str, world: World) -> str:
    """Compare with the first address of the pool that another node than the announcer of ``about`` would announce."""
    try:
        given = IPv4Address(words)
    except ValueError:
        return "it should be one IPv4 address"
    lab = world.subject.lab
    pool = [lab.at(host) for host in range(lab.pool.first, lab.pool.last + 1)]
    if given not in pool:
        return f"{given} is not in the pool {lab.pool_range}"
    candidates, here = world.candidates(), world.elected(about)
    elsewhere = [
        address
        for address in pool
        if str(address) != about and metallb_status.predicted_announcer(candidates, address) != here
    ]
    if given not in elsewhere:
        return f"{given} would be announced by {here}, like {about}"
    return "" if given == elsewhere[0] else f"there is an address before {given} for which it is so, too"


def _successor(words: str, about: str, world: World) -> str:
    """Compare with the node that wins the election for an address once its announcer is gone."""
    candidates = world.candidates()
    if words not in candidates:
        return f"{words!r} cannot announce; those that can: {', '.join(candidates)}"
    answering = world.answering(IPv4Address(about))
    if len(answering) != 1:
        return f"{len(answering)} machines answer for {about} now: there is nobody to follow"
    if words == answering[0]:
        return f"{words} is the announcer now"
    left = [node for node in candidates if node != answering[0]]
    return "" if words == metallb_status.predicted_announcer(left, about) else NOT_THAT


def _outage(words: str, _about: str, world: World) -> str:
    """Compare seconds with the longest gap in what the recorder on the client wrote."""
    try:
        given = float(words.lower().removesuffix("s").strip())
    except ValueError:
        return "it should be a number of seconds, like 2.5"
    result = world.subject.client.run(["cat", RECORD], timeout=READ_SECONDS, check=False)
    if not result.ok:
        return f"the recorder on {world.subject.client.name} has written nothing: ./inv lesson.reset starts it again"
    gap = longest_gap(result.stdout)
    if gap < OUTAGE_SECONDS:
        return "the record shows no outage yet"
    return "" if abs(given - gap) <= TOLERANCE_SECONDS else "that is not what the record shows"


def longest_gap(record: str) -> float:
    """Return the longest time between two answers next to each other in a record, in seconds.

    Raises LAB-PRF-001 for a line that is none of the recorder's; the last one may be half written.
    """
    times = []
    for line in record.splitlines()[:-1]:
        when, _, who = line.partition(" ")
        try:
            moment = float(when)
        except ValueError as error:
            raise LabError(errors.PROOF_UNREADABLE, f"the record: not understood: {line}") from error
        if who != "-":
            times.append(moment)
    return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)


def _source(words: str, about: str, world: World) -> str:
    """Compare with the source address that the server behind a service sees."""
    seen, trouble = world.source_through(about)
    return trouble or ("" if words == seen else f"the server does not see {words}")


def _reason(words: str, about: str, world: World) -> str:
    """Compare with the reasons of the events about a service."""
    service = world.service(about)
    if service is None:
        return f"there is no Service {about}"
    said = experiment.events(world.cluster, service)
    reasons = {line.partition(":")[0].lower() for line in said}
    return "" if words.strip(":").lower() in reasons else f"no event about {about} has that reason"


def _fact(words: str, about: str, world: World) -> str:
    """Compare with what ``start.sh`` set, under the name ``about``."""
    return "" if words.lower() == world.values[about].lower() else NOT_THAT


QUESTIONS: Mapping[str, Callable[[str, str, World], str]] = {
    "announcer": _announcer,
    "first-elsewhere": _first_elsewhere,
    "successor": _successor,
    "outage": _outage,
    "source": _source,
    "reason": _reason,
    "fact": _fact,
}
