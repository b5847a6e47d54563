"""What is refused before a bring-up touches anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from metallab import config, errors, steps
from metallab.bundle import Bundle
from metallab.bundle.record import Versions
from metallab.errors import LabError

BUNDLE = Bundle(Path("/nowhere"), "key", (), Versions("v1.37.2", "v0.15.2", "3", "1", "3"))


@pytest.mark.parametrize("line", ["kubernetes: v1.37.2", "kubernetes: 1.37.2", "metallb: v0.15.2", "metallb: null"])
def test_a_version_the_bundle_holds_is_good(line: str) -> None:
    steps.check_versions(config.parse(f"versions: {{{line}}}"), BUNDLE)


def test_a_version_the_bundle_does_not_hold_is_refused() -> None:
    with pytest.raises(LabError) as caught:
        steps.check_versions(config.parse("versions: {kubernetes: v1.30.0}"), BUNDLE)
    assert caught.value.entry is errors.CONFIG_VERSION_MISMATCH
    assert caught.value.what == "versions.kubernetes is v1.30.0, the bundle holds v1.37.2"


def test_a_lab_stays_with_the_provider_it_was_made_with() -> None:
    for provider in ("auto", "docker"):
        steps.refuse_other_provider(config.parse(f"provider: {provider}"), "docker")
    with pytest.raises(LabError) as caught:
        steps.refuse_other_provider(config.parse("{name: two, provider: libvirt}"), "docker")
    assert caught.value.entry is errors.PROVIDER_OTHER
    assert caught.value.what == "the lab two was made with docker, not libvirt"
