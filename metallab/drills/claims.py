"""What drills claim of a client's view. Each returns a judge; all of them are pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

from metallab.drills import timeline
from metallab.drills.base import Claim, View
from metallab.drills.records import Outage
from metallab.drills.timeline import FRESH, KINDS
from metallab.proof.checks.scene import Seen
from metallab.proof.units import listed
from metallab.run import pace

Judge = Callable[[View], Seen]
SOON_SECONDS = 5.0
"""What a fault does, it does within so many seconds."""
OVER_SECONDS = 8.0
"""What a takeover may take beyond memberlist's timers: a busy speaker, its election, the client's ARP table."""
TURNS, TWO = "turns", "two"
"""What a fault notes for ``alone_within``: who answered in each turn, and for how many seconds two did."""
NAMES = {"tcp": "TCP", "udp": "UDP", "tcp-long": "long TCP", "udp-long": "long UDP"}


def outage_of(view: View, kind: str) -> Outage | None:
    """Return the longest outage of a kind while the fault lasted."""
    return timeline.longest(timeline.outages(view.probes, kind, view.made, view.undone))


def words(outage: Outage | None, kind: str) -> str:
    """Return an outage as people say it."""
    if outage is None:
        return f"{NAMES[kind]} without a failure"
    how = f"{outage.failed} failed ({', '.join(outage.how)})"
    if outage.seconds is None:
        return f"{NAMES[kind]} out from {outage.began:.2f} s on, until undone, {how}"
    return f"{NAMES[kind]} out for {outage.seconds:.2f} s, {how}"


def back_within(seconds: float, kinds: Sequence[str] = FRESH) -> Judge:
    """Claim that an outage, if there is any, ends by itself within so many seconds."""
    return lambda view: _back(view, seconds, kinds)


def replaced(view: View) -> Seen:
    """See an outage end by itself, not long after memberlist's own timers can have run out."""
    return _back(view, (view.floor.most if view.floor is not None else 0.0) + pace.scaled(OVER_SECONDS), FRESH)


def _back(view: View, seconds: float, kinds: Sequence[str]) -> Seen:
    found = {kind: outage_of(view, kind) for kind in kinds}
    holds = all(one is None or (one.seconds is not None and one.seconds <= seconds) for one in found.values())
    expected = f"served again by itself within {seconds:.0f} s"
    return Seen(holds, expected, "; ".join(words(one, kind) for kind, one in found.items()))


def any_failure(view: View) -> Seen:
    """See new clients fail at all: a fault nobody feels measures nothing."""
    found = {kind: outage_of(view, kind) for kind in FRESH}
    return Seen(all(found.values()), "some failures", "; ".join(words(one, kind) for kind, one in found.items()))


def breaks(kinds: Sequence[str] = FRESH, soon: float = SOON_SECONDS) -> Judge:
    """Claim that these kinds fail within ``soon`` seconds and do not come back until the fault is undone."""

    def judge(view: View) -> Seen:
        found = {kind: outage_of(view, kind) for kind in kinds}
        holds = all(one is not None and one.seconds is None and one.began <= soon for one in found.values())
        expected = f"{listed([NAMES[kind] for kind in kinds])} without an answer until it is undone"
        return Seen(holds, expected, "; ".join(words(one, kind) for kind, one in found.items()))

    return judge


def goes_on(kinds: Sequence[str] = KINDS, tolerated: int = 0) -> Judge:
    """Claim that these kinds are served all the time; ``tolerated`` probes of each may fail."""

    def judge(view: View) -> Seen:
        lines = []
        holds = True
        for kind in kinds:
            asked = [one for one in view.probes if one.kind == kind and view.made <= one.began < view.undone]
            failed = sum(not one.ok for one in asked)
            holds = holds and bool(asked) and failed <= tolerated
            lines.append(f"{NAMES[kind]} {failed} of {len(asked)} failed")
        allowed = f", {tolerated} of each kind at most" if tolerated else ""
        return Seen(holds, f"no failure{allowed}", "; ".join(lines))

    return judge


def moved(view: View) -> Seen:
    """See another machine take the address over: it says so unasked, and in the end it alone answers."""
    taken = [one for one in view.arp if one.gratuitous and one.mac != view.before and view.made <= one.time]
    expected = "one other machine answers, having said so by gratuitous ARP"
    holds = bool(taken) and len(view.answering) == 1 and view.answering[0] != view.before
    said = f"{owner(view, taken[0].mac)} said so after {taken[0].time - view.made:.2f} s" if taken else "nobody said so"
    return Seen(holds, expected, f"{said}; {_answering(view)}", view.evidence)


def stays(view: View) -> Seen:
    """See nobody else claim the address, and the same machine answer in the end."""
    others = timeline.macs([one for one in view.arp if one.mac != view.before], view.made, view.undone)
    holds = not others and view.answering == (view.before,)
    claimed = f"claimed by {listed([owner(view, mac) for mac in others])}; " if others else ""
    return Seen(holds, "the same machine answers, and nobody else claims it", claimed + _answering(view), view.evidence)


def silent(view: View) -> Seen:
    """See nobody answer ARP for the address while the fault lasts."""
    return Seen(not view.answering, "nobody answers ARP", _answering(view), view.evidence)


def still_answers(view: View) -> Seen:
    """See the same machine answer ARP on the wire."""
    return Seen(view.answering == (view.before,), "the announcer answers", _answering(view), view.evidence)


def handed_over(view: View) -> Seen:
    """See another machine say unasked that it announces, within two seconds of the fault."""
    others = [one.time - view.made for one in view.arp if one.gratuitous and one.mac != view.before]
    soon = [time for time in others if time >= 0]
    seen = f"after {soon[0]:.2f} s" if soon else "nobody said so"
    return Seen(bool(soon) and soon[0] <= SOON_SECONDS, f"gratuitous ARP within {SOON_SECONDS:.0f} s", seen)


def served_for(seconds: float) -> Judge:
    """Claim that the first failure comes no sooner than so many seconds after the fault."""

    def judge(view: View) -> Seen:
        found = {kind: outage_of(view, kind) for kind in FRESH}
        began = [one.began for one in found.values() if one is not None]
        first = f"first failure after {min(began):.2f} s" if began else "no failure"
        return Seen(not began or min(began) >= seconds, f"no failure for {seconds:.0f} s", first)

    return judge


def alone_within(seconds: float) -> Judge:
    """Claim that of two machines that both believe they announce one alone answers so soon, and goes on to.

    The fault noted who answered, in turns of a few seconds each, and for how long there were two (TURNS, TWO).
    """

    def judge(view: View) -> Seen:
        turns, two = view.noted[TURNS].split(), float(view.noted[TWO])
        who = [" and ".join(owner(view, mac) for mac in turn.split("+")) if turn != "-" else "nobody" for turn in turns]
        story = ", then ".join(name for name, _ in itertools.groupby(who))
        last = turns[-1]
        alone = last == turns[-2] and last != "-" and "+" not in last
        told = f"two for {two:.0f} s" if two else "never two"
        expected = f"two answer for {seconds:.0f} s at most, then one alone"
        return Seen(alone and two <= seconds, expected, f"{told}: {story}")

    return judge


def two_answer(view: View) -> Seen:
    """See two machines answer for one address."""
    expected = "two machines answer, the announcer and the other"
    holds = len(view.answering) == 2 and view.before in view.answering  # noqa: PLR2004 - two it is about
    return Seen(holds, expected, _answering(view), view.evidence)


def share(least: float, most: float, kinds: Sequence[str] = FRESH) -> Judge:
    """Claim that between ``least`` and ``most`` of the probes of these kinds fail."""

    def judge(view: View) -> Seen:
        shares = {}
        for kind in kinds:
            asked = [one for one in view.probes if one.kind == kind and view.settled <= one.began < view.undone]
            shares[kind] = sum(not one.ok for one in asked) / len(asked) if asked else 0.0
        told = ", ".join(f"{NAMES[kind]} {part:.0%}" for kind, part in shares.items())
        holds = all(least <= part <= most for part in shares.values())
        return Seen(holds, f"{least:.0%} to {most:.0%} fail", f"{told} failed")

    return judge


def slower(seconds: float) -> Judge:
    """Claim that the quickest answer to a new UDP client takes so much longer than before: others waited for more."""

    def judge(view: View) -> Seen:
        def quickest(since: float, until: float) -> float:
            took = (one.seconds for one in view.probes if one.kind == "udp" and one.ok and since <= one.began < until)
            return min(took, default=0.0)

        before, now = quickest(0.0, view.made), quickest(view.settled, view.undone)
        return Seen(
            now - before >= seconds, f"at least {seconds:.3f} s longer", f"{before:.3f} s before, {now:.3f} s now"
        )

    return judge


def noted(name: str, *parts: str) -> Judge:
    """Claim that what the fault noted under a name holds one of these words."""

    def judge(view: View) -> Seen:
        said = view.noted.get(name, "")
        return Seen(any(part in said for part in parts), f"{name}: … {' or '.join(parts)}", said or "nothing was said")

    return judge


def sometimes(name: str, word: str) -> Judge:
    """Claim that of several tries, each noted on a line, some ended with this word and some did not."""

    def judge(view: View) -> Seen:
        ends = view.noted.get(name, "").splitlines()
        told = "; ".join(f"{number} of {len(ends)} {how}" for how, number in Counter(ends).most_common())
        return Seen(0 < ends.count(word) < len(ends), f"{name}: some {word} and some not", told or "nothing was tried")

    return judge


def owner(view: View, mac: str) -> str:
    """Return whose card it is."""
    return view.owners.get(mac, mac)


def _answering(view: View) -> str:
    return f"{listed([owner(view, mac) for mac in view.answering])} answers" if view.answering else "nobody answers"


OUT = Claim("out", "new TCP and UDP clients get no answer until it is undone", breaks())
GOES_ON = Claim("goes-on", "clients notice nothing, old or new", goes_on())
BROKE = Claim("broke", "new clients notice it", any_failure)
REPLACED = Claim("back", "new clients are served again by another node, about when memberlist allows it", replaced)
MOVED = Claim("moved", "another machine takes the address over", moved)
SILENT = Claim("silent", "nobody answers ARP for the address", silent)
STAYS = Claim("stays", "the address stays where it was", stays)
