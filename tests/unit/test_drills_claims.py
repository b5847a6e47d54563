"""What drills claim, judged from views that are true and views that are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from metallab.drills import claims
from metallab.drills.base import View
from metallab.drills.records import Floor
from metallab.drills.timeline import KINDS, ArpClaim, Probe

A, B = "02:42:c0:a8:60:0c", "02:42:c0:a8:60:0b"
OWNERS = {A: "worker-2", B: "worker-1"}
MADE = 100.0


def view(
    out: tuple[float, float] | None = None,
    *,
    kinds: Sequence[str] = KINDS,
    arp: Sequence[ArpClaim] = (),
    answering: tuple[str, ...] = (A,),
    every: int = 1,
) -> View:
    """Return a view of ten seconds before and after ``MADE``; ``kinds`` fail in ``out``, each ``every``-th time."""
    probes = []
    for kind in KINDS:
        for number in range(400):
            began = MADE - 10 + number * 0.05
            fails = out is not None and kind in kinds and out[0] <= began - MADE < out[1] - 1e-6 and number % every == 0
            probes.append(Probe(began, kind, "timeout" if fails else "ok", 0.002))
    floor = Floor("LAN", 3, 5.0, 7.0)
    return View(tuple(probes), tuple(arp), MADE, MADE + 9, MADE + 10, A, answering, owners=OWNERS, floor=floor)


def noting(*ends: str) -> View:
    """Return a view in which several tries ended so."""
    return dataclasses.replace(view(), noted={"tests": "\n".join(ends)})


GARP_A, GARP_B = ArpClaim(MADE + 4.0, A, gratuitous=True), ArpClaim(MADE + 5.5, B, gratuitous=True)
JUDGED = [
    ("goes-on", claims.goes_on(), view(), True),
    ("goes-on, a failure", claims.goes_on(), view((1.0, 1.05)), False),
    ("goes-on, one tolerated", claims.goes_on(tolerated=1), view((1.0, 1.05)), True),
    ("goes-on, nothing asked", claims.goes_on(), dataclasses.replace(view(), probes=()), False),
    ("goes-on for TCP", claims.goes_on(("tcp",)), view((1.0, 9.0), kinds=["udp"]), True),
    ("out", claims.breaks(), view((0.2, 10.0)), True),
    ("out, never", claims.breaks(), view(), False),
    ("out, only UDP", claims.breaks(), view((0.2, 10.0), kinds=["udp"]), False),
    ("out, but back", claims.breaks(), view((0.2, 6.0)), False),
    ("out, too late", claims.breaks(), view((7.0, 10.0)), False),
    ("out, late enough", claims.breaks(soon=8.0), view((7.0, 10.0)), True),
    ("back", claims.back_within(5.0), view((1.0, 5.5)), True),
    ("back, unnoticed", claims.back_within(5.0), view(), True),
    ("back, too slow", claims.back_within(4.0), view((1.0, 5.5)), False),
    ("back, never", claims.back_within(5.0), view((1.0, 10.0)), False),
    ("replaced", claims.replaced, view((0.2, 6.0)), True),
    ("replaced, not", claims.replaced, view((0.2, 10.0)), False),
    ("replaced, no floor", claims.replaced, dataclasses.replace(view((0.2, 7.9)), floor=None), True),
    ("broke", claims.any_failure, view((1.0, 1.05)), True),
    ("broke, unnoticed", claims.any_failure, view(), False),
    ("moved", claims.moved, view(arp=[GARP_B], answering=(B,)), True),
    ("moved, without a word", claims.moved, view(answering=(B,)), False),
    ("moved, but both answer", claims.moved, view(arp=[GARP_B], answering=(A, B)), False),
    ("moved, but not", claims.moved, view(arp=[GARP_A]), False),
    ("stays", claims.stays, view(arp=[GARP_A]), True),
    ("stays, another claims it", claims.stays, view(arp=[GARP_B]), False),
    ("stays, nobody answers", claims.stays, view(answering=()), False),
    ("silent", claims.silent, view(answering=()), True),
    ("silent, not", claims.silent, view(), False),
    ("two", claims.two_answer, view(answering=(B, A)), True),
    ("two, only one", claims.two_answer, view(answering=(A,)), False),
    ("two, of others", claims.two_answer, view(answering=(B, "02:00:00:00:00:01")), False),
    ("on the wire", claims.still_answers, view((0.1, 10.0)), True),
    ("on the wire, another", claims.still_answers, view(answering=(B,)), False),
    ("handed over", claims.handed_over, view(arp=[ArpClaim(MADE + 0.3, B, gratuitous=True)]), True),
    ("handed over, late", claims.handed_over, view(arp=[GARP_B]), False),
    ("handed over, not", claims.handed_over, view(arp=[GARP_A]), False),
    ("at first", claims.served_for(4.0), view((4.5, 10.0)), True),
    ("at first, not", claims.served_for(4.0), view((3.5, 10.0)), False),
    ("share", claims.share(0.2, 0.5), view((0.0, 10.0), every=3), True),
    ("share, none", claims.share(0.2, 0.5), view(), False),
    ("share, all", claims.share(0.2, 0.5), view((0.0, 10.0)), False),
    (
        "noted",
        claims.noted("event", "sharing key"),
        dataclasses.replace(view(), noted={"event": "a sharing key"}),
        True,
    ),
    ("noted, other", claims.noted("event", "sharing key"), dataclasses.replace(view(), noted={"event": "x"}), False),
    ("sometimes", claims.sometimes("tests", "worked"), noting("worked", "refused"), True),
    ("sometimes, always", claims.sometimes("tests", "worked"), noting("worked", "worked"), False),
    ("sometimes, never", claims.sometimes("tests", "worked"), noting("refused", "refused"), False),
    ("sometimes, not tried", claims.sometimes("tests", "worked"), view(), False),
    ("noted, nothing", claims.noted("event", "sharing key"), view(), False),
]


@pytest.mark.parametrize(("judge", "what", "holds"), [case[1:] for case in JUDGED], ids=[case[0] for case in JUDGED])
def test_a_claim_holds_where_it_is_true_and_nowhere_else(judge: claims.Judge, what: View, holds: bool) -> None:  # noqa: FBT001
    seen = judge(what)
    assert seen.holds is holds, seen.seen
    assert seen.expected
    assert seen.seen


@pytest.mark.parametrize(
    ("turns", "two", "holds", "words"),
    [
        ([A, A, A], "0.0", True, "never two: worker-2"),
        ([f"{A}+{B}", B, B], "5.1", True, "two for 5 s: worker-2 and worker-1, then worker-1"),
        (["-", A, A], "0.0", True, "never two: nobody, then worker-2"),
        ([f"{A}+{B}"] * 13 + [B, B], "66.0", False, "two for 66 s"),
        ([f"{A}+{B}"] * 16, "80.0", False, "two for 80 s: worker-2 and worker-1"),
        ([A, B], "0.0", False, "never two: worker-2, then worker-1"),
        (["-", "-"], "0.0", False, "never two: nobody"),
    ],
    ids=["one", "two for a while", "nobody at first", "too long", "for good", "changing", "nobody"],
)
def test_two_announcers_come_to_one(turns: list[str], two: str, holds: bool, words: str) -> None:  # noqa: FBT001
    seen = claims.alone_within(65.0)(dataclasses.replace(view(), noted={"turns": " ".join(turns), "two": two}))
    assert seen.holds is holds
    assert seen.seen.startswith(words)


def test_a_delay_is_told_from_none() -> None:
    slow = view()
    late = tuple(dataclasses.replace(one, seconds=0.205) if one.began >= MADE else one for one in slow.probes)
    assert claims.slower(0.18)(dataclasses.replace(slow, probes=late)).holds
    assert not claims.slower(0.18)(slow).holds
    held = MADE + 3.0
    late = tuple(dataclasses.replace(one, seconds=0.205) if one.began >= held else one for one in slow.probes)
    assert not claims.slower(0.18)(dataclasses.replace(slow, probes=late)).holds, "some were quick"
    assert claims.slower(0.18)(dataclasses.replace(slow, probes=late, held=held)).holds, "it was made by then"


def test_tries_are_counted_by_how_they_ended() -> None:
    seen = claims.sometimes("tests", "worked")(noting("refused", "worked", "refused", "busy")).seen
    assert seen == "2 of 4 refused; 1 of 4 worked; 1 of 4 busy"


def test_an_outage_is_told_in_words() -> None:
    told = claims.back_within(5.0)(view((1.0, 5.5))).seen
    assert "TCP out for 4.50 s, 90 failed (timeout)" in told
    assert "UDP without a failure" in claims.back_within(5.0)(view((1.0, 2.0), kinds=["tcp"])).seen
