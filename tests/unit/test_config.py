"""The lab file: good ones and bad ones from tests/data/config, and what the other rooms ask of a lab."""

from __future__ import annotations

import json
import os
import re
import time
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from metallab import config, errors, paths
from metallab.config import Lab, parse
from metallab.config.document import read
from metallab.errors import LabError
from metallab.tasks.config import SCHEMA, resolved

DATA = Path(__file__).parents[1] / "data" / "config"
GOOD: list[dict[str, Any]] = yaml.safe_load((DATA / "good.yaml").read_text(encoding="utf-8"))
BAD: list[dict[str, Any]] = [
    {"topic": file.stem, **case}
    for file in sorted((DATA / "bad").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]
READABLE = [case for case in BAD if "variables" not in case and "[LAB-CONF-001]" not in case["says"]]
PROPOSAL = re.compile(
    r"lab\.yaml:\d+:\d+: (?P<path>[\w.\[\]]+): .*; (?:write|add|did you mean)(?: for example| it in quotes:)? "
    r"(?:(?P<key>[A-Za-z]+): )?(?:\"(?P<text>[^\"]+)\"|(?P<value>[^\s,?]+))\??(?:, .*)? \[LAB-CONF-\d{3}\]"
)
VALIDATOR = jsonschema.Draft202012Validator(config.json_schema())


def named(case: dict[str, Any]) -> str:
    return f"{case.get('topic', 'good')}: {case['name']}"


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
def test_a_bad_file_is_refused_with_every_problem_its_place_and_what_to_write(case: dict[str, Any]) -> None:
    with pytest.raises(LabError) as caught:
        parse(case["text"], environ=case.get("variables", {}))
    error = caught.value
    assert f"{error.detail}\n" == case["says"]
    ids = set(re.findall(r"\[(LAB-CONF-[0-9]{3})\]$", case["says"], re.MULTILINE))
    assert error.entry.id == (ids.pop() if len(ids) == 1 else "LAB-CONF-002")
    assert error.entry.exit_code == errors.ExitCode.CONFIG
    assert error.where == "lab.yaml"
    assert error.fix


@pytest.mark.parametrize("case", [case for case in GOOD if "schema" not in case], ids=named)
def test_the_schema_likes_good_files(case: dict[str, Any]) -> None:
    VALIDATOR.validate(yaml.safe_load(case["text"]) or {})


@pytest.mark.parametrize("case", READABLE, ids=named)
def test_the_schema_refuses_what_a_schema_can(case: dict[str, Any]) -> None:
    try:
        data = yaml.safe_load(case["text"])
    except (yaml.YAMLError, ValueError):
        # Where PyYAML makes a list a key, or computes a date that is none, an editor has nothing to judge.
        assert case["topic"] in ("keys", "names")
        return
    assert VALIDATOR.is_valid(data) == (case.get("schema") == "cannot tell")


def test_the_schema_is_one_and_the_file_that_editors_read_is_the_same() -> None:
    jsonschema.Draft202012Validator.check_schema(config.json_schema())
    written = json.loads((paths.repo_root() / SCHEMA).read_text(encoding="utf-8"))
    assert written == config.json_schema(), f"write it anew: ./inv config.schema >{SCHEMA}"


def test_there_are_enough_bad_files_of_every_kind() -> None:
    assert len(BAD) >= 150
    seen_ids = set(re.findall(r"\[(LAB-CONF-[0-9]{3})\]$", "".join(case["says"] for case in BAD), re.MULTILINE))
    # A version the bundle does not hold, and a file that is there already, are not read off a file.
    elsewhere = {"LAB-CONF-003", "LAB-CONF-013"}
    assert seen_ids == {entry.id for entry in errors.catalogue() if "-CONF-" in entry.id} - elsewhere


def test_no_case_is_there_twice() -> None:
    names = [named(case) for case in BAD]
    assert sorted(set(names)) == sorted(names)
    inputs = [(case["text"], str(case.get("variables"))) for case in BAD]
    assert sorted(set(inputs)) == sorted(inputs)


def mended(case: dict[str, Any]) -> str | None:
    """Return the file with what its error proposes; None where that is not a value to put in a place."""
    data = read(case["text"], "lab.yaml").data
    for line in case["says"].splitlines():
        proposal = PROPOSAL.fullmatch(line)
        if proposal is None or proposal["value"] in ("a", "one", "-"):
            return None
        *way, last = [int(part) if part.isdigit() else part for part in re.findall(r"\w+", proposal["path"])]
        place = data
        for part in way if proposal["key"] is None else ():
            place = place[part]
        value = proposal["text"] if proposal["text"] is not None else yaml.safe_load(proposal["value"])
        place[proposal["key"] or last] = value
    return str(yaml.safe_dump(data))


# Of a value that is misread or misspelt, the one that was meant may still be wrong.
MENDED = [(case, mended(case)) for case in READABLE if case["topic"] in ("addresses", "names", "networks", "roles")]


@pytest.mark.parametrize(("case", "text"), [pytest.param(*pair, id=named(pair[0])) for pair in MENDED if pair[1]])
def test_with_what_is_proposed_a_bad_file_is_good(case: dict[str, Any], text: str) -> None:
    try:
        parse(text)
    except LabError as error:
        pytest.fail(f"{case['says']}\nas proposed:\n{text}\n{error.detail}")


def test_most_proposals_can_be_taken_word_for_word() -> None:
    assert sum(text is not None for _, text in MENDED) > len(MENDED) * 3 / 4


@pytest.mark.parametrize(
    "text",
    [
        f'pool: "{" " * 99_999}1{" " * 99_999}"',
        f'pool: "64-95{" " * 40}and more"',
        f"sharedAddress: {'1' * 200_000}",
        f"sharedAddress: {'1:' * 99_999}1",
        "- x\n" * 50_000,
        "network: 10.0.0.0/16\npool: 2-65000\nmachines:\n"
        + "".join(f"  - {{name: w{n}, role: worker, host: {n}}}\n" for n in range(2, 400)),
    ],
    ids=["blanks", "words behind a range", "digits", "digits in base 60", "a long list", "machines in a huge pool"],
)
def test_a_file_without_measure_is_refused_in_little_time(text: str) -> None:
    began = time.process_time()
    with pytest.raises(LabError):
        parse(text)
    assert time.process_time() - began < 20, "seconds; a tenth of one is usual"


def test_of_very_many_problems_the_first_hundred_are_told() -> None:
    with pytest.raises(LabError) as caught:
        parse("".join(f"key{n}: x\n" for n in range(150)))
    assert caught.value.what == "150 problems"
    assert caught.value.detail.splitlines()[-1] == "and 50 more"
    assert len(caught.value.detail.splitlines()) == 101


# -- files on the disk -----------------------------------------------------------------------------------------


def test_the_repository_s_own_file_is_the_default_lab() -> None:
    assert config.load(paths.repo_root() / "lab.yaml") == Lab()


def test_a_missing_file_is_the_default_lab(tmp_path: Path) -> None:
    assert config.load(tmp_path / "lab.yaml") == Lab()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("name: x1\n".encode("utf-16"), "{file}:1:1: the file is UTF-16; save it as UTF-8 [LAB-CONF-001]"),
        (b"\xff\xfe\x00x", "{file}:1:1: the file is UTF-16; save it as UTF-8 [LAB-CONF-001]"),
        (
            "provider: docker\nname: läb".encode("latin-1"),
            "{file}:2:8: the byte e4 is not UTF-8; save the file as UTF-8 [LAB-CONF-001]",
        ),
        (b"\xef\xbb\xbfn\xc3\x28", "{file}:1:2: the byte c3 is not UTF-8; save the file as UTF-8 [LAB-CONF-001]"),
        (b"# " + b"x" * 300_000, "{file}:1:1: the file is longer than 256 KiB; no lab needs that [LAB-CONF-001]"),
    ],
    ids=["UTF-16", "broken UTF-16", "latin-1", "broken UTF-8 behind a byte order mark", "too long"],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "lab.yaml"
    file.write_bytes(content)
    with pytest.raises(LabError) as caught:
        config.load(file)
    assert caught.value.entry.id == "LAB-CONF-001"
    assert caught.value.where == str(file)
    assert caught.value.detail == says.format(file=file)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: marked\nprovider: x\n")
    with pytest.raises(LabError, match="1 problem") as caught:
        config.load(file)
    assert f"{file}:2:11: provider:" in caught.value.detail


def test_windows_line_ends_are_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_bytes(b"name: win\r\nprovider: docker\r\n")
    assert config.load(file) == Lab(name="win", provider="docker")


def test_what_is_no_file_is_no_lab_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for odd in (tmp_path, pipe, Path("/dev/zero"), tmp_path / ("y" * 300)):
        with pytest.raises(LabError) as caught:
            config.load(odd)
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


def test_the_form_s_version_may_be_left_out() -> None:
    assert parse("apiVersion: metallab/v1\n") == parse("") == Lab()


def test_a_machine_may_take_another_s_values_by_an_anchor() -> None:
    lab = parse(
        "machines:\n"
        "  - &cp {name: cp, role: control-plane, host: 10, cpus: 4}\n"
        "  - &me {<<: *cp, name: me, role: client, host: 200}\n"
        "  - {<<: [*me, *cp], name: w, role: worker, host: 11}\n"
    )
    assert [(machine.name, machine.cpus) for machine in lab.machines] == [("cp", 4), ("me", 4), ("w", 4)]


@pytest.mark.parametrize(("provider", "warned"), [("auto", 2), ("libvirt", 2), ("docker", 0)])
def test_a_machine_too_small_is_told_where_machines_have_memory_of_their_own(provider: str, warned: int) -> None:
    lab = parse(
        f"provider: {provider}\nmachines:\n"
        "  - {name: cp, role: control-plane, host: 10, memory: 1535}\n"
        "  - {name: w, role: worker, host: 11, memory: 256}\n"
        "  - {name: me, role: client, host: 200, memory: 256}\n"
    )
    told = config.warnings(lab)
    assert len(told) == warned
    assert all(words in " ".join(told) for words in (["cp has 1535 MiB", "needs 1536", "w has 256"] if warned else []))


def test_the_usual_lab_is_big_enough() -> None:
    assert config.warnings(Lab()) == []


# -- for any network -------------------------------------------------------------------------------------------

NETWORKS = st.builds(
    lambda base, prefix, offset: list(IPv4Network(base).subnets(new_prefix=prefix))[offset % 2 ** (prefix - 16)],
    st.sampled_from(["10.20.0.0/16", "172.20.0.0/16", "192.168.0.0/16"]),
    st.integers(16, 24),
    st.integers(0, 255),
)


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
