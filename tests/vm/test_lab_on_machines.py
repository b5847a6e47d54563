"""A lab of real virtual machines, from nothing to nothing: the same proof, on kernels of their own.

The tests are one story and run in order; each leaves the lab working. Where KVM does not boot a guest, every
instruction is emulated: up to a worker's return it took 11 minutes on two cores that did nothing else, and 34 on two
that emulate three times slower. What matters most comes first: CI leaves out what its time does not last for, and says
so.
"""

from __future__ import annotations

import base64
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab.host.daemons import LIBVIRT
from metallab.host.sandbox import Sandbox
from tests.conftest import need_ci_minutes
from tests.e2e.conftest import REPO, Leftovers, User
from tests.e2e.snapshot_story import keep_and_put_back
from tests.e2e.test_lab import restarted, restarts
from tests.vm.conftest import UserInTime, stopwatch

pytestmark = pytest.mark.timeout(2400)
NAME = "e2e-vm"
SANDBOX = Sandbox(NAME, LIBVIRT)
LAB = f"""\
name: {NAME}
provider: libvirt
machines:
  - {{name: cp, role: control-plane, host: 10, cpus: 2, memory: 2560}}
  - {{name: worker, role: worker, host: 11, cpus: 2, memory: 1536}}
  - {{name: client, role: client, host: 200, cpus: 1, memory: 640}}
"""
UP_SECONDS = 1500


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, built: None) -> Iterator[User]:
    """Somebody whose lab file asks for libvirt; the lab is destroyed at the end, whatever happened."""
    need_ci_minutes(30)
    folder = tmp_path_factory.mktemp("vm")
    (folder / "lab.yaml").write_text(LAB)
    someone = UserInTime(folder / "lab.yaml", folder / "state")
    someone.inv("box.build", "--format", "libvirt", timeout=900)
    try:
        yield someone
    finally:
        destroy: list[str | Path] = [REPO / "inv", "lab.destroy", "--yes"]
        subprocess.run(destroy, env=someone.environment, check=False, capture_output=True, timeout=300)
        subprocess.run(["rm", "-rf", str(SANDBOX.data)], check=True)


@pytest.fixture(scope="module")
def at_first() -> dict[str, int]:
    """How often each container was started again before the lab was up.

    Where an API server takes a minute to answer for the first time, what waits ten seconds for it has to begin again.
    """
    return {}


@pytest.fixture(scope="module")
def before(user: User) -> Leftovers:
    return Leftovers.now(NAME)


def on(user: User, machine: str, *words: str) -> str:
    return user.inv("lab.ssh", machine, "--", *words).stdout.strip()


def virsh(*words: str) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **SANDBOX.environment}
    return subprocess.run(["virsh", *words], env=environment, capture_output=True, text=True, check=True).stdout


def proven_again(user: User) -> None:
    """Prove it once more: A-B-A, where the whole was seen before."""
    user.proof(UP_SECONDS, only="again-tcp")


def test_up(user: User, before: Leftovers, at_first: dict[str, int]) -> None:
    with stopwatch("lab.up"):
        said = user.inv("lab.up", timeout=UP_SECONDS).stderr
    assert "provider libvirt" in said
    nodes = user.kubectl("get", "nodes", "--no-headers").splitlines()
    assert sorted(line.split()[0] for line in nodes) == ["cp", "worker"]
    assert all(line.split()[1] == "Ready" for line in nodes)
    at_first.update(restarts(user))


def test_machines_are_machines(user: User) -> None:
    for machine, address in (("cp", "192.168.96.10"), ("worker", "192.168.96.11"), ("client", "192.168.96.200")):
        assert on(user, machine, "hostname") == machine
        assert on(user, machine, "uname", "-r") != platform.release()
        assert on(user, machine, "stat", "-f", "-c", "%T", "/sys/fs/cgroup") == "cgroup2fs"
        assert f"inet {address}/24" in on(user, machine, "ip", "-4", "address", "show", "dev", "eth1")
    identities = [on(user, machine, "cat", "/etc/machine-id") for machine in ("cp", "worker", "client")]
    assert len(set(identities)) == 3
    uuids = [on(user, machine, "sudo", "cat", "/sys/class/dmi/id/product_uuid") for machine in ("cp", "worker")]
    assert len(set(uuids)) == 2


def test_only_the_labs_key_gets_in(user: User) -> None:
    keys = on(user, "client", "cat", "/home/vagrant/.ssh/authorized_keys").splitlines()
    (own,) = (path.read_text().strip() for path in (user.state / "metallab" / NAME / "ssh").glob("id_ed25519.pub"))
    assert keys == [own]


def test_provisioning_a_machine_again_changes_nothing(user: User) -> None:
    packed = subprocess.run(
        ["tar", "--create", "--gzip", "--directory", str(REPO), "--exclude=disk", "provision"],
        capture_output=True,
        check=True,
    ).stdout
    unpack = f"cd /tmp && echo {base64.b64encode(packed).decode()} | base64 -d | tar --extract --gzip"
    assert on(user, "worker", "sudo", "sh", "-euc", f"{unpack} && METALLAB_STAGE=machine provision/run") == ""


def test_again_changes_nothing(user: User) -> None:
    known = virsh("list", "--uuid"), user.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.uid}")
    with stopwatch("lab.up, a second time"):
        user.inv("lab.up", timeout=UP_SECONDS)
    assert (virsh("list", "--uuid"), user.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.uid}")) == known


def test_metallb_and_the_proof(user: User) -> None:
    with stopwatch("metallb.install"):
        user.inv("metallb.install", timeout=UP_SECONDS)
    with stopwatch("iperf3.deploy"):
        user.inv("iperf3.deploy", timeout=UP_SECONDS)
    with stopwatch("verify"):
        user.proof(UP_SECONDS)


def test_nothing_was_restarted(user: User, at_first: dict[str, int]) -> None:
    assert restarted(user, at_first) == [], "a pod had to be restarted in a quiet lab"


def test_a_worker_that_lost_its_power_comes_back(user: User) -> None:
    need_ci_minutes(11)
    virsh("destroy", f"metallab-{NAME}_worker")
    seen = user.json("lab.status", expect=1)
    assert seen["broken"].startswith("machine worker: poweroff")
    with stopwatch("lab.up after a power-off of the worker"):
        user.inv("lab.up", timeout=UP_SECONDS)
    with stopwatch("verify after that"):
        proven_again(user)


def test_a_snapshot_is_kept_and_put_back(user: User) -> None:
    need_ci_minutes(6)
    took = keep_and_put_back(user, "worker", seconds=UP_SECONDS)
    print(f"TOOK lab.snapshot.save: {took.save:.0f} s")
    print(f"TOOK lab.snapshot.restore: {took.restore:.0f} s")


def test_a_control_plane_and_a_client_that_lost_their_power_come_back(user: User) -> None:
    need_ci_minutes(13)
    virsh("destroy", f"metallab-{NAME}_cp")
    virsh("destroy", f"metallab-{NAME}_client")
    seen = user.json("lab.status", expect=1)
    assert seen["broken"].startswith("machine c")
    with stopwatch("lab.up after a power-off of the control plane and the client"):
        user.inv("lab.up", timeout=UP_SECONDS)
    with stopwatch("verify after that"):
        proven_again(user)


def test_machines_that_were_halted_come_back(user: User) -> None:
    need_ci_minutes(14)
    with stopwatch("lab.halt"):
        user.inv("lab.halt", timeout=UP_SECONDS)
    with stopwatch("lab.up after lab.halt"):
        user.inv("lab.up", timeout=UP_SECONDS)
    with stopwatch("verify after that"):
        proven_again(user)


def test_destroy_leaves_the_host_as_it_was(user: User, before: Leftovers) -> None:
    with stopwatch("lab.destroy"):
        user.inv("lab.destroy", "--yes")
    assert Leftovers.now(NAME) == before
    assert not (user.state / "metallab" / NAME).exists()
    assert not Path("/run/netns", SANDBOX.namespace).exists()
    left = [file.name for file in (SANDBOX.data / "lib" / "images").iterdir()]
    assert all(name.startswith("metallab_vagrant_box_image_") for name in left), left
    done = user.inv("lab.status", expect=13)
    assert "LAB-MACH-007" in done.stderr
