"""The scripts of a machine, run for real inside the golden root, with a network of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metallab import box as boxes
from metallab.bundle import Bundle
from metallab.run.local import run

PROVISION = Path(__file__).parent.parent.parent / "provision"
ROUTES = "# two nodes\n10.244.1.0/24 via 198.51.100.11\n10.244.2.0/24 via 198.51.100.12\n"
SERVICES = "10.96.0.0/16 from 198.51.100.10\n"
FEWER = "10.244.2.0/24 via 198.51.100.22\n"
TABLE = """\
add table ip metallab-test
delete table ip metallab-test
table ip metallab-test {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr 10.244.0.0/16 masquerade
    }
}
"""
# $1 is the root, $2 the provision folder, $3 the script. The lab network is a link that leads nowhere.
INSIDE = """\
set -eu
mount --bind "$2" "$1/mnt"
mount -t proc proc "$1/proc"
mkdir -p "$1/etc/metallab"
mount -t tmpfs tmpfs "$1/etc/metallab"
ip link set lo up
ip link add lab0 type veth peer name far0
ip address add 198.51.100.10/24 dev lab0
ip link set lab0 up
ip link set far0 up
exec chroot "$1" sh -euc "$3"
"""
PODNET = "/usr/local/lib/metallab/podnet"
PROVISION_AGAIN = "METALLAB_STAGE=root SYSTEMD_OFFLINE=1 /mnt/run"

Inside = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def root(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    box = boxes.find(bundle)
    if box is None:
        pytest.skip("needs the machine image: ./inv box.build")
    folder = tmp_path_factory.mktemp("root")
    try:
        # Device nodes are not needed here, and not every test host may make them.
        run(["tar", "-xpf", box.root_tar, "-C", folder, "--exclude=./dev/*"], timeout=120)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def inside(root: Path) -> Inside:
    def run_inside(script: str) -> subprocess.CompletedProcess[str]:
        apart = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", INSIDE, "sh"]
        return subprocess.run(
            [*apart, root, PROVISION, script], capture_output=True, text=True, timeout=60, check=False
        )

    return run_inside


def podnet_files(routes: str) -> str:
    return f"""
        mkdir -p /etc/metallab/podnet
        printf '%s' '{routes}' >/etc/metallab/podnet/routes
        printf '%s' '{TABLE}' >/etc/metallab/podnet/masquerade.nft
    """


def test_routes_follow_the_file_and_others_are_left_alone(inside: Inside) -> None:
    done = inside(f"""
        ip route add 10.99.0.0/16 via 198.51.100.99
        {podnet_files(ROUTES)}
        {PODNET}; {PODNET}
        ip route; nft list ruleset; echo ---
        {podnet_files(FEWER)}
        {PODNET}
        ip route
    """)
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.split("---")
    assert "10.244.1.0/24 via 198.51.100.11" in before
    assert "10.244.2.0/24 via 198.51.100.12" in before
    assert before.count("masquerade") == 1
    assert "10.244.1.0/24" not in after
    assert "10.244.2.0/24 via 198.51.100.22" in after
    for routes in (before, after):
        assert "10.99.0.0/16 via 198.51.100.99" in routes


def test_services_have_a_route_without_a_default_one(inside: Inside) -> None:
    done = inside(f"""
        ip route get 10.96.0.1 2>&1 || true
        echo ---
        {podnet_files(SERVICES)}
        {PODNET} && {PODNET}
        ip route get 10.96.0.1
    """)
    assert done.returncode == 0, done.stdout + done.stderr
    before, after = done.stdout.split("---")
    assert "unreachable" in before
    assert "dev lo src 198.51.100.10" in after


def test_a_route_that_cannot_be_read_is_an_error(inside: Inside) -> None:
    done = inside(podnet_files("10.244.1.0/24 198.51.100.11\n") + PODNET)
    assert done.returncode != 0
    assert "cannot read this line" in done.stderr


def test_the_scripts_change_nothing_on_a_finished_machine(inside: Inside) -> None:
    done = inside(PROVISION_AGAIN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_scripts_mend_what_was_broken_and_only_that(inside: Inside) -> None:
    done = inside(f"""
        chmod 666 /etc/sudoers.d/vagrant
        echo broken >/etc/containerd/config.toml
        rm /etc/systemd/system/swap.target
        echo /swapfile none swap sw 0 0 >/etc/fstab
        touch /etc/ssh/ssh_host_rsa_key
        {PROVISION_AGAIN}
        stat -c 'mode %a' /etc/sudoers.d/vagrant
        cat /etc/fstab
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "changed: /etc/containerd/config.toml",
        "changed: /etc/sudoers.d/vagrant",
        "changed: /etc/ssh/ssh_host_rsa_key removed",
        "changed: swap.target masked",
        "changed: swap removed from /etc/fstab",
        "mode 440",
    ]


def test_the_golden_root_belongs_to_no_machine_and_no_maker(root: Path) -> None:
    assert (root / "etc/machine-id").read_text() == ""
    assert list((root / "etc/ssh").glob("ssh_host_*")) == []
    assert not (root / "etc/apt/sources.list").exists()
    assert (root / "etc/resolv.conf").read_text() == ""
    shadow = (root / "etc/shadow").read_text().splitlines()
    assert next(line for line in shadow if line.startswith("vagrant:")).split(":")[1].startswith("!")
