"""The floor of a takeover, computed as memberlist does."""

from __future__ import annotations

import pytest

from metallab.drills import memberlist
from metallab.drills.memberlist import LAN, WAN


@pytest.mark.parametrize(
    ("profile", "speakers", "least", "most"),
    [
        (LAN, 2, 5.0, 6.0),
        (LAN, 3, 5.0, 7.0),
        (LAN, 10, 5.0, 14.0),
        # suspicionTimeout(4, 100, 1 s) is 8 s in memberlist's own test (util_test.go).
        (LAN, 100, 9.0, 108.0),
        (WAN, 3, 35.0, 45.0),
    ],
)
def test_the_floor_of_a_profile(profile: memberlist.Profile, speakers: int, least: float, most: float) -> None:
    found = memberlist.floor(profile, speakers)
    assert (found.profile, found.speakers, found.least, found.most) == (profile.name, speakers, least, most)


@pytest.mark.parametrize(
    ("arguments", "profile"),
    [
        (["--port=7472", "--log-level=info"], LAN),
        (["--port=7472", "--ml-wan-config"], WAN),
        (["--ml-wan-config=true"], WAN),
        (["--ml-wan-config=false"], LAN),
        ([], LAN),
    ],
)
def test_the_profile_is_read_from_how_the_speaker_is_started(arguments: list[str], profile: memberlist.Profile) -> None:
    assert memberlist.profile_of(arguments) is profile
