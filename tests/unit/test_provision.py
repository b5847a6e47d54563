"""The scripts and files that make a machine: what can be told by reading them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PROVISION = Path(__file__).parent.parent.parent / "provision"
SCRIPTS = sorted(
    path
    for path in PROVISION.rglob("*")
    if path.is_file() and path.read_text().startswith(("#!/bin/sh", "#!/bin/bash"))
)
UNITS = sorted(PROVISION.rglob("*.service"))
FILES = sorted(path for path in PROVISION.rglob("*") if path.is_file())
XML_NAMES = re.compile(r'\s(?:xmlns(?::\w+)?|ovf:format)="[^"]*"')
"""Identifiers that are written like addresses; nobody fetches them."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_can_be_run_parses_and_stops_at_the_first_error(script: Path) -> None:
    assert script.stat().st_mode & 0o111 == 0o111
    subprocess.run(["sh", "-n", script], check=True)
    assert "\nset -eu\n" in script.read_text()


def test_numbered_scripts_say_their_job_in_one_word_or_two() -> None:
    numbered = [path.name for path in PROVISION.glob("*.sh")]
    assert numbered
    assert all(re.fullmatch(r"\d\d-[a-z]+(-[a-z]+)?\.sh", name) for name in numbered)
    assert len({name[:2] for name in numbered}) == len(numbered)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_no_unit_asks_for_what_needs_cap_sys_resource(unit: Path) -> None:
    assert not re.search(r"^(LimitNOFILE|LimitNPROC|LimitCORE|OOMScoreAdjust)=", unit.read_text(), re.MULTILINE)


def test_containerd_and_kubelet_run_on_nodes_only() -> None:
    for name in ("containerd.service", "kubelet.service"):
        unit = next(path for path in UNITS if path.name == name)
        assert "ConditionPathExists=/etc/metallab/node\n" in unit.read_text()


def test_the_kubelet_waits_for_kubeadm() -> None:
    unit = next(path for path in UNITS if path.name == "kubelet.service").read_text()
    assert "ConditionPathExists=/var/lib/kubelet/config.yaml\n" in unit
    assert "StartLimitIntervalSec=0\n" in unit


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_no_file_names_a_registry_or_a_package_host(file: Path) -> None:
    text = XML_NAMES.sub("", file.read_text()) if file.suffix == ".ovf" else file.read_text()
    hosts = re.findall(r"\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:io|com|org|net|dev)/", text)
    assert hosts == []


def test_containerd_leaves_cgroups_to_systemd_and_oom_scores_alone() -> None:
    config = (PROVISION / "files/etc/containerd/config.toml").read_text()
    for line in ("version = 3", "restrict_oom_score_adj = true", "SystemdCgroup = true", 'bin_dirs = ["/opt/cni/bin"]'):
        assert re.search(rf"^\s*{re.escape(line)}$", config, re.MULTILINE), line
