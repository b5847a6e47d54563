"""VirtualBox as far as it can be checked without it: what Vagrant makes of the lab, and the box on QEMU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from metallab import box as boxes
from metallab.box import disk, ovf
from metallab.bundle import Bundle
from metallab.run.local import run

REPO = Path(__file__).parents[2]
INVENTORY = REPO / "tests" / "data" / "virtualbox" / "inventory.json"
BOOT_SECONDS = 300
CARDS = ("52:54:00:00:00:01", "52:54:00:00:00:02")
# Where VirtualBox puts them on the bus of its default chipset: the first two cards, and the SATA controller.
SLOTS = ("3", "8")
CONTROLLER = "0xd"
PCAP_HEADER = 24
"""Bytes of a capture in which there is nothing."""


# -- Vagrant ---------------------------------------------------------------------------------------------------


def inventory(folder: Path, source: Path = INVENTORY) -> Path:
    """Return an inventory whose files exist: Vagrant looks for keys and identities when it validates."""
    lab = folder / "lab"
    text = source.read_text(encoding="utf-8").replace("LABDIR", str(lab)).replace("VERSION", "0.1.1")
    record = json.loads(text)
    for path in (record["key"], *(machine["identity"] for machine in record["machines"])):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch(mode=0o600)
    file = folder / "inventory.json"
    file.write_text(json.dumps(record), encoding="utf-8")
    return file


def vagrant(folder: Path, *words: str, file: Path) -> subprocess.CompletedProcess[str]:
    """Run vagrant on the real Vagrantfile, with a home of its own and, where there is no VBoxManage, an imitation."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    imitation = programs / "VBoxManage"
    if shutil.which("VBoxManage") is None and not imitation.exists():
        imitation.write_text('#!/bin/sh\n[ "$*" = --version ] && echo 7.0.20r163906\n', encoding="utf-8")
        imitation.chmod(0o755)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "METALLAB_INVENTORY": str(file),
        "VAGRANT_CWD": str(REPO),
        "VAGRANT_HOME": str(folder / "home"),
        "VAGRANT_DOTFILE_PATH": str(folder / "dot"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
    }
    return subprocess.run(
        ["vagrant", "--no-color", *words],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def needs_vagrant() -> None:
    if shutil.which("vagrant") is None:
        pytest.skip("vagrant is not installed: ./inv setup")


@pytest.mark.usefixtures("needs_vagrant")
def test_vagrant_finds_the_lab_valid_with_its_virtualbox_provider(tmp_path: Path) -> None:
    done = vagrant(tmp_path, "validate", file=inventory(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validated successfully" in done.stdout


@pytest.mark.usefixtures("needs_vagrant")
def test_vagrant_really_looks(tmp_path: Path) -> None:
    file = inventory(tmp_path)
    record = json.loads(file.read_text())
    Path(record["machines"][0]["identity"]).unlink()
    file.write_text(json.dumps(record))
    done = vagrant(tmp_path, "validate", file=file)
    assert done.returncode != 0
    assert "identity" in done.stdout + done.stderr


# -- vagrant up, until VirtualBox would start the machine -------------------------------------------------------

VBOXMANAGE = """#!{python}
# Stands for VBoxManage: knows which machines were imported or cloned, writes down every call, and starts nothing.
import json, pathlib, sys
folder, words = pathlib.Path(__file__).parent, sys.argv[1:]
with (folder / "calls").open("a") as log:
    log.write(json.dumps(words) + "\\n")
state = folder / "machines.json"
machines = json.loads(state.read_text()) if state.exists() else {{}}
def add(name):
    machines["id-%d" % len(machines)] = name
    state.write_text(json.dumps(machines))
if words == ["--version"]:
    print("7.0.20r163906")
elif words == ["list", "hostonlyifs"]:
    print(pathlib.Path({adapters!r}).read_text())
elif words == ["list", "vms"]:
    print("\\n".join('"%s" {{%s}}' % (name, key) for key, name in machines.items()))
elif words == ["list", "systemproperties"]:
    print("Default machine folder:          " + str(folder / "vms"))
elif words[:2] == ["import", "-n"]:
    print('Suggested VM name "metallab"')
elif words[0] == "import":
    add(words[words.index("--vmname") + 1])
elif words[0] == "clonevm":
    add(words[words.index("--name") + 1])
elif words[0] == "showvminfo":
    print('name="%s"\\nVMState="poweroff"\\nnic1="nat"\\nmacaddress1="080027000001"' % machines.get(words[1]))
elif words[0] == "startvm":
    sys.exit("VBoxManage: error: nothing is started here")
"""


def up(folder: Path, source: str) -> tuple[str, list[list[str]]]:
    """Type ``vagrant up control-plane`` on a host with the imitation; return what Vagrant and VBoxManage were told."""
    programs, box = folder / "bin", folder / "home" / "boxes" / "metallab" / "0.1.1" / "virtualbox"
    programs.mkdir()
    box.mkdir(parents=True)
    (box / "metadata.json").write_text('{"provider": "virtualbox"}')
    (box / "box.ovf").touch()
    shutil.copy(REPO / "provision" / "disk" / "vagrant" / "virtualbox.rb", box / "Vagrantfile")
    text = VBOXMANAGE.format(python=sys.executable, adapters=str(INVENTORY.with_name("hostonlyifs.txt")))
    (programs / "VBoxManage").write_text(text, encoding="utf-8")
    (programs / "VBoxManage").chmod(0o755)
    file = inventory(folder, INVENTORY.with_name(source))
    done = vagrant(folder, "up", "--no-destroy-on-error", "control-plane", file=file)
    assert done.returncode != 0
    return done.stdout + done.stderr, [json.loads(line) for line in (programs / "calls").read_text().splitlines()]


@pytest.fixture
def _no_ranges_of_the_host_s() -> None:
    if Path("/etc/vbox/networks.conf").exists():
        pytest.skip("this host has an /etc/vbox/networks.conf of its own, which Vagrant reads")


@pytest.mark.usefixtures("needs_vagrant", "_no_ranges_of_the_host_s")
def test_vagrant_tells_virtualbox_what_the_lab_means(tmp_path: Path) -> None:
    said, calls = up(tmp_path, "inventory-moved.json")
    assert "nothing is started here" in said
    told = [" ".join(words) for words in calls]
    # The adapter that is there is used: none is made, and none is changed.
    assert not [line for line in told if line.startswith(("hostonlyif", "dhcpserver"))]
    (cards,) = [line for line in told if "--nic2 hostonly" in line]
    assert "--nic1 nat" in cards
    assert "--hostonlyadapter2 vboxnet0 --cableconnected2 on" in cards
    assert "--nic3" not in cards
    (hardware,) = [line for line in told if "--nictype2" in line]
    settings = json.loads(INVENTORY.read_text())["machines"][0]["settings"]
    assert hardware.split()[2:] == settings["modify"]
    starts = [index for index, line in enumerate(told) if line.startswith("startvm")]
    assert told.index(cards) < told.index(hardware) < starts[0]
    (port,) = [line for line in told if "--natpf1 ssh" in line]
    assert port.endswith("--natpf1 ssh,tcp,127.0.0.1,22200,,22")
    for ending in (f"--name {settings['name']}", "--cpus 2", "--memory 2048", "--rtcuseutc on"):
        assert [line for line in told if line.startswith("modifyvm") and line.endswith(ending)], ending
    assert not [line for line in told if "sharedfolder" in line]


@pytest.mark.usefixtures("needs_vagrant", "_no_ranges_of_the_host_s")
def test_vagrant_refuses_the_network_the_lab_moves_away_from(tmp_path: Path) -> None:
    said, calls = up(tmp_path, "inventory.json")
    assert "192.168.56.0/21" in said
    assert not [words for words in calls if words[0] == "startvm"]


# -- the box ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unpacked(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The content of the box, as Vagrant unpacks it."""
    box = boxes.find(bundle)
    packed = None if box is None else disk.find(box, "virtualbox")
    if packed is None:
        pytest.skip("needs the box: ./inv box.build --format virtualbox")
    folder = tmp_path_factory.mktemp("box")
    try:
        with tarfile.open(packed.file) as archive:
            archive.extractall(folder, filter="data")
        yield folder
    finally:
        shutil.rmtree(folder)


def test_the_box_holds_what_vagrant_and_virtualbox_look_for(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} == {"metadata.json", "Vagrantfile", "box.ovf", "disk.vmdk"}
    assert json.loads((unpacked / "metadata.json").read_text())["provider"] == "virtualbox"


def test_the_description_fits_the_disk(unpacked: Path) -> None:
    told = json.loads(run(["qemu-img", "info", "--output=json", unpacked / "disk.vmdk"], timeout=60).stdout)
    root = ET.parse(unpacked / "box.ovf").getroot()  # noqa: S314 - our own
    file, section = root.find(".//o:File", {"o": ovf.OVF}), root.find(".//o:Disk", {"o": ovf.OVF})
    assert file is not None
    assert section is not None
    assert file.get(f"{{{ovf.OVF}}}href") == "disk.vmdk"
    assert file.get(f"{{{ovf.OVF}}}size") == str((unpacked / "disk.vmdk").stat().st_size)
    assert section.get(f"{{{ovf.OVF}}}capacity") == str(told["virtual-size"])
    assert told["format"] == "vmdk"
    assert told["format-specific"]["data"]["create-type"] == "streamOptimized"
    assert (section.get(f"{{{ovf.OVF}}}format") or "").endswith("#streamOptimized")


def qemu(folder: Path, image: Path) -> list[str]:
    """Return how QEMU plays VirtualBox's hardware: its disk controller and cards, at its slots, with no network."""
    cards: list[str] = []
    for number, (address, slot) in enumerate(zip(CARDS, SLOTS, strict=True)):
        cards += ["-netdev", f"hubport,id=net{number},hubid={number}"]
        cards += ["-device", f"e1000,netdev=net{number},mac={address},addr={slot},romfile="]
        cards += ["-object", f"filter-dump,id=dump{number},netdev=net{number},file={folder / f'card{number}.pcap'}"]
    return [
        *("qemu-system-x86_64", "-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "qemu64", "-smp", "2"),
        *("-m", "1024", "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{folder / 'console'}"),
        *("-drive", f"if=none,id=disk,format=vmdk,snapshot=on,file={image}"),
        *("-device", f"ahci,id=sata,addr={CONTROLLER}", "-device", "ide-hd,drive=disk,bus=sata.0"),
        *cards,
    ]


@pytest.mark.timeout(BOOT_SECONDS + 60)
def test_the_disk_boots_to_a_login_and_its_first_card_is_the_first(unpacked: Path, tmp_path: Path) -> None:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed: ./inv setup")
    console = tmp_path / "console"
    began = time.monotonic()
    # Its overlay goes where the test's other files are, and ends with it.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(qemu(tmp_path, unpacked / "disk.vmdk"), env=environment, stderr=subprocess.PIPE)
    try:
        while b"login:" not in (console.read_bytes() if console.exists() else b""):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() - began < BOOT_SECONDS, console.read_text(errors="replace")[-2000:]
            time.sleep(0.5)
        seconds = time.monotonic() - began
        print(f"a login after {seconds:.0f} s")
        while (tmp_path / "card0.pcap").stat().st_size <= PCAP_HEADER:
            assert time.monotonic() - began < BOOT_SECONDS, "eth0 asks nobody for an address"
            time.sleep(0.5)
    finally:
        process.terminate()
        process.communicate(timeout=30)
    # Only eth0 asks for an address by itself, so eth0 is the card in the first slot, which is Vagrant's NAT.
    assert bytes.fromhex(CARDS[0].replace(":", "")) in (tmp_path / "card0.pcap").read_bytes()
    assert (tmp_path / "card1.pcap").stat().st_size == PCAP_HEADER
