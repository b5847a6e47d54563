"""A plain Debian box, made here and of nothing of the lab's: named in lab.yaml it becomes machines of the lab."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab.box import seed
from metallab.box.build import provision_dir
from metallab.host import sandbox
from metallab.host.daemons import LIBVIRT
from metallab.host.sandbox import Sandbox
from tests.e2e.conftest import REPO, User
from tests.vm.conftest import need_speed, stopwatch

pytestmark = pytest.mark.timeout(3600)
NAME = "e2e-plain"
SANDBOX = Sandbox(NAME, LIBVIRT)
BOX = "somebodys/debian"
MIB = 8192
PACKAGES = (
    *("linux-image-amd64", "initramfs-tools", "zstd", "udev", "e2fsprogs", "systemd-sysv", "dbus"),
    *("openssh-server", "sudo", "ifupdown", "isc-dhcp-client", "iproute2"),
)
LAB = f"""\
name: {NAME}
provider: libvirt
box: {{name: {BOX}, suite: bookworm}}
machines:
  - {{name: cp, role: control-plane, host: 10, cpus: 2, memory: 3072}}
  - {{name: client, role: client, host: 200, cpus: 1, memory: 640}}
"""
UP_SECONDS = 2400


def make_box(folder: Path) -> Path:
    """Make the box: Debian's packages, the user every Vagrant box has, and a boot loader."""
    tools, root, disk = folder / "plain-box", folder / "root.tar", folder / "disk.raw"
    shutil.copytree(Path(__file__).parent / "plain-box", tools)
    shutil.copy(provision_dir() / "disk" / "insecure_key.pub", tools)
    hooks = (f"--customize-hook=copy-in {tools} /", '--customize-hook=chroot "$1" /plain-box/make')
    include = f"--include={','.join(PACKAGES)}"
    argv = [*seed.APART, "mmdebstrap", "--mode=root", "--variant=apt", include, *hooks]
    done = subprocess.run([*argv, "bookworm", str(root)], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    make_disk = provision_dir() / "disk" / "make-disk"
    make: list[str | Path] = [*seed.APART, "sh", make_disk, root, "", disk, str(MIB)]
    subprocess.run(make, check=True, timeout=300)
    image = folder / "box.img"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", disk, image], check=True, timeout=300)
    disk.unlink()
    (folder / "metadata.json").write_text(
        json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": MIB // 1024})
    )
    with tarfile.open(folder / "plain.box", "w") as archive:
        for name in ("metadata.json", "box.img"):
            archive.add(folder / name, arcname=name)
    image.unlink()
    return folder / "plain.box"


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, built: None) -> Iterator[User]:
    """Somebody with a Vagrant of his own, into which he has added the box."""
    need_speed(45)
    folder = tmp_path_factory.mktemp("plain")
    home = folder / "vagrant"
    try:
        with stopwatch("making a plain Debian box"):
            box = make_box(folder)
        add = ["vagrant", "box", "add", "--name", BOX, str(box)]
        environment = {**os.environ, "VAGRANT_HOME": str(home), "VAGRANT_CHECKPOINT_DISABLE": "1"}
        subprocess.run(add, check=True, cwd=folder, env=environment, timeout=300, capture_output=True)
        box.unlink()
        (folder / "lab.yaml").write_text(LAB)
        someone = User(folder / "lab.yaml", folder / "state", extra=(("VAGRANT_HOME", str(home)),))
        try:
            yield someone
        finally:
            destroy: list[str | Path] = [REPO / "inv", "lab.destroy", "--yes"]
            subprocess.run(destroy, env=someone.environment, check=False, capture_output=True, timeout=300)
            # Whatever destroy could not do: nothing may be left here.
            sandbox.stop(SANDBOX)
            subprocess.run(["rm", "-rf", str(SANDBOX.data)], check=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_it_becomes_a_lab_that_proves_itself(user: User) -> None:
    with stopwatch("lab.up from a plain box"):
        user.inv("lab.up", timeout=UP_SECONDS)
    user.proof(UP_SECONDS)


def test_provisioning_it_again_changes_nothing(user: User) -> None:
    inventory = json.loads((user.state / "metallab" / NAME / "inventory.json").read_text())
    for machine in inventory["machines"]:
        words = machine["guest"]["words"]
        again = ["lab.ssh", machine["name"], "--", "sudo", "sh", "-c", f"/opt/metallab-kit/provision/guest {words}"]
        assert "changed:" not in user.inv(*again, timeout=900).stdout


def test_nothing_was_downloaded(user: User) -> None:
    """The machine has no way out at all, and apt was shown nothing but the kit."""
    routes = user.inv("lab.ssh", "cp", "--", "ip", "-4", "route", "show", "default").stdout
    lists = user.inv("lab.ssh", "cp", "--", "sudo", "find", "/var/lib/apt/lists", "-name", "*_Packages").stdout
    assert (routes.strip(), lists.strip()) == ("", "")
