"""The lab file: good ones and bad ones from tests/data/config, and what holds for all of them."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from metallab import config, paths
from metallab.config import Lab, parse
from metallab.errors import LabError
from metallab.tasks.config import resolved

DATA = Path(__file__).parents[1] / "data" / "config"
GOOD: list[dict[str, Any]] = yaml.safe_load((DATA / "good.yaml").read_text(encoding="utf-8"))
BAD: list[dict[str, Any]] = yaml.safe_load((DATA / "bad.yaml").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(config.json_schema())


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def seen(lab: Lab) -> dict[str, object]:
    return {
        "network": str(lab.network),
        "gateway": str(lab.gateway),
        "vip": str(lab.vip),
        "pool": lab.pool_range,
        "dns": str(lab.dns_address),
        "nodes": len(lab.nodes),
    }


# -- from files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOOD, ids=named)
def test_a_good_file_comes_to_what_it_should(case: dict[str, Any]) -> None:
    lab = parse(case["text"])
    assert {key: seen(lab)[key] for key in case["comes_to"]} == case["comes_to"]


@pytest.mark.parametrize("case", BAD, ids=named)
def test_a_bad_file_is_refused_with_words_that_help(case: dict[str, Any]) -> None:
    with pytest.raises(LabError) as caught:
        parse(case["text"], where="some/lab.yaml")
    error = caught.value
    text = f"{error.what}\n{error.detail}"
    assert error.entry.id == case["id"], text
    assert error.where == "some/lab.yaml"
    assert error.fix
    for words in case["words"]:
        assert words in text


@pytest.mark.parametrize("case", [case for case in GOOD if "schema" not in case], ids=named)
def test_the_schema_likes_good_files(case: dict[str, Any]) -> None:
    VALIDATOR.validate(yaml.safe_load(case["text"]) or {})


@pytest.mark.parametrize("case", [case for case in BAD if case["id"] == "LAB-CONF-002"], ids=named)
def test_the_schema_refuses_what_a_schema_can(case: dict[str, Any]) -> None:
    accepted = VALIDATOR.is_valid(yaml.safe_load(case["text"]))
    assert accepted == (case["schema"] == "cannot tell")


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(config.json_schema())
    assert json.loads(json.dumps(config.json_schema())) == config.json_schema()


def test_there_are_enough_bad_files() -> None:
    assert len(BAD) >= 60


# -- files on the disk -----------------------------------------------------------------------------------------


def test_the_repository_s_own_file_is_the_default_lab() -> None:
    assert config.load(paths.repo_root() / "lab.yaml") == Lab()


def test_a_missing_file_is_the_default_lab(tmp_path: Path) -> None:
    assert config.load(tmp_path / "lab.yaml") == Lab()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00x", b"name: \xc3\x28"], ids=["UTF-16", "broken UTF-8"])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "lab.yaml"
    file.write_bytes(content)
    with pytest.raises(LabError) as caught:
        config.load(file)
    assert caught.value.entry.id == "LAB-CONF-001"
    assert caught.value.where == str(file)


def test_a_folder_is_no_lab_file(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        config.load(tmp_path)
    assert caught.value.entry.id == "LAB-CONF-001"


# -- what the other rooms ask ----------------------------------------------------------------------------------


def test_machines_by_role_and_by_name() -> None:
    lab = Lab()
    assert lab.control_plane.name == "control-plane"
    assert lab.client.name == "client"
    assert [machine.name for machine in lab.workers] == ["worker-1", "worker-2"]
    assert [machine.name for machine in lab.nodes] == ["control-plane", "worker-1", "worker-2"]
    assert lab.machine("worker-2") is lab.workers[1]


def test_an_unknown_machine_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(LabError) as caught:
        Lab().machine("worker-9")
    assert caught.value.entry.id == "LAB-MACH-005"
    assert "control-plane, worker-1, worker-2, client" in caught.value.fix


def test_every_node_has_its_own_pod_range() -> None:
    lab = Lab()
    ranges = [lab.pod_network(node) for node in lab.nodes]
    assert [str(network) for network in ranges] == ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"]


def test_the_lab_as_shown_can_be_read_again() -> None:
    record = resolved(Lab())
    computed = record.pop("computed")
    assert parse(yaml.safe_dump(record)) == Lab()
    assert isinstance(computed, dict)
    assert computed["machines"]["client"] == "192.168.96.200"
    assert computed["pods"]["worker-1"] == "10.244.1.0/24"


# -- for any file ----------------------------------------------------------------------------------------------

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.sampled_from(["192.168.96.0/24", "10.0.0.0/8", "64-95", "95-64", "worker", "client", "control-plane"])
)
KEYS = (
    st.sampled_from([*Lab.model_fields, "sharedAddress", "host", "role", "cpus", "memory", "first", "last"]) | st.text()
)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6))
NETWORKS = st.builds(
    lambda base, prefix, offset: list(IPv4Network(base).subnets(new_prefix=prefix))[offset % 2 ** (prefix - 16)],
    st.sampled_from(["10.20.0.0/16", "172.20.0.0/16", "192.168.0.0/16"]),
    st.integers(16, 24),
    st.integers(0, 255),
)


def lab_or_error(text: str) -> None:
    try:
        lab = parse(text)
    except LabError as error:
        outcome = error.entry.id
    else:
        outcome = str(lab.shared_address in range(lab.pool.first, lab.pool.last + 1))
    assert outcome in ("LAB-CONF-001", "LAB-CONF-002", "True")


@given(st.text())
def test_any_text_gives_a_lab_or_an_error_with_an_id(text: str) -> None:
    lab_or_error(text)


@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_any_mapping_gives_a_lab_or_an_error_with_an_id(tree: dict[str, Any]) -> None:
    lab_or_error(yaml.safe_dump(tree))


@given(NETWORKS)
def test_moving_the_network_moves_everything(network: IPv4Network) -> None:
    before, lab = Lab(), parse(f"network: {network}")
    moved = int(network.network_address) - int(before.network.network_address)
    assert [int(lab.address(machine)) - moved for machine in lab.machines] == [
        int(before.address(machine)) for machine in before.machines
    ]
    assert (int(lab.vip) - moved, int(lab.gateway) - moved) == (int(before.vip), int(before.gateway))
    first, last = lab.pool_range.split("-")
    assert (first, last) == (str(network[64]), str(network[95]))
    assert lab.vip in network


@given(st.integers(2, 254), st.integers(2, 254), st.integers(2, 254))
def test_a_pool_is_accepted_exactly_when_it_covers_nothing_and_holds_the_shared_address(
    first: int, last: int, shared: int
) -> None:
    taken = {machine.host for machine in Lab().machines}
    right = first <= shared <= last and not taken & set(range(first, last + 1))
    try:
        parse(f"pool: {first}-{last}\nsharedAddress: {shared}")
    except LabError:
        assert not right
    else:
        assert right
