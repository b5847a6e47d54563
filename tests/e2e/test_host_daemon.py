"""The lab on a Docker daemon that is already there: nothing of it may be left, nothing else of it may be touched.

The daemon is a real one in a network namespace of its own, which plays the host: its routes, its bridges.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab import paths
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


NOBODY = 65534
# Gives the user a range of ids for user namespaces, as adduser does on most systems, and becomes that user.
BECOME = """
mount --bind "$1" /etc/subuid
mount --bind "$1" /etc/subgid
user=$2
shift 2
exec setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all,+dac_read_search \\
    --ambient-caps=-all,+dac_read_search "$@"
"""


def docker(*words: str) -> list[str]:
    argv = ["docker", "--host", HOST.environment["DOCKER_HOST"], *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def ip(*words: str) -> None:
    subprocess.run([*netns.inside(HOST.namespace), "ip", *words], check=True)


@pytest.fixture(scope="module")
def daemon(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    try:
        with silent().step("daemon") as step:
            sandbox.start(HOST, tmp_path_factory.mktemp("daemon") / "daemon.log", step)
        yield HOST.environment
    finally:
        sandbox.stop(HOST)
        subprocess.run(["rm", "-rf", str(HOST.data)], check=True)


@pytest.fixture(scope="module")
def host(daemon: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> User:
    folder = tmp_path_factory.mktemp("host-daemon")
    (folder / "lab.yaml").write_text(LAB)
    return User(folder / "lab.yaml", folder / "state", netns.inside(HOST.namespace), tuple(daemon.items()))


@pytest.fixture(scope="module")
def somebody(daemon: dict[str, str]) -> Iterator[User]:
    """A user who may talk to the daemon and is not root.

    He may read everything, since this checkout and its Python may lie in root's home, and owns nothing but one folder.
    (Not one of pytest's: these are closed to others, and Ruby believes access(2), which knows nothing of capabilities.)
    """
    with tempfile.TemporaryDirectory(prefix="metallab-somebody-") as name:
        folder = Path(name)
        (folder / "lab.yaml").write_text(LAB.replace("e2e-host", "e2e-user"))
        (folder / "subid").write_text("nobody:200000:65536\n")
        (folder / "cache" / "metallab").mkdir(parents=True)
        # The bundle is the same for everybody, and is only read.
        (folder / "cache" / "metallab" / "bundle").symlink_to(paths.cache_dir() / "bundle")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        os.chown(HOST.socket, -1, NOBODY)
        become = ("unshare", "--mount", "--propagation", "private", "sh", "-euc", BECOME, "sh", str(folder / "subid"))
        homes = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
        outside = User(
            folder / "lab.yaml", folder / "state", (*become, str(NOBODY)), tuple({**daemon, **homes}.items())
        )
        # The namespace that plays the host has no way to Debian's packages.
        outside.inv("box.build")
        yield dataclasses.replace(outside, prefix=(*netns.inside(HOST.namespace), *outside.prefix))


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
    host.proof()
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


def test_a_user_of_the_daemon_needs_no_root(somebody: User) -> None:
    # The helper that fills the volumes outlives the command; the next one must neither wait for it nor trip over it.
    assert somebody.interrupt("lab.up", at="container images", seconds=4.0, number=signal.SIGKILL) == -signal.SIGKILL
    somebody.inv("lab.up")
    somebody.proof()
    volumes = [volume for volume in docker("volume", "ls", "--quiet") if volume.startswith("metallab-")]
    (seed,) = (volume for volume in volumes if volume.startswith("metallab-seed-"))
    assert sorted(volumes) == sorted([seed, "metallab-e2e-user_cp", "metallab-e2e-user_node"])
    # The seed, and a link to the same file in each node.
    blobs = "/var/lib/containerd/io.containerd.content.v1.content/blobs"
    links = somebody.inv("lab.ssh", "node", "--", "sudo", "find", blobs, "-type", "f", "-printf", "%n ").stdout.split()
    assert set(links) == {"3"}
    before = docker("ps", "--no-trunc", "--quiet")
    somebody.inv("lab.up")
    assert docker("ps", "--no-trunc", "--quiet") == before


def test_the_user_s_lab_takes_its_volumes_with_it(somebody: User) -> None:
    somebody.inv("lab.destroy", "--yes")
    assert docker("ps", "--all", "--quiet") == []
    (seed,) = docker("volume", "ls", "--quiet")
    assert seed.startswith("metallab-seed-")
    assert not (somebody.state / "metallab" / "e2e-user").exists()
