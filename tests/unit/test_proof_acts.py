"""The table of contents itself: an id that is misspelt in it would be a claim that is never asked, or for ever."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pytest

from metallab.cluster import manifests
from metallab.drills import registry
from metallab.proof import acts
from metallab.proof.acts import Claim
from metallab.proof.checks import refusals

CLAIMS = [claim for _, claim in acts.known()]


def ids(claims: Sequence[Claim]) -> list[str]:
    return [claim.id for claim in claims]


def test_every_id_and_every_title_is_there_once() -> None:
    assert [name for name, times in Counter(acts.ids()).items() if times > 1] == []
    titles = [act.title for act in acts.STORY]
    assert len({*titles, acts.END}) == len(titles) + 1


def test_the_end_is_the_last_id_and_no_claim_of_an_act() -> None:
    assert acts.ids() == (*ids(CLAIMS), acts.AS_FOUND)


@pytest.mark.parametrize("claim", CLAIMS, ids=ids(CLAIMS))
def test_what_a_claim_waits_for_comes_earlier(claim: Claim) -> None:
    earlier = ids(CLAIMS)[: ids(CLAIMS).index(claim.id)]
    assert [name for name in (*claim.needs, *claim.after) if name not in earlier] == []


@pytest.mark.parametrize("act", [act for act in acts.STORY if act.change is not None], ids=lambda act: str(act.title))
def test_nothing_is_taken_away_from_a_lab_that_does_not_work(act: acts.Act) -> None:
    for claim in act.claims:
        assert set(acts.WORKS) <= set(claim.needs), f"{claim.id} would be asked of a lab that does not work"


def test_what_is_brought_along_is_brought_for_claims_that_exist() -> None:
    assert set(acts.ids()) >= acts.BRINGS


@pytest.mark.parametrize("name", sorted(acts.BRINGS))
def test_what_is_brought_along_needs_the_node_of_the_server_and_the_address(name: str) -> None:
    """It is staged after ``address``, on the node that ``server`` found."""
    assert {"server", "address"} <= acts.with_needs([name])


@pytest.mark.parametrize("claim", CLAIMS, ids=ids(CLAIMS))
def test_a_claim_is_chosen_with_all_that_it_waits_for(claim: Claim) -> None:
    chosen = acts.with_needs([claim.id])
    assert claim.id in chosen
    for each in CLAIMS:
        if each.id in chosen:
            assert {*each.needs, *each.after} <= chosen


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ([], set()),
        (["nodes"], {"nodes"}),
        (["metallb"], {"metallb", "nodes"}),
        (["tcp"], {"tcp", "server", "address", "nodes"}),
        (["announcer"], {"announcer", "one-mac", "address", "nodes"}),
        # "again-tcp" only comes after "no-tcp" and does not need it to hold.
        (["again-tcp"], {"again-tcp", "no-tcp", *acts.with_needs(acts.WORKS)}),
        ([acts.AS_FOUND], {acts.AS_FOUND}),
    ],
)
def test_what_is_chosen_brings_no_more_than_it_waits_for(chosen: list[str], found: set[str]) -> None:
    assert acts.with_needs(chosen) == found


def test_all_ids_together_are_all_ids() -> None:
    assert acts.with_needs(acts.ids()) == set(acts.ids())


def test_a_drill_that_tests_what_the_proof_does_not_exists() -> None:
    named = [names for words in acts.NOT_TESTED for names in re.findall(r"\./inv drill\.run ([\w, -]+)\)", words)]
    assert named
    for name in ", ".join(named).split(", "):
        assert registry.find(name).id == name


def test_every_case_that_must_be_refused_has_its_words_and_its_manifests() -> None:
    cases = ids(acts.REFUSALS.claims)
    assert cases == list(refusals.EXPECTED)
    for case in cases:
        assert any(item["kind"] == "Service" for item in manifests.folder(f"proof/{case}"))


def test_each_service_that_is_taken_away_has_an_act_in_which_it_is_back() -> None:
    titles = [act.title for act in acts.STORY]
    for gone, back in ((acts.WITHOUT_TCP, acts.TCP_AGAIN), (acts.WITHOUT_UDP, acts.UDP_AGAIN)):
        assert titles.index(back.title) == titles.index(gone.title) + 1
        assert back.claims[0].after == (gone.claims[0].id,)
