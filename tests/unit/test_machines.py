"""What Vagrant, ssh and docker are told about the machines."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import re
import shutil
import stat
import subprocess
from dataclasses import fields
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from metallab import paths
from metallab.config import Lab, Machine, parse
from metallab.errors import LabError
from metallab.host import provider, virtualbox
from metallab.host.provider import Made
from metallab.host.sandbox import Sandbox
from metallab.machines import access, inventory
from metallab.machines.inventory import Inventory
from metallab.machines.labdir import LabDir
from metallab.providers.base import Common

DATA = Path(__file__).parent.parent / "data" / "machines"


@pytest.fixture(scope="module")
def labdir(tmp_path_factory: pytest.TempPathFactory) -> LabDir:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed: ./inv setup")
    labdir = LabDir(tmp_path_factory.mktemp("state") / "metallab")
    labdir.prepare(Lab())
    return labdir


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_made_once_and_only_the_owner_reads_them(labdir: LabDir) -> None:
    before = (labdir.login_key.read_bytes(), labdir.host_key.read_bytes())
    labdir.prepare(Lab())
    assert (labdir.login_key.read_bytes(), labdir.host_key.read_bytes()) == before
    assert before[0] != before[1]
    assert [mode(path) for path in (labdir.path, labdir.login_key, labdir.host_key)] == [0o700, 0o600, 0o600]


def test_a_half_made_key_pair_is_made_again(tmp_path: Path) -> None:
    labdir = LabDir(tmp_path / "lab")
    labdir.prepare(Lab())
    labdir.login_key.with_suffix(".pub").unlink()
    labdir.prepare(Lab())
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", labdir.login_key], check=True, capture_output=True, text=True
    ).stdout.split()[1]
    assert labdir.login_key.with_suffix(".pub").read_text().split()[1] == derived


def test_known_hosts_pins_every_machine(labdir: LabDir) -> None:
    lines = labdir.known_hosts.read_text().splitlines()
    assert [line.split()[0] for line in lines] == [
        "192.168.96.10,control-plane",
        "192.168.96.11,worker-1",
        "192.168.96.12,worker-2",
        "192.168.96.200,client",
    ]
    assert {line.split()[2] for line in lines} == {labdir.host_key.with_suffix(".pub").read_text().split()[1]}


def test_a_secret_file_is_0600_from_its_first_moment_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        LabDir(tmp_path).write_secret(tmp_path / "sub" / "kubeconfig", "secret")
    finally:
        os.umask(old)
    assert mode(tmp_path / "sub" / "kubeconfig") == 0o600
    assert mode(tmp_path / "sub") == 0o700
    assert list((tmp_path / "sub").iterdir()) == [tmp_path / "sub" / "kubeconfig"]


def resolved(
    lab: Lab, labdir: LabDir, provider: str = "docker", environment: dict[str, str] | None = None, **others: Any
) -> Inventory:
    args = ("--cgroupns", "private")
    settings = {
        machine.name: {
            "name": inventory.container_name(lab, machine),
            "image": "metallab/box:0",
            "create_args": args,
        }
        for machine in lab.machines
    }
    guests: dict[str, dict[str, str]] = {machine.name: {} for machine in lab.machines}
    given = {"accelerated": True, "namespace": (), "common": {"netmask": "24", "box": None}, "guests": guests, **others}
    return inventory.resolve(lab, labdir, provider=provider, environment=environment or {}, settings=settings, **given)


def test_the_inventory_is_what_the_vagrantfile_reads(labdir: LabDir) -> None:
    record = resolved(
        Lab(),
        labdir,
        environment={"DOCKER_HOST": "unix:///run/metallab/metallab/docker.sock"},
        namespace=("nsenter", "--net=/run/netns/metallab-metallab"),
    )
    text = record.to_json().replace(str(labdir.path), "LABDIR")
    assert text == (DATA / "inventory.json").read_text()


def test_the_vagrantfile_reads_nothing_else(labdir: LabDir) -> None:
    record = json.loads(resolved(Lab(), labdir).to_json())
    text = (paths.repo_root() / "Vagrantfile").read_text(encoding="utf-8")
    assert set(re.findall(r'LAB\["(\w+)"\]', text)) <= set(record)
    assert set(re.findall(r'\bmachine\["(\w+)"\]', text)) <= set(record["machines"][0])
    assert set(re.findall(r'COMMON\["(\w+)"\]', text)) <= {item.name for item in fields(Common)}


def test_without_a_sandbox_vagrant_needs_no_way_in(labdir: LabDir) -> None:
    assert json.loads(resolved(Lab(), labdir).to_json())["proxy_command"] is None


@pytest.mark.parametrize(("accelerated", "seconds"), [(True, 300), (False, 1200)])
def test_an_emulated_machine_may_take_longer_to_boot(labdir: LabDir, accelerated: bool, seconds: int) -> None:  # noqa: FBT001
    assert resolved(Lab(), labdir, "libvirt", accelerated=accelerated).boot_timeout == seconds


def test_a_machine_is_given_its_keys_and_names_in_a_file(labdir: LabDir) -> None:
    lab = Lab()
    text = inventory.identity(lab, lab.client, labdir)
    values = dict(line.split("=", 1) for line in text.splitlines())
    assert (values["METALLAB_NAME"], values["METALLAB_ROLE"]) == ("client", "client")
    assert base64.b64decode(values["METALLAB_HOST_KEY"]) == labdir.host_key.read_bytes()
    assert values["METALLAB_AUTHORIZED_KEY"] == labdir.login_key.with_suffix(".pub").read_text().strip()
    assert "192.168.96.11 worker-1\n" in base64.b64decode(values["METALLAB_HOSTS"]).decode()
    assert "PRIVATE" not in text.replace("METALLAB", "")


IDENTITY = paths.repo_root() / "provision" / "files" / "usr" / "local" / "lib" / "metallab" / "identity"


def read_by_the_machine(file: Path) -> subprocess.CompletedProcess[str]:
    """Let the machine's own script read its identity, and print what it then knows instead of making it so."""
    names = [line.partition("=")[0] for line in file.read_text().splitlines()]
    reading, *_rest = IDENTITY.read_text(encoding="utf-8").partition("\n}\n")
    assert reading.rpartition("\n\n")[2].startswith("read_file() {"), "the script's first function"
    show = "".join(f'printf "%s\\n" "{name}=${name}"\n' for name in names)
    argv = ["sh", "-c", f'{reading}\n}}\nread_file "$1"\n{show}', "sh", str(file)]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=10)


@pytest.mark.parametrize("machine", Lab().machines, ids=lambda machine: machine.role)
def test_the_machine_reads_just_what_it_was_given(labdir: LabDir, tmp_path: Path, machine: Machine) -> None:
    text = inventory.identity(Lab(), machine, labdir)
    file = tmp_path / "identity"
    file.write_text(text)
    done = read_by_the_machine(file)
    assert (done.returncode, done.stdout, done.stderr) == (0, text, "")
    assert not file.exists(), "a secret is not left behind"


@pytest.mark.parametrize("end", ["", "=", "=="])
def test_a_value_may_end_as_base64_does(tmp_path: Path, end: str) -> None:
    file = tmp_path / "identity"
    file.write_text(f"METALLAB_HOSTS=MTkyLjE2OA{end}\n")
    assert read_by_the_machine(file).stdout == f"METALLAB_HOSTS=MTkyLjE2OA{end}\n"


def test_a_line_that_is_no_identity_s_is_refused_without_its_value(tmp_path: Path) -> None:
    file = tmp_path / "identity"
    file.write_text("METALLAB_SECRET=do not print\n")
    done = read_by_the_machine(file)
    assert done.returncode != 0
    assert "begins with METALLAB_SECRET" in done.stderr
    assert "do not print" not in done.stdout + done.stderr


def test_moving_the_network_moves_every_address_vagrant_sees(labdir: LabDir) -> None:
    lab = parse("network: 10.20.30.0/24")
    record = resolved(lab, labdir)
    assert [machine.ip for machine in record.machines] == ["10.20.30.10", "10.20.30.11", "10.20.30.12", "10.20.30.200"]


def test_ssh_trusts_only_the_pinned_key_and_keeps_words_apart(labdir: LabDir) -> None:
    argv = access.ssh_argv(Lab(), labdir, "client", ["echo", "two words", "$HOME"])
    assert argv[-2:] == ["vagrant@192.168.96.200", "echo 'two words' '$HOME'"]
    assert "StrictHostKeyChecking=yes" in argv
    assert f"UserKnownHostsFile={labdir.known_hosts}" in argv
    assert access.ssh_argv(Lab(), labdir, "client", [])[-1] == "vagrant@192.168.96.200"


def test_an_unknown_machine_is_named_with_those_there_are(labdir: LabDir) -> None:
    with pytest.raises(LabError) as caught:
        access.ssh_argv(Lab(), labdir, "clinet", [])
    assert caught.value.entry.id == "LAB-MACH-005"
    assert "control-plane, worker-1, worker-2, client" in caught.value.fix


def test_routes_of_a_real_host() -> None:
    found = provider.routes((DATA / "ip-route.json").read_text())
    assert (IPv4Network("172.17.0.0/16"), "docker0") in found
    assert all(network.prefixlen > 0 for network, _device in found)


def test_a_sandbox_socket_path_fits_into_a_socket_address() -> None:
    assert len(str(Sandbox("a" * 24).socket)) < 108


UNUSED = Lab(name="unit-only")
"""A lab that nobody runs, whatever goes on on this host."""


def recorded(folder: Path, environment: dict[str, str]) -> Made:
    labdir = LabDir(folder / "lab")
    labdir.write_secret(labdir.inventory, resolved(Lab(), labdir, environment=environment).to_json())
    known = inventory.recorded(labdir)
    assert known is not None
    return Made(**known)


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"environment": 3}'])
def test_a_lab_without_a_readable_inventory_was_made_with_nothing(tmp_path: Path, text: str | None) -> None:
    labdir = LabDir(tmp_path)
    if text is not None:
        labdir.inventory.write_text(text)
    assert inventory.recorded(labdir) is None


@pytest.mark.parametrize(
    "damage", [{"environment": 3}, {"machines": []}, {"machines": 3}, {"common": {"netmask": "x"}}]
)
def test_an_inventory_with_one_damage_is_not_readable(tmp_path: Path, damage: dict[str, object]) -> None:
    labdir = LabDir(tmp_path)
    record = json.loads(resolved(Lab(), labdir).to_json())
    labdir.inventory.write_text(json.dumps(record))
    assert inventory.recorded(labdir) is not None
    labdir.inventory.write_text(json.dumps(record | damage))
    assert inventory.recorded(labdir) is None


@pytest.mark.parametrize("accelerated", [True, False])
def test_what_a_lab_was_made_with_is_known_again(tmp_path: Path, accelerated: bool) -> None:  # noqa: FBT001
    labdir, environment = LabDir(tmp_path), {"LIBVIRT_DEFAULT_URI": "qemu:///system"}
    lab = parse("network: 192.168.56.0/23")
    common = {"netmask": "255.255.254.0"}
    record = resolved(lab, labdir, "libvirt", environment, accelerated=accelerated, common=common)
    labdir.write_secret(labdir.inventory, record.to_json())
    known = inventory.recorded(labdir)
    assert known is not None
    assert Made(**known) == Made("libvirt", environment, accelerated, lab.network)


def test_a_lab_stays_in_the_sandbox_it_was_made_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "daemon_version", lambda: "28.2.2")
    monkeypatch.setattr(provider, "vagrant_libvirt", lambda: None)
    monkeypatch.setattr(virtualbox, "version", lambda: None)
    made = recorded(tmp_path, Sandbox(UNUSED.name).environment)
    assert provider.choose(UNUSED, made).sandbox == Sandbox(UNUSED.name)
    assert provider.choose(UNUSED).sandbox is None
    assert provider.choose(UNUSED, recorded(tmp_path, {})).sandbox is None


def test_a_lab_on_the_hosts_daemon_is_not_made_again_when_that_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "daemon_version", lambda: None)
    with pytest.raises(LabError, match="which does not answer") as caught:
        provider.choose(UNUSED, recorded(tmp_path, {}))
    assert (caught.value.entry.id, caught.value.fix) == ("LAB-PROV-001", "start Docker, then run the command again")


def test_too_few_inotify_instances_are_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text("5\n")
    monkeypatch.setattr(provider, "INOTIFY_LIMIT", limit)
    with pytest.raises(LabError) as caught:
        provider.check_inotify(Lab())
    assert caught.value.entry.id == "LAB-HOST-011"
    assert "needs 70" in caught.value.what
    assert "fs.inotify.max_user_instances" in caught.value.fix


def test_inotify_instances_are_counted_for_real() -> None:
    libc = ctypes.CDLL(None)
    before = provider.inotify_instances(Path("/proc"))
    descriptor = libc.inotify_init1(0)
    try:
        assert descriptor >= 0
        mine = Path("/proc/self/fd") / str(descriptor)
        assert str(mine.readlink()) == "anon_inode:inotify"
        assert provider.inotify_instances(Path("/proc")) >= 1
    finally:
        os.close(descriptor)
    assert before >= 0
