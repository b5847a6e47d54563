"""The manifests under manifests/ are what `kubectl apply -k` would want, and say what lab.yaml says by default."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from metallab import config, errors, paths
from metallab.cluster import example, manifests, metallb
from metallab.config import Lab, parse
from metallab.errors import LabError

ROOT = paths.repo_root()


def test_defaults_of_the_manifests_are_those_of_lab_yaml() -> None:
    lab = config.load(ROOT / "lab.yaml")
    assert metallb.pool_objects(lab, ["eth1"]) == manifests.folder("metallb")
    items = manifests.folder("iperf3")
    image = manifests.find(items, "Deployment", example.SERVER)["spec"]["template"]["spec"]["containers"][0]["image"]
    assert example.objects(lab, image) == items


def test_values_of_the_lab_are_set() -> None:
    lab = parse("{network: 172.30.5.0/24, pool: 100-110, sharedAddress: 105}")
    pool, advertisement = metallb.pool_objects(lab, ["ens6", "eth1"])
    assert pool["spec"]["addresses"] == ["172.30.5.100-172.30.5.110"]
    assert advertisement["spec"]["interfaces"] == ["ens6", "eth1"]
    items = example.objects(lab, "localhost/metallab/iperf3:9")
    text = yaml.safe_dump_all(items)
    assert "192.168.96" not in text
    assert text.count("172.30.5.105") == 2
    assert "localhost/metallab/iperf3:9" in text


def test_the_two_services_may_share_an_address() -> None:
    """MetalLB's rule: the same key, the same address, the same backends, and no protocol and port twice."""
    items = example.objects(Lab(), "x")
    tcp, udp = (manifests.find(items, "Service", name) for name in (example.TCP, example.UDP))
    assert tcp["metadata"]["annotations"] == udp["metadata"]["annotations"]
    assert tcp["spec"]["selector"] == udp["spec"]["selector"]
    assert "externalTrafficPolicy" not in {**tcp["spec"], **udp["spec"]}
    ports = [(port["protocol"], port["port"]) for service in (tcp, udp) for port in service["spec"]["ports"]]
    assert ports == [("TCP", example.PORT), ("UDP", example.PORT)]


def test_example_meets_the_restricted_pod_security_standard() -> None:
    template = manifests.find(manifests.folder("iperf3"), "Deployment", example.SERVER)["spec"]["template"]["spec"]
    (container,) = template["containers"]
    assert template["securityContext"]["runAsNonRoot"]
    assert template["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert "readinessProbe" not in container
    assert "livenessProbe" not in container


@pytest.mark.parametrize("name", ["metallb", "iperf3"])
def test_kustomization_names_every_file(name: str) -> None:
    folder = ROOT / "manifests" / name
    (kustomization,) = manifests.read(folder / "kustomization.yaml")
    files = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files


WORKLOAD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "controller", "creationTimestamp": None},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "controller",
                        "readinessProbe": {"initialDelaySeconds": 10, "periodSeconds": 10, "failureThreshold": 3},
                        "livenessProbe": {"initialDelaySeconds": 10, "periodSeconds": 10},
                    }
                ]
            }
        }
    },
}


def test_prepare_changes_copies_only() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "empty"}}
    given = [copy.deepcopy(WORKLOAD), secret]
    workload, prepared_secret = metallb.prepare(given)
    assert given == [WORKLOAD, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "empty"}}]
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["readinessProbe"] == {"initialDelaySeconds": 1, "periodSeconds": 1, "failureThreshold": 3}
    assert container["livenessProbe"] == {"initialDelaySeconds": 10, "periodSeconds": 10}
    assert workload["metadata"] == {"name": "controller"}
    assert prepared_secret["type"] == "Opaque"


def test_a_manifest_that_is_damaged_or_missing_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1\n")
    for path in (broken, tmp_path / "none.yaml"):
        with pytest.raises(LabError) as caught:
            manifests.read(path)
        assert caught.value.entry is errors.CLUSTER_MANIFEST
        assert caught.value.where == str(path)
    with pytest.raises(LabError, match="no Service nobody") as caught:
        manifests.find([WORKLOAD], "Service", "nobody")
    assert caught.value.entry is errors.CLUSTER_MANIFEST


def test_importing_the_room_does_not_import_kubernetes() -> None:
    script = "import sys; import metallab.cluster.metallb, metallab.cluster.kubeadm; print('kubernetes' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
