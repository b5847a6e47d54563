"""The bench: what it prints, and that what it prepares is what the lab itself would send."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from metallab import bench, paths
from metallab.bench import LAB, SCRIPT, Round
from metallab.bundle import Artifact, Bundle, Versions
from metallab.cluster import podnet

ROUNDS = (
    Round(20.0, {"lab.up": 20.0, "metallb.install": 4.0, "iperf3.deploy": 1.0}),
    Round(25.0, {"lab.up": 22.0, "metallb.install": 3.0, "iperf3.deploy": 2.0}),
    Round(30.0, {"lab.up": 36.0, "metallb.install": 5.0, "iperf3.deploy": 1.0}),
)


def test_the_ratio_is_each_round_s_own_and_the_middle_one_is_quoted() -> None:
    assert [round(each.ratio, 2) for each in ROUNDS] == [1.25, 1.08, 1.4]
    assert bench.summary(ROUNDS) == "The lab takes 1.25 times as long as by hand (1.08 to 1.40 in 3 rounds)."


def test_rows_show_the_middle_and_the_extremes() -> None:
    assert bench.rows(ROUNDS)[:3] == [
        ("by hand", "25.0", "20.0", "30.0"),
        ("the lab", "27.0", "25.0", "42.0"),
        ("  lab.up", "22.0", "20.0", "36.0"),
    ]
    assert bench.to_dict(ROUNDS)["rounds"][0]["ratio"] == 1.25


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    manifest = tmp_path / "bundle" / "metallb-native.yaml"
    manifest.parent.mkdir()
    manifest.write_text("kind: Namespace\nmetadata: {name: metallb-system}\n")
    artifacts = (
        Artifact("metallb-native", "manifest", "v0", "m", manifest.name, 1, "a", ()),
        Artifact("iperf3", "image", "3", "m", "images/iperf3.tar", 1, "a", (), reference="registry.example/iperf3:3"),
    )
    return Bundle(manifest.parent, "key", artifacts, Versions("v1.37.2", "v0.15.2", "3", "1", "3"))


def test_the_person_gets_the_lab_s_own_files(bundle: Bundle, tmp_path: Path) -> None:
    work = tmp_path / "work"
    bench.write_work(LAB, bundle, work)
    assert stat.S_IMODE(work.stat().st_mode) == 0o700
    for node in LAB.nodes:
        for path, text in podnet.render(LAB, node).items():
            assert (work / f"root-{node.name}{path}").read_text() == text
    token = yaml.safe_load_all((work / "init.yaml").read_text()).__next__()["bootstrapTokens"][0]["token"]
    for worker in LAB.workers:
        join = yaml.safe_load((work / f"join-{worker.name}.yaml").read_text())
        assert join["discovery"]["tlsBootstrapToken"] == token
    kinds = [item["kind"] for item in yaml.safe_load_all((work / "metallb.yaml").read_text())]
    assert kinds == ["Namespace", "Secret"]


def test_the_script_knows_the_machines_of_the_bench_s_lab() -> None:
    script = SCRIPT.read_text()
    assert SCRIPT.is_relative_to(paths.repo_root() / "tests")
    assert f"workers='{' '.join(worker.name for worker in LAB.workers)}'" in script
    assert str(LAB.services.network_address + 1) in script
