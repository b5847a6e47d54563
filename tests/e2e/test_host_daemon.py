"""The lab on a Docker daemon that is already there: nothing of it may be left, nothing else of it may be touched.

The daemon is a real one in a network namespace of its own, which plays the host: its routes, its bridges.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab.events import silent
from metallab.host import netns, sandbox
from metallab.host.sandbox import Sandbox
from tests.e2e.conftest import User

pytestmark = pytest.mark.timeout(900)
HOST = Sandbox("e2e-daemon")
LAB = """
name: e2e-host
network: 192.168.97.0/24
machines:
  - {name: cp, role: control-plane, host: 20}
  - {name: node, role: worker, host: 21}
  - {name: user, role: client, host: 30}
pool: 100-101
sharedAddress: 101
"""


def docker(*words: str) -> list[str]:
    argv = ["docker", "--host", HOST.docker_host, *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def ip(*words: str) -> None:
    subprocess.run([*netns.inside(HOST.namespace), "ip", *words], check=True)


@pytest.fixture(scope="module")
def host(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    folder = tmp_path_factory.mktemp("host-daemon")
    (folder / "lab.yaml").write_text(LAB)
    try:
        with silent().step("daemon") as step:
            sandbox.start(HOST, folder / "dockerd.log", step)
        yield User(
            folder / "lab.yaml", folder / "state", netns.inside(HOST.namespace), (("DOCKER_HOST", HOST.docker_host),)
        )
    finally:
        sandbox.stop(HOST)
        subprocess.run(["rm", "-rf", str(HOST.data)], check=True)


def test_a_network_in_use_is_refused_before_any_machine_is_made(host: User) -> None:
    ip("link", "add", "vpn", "type", "bridge")
    ip("address", "add", "192.168.97.130/25", "dev", "vpn")
    ip("link", "set", "vpn", "up")
    try:
        done = host.inv("lab.up", expect=12)
        assert "LAB-PROV-004" in done.stderr
        assert "192.168.97.128/25" in done.stderr
        assert docker("ps", "--all", "--quiet") == []
    finally:
        ip("link", "delete", "vpn")


def test_up_proof_and_again(host: User) -> None:
    host.inv("lab.up")
    assert {check["verdict"] for check in host.json("verify")["checks"]} == {"pass"}
    before = docker("ps", "--no-trunc", "--quiet")
    host.inv("lab.up")
    assert docker("ps", "--no-trunc", "--quiet") == before
    assert "a Docker daemon answers" in host.inv("lab.status").stdout


def test_destroy_takes_only_its_own(host: User) -> None:
    docker("network", "create", "somebody-elses")
    host.inv("lab.destroy", "--yes")
    assert docker("ps", "--all", "--quiet") == []
    assert docker("volume", "ls", "--quiet") == []
    networks = docker("network", "ls", "--format", "{{.Name}}")
    assert sorted(networks) == ["bridge", "host", "none", "somebody-elses"]
    assert not (host.state / "metallab" / "e2e-host").exists()
    assert Path("/run/netns", HOST.namespace).exists()
