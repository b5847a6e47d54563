"""The doctor on hosts on which something is really wrong: privileges withheld, disks full, addresses taken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from metallab import paths
from metallab.config import Lab
from metallab.errors import LabError
from metallab.host import libvirt, netns
from metallab.host.daemons import LIBVIRT
from metallab.host.doctor import Case, Known, diagnose, docker, hypervisors, kernel, leftovers, tries
from metallab.host.provider import Choice
from metallab.host.sandbox import Sandbox
from metallab.run.local import run
from tests.integration.daemon import started

LAB = Lab(name="it-doctor", provider="docker")
SECONDS = 120
LEFT = "it-doctor-left"
"""A lab of which only a namespace is left."""
PROGRAM = """
import json, sys
from pathlib import Path
from metallab.config import Lab
from metallab.host.daemons import DOCKER, LIBVIRT
from metallab.host.doctor import Case, examine
from metallab.host.provider import Choice
from metallab.host.sandbox import Sandbox
provider, sandboxed, root = json.loads(sys.argv[1])
sandbox = Sandbox("it-doctor", {"docker": DOCKER, "libvirt": LIBVIRT}[provider]) if sandboxed else None
case = Case(Lab(name="it-doctor"), provider, Choice(provider, "as told", sandbox), root=Path(root))
print(json.dumps([finding.to_dict() for finding in examine(case)]))
"""
"""Has a provider's checks made, and prints the findings."""
REFUSAL = """
from metallab.host.doctor import refusal
error = refusal(examine(case), case.lab)
print(json.dumps([error.entry.id, error.detail]))
"""
"""Instead of printing the findings, prints what they come to."""
OPEN_HOME = """
mount -t tmpfs none /mnt
mkdir -m 755 /mnt/upper /mnt/work
mount -t overlay -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work none "$1"
shift
exec "$@"
"""
"""Run by sh in a mount namespace: root's home, in which Python may lie, looks as if others could read it."""
ORDINARY = (
    *(shutil.which("unshare") or "unshare", "--mount", "sh", "-ec", OPEN_HOME, "sh", str(Path.home())),
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
)
"""Before a command: an ordinary user."""


def findings(
    *before: str,
    provider: str = "docker",
    sandboxed: bool = True,
    root: Path | str = "/",
    environment: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Have the checks made by a process that ``before`` puts into another situation; return the findings by id."""
    argv = [*before, sys.executable, "-c", PROGRAM, json.dumps([provider, sandboxed, str(root)])]
    ended = subprocess.run(
        argv,
        cwd=paths.repo_root(),
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return {finding["id"]: finding for finding in json.loads(ended.stdout)}


def imitations(folder: Path, **scripts: str) -> dict[str, str]:
    """Return a PATH that has these programs first."""
    folder.mkdir(exist_ok=True)
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def links() -> str:
    return run(["ip", "-o", "link"], timeout=10).stdout


# -- the kernel ------------------------------------------------------------------------------------------------


def test_everything_a_lab_asks_of_the_kernel_works_here_and_nothing_is_left(tmp_path: Path) -> None:
    before = (links(), Path("/proc/self/mounts").read_text(), Path("/proc/sys/net/ipv4/ip_forward").read_text())
    tried = kernel.tried(tmp_path)
    assert tried.nothing == ""
    assert {name: error for name, error in tried.errors.items() if error is not None} == {}
    assert before == (
        links(),
        Path("/proc/self/mounts").read_text(),
        Path("/proc/sys/net/ipv4/ip_forward").read_text(),
    )
    assert [*tmp_path.iterdir()] == []
    assert [*Path("/tmp").glob("metallab-try-*")] == []  # noqa: S108


@pytest.mark.parametrize(
    ("attempt", "reason"),
    [
        ('t["make_table"](); t["make_rule"]("in", ("no-such-thing", b""))', "No such file or directory"),
        ('t["make_rule"]("in", ("masq", b""))', "No such file or directory"),
        ('t["make_link"]("nonesuch")', "Operation not supported"),
        ('t["mount"]("none", __import__("pathlib").Path("/proc"), "no-such-system")', "No such device"),
    ],
)
def test_what_the_kernel_does_not_know_is_an_error_with_its_words(attempt: str, reason: str) -> None:
    code = f"import runpy; t = runpy.run_path({tries.__file__!r}); {attempt}"
    argv = ["unshare", "--net", "--mount", sys.executable, "-I", "-S", "-c", code]
    result = run(argv, timeout=SECONDS, check=False)
    assert result.rc != 0
    assert reason in result.stderr


def test_without_a_privilege_the_tries_fail_and_are_all_named() -> None:
    found = findings("setpriv", "--bounding-set=-net_admin,-mknod")
    failed = {name for name, finding in found.items() if finding["state"] == "fail"}
    tried = {"kernel.network", "kernel.nftables", "kernel.devices", "kernel.iptables"}
    assert {"host.capabilities", *tried} <= failed
    assert "CAP_NET_ADMIN" in found["host.capabilities"]["seen"]
    assert "CAP_MKNOD" in found["host.capabilities"]["seen"]
    assert "a bridge, a veth pair (Operation not permitted)" in found["kernel.network"]["seen"]
    assert found["kernel.overlay"]["state"] == "ok"


def test_a_host_that_gives_no_namespaces_is_refused() -> None:
    found = findings("setpriv", "--bounding-set=-sys_admin")
    for name in ("kernel.network", "kernel.nftables", "kernel.overlay"):
        assert found[name]["error"] == "LAB-HOST-024"
        assert "no namespaces can be made" in found[name]["seen"]


def test_a_read_only_proc_is_found_by_trying_to_forward() -> None:
    found = findings("unshare", "--mount", "sh", "-c", 'mount -o bind,ro /proc/sys /proc/sys && exec "$@"', "sh")
    assert found["kernel.forwarding"]["state"] == "fail"
    assert "Read-only file system" in found["kernel.forwarding"]["seen"]


# -- an ordinary user ------------------------------------------------------------------------------------------


def test_what_only_root_could_try_is_not_taken_for_good() -> None:
    found = findings(*ORDINARY)
    assert found["kernel.devices"]["state"] == "unseen"
    assert "needs root" in found["kernel.devices"]["seen"]
    assert found["kernel.user-namespaces"]["state"] == "ok"
    assert found["kernel.nftables"]["state"] == "ok", "in a user namespace the kernel shows what it can as well"


def test_user_namespaces_that_are_closed_are_named_with_the_setting() -> None:
    close = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"'
    # The limit is of a user namespace of its own, in which the user has the number 1000.
    found = findings("unshare", "--user", "--map-user=1000", "--keep-caps", "sh", "-ec", close, "sh")
    assert "user.max_user_namespaces is 0" in found["kernel.user-namespaces"]["seen"]
    assert found["kernel.user-namespaces"]["error"] == "LAB-HOST-024"
    assert found["kernel.user-namespaces"]["fix"] == "sudo sysctl -w user.max_user_namespaces=15000"
    assert found["kernel.network"]["state"] == "unseen"
    assert "may not make namespaces" in found["kernel.network"]["seen"]


def test_the_firewall_is_not_looked_at_without_root() -> None:
    found = findings(*ORDINARY, provider="libvirt", sandboxed=False)
    assert found["libvirt.firewall"]["seen"] == "not looked at: needs root to read the firewall"


# -- disk, addresses, firewall ---------------------------------------------------------------------------------


def on_a_small_disk(folder: Path, size: str) -> Sequence[str]:
    mount = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", mount, "sh", size, str(folder))


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    found = findings(*on_a_small_disk(tmp_path, "64m"), environment={"XDG_STATE_HOME": str(tmp_path)})
    assert found["host.disk"]["error"] == "LAB-HOST-022"
    assert "0.1 GiB free for state" in found["host.disk"]["seen"]
    assert f"df -h {tmp_path}" in found["host.disk"]["fix"]


def test_a_build_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "invoke", "--search-root", str(paths.repo_root()), "bundle.build"]
    done = subprocess.run(
        [*on_a_small_disk(tmp_path, "64m"), *words],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 10
    assert "LAB-HOST-022" in done.stderr
    assert f"df -h {tmp_path}" in done.stderr
    assert "bundle 1/10" not in done.stderr


def test_who_can_make_no_lab_is_not_sent_to_build_first() -> None:
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"), "/nonexistent")
    words = [sys.executable, "-m", "invoke", "--search-root", str(paths.repo_root()), "lab.up"]
    done = subprocess.run(
        [*ORDINARY, *words],
        env={**os.environ, **nowhere, "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, "bundle" in done.stderr) == (12, False), done.stderr
    assert "LAB-PROV-001" in done.stderr


def test_few_inodes_are_warned_of(tmp_path: Path) -> None:
    before = on_a_small_disk(tmp_path, "200g,nr_inodes=1000")
    found = findings(*before, environment={"XDG_STATE_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)})
    assert (found["host.disk"]["state"], "inodes free" in found["host.disk"]["seen"]) == ("warn", True)


def in_a_network(*lines: str) -> Sequence[str]:
    """Return what puts a command into a network namespace in which these lines were run."""
    return ("unshare", "--net", "sh", "-ec", "\n".join((*lines, 'exec "$@"')), "sh")


def test_an_interface_in_the_lab_network_is_refused_unless_the_lab_has_its_own_network(tmp_path: Path) -> None:
    taken = in_a_network(
        "ip link add taken type bridge", "ip link set taken up", "ip address add 192.168.96.7/24 dev taken"
    )
    silent = imitations(tmp_path, docker="exit 1")
    found = findings(*taken, sandboxed=False, environment=silent)
    assert found["network.lab"]["error"] == "LAB-PROV-004"
    assert "through taken" in found["network.lab"]["seen"]
    assert findings(*taken, environment=silent)["network.lab"]["state"] == "ok"


def test_a_route_into_the_pods_is_warned_of(tmp_path: Path) -> None:
    vpn = in_a_network("ip link add vpn type bridge", "ip link set vpn up", "ip route add 10.0.0.0/8 dev vpn")
    found = findings(*vpn, sandboxed=False, environment=imitations(tmp_path, docker="exit 1"))
    assert "10.0.0.0/8 through vpn" in found["network.cluster"]["seen"]


def test_a_forward_chain_that_drops_is_read_off_the_real_iptables(tmp_path: Path) -> None:
    (tmp_path / "proc/sys/net/bridge").mkdir(parents=True)
    (tmp_path / "proc/sys/net/bridge/bridge-nf-call-iptables").write_text("1\n")
    virsh = imitations(tmp_path / "bin", virsh="echo Running against daemon: 11.3.0", nft="exit 0")
    about: dict[str, Any] = {"provider": "libvirt", "sandboxed": False, "root": tmp_path, "environment": virsh}
    dropping = findings(*in_a_network("iptables -P FORWARD DROP"), **about)["libvirt.firewall"]
    assert (dropping["state"], dropping["fix"]) == ("warn", "sudo sysctl -w net.bridge.bridge-nf-call-iptables=0")
    assert findings(*in_a_network("iptables -P FORWARD ACCEPT"), **about)["libvirt.firewall"]["state"] == "ok"
    closed = findings(*in_a_network("iptables -P INPUT DROP"), **about)["libvirt.firewall"]
    assert "vagrant-libvirt issue 1839" in closed["seen"]


# -- leftovers -------------------------------------------------------------------------------------------------


@pytest.fixture
def left() -> Iterator[str]:
    """A network namespace of a lab that is gone."""
    name = Sandbox(LEFT).namespace
    netns.create(name)
    yield name
    netns.remove(name)
    Path(f"/tmp/{LEFT}.yaml").unlink(missing_ok=True)  # noqa: S108 - where the printed command writes it


def test_a_namespace_that_is_left_is_named_and_the_printed_command_removes_it(left: str, tmp_path: Path) -> None:
    others = frozenset(entry.name.removeprefix("metallab-") for entry in netns.RUN.iterdir()) - {LEFT}
    verdict = leftovers.SANDBOXES.look(Case(LAB, "docker", known=others))
    assert verdict is not None
    assert (verdict.state, LEFT in verdict.seen) == ("warn", True)
    assert netns.exists(left), "the doctor removes nothing"
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    subprocess.run(["sh", "-ec", verdict.fix], cwd=paths.repo_root(), env=environment, timeout=SECONDS, check=True)
    assert not netns.exists(left)


def test_a_mount_that_a_killed_build_left_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "metallab" / "box" / "root"
    folder.mkdir(parents=True)
    code = (
        "from metallab.config import Lab; from metallab.host.doctor import Case, leftovers\n"
        "print(leftovers.FOLDERS.look(Case(Lab(), 'docker')).fix)"
    )
    before = ["unshare", "--mount", "sh", "-ec", 'mount -t tmpfs none "$1"; shift; exec "$@"', "sh", str(folder)]
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    result = run([*before, sys.executable, "-c", code], timeout=SECONDS, cwd=paths.repo_root(), env=environment)
    assert result.stdout == f"sudo umount {folder}\n"


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A Docker daemon that stands for the host's own."""
    with started(Sandbox("it-doctor-daemon"), tmp_path, monkeypatch) as made:
        monkeypatch.setenv("DOCKER_HOST", made.environment["DOCKER_HOST"])
        yield made


def test_a_daemon_of_the_host_s_and_what_a_lab_left_on_it(daemon: Sandbox) -> None:
    case = Case(LAB, "docker", Choice("docker", "a Docker daemon answers"))
    said = docker.DAEMON.look(case)
    assert said is not None
    assert (said.state, "a Docker daemon answers (version" in said.seen) == ("ok", True)
    disk = docker.DISK.look(case)
    assert disk is not None
    assert str(daemon.data) in disk.seen
    run(["docker", "import", "-", "it-doctor"], timeout=SECONDS, input=b"\0" * 10240)
    for name in ("metallab-gone_client", "metallab-it-doctor_client", "somebody-else-s"):
        run(["docker", "create", "--name", name, "it-doctor", "/nothing"], timeout=SECONDS)
    left = leftovers.CONTAINERS.look(case)
    assert left is not None
    assert left.seen == "machines of labs without a folder here: metallab-gone_client"
    run(["sh", "-c", left.fix], timeout=SECONDS)
    again = leftovers.CONTAINERS.look(case)
    assert again is not None
    assert again.state == "ok"


@pytest.fixture
def libvirtd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A libvirtd that stands for the host's own."""
    if shutil.which("virsh") is None:
        pytest.skip("needs virsh: ./inv setup --provider libvirt")
    with started(Sandbox("it-doctor-libvirtd", LIBVIRT), tmp_path, monkeypatch) as made:
        monkeypatch.setattr(libvirt, "SYSTEM", made.environment)
        yield


@pytest.mark.usefixtures("libvirtd")
def test_a_libvirtd_of_the_host_s_and_what_a_lab_left_on_it() -> None:
    case = Case(LAB, "libvirt", Choice("libvirt", "a libvirtd answers", host=libvirt.SYSTEM))
    said = hypervisors.LIBVIRTD.look(case)
    assert said is not None
    assert (said.state in ("ok", "warn"), " answers" in said.seen) == (True, True)
    for name in ("metallab-gone_client", "metallab-it-doctor_client", "somebody-else-s"):
        machine = f"<domain type='qemu'><name>{name}</name><memory>65536</memory><os><type>hvm</type></os></domain>"
        run(["virsh", "define", "/dev/stdin"], timeout=SECONDS, env=libvirt.SYSTEM, input=machine)
    left = leftovers.DOMAINS.look(case)
    assert left is not None
    assert left.seen == "machines of labs without a folder here: metallab-gone_client"
    # It was never started and has no disk: only one of the three commands has something to do.
    run(["sh", "-c", left.fix], timeout=SECONDS, check=False)
    again = leftovers.DOMAINS.look(case)
    assert again is not None
    assert again.state == "ok"


# -- the whole of it -------------------------------------------------------------------------------------------


def test_all_that_is_wrong_comes_as_one_error(tmp_path: Path) -> None:
    code = PROGRAM.split("print(", maxsplit=1)[0] + REFUSAL
    before = (*on_a_small_disk(tmp_path, "64m"), "setpriv", "--bounding-set=-net_admin")
    argv = [*before, sys.executable, "-c", code, json.dumps(["docker", True, "/"])]
    result = run(argv, timeout=SECONDS, cwd=paths.repo_root(), env={"XDG_STATE_HOME": str(tmp_path)})
    name, detail = json.loads(result.stdout)
    assert name == "LAB-HOST-020"
    for each in ("host.disk (LAB-HOST-022)", "host.capabilities (LAB-HOST-023)", "kernel.network (LAB-HOST-024)"):
        assert each in detail


@pytest.mark.skipif(shutil.which("dockerd") is None, reason="needs dockerd: ./inv setup")
def test_this_host_can_carry_a_lab_and_every_check_of_it_was_made() -> None:
    diagnosis = diagnose(LAB, Known(bundled=datetime.now(timezone.utc)))
    error: LabError | None = diagnosis.error()
    assert error is None, f"{error}\n{error.detail}"
    assert diagnosis.choice is not None
    assert [finding.id for finding in diagnosis.findings if finding.state == "unseen"] == []


def test_inv_doctor_says_it_as_json_and_as_a_table_that_fits_100_columns() -> None:
    inv = [str(paths.repo_root() / "inv"), "doctor"]
    said = subprocess.run([*inv, "-o", "json"], capture_output=True, text=True, timeout=SECONDS, check=False)
    record = json.loads(said.stdout)
    assert said.returncode == (0 if record["error"] is None else 10 if "HOST" in record["error"] else 12)
    assert set(record) == {"findings", "failures", "provider", "accelerated", "reason", "error"}
    assert set(record["failures"]) == {"docker", "libvirt", "virtualbox"}
    shown = subprocess.run(inv, capture_output=True, text=True, timeout=SECONDS, check=False)
    table = shown.stdout.split("\nwhat to do\n")[0]
    assert max(map(len, table.splitlines())) <= 100
    for finding in record["findings"]:
        assert finding["id"] in table
    assert shown.stdout.splitlines()[-1].startswith(f"provider: {record['provider'] or 'none'} (")


def test_a_provider_that_is_not_there_is_refused_with_what_it_would_need(tmp_path: Path) -> None:
    if shutil.which("VBoxManage"):
        pytest.skip("VirtualBox is here")
    inv = [str(paths.repo_root() / "inv"), "doctor", "--provider", "virtualbox"]
    said = subprocess.run(inv, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert said.returncode in (10, 12)
    assert "virtualbox: cannot run: " in said.stdout
    assert "./inv setup --provider virtualbox" in said.stdout
