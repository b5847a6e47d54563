"""What slow machines change in the cluster, and that ordinary ones change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from metallab.cluster import kubeadm, kubeadm_config, manifests, metallb, tuning
from metallab.cluster.kubeadm_config import Token
from metallab.cluster.metallb_status import SPEAKER
from metallab.cluster.tuning import ORDINARY, SLOW
from metallab.config import Lab
from metallab.run import pace

DATA = Path(__file__).parent.parent / "data"
TOKEN = Token("abcdef", "0123456789abcdef")
TWELVE = tuning.of(12.0)
MANIFEST = DATA / "bundle" / "metallb-native-part.yaml"
WIDE = "--ml-wan-config"


class Held:
    kubernetes = "v1.37.2"
    etcd_tag = "3.7.3-0"
    coredns_tag = "v1.15.0"


def init_config(chosen: tuning.Tuning) -> str:
    directory = "/run/metallab/patches"
    return kubeadm_config.init_config(Lab(), Held(), TOKEN, directory, lacks_resources=False, tuning=chosen)


def containers(objects: list[Any]) -> dict[str, Any]:
    templates = [item["spec"]["template"]["spec"] for item in objects if "template" in item.get("spec", {})]
    return {container["name"]: container for template in templates for container in template["containers"]}


@pytest.mark.parametrize("factor", [0.5, 1.0, SLOW - 0.01])
def test_a_machine_of_ordinary_speed_changes_nothing(factor: float) -> None:
    chosen = tuning.of(factor)
    assert chosen == ORDINARY
    assert not chosen.slow
    assert str(chosen) == "ordinary speed"
    assert init_config(chosen) == (DATA / "cluster" / "init.yaml").read_text()
    assert kubeadm_config.patches(chosen) == kubeadm_config.patches()
    objects = manifests.read(MANIFEST)
    assert metallb.prepare(objects, chosen) == metallb.prepare(objects)


@pytest.mark.parametrize("factor", [SLOW, 12.0, 20.0, 37.3, pace.SLOWEST])
def test_a_slow_machine_is_given_what_the_projects_ask_for(factor: float) -> None:
    """etcd's guide: ten heartbeats at least an election. client-go refuses a lease that its parts do not fit into."""
    chosen = tuning.of(factor)
    assert chosen.slow
    assert chosen.etcd_election is not None
    assert chosen.etcd_heartbeat is not None
    assert 10 * chosen.etcd_heartbeat <= chosen.etcd_election <= 50_000
    assert chosen.lease is not None
    assert chosen.renew is not None
    assert chosen.retry is not None
    assert chosen.lease > chosen.renew > 1.2 * chosen.retry
    assert f"{factor:.0f} times slower" in str(chosen)


@pytest.mark.parametrize(
    ("factor", "lease"),
    [(SLOW, 120), (30.0, 120), (37.5, 150), (60.0, 240), (75.0, 300), (pace.SLOWEST, 300), (1000.0, 300)],
)
def test_the_slower_a_machine_the_longer_a_leader_has_to_answer(factor: float, lease: int) -> None:
    chosen = tuning.of(factor)
    assert (chosen.lease, chosen.renew, chosen.retry) == (lease, lease * 3 // 4, lease // 12)


@pytest.mark.parametrize(("own", "now"), [(1.0, 1.0), (SLOW, 1.0), (20.0, 20.0), (1.0, SLOW), (1.0, 20.0)])
def test_the_lab_waits_longer_than_kubeadm(own: float, now: float) -> None:
    pace.settle([own], [now])
    for seconds in (kubeadm.INIT_SECONDS, kubeadm.JOIN_SECONDS):
        assert pace.scaled(seconds) > 60 * tuning.of(pace.own(), pace.factor()).kubeadm_minutes


@pytest.mark.parametrize("waits", [SLOW, 20.0])
def test_a_busy_host_gives_kubeadm_time_and_the_cluster_nothing_that_stays(waits: float) -> None:
    chosen = tuning.of(1.0, waits)
    assert not chosen.slow
    assert chosen == tuning.Tuning(kubeadm_minutes=15)
    assert init_config(chosen) == (DATA / "cluster" / "init.yaml").read_text().replace(": 4m0s\n", ": 15m0s\n")
    assert kubeadm_config.patches(chosen) == kubeadm_config.patches()
    objects = manifests.read(MANIFEST)
    assert metallb.prepare(objects, chosen) == metallb.prepare(objects)
    assert tuning.of(12.0, 1.0) == TWELVE, "a quiet host makes no machine faster"


def test_init_config_for_slow_machines_is_the_known_one() -> None:
    assert init_config(TWELVE) == (DATA / "cluster" / "init-slow.yaml").read_text()


def test_join_waits_as_long_as_init() -> None:
    text = kubeadm_config.join_config(Lab(), Lab().workers[0], TOKEN, "/run/metallab/discovery.conf", TWELVE)
    ordinary = (DATA / "cluster" / "join.yaml").read_text()
    assert text == ordinary.replace(": 4m0s\n", ": 15m0s\n")
    assert text != ordinary


def test_a_slow_coredns_is_asked_with_patience() -> None:
    patch = yaml.safe_load(kubeadm_config.patches(TWELVE)["corednsdeployment+strategic.yaml"])
    (dns,) = patch["spec"]["template"]["spec"]["containers"]
    assert dns == {
        "name": "coredns",
        "readinessProbe": {"periodSeconds": 5, "timeoutSeconds": 20},
        "livenessProbe": {"timeoutSeconds": 20},
    }
    proxy = "kubeproxydaemonset+strategic.yaml"
    assert kubeadm_config.patches(TWELVE)[proxy] == kubeadm_config.patches()[proxy]


def test_a_slow_metallb_is_asked_with_patience_and_its_speakers_expect_a_wide_network() -> None:
    given = manifests.read(MANIFEST)
    ordinary, slow = (containers(metallb.prepare(given, chosen)) for chosen in (ORDINARY, TWELVE))
    assert {name for name in slow if WIDE in slow[name]["args"]} == {SPEAKER}
    assert slow[SPEAKER]["args"] == [*ordinary[SPEAKER]["args"], WIDE]
    for name in ("controller", SPEAKER):
        probes = {probe: slow[name][probe] for probe in ("readinessProbe", "livenessProbe")}
        assert {probe["timeoutSeconds"] for probe in probes.values()} == {20}
        assert (probes["readinessProbe"]["initialDelaySeconds"], probes["readinessProbe"]["periodSeconds"]) == (1, 5)
        assert probes["livenessProbe"]["initialDelaySeconds"] == 120
        changed = {key for key in slow[name] if slow[name][key] != ordinary[name][key]}
        assert changed == {*probes, *(["args"] if name == SPEAKER else [])}
    assert given == manifests.read(MANIFEST), "what was given stays as it is"
