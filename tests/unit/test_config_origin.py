"""Variables that go before the lab file, and where every value comes from."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from metallab import config, paths
from metallab.config import Lab, parse


def test_every_variable_goes_before_the_file() -> None:
    values = {
        "LAB_NAME": "other",
        "LAB_PROVIDER": "libvirt",
        "LAB_NETWORK": "10.20.0.0/24",
        "LAB_POOL": "30-40",
        "LAB_SHARED_ADDRESS": "35",
        "LAB_PODS": "10.50.0.0/16",
        "LAB_SERVICES": "10.51.0.0/16",
    }
    assert set(values) == set(config.VARIABLES)
    lab = parse("name: filed\nprovider: docker\npool: 64-95\nsharedAddress: 70\n", environ=values)
    told = lab.model_dump(mode="json", by_alias=True)
    assert {name: str(told[key]) for name, key in config.VARIABLES.items()} == values


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert parse("name: filed", environ=dict.fromkeys(config.VARIABLES, "")) == Lab(name="filed")


def test_a_variable_is_text_whatever_yaml_would_make_of_it() -> None:
    assert parse("", environ={"LAB_NAME": "x010"}).name == "x010"
    assert parse("versions: {metallb: '1'}", environ={"LAB_POOL": "70-70"}).pool_range == "192.168.96.70-192.168.96.70"


def test_a_variable_mends_a_line_of_the_file() -> None:
    assert parse("network: none at all", environ={"LAB_NETWORK": "10.1.0.0/24"}).network == IPv4Network("10.1.0.0/24")


def test_others_variables_do_not_matter() -> None:
    assert parse("", environ={"LAB_": "x", "LAB_BOX": "x", "NAME": "x", "METALLAB_NAME": "x"}) == Lab()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LAB_NETWROK", "LAB_NETWORK"),
        ("LAB_POOLS", "LAB_POOL"),
        ("LAB_SHAREDADDRESS", "LAB_SHARED_ADDRESS"),
        ("LAB_PROVIDERS", "LAB_PROVIDER"),
        ("LAB_FILES", "LAB_FILE"),
        ("LAB_network", "LAB_NETWORK"),
    ],
)
def test_a_slip_of_the_pen_is_told(name: str, meant: str) -> None:
    assert config.slips({name: "x"}) == [f"the variable {name} means nothing to the lab; did you mean {meant}?"]


@pytest.mark.parametrize("name", ["LAB_HOME", "LAB_USER", "LAB_TOKEN", "LAB_ID", "LAB_PORT", "LABEL", "GITLAB_NAME"])
def test_somebody_else_s_variable_is_no_slip(name: str) -> None:
    assert config.slips({name: "x"}) == []


def test_our_own_variables_are_no_slips() -> None:
    assert config.slips(dict.fromkeys(("LAB_FILE", *config.VARIABLES), "x")) == []


def test_every_value_has_an_origin(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(
        "name: traced\n"
        "pool: 64-95\n"
        "machines:\n"
        "  - {name: cp, role: control-plane, host: 10}\n"
        "  - name: me\n"
        "    role: client\n"
        "    host: 200\n"
    )
    found = {line.key: line for line in config.origins(file, {"LAB_NETWORK": "10.1.0.0/24"})}
    assert {key: (line.value, line.origin) for key, line in found.items()} == {
        "apiVersion": ("metallab/v1", "default"),
        "name": ("traced", f"{file}:1:7"),
        "provider": ("auto", "default"),
        "network": ("10.1.0.0/24", "LAB_NETWORK"),
        "machines[0].name": ("cp", f"{file}:4:12"),
        "machines[0].role": ("control-plane", f"{file}:4:22"),
        "machines[0].host": (10, f"{file}:4:43"),
        "machines[0].cpus": (2, "default"),
        "machines[0].memory": (2048, "default"),
        "machines[1].name": ("me", f"{file}:5:11"),
        "machines[1].role": ("client", f"{file}:6:11"),
        "machines[1].host": (200, f"{file}:7:11"),
        "machines[1].cpus": (2, "default"),
        "machines[1].memory": (2048, "default"),
        "pool": ("64-95", f"{file}:2:7"),
        "sharedAddress": (70, "default"),
        "pods": ("10.244.0.0/16", "default"),
        "services": ("10.96.0.0/16", "default"),
        "versions.kubernetes": (None, "default"),
        "versions.metallb": (None, "default"),
        "box": (None, "default"),
    }


def test_without_a_file_everything_is_a_default(tmp_path: Path) -> None:
    assert {line.origin for line in config.origins(tmp_path / "lab.yaml")} == {"default"}


def test_a_lab_named_by_a_variable_is_not_the_checkout_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise two labs would keep their machines in one .vagrant, and each take the other's for its own."""
    assert paths.is_own_lab()
    monkeypatch.setenv("LAB_NAME", "beside")
    assert not paths.is_own_lab()
    assert paths.is_own_file()


def test_a_lab_file_by_another_way_is_still_the_checkout_s_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(paths.repo_root() / "lab.yaml")
    monkeypatch.setenv("LAB_FILE", str(tmp_path / "link"))
    assert paths.is_own_lab()
    for odd in (tmp_path / "lab.yaml", Path("x" * 5000)):
        monkeypatch.setenv("LAB_FILE", str(odd))
        assert not paths.is_own_lab()
