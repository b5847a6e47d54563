from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab.errors import LabError
from metallab.proof.probes import Nic, holding, parse_arping, parse_ip_addr

DATA = Path(__file__).parent.parent / "data" / "proof"
CLIENT = IPv4Address("192.168.96.200")


def captured(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def test_one_machine_answers() -> None:
    answers = parse_arping(captured("arping-one.txt"))
    assert (answers.sent, len(answers.replies), answers.macs) == (3, 3, ("02:42:c0:a8:60:02",))
    assert answers.replies[0].milliseconds == 0.598


def test_nobody_answers() -> None:
    answers = parse_arping(captured("arping-none.txt"))
    assert (answers.sent, answers.macs) == (2, ())


def test_two_machines_answer() -> None:
    assert parse_arping(captured("arping-two.txt")).macs == ("02:42:c0:a8:60:03", "02:42:c0:a8:60:02")


def test_an_answer_that_was_not_understood_is_not_passed_over() -> None:
    text = captured("arping-two.txt").replace("[02:42:C0:A8:60:03]", "[02-42-C0-A8-60-03]")
    with pytest.raises(LabError, match="LAB-PRF-001: arping: it counts 3 answers but shows 1"):
        parse_arping(text)


@pytest.mark.parametrize("end", [0, 40, 120, 180, 230])
def test_truncated_arping_is_unreadable(end: int) -> None:
    with pytest.raises(LabError, match="LAB-PRF-001: arping: its closing counts are missing"):
        parse_arping(captured("arping-one.txt")[:end])


def test_interfaces_with_their_addresses() -> None:
    assert parse_ip_addr(captured("ip-addr.json")) == (
        Nic("lo", "", (IPv4Address("127.0.0.1"),)),
        Nic("eth1", "02:42:c0:a8:60:01", (CLIENT,)),
    )


def test_links_alone_are_not_enough() -> None:
    with pytest.raises(LabError, match=r"ip -j addr: \[0\].addr_info is missing"):
        parse_ip_addr(captured("ip-link.json"))


def test_empty_objects_of_iproute2_are_no_interfaces() -> None:
    assert parse_ip_addr("[{},{}]") == ()


@pytest.mark.parametrize("key", ["ifname", "address", "link_type", "addr_info"])
def test_a_missing_field_is_named(key: str) -> None:
    document = json.loads(captured("ip-addr.json"))
    del document[1][key]
    with pytest.raises(LabError) as caught:
        parse_ip_addr(json.dumps(document))
    assert caught.value.what == f"ip -j addr: [1].{key} is missing"


def test_an_odd_address_is_named() -> None:
    with pytest.raises(LabError, match=r"\[1\]\.addr_info\[0\]\.local should be an IPv4 address"):
        parse_ip_addr(captured("ip-addr.json").replace("192.168.96.200", "192.168.96.300"))


def test_the_interface_is_found_by_its_address() -> None:
    interfaces = parse_ip_addr(captured("ip-addr.json"))
    assert holding(interfaces, CLIENT, "client").name == "eth1"
    with pytest.raises(LabError, match=r"LAB-PRF-002.*no interface holds 192.168.96.11; held are: lo 127.0.0.1, eth1"):
        holding(interfaces, IPv4Address("192.168.96.11"), "client")


@pytest.mark.parametrize("parse", [parse_arping, parse_ip_addr])
@given(text=st.text())
def test_any_text_is_a_record_or_an_error(parse: Callable[[str], object], text: str) -> None:
    try:
        parse(text)
    except LabError as error:
        assert error.entry.id == "LAB-PRF-001"  # noqa: PT017 - both ends are good, nothing else is
