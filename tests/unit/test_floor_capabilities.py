"""Capabilities, as the kernel numbers them."""

from __future__ import annotations

import pytest

from metallab.run import capabilities


def test_they_are_numbered_as_in_the_kernel() -> None:
    numbers = {"CHOWN": 0, "NET_ADMIN": 12, "SYS_ADMIN": 21, "SYS_RESOURCE": 24, "SYSLOG": 34, "CHECKPOINT_RESTORE": 40}
    assert {name: capabilities.NAMES.index(name) for name in numbers} == numbers


def test_the_set_holds_exactly_the_bits_that_are_set() -> None:
    assert capabilities.bounding_set("Name:\tcat\nCapBnd:\t0000000001000001\n") == {"CHOWN", "SYS_RESOURCE"}
    assert capabilities.bounding_set("CapBnd:\t000001ffffffffff\n") == set(capabilities.NAMES)


def test_a_status_without_a_bounding_set_is_an_error() -> None:
    with pytest.raises(ValueError, match="CapBnd"):
        capabilities.bounding_set("Name:\tcat\nCapEff:\t000001ffffffffff\n")


def test_this_process_can_be_read() -> None:
    assert "CHOWN" in capabilities.own()
