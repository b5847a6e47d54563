"""Drills on a real lab: the right verdict, a lab as it was, and a killed one that the next command undoes."""

from __future__ import annotations

import json
import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import User

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def lab(user: User) -> User:
    """A lab with everything deployed."""
    user.inv("lab.up")
    user.inv("metallb.install")
    user.inv("iperf3.deploy")
    return user


def drill(lab: User, name: str) -> Any:
    """Run a drill, and see that all it claims holds and that nothing is left of it."""
    report = lab.json("drill.run", name)
    verdicts = {check["id"]: check["verdict"] for check in report["proof"]["checks"]}
    assert set(verdicts.values()) == {"pass"}
    assert {"ready", "recovered", "as-found"} <= verdicts.keys()
    require_nothing_left(lab)
    return report


def require_nothing_left(lab: User) -> None:
    assert list((lab.state / "metallab").glob("*/drill.json")) == []
    assert lab.kubectl("get", "all", "-A", "-l", "app.kubernetes.io/part-of=metallab-drill", "-o", "name") == ""


def outage(report: Any, kind: str) -> Any:
    return next(figure for figure in report["figures"] if figure["kind"] == kind)


def test_an_announcer_that_loses_its_power_is_replaced(lab: User) -> None:
    report = drill(lab, "announcer-off")
    for kind in ("tcp", "udp"):
        # No sooner than a suspicion can have run out.
        assert report["floor"]["least"] - 1.5 < outage(report, kind)["median"]
        assert outage(report, kind)["lasting"] == 0
    (run,) = report["runs"]
    before, *_ = [place["mac"] for place in report["proof"]["picture"]["places"] if place["announces"]]
    assert run["phases"]["detected"] is not None
    assert {claimed["mac"] for claimed in run["claimed"]} - {before}


def test_a_service_with_another_key_loses_the_address_and_the_other_keeps_it(lab: User) -> None:
    report = drill(lab, "wrong-key")
    assert [outage(report, kind)["lasting"] for kind in ("tcp", "udp")] == [0, 1]


def test_a_rogue_machine_is_believed(lab: User) -> None:
    report = drill(lab, "rogue-arp")
    assert [outage(report, kind)["lasting"] for kind in ("tcp", "udp")] == [1, 1]


def test_a_killed_drill_is_undone_by_the_next_command(lab: User) -> None:
    lab.interrupt("drill.run", "rogue-arp", at="watch the client", seconds=0.5, number=signal.SIGKILL)
    done = lab.inv("verify", "--only", "one-mac,tcp", expect=(0, 3))
    assert "an earlier drill was interrupted: rogue-arp" in done.stderr
    require_nothing_left(lab)


def test_ctrl_c_undoes_it_at_once(lab: User) -> None:
    code = lab.interrupt("drill.run", "arp-blocked", at="watch the client", seconds=0.5, number=signal.SIGINT)
    assert code == 130
    require_nothing_left(lab)
    lab.inv("verify", "--only", "one-mac,tcp", expect=(0, 3))


def test_a_drill_that_fails_is_collected_and_the_lab_whole_again(lab: User, tmp_path: Path) -> None:
    # Somebody undoes the fault while the client is watched: the outage does not last, as was claimed.
    code, said = lab.meanwhile(
        *("drill.run", "arp-blocked", "--report", str(tmp_path / "report")),
        at="watch the client",
        do=lambda _process: lab.inv(
            "lab.ssh", "client", "--", "sudo", "nft", "delete", "table", "arp", "metallab_drill"
        ),
    )
    assert code == 1
    (archive,) = (tmp_path / "report").glob("metallab-*.tar.gz")
    assert f"the lab as it was when this failed: {archive}" in said.replace("\n", "")
    assert json.loads((tmp_path / "report" / "report.json").read_text())["drill"] == "arp-blocked"
    with tarfile.open(archive) as parts:
        assert any(name.endswith("manifest.json") for name in parts.getnames())
    require_nothing_left(lab)
    lab.inv("verify", "--only", "one-mac,tcp", expect=(0, 3))


def test_a_clock_that_is_the_host_s_is_left_alone(lab: User) -> None:
    report = lab.json("drill.run", "clock-24h", expect=2)
    reasons = {check["reason"] for check in report["proof"]["checks"]}
    assert all("has no clock of its own" in reason for reason in reasons)
    require_nothing_left(lab)


def test_a_certificate_that_was_left_expired_is_put_right_by_the_next_command(lab: User) -> None:
    lab.interrupt("drill.run", "certificate-expired", at="watch the client", seconds=0.5, number=signal.SIGKILL)
    # Nobody trusts the API server until this is undone, so it has to come before the cluster is asked for anything.
    assert "an earlier drill was interrupted: certificate-expired" in lab.inv("lab.up").stderr
    kept = lab.inv("lab.ssh", "control-plane", "--", "sudo", "ls", "/etc/kubernetes/pki").stdout
    assert "metallab-drill" not in kept
    require_nothing_left(lab)


def test_a_drill_there_is_not_is_refused(lab: User) -> None:
    assert "LAB-DRL-004" in lab.inv("drill.run", "nothing", expect=19).stderr
