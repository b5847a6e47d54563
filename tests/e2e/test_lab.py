"""One lab from nothing to nothing. The tests are one story and run in order; each leaves the lab working."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.e2e.conftest import REPO, Leftovers, User

pytestmark = pytest.mark.timeout(900)
NODES = ("control-plane", "worker-1", "worker-2")
ADDRESS = "192.168.96.70"


@pytest.fixture(scope="module")
def before(built: None) -> Leftovers:
    """What was on the host before the lab."""
    return Leftovers.now()


def facts(user: User) -> dict[str, object]:
    """Everything that a second run must not change: containers, object versions, the files of the lab."""
    state = user.state / "metallab" / "e2e"
    socket = "unix:///run/metallab/e2e/docker.sock"
    containers = subprocess.run(
        ["docker", "--host", socket, "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.CreatedAt}}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    template = "{range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.metadata.generation}{'\\n'}{end}"
    kinds = "deployments,daemonsets,services,ipaddresspools,l2advertisements,customresourcedefinitions,pods"
    objects = user.kubectl("get", kinds, "--all-namespaces", "--output", f"jsonpath={template}")
    keys = {path.name: path.read_bytes() for path in (state / "ssh").iterdir()}
    return {"containers": sorted(containers.splitlines()), "objects": sorted(objects.splitlines()), "keys": keys}


def containers(user: User) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every container of the cluster: its namespace, its pod, its status."""
    for pod in json.loads(user.kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]:
        for container in pod["status"].get("containerStatuses", []):
            yield pod["metadata"]["namespace"], pod["metadata"]["name"], container


def restarts(user: User) -> dict[str, int]:
    """How often each container was started again."""
    return {f"{namespace}/{pod}": one["restartCount"] for namespace, pod, one in containers(user)}


def restarted(user: User, since: Mapping[str, int] = MappingProxyType({})) -> list[str]:
    """Containers that did not run through ``since`` then, each with how the one before ended and what it said last."""
    found = []
    for namespace, pod, container in containers(user):
        if container["restartCount"] > since.get(f"{namespace}/{pod}", 0):
            before = container["lastState"]
            logs = ("logs", "--previous", "--tail=15", f"--namespace={namespace}", pod)
            said = user.kubectl(*logs) if before else "there is no container before it"
            found.append(f"{namespace}/{pod}: {json.dumps(before)}\n{said}")
    return found


def test_interrupted_anywhere_up_goes_on(user: User, before: Leftovers) -> None:
    for at, seconds, number in (
        ("machine worker-2", 1.0, signal.SIGINT),
        ("control plane", 4.0, signal.SIGKILL),
        ("join worker-1", 1.0, signal.SIGINT),
    ):
        code = user.interrupt("lab.up", at=at, seconds=seconds, number=number)
        assert code in (130, -signal.SIGINT, -signal.SIGKILL)
    user.inv("lab.up")
    nodes = user.kubectl("get", "nodes", "--no-headers").splitlines()
    assert sorted(line.split()[0] for line in nodes) == sorted(NODES)
    assert all(line.split()[1] == "Ready" for line in nodes)


def test_nodes_use_the_lab_network_and_their_own_pod_network(user: User) -> None:
    nodes = json.loads(user.kubectl("get", "nodes", "--output=json"))["items"]
    seen = {
        node["metadata"]["name"]: (
            next(entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP"),
            node["spec"]["podCIDR"],
        )
        for node in nodes
    }
    assert seen == {
        "control-plane": ("192.168.96.10", "10.244.0.0/24"),
        "worker-1": ("192.168.96.11", "10.244.1.0/24"),
        "worker-2": ("192.168.96.12", "10.244.2.0/24"),
    }


def test_status_names_the_first_thing_that_is_missing(user: User) -> None:
    done = user.inv("lab.status", expect=1)
    assert "MetalLB is not installed" in done.stdout


def test_the_example_is_refused_while_nobody_gives_addresses(user: User) -> None:
    done = user.inv("iperf3.deploy", expect=15)
    assert "LAB-MLB-002" in done.stderr
    assert "metallb.install" in done.stderr


def test_metallb_and_the_example(user: User) -> None:
    user.inv("metallb.install")
    user.inv("iperf3.deploy")
    services = json.loads(user.kubectl("get", "services", "--output=json"))["items"]
    given = {
        item["metadata"]["name"]: item["status"]["loadBalancer"]["ingress"][0]["ip"]
        for item in services
        if item["spec"]["type"] == "LoadBalancer"
    }
    assert given == {"iperf3-server-tcp": ADDRESS, "iperf3-server-udp": ADDRESS}
    assert restarted(user) == [], "a pod had to be restarted in a quiet lab"


def test_everything_again_changes_nothing(user: User) -> None:
    known = facts(user)
    began = time.monotonic()
    for task in ("lab.up", "metallb.install", "iperf3.deploy"):
        user.inv(task)
    assert time.monotonic() - began < 60
    assert facts(user) == known


def test_the_client_shows_iperf3s_own_lines(user: User) -> None:
    tcp = user.inv("iperf3.run", "--seconds", "2").stdout
    assert f"connected to {ADDRESS} port 5201" in tcp
    assert len(re.findall(r"\d\.\d\d-\d\.\d\d +sec .* [GM]bits/sec", tcp)) >= 3
    udp = user.inv("iperf3.run", "--udp", "--seconds", "2").stdout
    assert re.search(r"0/\d+ \(0%\)", udp)


def test_the_proof(user: User) -> None:
    report = user.proof()
    negative = next(check for check in report["checks"] if check["id"] == "no-tcp")
    assert negative["seen"].startswith("unable to connect to server")
    # the lab is as it was found
    user.inv("lab.status")


def test_without_a_server_the_client_says_so_and_with_it_the_proof_passes_again(user: User) -> None:
    user.kubectl("scale", "deployment/iperf3-server", "--replicas=0")
    user.kubectl("wait", "--for=delete", "pod", "--selector=app=iperf3-server", "--timeout=60s")
    try:
        done = user.inv("iperf3.run", expect=18)
        assert "LAB-PRF-002" in done.stderr
    finally:
        user.kubectl("scale", "deployment/iperf3-server", "--replicas=1")
        user.kubectl("rollout", "status", "deployment/iperf3-server", "--timeout=60s")
    user.proof()


def test_a_vagrant_user_finds_what_he_expects(user: User) -> None:
    def vagrant(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**user.environment, "VAGRANT_DOTFILE_PATH": str(user.state / "metallab" / "e2e" / "vagrant")}
        done = subprocess.run(
            ["vagrant", *words], cwd=REPO, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    assert vagrant("status").stdout.count("running (docker)") == 4
    assert "User vagrant" in vagrant("ssh-config", "client").stdout
    # from the ordinary shell, outside the lab's network namespace
    assert vagrant("ssh", "client", "-c", "hostname").stdout.strip() == "client"
    vagrant("halt")
    assert vagrant("status").stdout.count("stopped (docker)") == 4
    done = user.inv("lab.status", expect=1)
    assert "first broken layer: machine control-plane: stopped" in done.stdout
    # what a reboot must keep is kept
    user.inv("lab.up")
    user.proof()


def test_lab_ssh_keeps_words_and_exit_codes(user: User) -> None:
    assert user.inv("lab.ssh", "client", "--", "echo", "two  words", "$HOME").stdout == "two  words $HOME\n"
    user.inv("lab.ssh", "client", "--", "sh", "-c", "exit 7", expect=7)
    done = user.inv("lab.ssh", "nobody", expect=13)
    assert "LAB-MACH-005" in done.stderr


def test_status_with_the_api_server_dead(user: User) -> None:
    user.inv("lab.ssh", "control-plane", "--", "sudo", "systemctl", "stop", "kubelet")
    user.inv("lab.ssh", "control-plane", "--", "sudo", "pkill", "-9", "kube-apiserver")
    try:
        done = user.inv("lab.status", expect=1)
        assert "first broken layer: cluster: no answer from" in done.stdout
        assert "worker-2 (192.168.96.12)" in done.stdout
    finally:
        user.inv("lab.up")
    assert user.json("lab.status")["broken"] == ""


def test_nothing_secret_is_readable_or_in_a_log(user: User) -> None:
    state = user.state / "metallab" / "e2e"
    for path in (state, state / "kubeconfig", state / "ssh" / "id_ed25519", state / "ssh" / "host_ed25519"):
        assert path.stat().st_mode & 0o077 == 0, path
    private = (state / "ssh" / "host_ed25519").read_text().splitlines()[1]
    for log in (state / "vagrant.log", state / "daemon.log"):
        text = log.read_text(errors="replace")
        assert private not in text
        assert "client-key-data" not in text
    assert (
        "NotFound"
        in user.inv(
            "lab.ssh", "control-plane", "--", "sh", "-c", "sudo ls /run/metallab/discovery.conf || echo NotFound"
        ).stdout
    )
    tokens = user.kubectl("get", "secrets", "-n", "kube-system", "--field-selector=type=bootstrap.kubernetes.io/token")
    assert "bootstrap-token" not in tokens


def test_destroy_leaves_the_host_as_it_was(user: User, before: Leftovers) -> None:
    user.inv("lab.destroy", "--yes")
    assert Leftovers.now() == before
    assert not (user.state / "metallab" / "e2e").exists()
    assert not Path("/run/netns/metallab-e2e").exists()
    # a second time there is nothing to do, and that is no error
    user.inv("lab.destroy", "--yes")
    done = user.inv("lab.status", expect=13)
    assert "LAB-MACH-007" in done.stderr
