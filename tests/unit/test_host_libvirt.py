"""libvirt through virsh: what it is told, with a virsh made for the test that remembers its words."""

from __future__ import annotations

import os
from ipaddress import IPv4Network
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from metallab.config import Lab, parse
from metallab.errors import LabError
from metallab.events import Step
from metallab.host import libvirt
from metallab.host.libvirt import Network, management_network, volume_name

LAB_NETWORK = Network("metallab-a_lab", IPv4Network("192.168.96.0/24"), dhcp=False)
STEP = Step("disks and networks", lambda _event: None)
ENVIRONMENT = {"LIBVIRT_DEFAULT_URI": "test:///default"}
# Keeps every call in $HERE/calls and what it reads in $HERE/read; what there is are files $HERE/KIND.NAME that say what
# `virsh KIND-info` prints; a call named in $HERE/refused fails.
FAKE_VIRSH = """\
#!/bin/sh
echo "$*" >>"$HERE/calls"
[ "$LC_ALL" = C ] || exit 99
! grep -qxF -e "$1" "$HERE/refused" 2>/dev/null || { echo "error: internal error: no" >&2; exit 1; }
for name; do :; done
case "$1" in
version) echo "Using library: libvirt 9.0.0"; echo "Running against daemon: 9.0.1" ;;
net-info | pool-info | vol-info) cat "$HERE/${1%-info}.$name" 2>/dev/null || { echo "error: failed" >&2; exit 1; } ;;
net-define) cat "$name" >"$HERE/read"; printf 'Active:   no\\n' >"$HERE/net.metallab-a_lab" ;;
pool-define-as) printf 'State:   inactive\\n' >"$HERE/pool.default" ;;
list) cat "$HERE/list" ;;
net-list) cat "$HERE/net-list" ;;
vol-list) cat "$HERE/vol-list" ;;
esac
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "virsh").write_text(FAKE_VIRSH)
    (tmp_path / "virsh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("HERE", str(tmp_path))
    return tmp_path


def calls(here: Path) -> list[str]:
    return (here / "calls").read_text().splitlines()


# -- pure parts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dhcp", [True, False])
def test_a_network_leads_nowhere_and_the_host_is_its_first_address(dhcp: bool) -> None:  # noqa: FBT001
    root = ET.fromstring(Network("metallab-a_x", IPv4Network("192.168.121.0/24"), dhcp=dhcp).xml())  # noqa: S314
    assert root.findtext("name") == "metallab-a_x"
    assert root.find("forward") is None
    ip = root.find("ip")
    assert ip is not None
    assert ip.attrib == {"address": "192.168.121.1", "netmask": "255.255.255.0"}
    ranges = [found.attrib for found in ip.findall("dhcp/range")]
    assert ranges == ([{"start": "192.168.121.2", "end": "192.168.121.254"}] if dhcp else [])
    bridge = root.find("bridge")
    assert bridge is not None
    assert bridge.attrib == {"stp": "off", "delay": "0"}


def test_a_network_s_name_is_only_text() -> None:
    root = ET.fromstring(Network('<a b="c">&', IPv4Network("10.0.0.0/28"), dhcp=False).xml())  # noqa: S314
    assert root.findtext("name") == '<a b="c">&'


@pytest.mark.parametrize(
    ("networks", "own"),
    [
        ([], "192.168.121.0/24"),
        (["192.168.96.0/24", "10.244.0.0/16"], "192.168.121.0/24"),
        (["192.168.121.0/28"], "192.168.123.0/24"),
        (["192.168.120.0/22"], "192.168.125.0/24"),
        (["192.168.121.128/25", "192.168.125.0/24"], "192.168.123.0/24"),
    ],
)
def test_the_first_cards_are_where_the_lab_is_not(networks: list[str], own: str) -> None:
    assert management_network(tuple(IPv4Network(text) for text in networks)) == IPv4Network(own)


def test_the_default_lab_leaves_room_for_the_first_cards() -> None:
    lab = Lab()
    assert management_network((lab.network, lab.pods, lab.services)) == IPv4Network("192.168.121.0/24")


def test_a_lab_that_is_everywhere_is_told_so() -> None:
    lab = parse("network: 192.168.0.0/16")
    with pytest.raises(LabError) as caught:
        management_network((lab.network,))
    assert caught.value.entry.id == "LAB-PROV-004"
    assert "192.168.121.0/24, 192.168.123.0/24, 192.168.125.0/24" in caught.value.what


@pytest.mark.parametrize("layout", ["libvirt", "amd64/libvirt"])
@pytest.mark.parametrize(
    ("box", "version", "name"),
    [
        ("metallab", "0.1.42", "metallab_vagrant_box_image_0.1.42_box.img"),
        ("debian/bookworm64", "12.1", "debian-VAGRANTSLASH-bookworm64_vagrant_box_image_12.1_box.img"),
    ],
)
def test_a_box_s_disk_has_the_name_vagrant_libvirt_gives_it(layout: str, box: str, version: str, name: str) -> None:
    folder = Path("/home/me/.vagrant.d/boxes", box.replace("/", "-VAGRANTSLASH-"), version, layout)
    assert volume_name(box, folder / "box.img") == name


def test_a_box_without_a_version_is_told_by_its_age(tmp_path: Path) -> None:
    image = tmp_path / "boxes" / "mine" / "0" / "libvirt" / "box.img"
    image.parent.mkdir(parents=True)
    image.touch()
    os.utime(image, (1000, 1234.9))
    assert volume_name("mine", image) == "mine_vagrant_box_image_0_1234_box.img"


# -- what virsh is told ----------------------------------------------------------------------------------------


NET_INFO = """\
Name:           vagrant-libvirt
UUID:           d020aee1-9f2f-4f4b-a2d7-5b2f9d5f3a0e
Active:         yes
Persistent:     yes
Autostart:      no
Bridge:         virbr1

"""


@pytest.mark.usefixtures("here")
def test_the_version_is_the_daemon_s() -> None:
    assert libvirt.version(ENVIRONMENT) == "9.0.1"


def test_no_answer_is_no_version(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "refused").write_text("version\n")
    assert libvirt.version(ENVIRONMENT) is None
    monkeypatch.setenv("PATH", "/nonexistent")
    assert libvirt.version(ENVIRONMENT) is None


def test_a_network_is_defined_and_started(here: Path) -> None:
    libvirt.ensure_network(LAB_NETWORK, ENVIRONMENT)
    assert (here / "read").read_text() == LAB_NETWORK.xml()
    assert [line.split()[0] for line in calls(here)] == ["net-info", "net-define", "net-info", "net-start"]


def test_a_network_that_is_there_is_left_as_it_is(here: Path) -> None:
    (here / "net.metallab-a_lab").write_text(NET_INFO)
    libvirt.ensure_network(LAB_NETWORK, ENVIRONMENT)
    assert calls(here) == ["net-info metallab-a_lab"] * 2
    assert libvirt.bridge("metallab-a_lab", ENVIRONMENT) == "virbr1"
    assert libvirt.bridge("another", ENVIRONMENT) is None


def test_what_libvirt_refuses_is_said_in_its_words(here: Path) -> None:
    (here / "refused").write_text("net-define\n")
    with pytest.raises(LabError) as caught:
        libvirt.ensure_network(LAB_NETWORK, ENVIRONMENT)
    assert caught.value.entry.id == "LAB-PROV-002"
    assert "virsh net-define" in caught.value.what
    assert caught.value.detail == "error: internal error: no"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (None, ["pool-define-as", "pool-build", "pool-autostart", "pool-start"]),
        ("inactive", ["pool-start"]),
        ("running", []),
    ],
)
def test_the_pool_is_made_or_started_or_left(here: Path, state: str | None, told: list[str]) -> None:
    if state is not None:
        (here / "pool.default").write_text(f"Name:           default\nState:          {state}\n")
    libvirt.ensure_pool(ENVIRONMENT)
    assert [line.split()[0] for line in calls(here) if not line.startswith("pool-info")] == told


def test_half_a_disk_is_not_left_in_the_host_s_pool(here: Path) -> None:
    (here / "refused").write_text("vol-upload\n")
    (here / "metadata.json").write_text('{"provider": "libvirt", "format": "qcow2", "virtual_size": 10}')
    with pytest.raises(LabError):
        libvirt.ensure_volume("box.img", here / "box.img", ENVIRONMENT, STEP)
    assert calls(here)[1] == "vol-create-as default box.img 10G --format qcow2"
    assert calls(here)[-1] == "vol-delete --pool default box.img"


def test_a_disk_that_is_there_is_not_copied_again(here: Path) -> None:
    (here / "vol.box.img").write_text("Name:           box.img\n")
    libvirt.ensure_volume("box.img", here / "box.img", ENVIRONMENT, STEP)
    assert calls(here) == ["vol-info --pool default box.img"]


def test_in_a_folder_of_ours_a_disk_is_a_link_and_older_ones_go(here: Path) -> None:
    folder = here / "images"
    folder.mkdir()
    (here / "box.img").write_bytes(b"disk")
    old, other = folder / "metallab_vagrant_box_image_0.1.1_box.img", folder / "metallab-a_cp.img"
    old.touch()
    other.touch()
    new = "metallab_vagrant_box_image_0.1.2_box.img"
    libvirt.forget_volumes("metallab", new, folder)
    assert old.exists(), "a machine may have it below its own disk"
    other.unlink()
    libvirt.forget_volumes("metallab", new, folder)
    for _again in range(2):
        libvirt.place_volume(new, here / "box.img", folder, ENVIRONMENT)
    assert [path.name for path in folder.iterdir()] == [new]
    assert (folder / new).samefile(here / "box.img")
    libvirt.forget_volumes("metallab", new, folder)
    assert (folder / new).exists()


def test_of_a_lab_everything_is_removed_and_of_others_nothing(here: Path) -> None:
    (here / "list").write_text("metallab-a_cp\nmetallab-a-b_cp\nsomebody\n\n")
    (here / "net-list").write_text("metallab-a_lab\nvagrant-libvirt\n\n")
    (here / "vol-list").write_text(
        " Name                    Path\n"
        "------------------------------------------------------\n"
        " metallab-a_w1.img       /var/lib/libvirt/images/metallab-a_w1.img\n"
        " metallab-a-b_cp.img     /var/lib/libvirt/images/metallab-a-b_cp.img\n\n"
    )
    libvirt.remove_all("metallab-a_", ENVIRONMENT)
    changes = [line for line in calls(here) if "list" not in line]
    assert changes == [
        *(" ".join(argv[1:]) for argv in libvirt.remove_domain_argv("metallab-a_cp")),
        "vol-delete --pool default metallab-a_w1.img",
        "net-destroy metallab-a_lab",
        "net-undefine metallab-a_lab",
    ]
