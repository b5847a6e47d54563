"""VirtualBox, which is not here: its files and outputs, an imitation of VBoxManage, and what a lab becomes of them."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from metallab import box as boxes
from metallab import bundle as bundles
from metallab import errors, steps
from metallab.box import Box, disk, ovf
from metallab.box.disk import VagrantBox
from metallab.config import Lab, parse
from metallab.errors import LabError
from metallab.events import Event, Events, Kind, silent
from metallab.host import capacity, virtualbox
from metallab.host.doctor import checks, machine, network
from metallab.host.doctor.records import Check, fail, warn
from metallab.host.virtualbox import Adapter, Allowed, DhcpServer
from metallab.machines.labdir import LabDir
from metallab.machines.vagrant import Vagrant
from metallab.providers.virtualbox import HARDWARE, VirtualBox
from metallab.site import Site, existing

DATA = Path(__file__).parent.parent / "data" / "virtualbox"
LAB = Lab(name="unit-virtualbox", provider="virtualbox")
OWN, MOVED = IPv4Network("192.168.96.0/24"), IPv4Network("192.168.56.0/24")
STOCK = Adapter("vboxnet0", IPv4Interface("192.168.56.1/24"))
STOCK_SERVER = DhcpServer(
    "HostInterfaceNetworking-vboxnet0",
    IPv4Address("192.168.56.100"),
    IPv4Address("192.168.56.101"),
    IPv4Address("192.168.56.254"),
)
ANYWHERE = Allowed(None, "nobody minds")

VBOXMANAGE = """#!/bin/sh
# Stands for VBoxManage: writes down what it is asked and says what it was given to say.
echo "$*" >>"$VBOX_FOLDER/log"
case "$*" in
--version) cat "$VBOX_FOLDER/version" ;;
"list "*) cat "$VBOX_FOLDER/$2" ;;
"hostonlyif create")
    echo "0%...10%...20%...30%...40%...50%...60%...70%...80%...90%...100%"
    cat "$VBOX_FOLDER/created" ;;
*ipconfig*) [ ! -e "$VBOX_FOLDER/refuses" ] || { echo "VBoxManage: error: Code E_ACCESSDENIED" >&2; exit 1; } ;;
esac
"""


@dataclass(frozen=True)
class Host:
    """A host with an imitation of VirtualBox, and nothing else on its PATH but what the lab needs besides."""

    folder: Path

    def says(self, what: str, text: str) -> None:
        (self.folder / what).write_text(text, encoding="utf-8")

    def asked(self) -> list[str]:
        """Return what changed something."""
        log = self.folder / "log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [line for line in lines if not line.startswith(("--version", "list "))]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    programs, folder = tmp_path / "bin", tmp_path / "vbox"
    programs.mkdir()
    folder.mkdir()
    imitations = {"VBoxManage": VBOXMANAGE, "ip": '#!/bin/sh\ncat "$VBOX_FOLDER/routes"\n'}
    for name, text in imitations.items():
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    for name in ("cat", "ssh-keygen"):
        real = shutil.which(name)
        if real is None:
            pytest.skip(f"{name} is not installed: ./inv setup")
        (programs / name).symlink_to(real)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("VBOX_FOLDER", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(virtualbox, "NETWORKS_CONF", tmp_path / "networks.conf")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    made = Host(folder)
    made.says("version", "7.0.20r163906\n")
    made.says("hostonlyifs", "")
    made.says("dhcpservers", "")
    made.says("created", "Interface 'vboxnet0' was successfully created\n")
    made.says("routes", '[{"dst": "default", "dev": "eth0"}]')
    return made


@pytest.fixture
def prepare(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Lab], tuple[Site, list[str]]]:
    """What ``lab.up`` does before Vagrant, on a host of 16 GiB and four processors, with a box nobody built."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 16777216 kB\nMemAvailable: 12582912 kB\n", encoding="ascii")
    monkeypatch.setattr(capacity, "MEMINFO", meminfo)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(4)))
    box = Box("0", tmp_path, {})
    monkeypatch.setattr(bundles, "require", lambda: SimpleNamespace(made=datetime.now(timezone.utc)))
    # The rest of the host is not what these tests are about.
    some = (network.ADAPTERS, machine.MEMORY_APART)
    monkeypatch.setitem(checks.CHECKS, "virtualbox", some)
    monkeypatch.setattr(boxes, "require", lambda _bundle: box)
    packed = VagrantBox("virtualbox", disk.version_of(box), tmp_path, tmp_path, "")
    monkeypatch.setattr(disk, "require", lambda _box, _provider: packed)
    monkeypatch.setattr(Vagrant, "add_box", lambda *_words: None)

    def perform(lab: Lab) -> tuple[Site, list[str]]:
        seen: list[Event] = []
        made = steps.prepare(lab, Events(seen.append))
        return made, [event.text for event in seen if event.kind is Kind.WARNING]

    return perform


def text_of(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def inventory_of(here: Site) -> str:
    """Return what the Vagrantfile reads, without what differs from host to host and from box to box."""
    text = here.labdir.inventory.read_text(encoding="utf-8").replace(str(here.labdir.path), "LABDIR")
    return re.sub(r'("box_version": "= )[^"]+', r"\1VERSION", text)


# -- networks.conf ---------------------------------------------------------------------------------------------


def test_only_lines_with_a_star_count_and_ipv6_is_left_out() -> None:
    found = ["10.0.0.0/8", "192.168.0.0/16", "172.20.0.0/16", "192.0.2.7/32"]
    assert virtualbox.ranges(text_of("networks.conf")) == tuple(map(IPv4Network, found))


@pytest.mark.parametrize("text", ["", "# nothing\n", "192.168.0.0/16\n", "* ::/0\n"])
def test_a_file_without_ranges_allows_nothing(text: str) -> None:
    assert virtualbox.ranges(text) == ()
    assert not Allowed(virtualbox.ranges(text), "").holds(MOVED)


def test_a_line_that_vagrant_would_end_at_is_named() -> None:
    with pytest.raises(LabError) as caught:
        virtualbox.ranges("# mine\n* 192.168.0.0/16 anywhere\n")
    assert (caught.value.entry.id, caught.value.where) == ("LAB-PROV-006", "/etc/vbox/networks.conf, line 2")
    assert "'anywhere'" in caught.value.what


@pytest.mark.parametrize(
    ("version", "system", "limited"),
    [
        ("6.1.26r145957", "Linux", False),
        ("6.1.28r147628", "Linux", True),
        ("7.0.16_Ubuntur162802", "Linux", True),
        ("7.1.12_Debianr169651", "Linux", True),
        ("6.1.50r161033", "Darwin", True),
        ("7.0.20r163906", "Darwin", False),
        ("7.0.20r163906", "SunOS", True),
        ("7.0.20r163906", "Windows", False),
        ("nightly", "Linux", True),
    ],
)
def test_who_limits_host_only_networks(version: str, system: str, limited: bool, tmp_path: Path) -> None:  # noqa: FBT001
    found = virtualbox.allowed(version, system=system, file=tmp_path / "networks.conf")
    assert found.ranges == ((IPv4Network("192.168.56.0/21"),) if limited else None)
    assert found.holds(MOVED)
    assert found.holds(OWN) is not limited


def test_the_whole_network_must_be_allowed_in_however_many_parts(tmp_path: Path) -> None:
    file = tmp_path / "networks.conf"
    for text, holds in [("* 192.168.96.0/25\n", False), ("* 192.168.96.0/25 192.168.96.128/25\n", True)]:
        file.write_text(text)
        assert virtualbox.allowed("7.0.20", system="Linux", file=file).holds(OWN) is holds


def test_a_file_nobody_can_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "networks.conf").mkdir()
    with pytest.raises(LabError) as caught:
        virtualbox.allowed("7.0.20", system="Linux", file=tmp_path / "networks.conf")
    assert caught.value.entry.id == "LAB-PROV-006"


# -- where the lab goes ----------------------------------------------------------------------------------------

DEFAULT = Allowed((virtualbox.DEFAULT_RANGE,), "the default")


def test_a_lab_stays_where_it_is_allowed() -> None:
    assert virtualbox.place(LAB, ANYWHERE) == OWN
    inside = parse("network: 192.168.60.0/24")
    assert virtualbox.place(inside, DEFAULT) == inside.network


def test_a_lab_that_is_not_allowed_moves_also_when_somebody_chose_its_network() -> None:
    assert virtualbox.place(LAB, DEFAULT) == MOVED
    chosen = parse("network: 10.20.30.0/24")
    assert virtualbox.place(chosen, DEFAULT) == MOVED
    told = virtualbox.moved(chosen, MOVED, DEFAULT)
    assert "10.20.30.0/24" in told
    assert "192.168.56.0/24" in told


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("", Allowed((IPv4Network("10.0.0.0/8"),), "a file"), "192.168.56.0/24 neither"),
        ("", Allowed((), "an empty file"), "192.168.56.0/24 neither"),
        ("network: 192.168.96.0/23", DEFAULT, "of this size cannot move"),
        ("network: 10.1.0.0/24\npods: 192.168.0.0/16\n", DEFAULT, "pods or services"),
    ],
)
def test_a_lab_that_cannot_move_says_which_line_is_missing(text: str, where: Allowed, why: str, host: Host) -> None:
    lab = parse(text)
    with pytest.raises(LabError) as caught:
        virtualbox.place(lab, where)
    assert caught.value.entry.id == "LAB-PROV-006"
    assert why in caught.value.what
    assert f"* 192.168.56.0/21 {lab.network}" in caught.value.fix


def test_a_new_file_keeps_what_was_allowed_without_it(tmp_path: Path) -> None:
    file = tmp_path / "networks.conf"
    line = virtualbox.line_for(OWN, file=file)
    assert virtualbox.ranges(line) == (virtualbox.DEFAULT_RANGE, OWN)
    file.touch()
    assert virtualbox.line_for(OWN, file=file) == "* 192.168.96.0/24"


def test_the_first_cards_are_never_in_the_lab_s_way() -> None:
    assert str(virtualbox.nat_network(LAB)) == "10.0.2.0/24"
    assert str(virtualbox.nat_network(parse("pods: 10.0.0.0/14"))) == "172.31.2.0/24"
    with pytest.raises(LabError) as caught:
        virtualbox.nat_network(parse("network: 192.168.0.0/16\npods: 10.0.0.0/9\nservices: 172.16.0.0/12"))
    assert caught.value.entry.id == "LAB-PROV-004"


# -- what VBoxManage says --------------------------------------------------------------------------------------


def test_adapters_with_and_without_an_address() -> None:
    assert virtualbox.parse_adapters(text_of("hostonlyifs.txt")) == (
        STOCK,
        Adapter("vboxnet1", IPv4Interface("192.168.96.1/24")),
        Adapter("vboxnet2", None),
    )
    assert virtualbox.parse_adapters("") == ()


def test_a_warning_before_the_list_is_no_adapter() -> None:
    assert virtualbox.parse_adapters(text_of("hostonlyifs-warning.txt")) == (STOCK,)


@pytest.mark.parametrize("name", ["dhcpservers.txt", "dhcpservers-6.0.txt"])
def test_enabled_dhcp_servers_in_both_spellings(name: str) -> None:
    found = virtualbox.parse_dhcp_servers(text_of(name))
    assert found[0] == STOCK_SERVER
    assert [server.network_name for server in found[1:]] == (["NatNetwork"] if name == "dhcpservers.txt" else [])
    assert [server for server in found if server.serves("vboxnet0")] == [STOCK_SERVER]


@pytest.mark.parametrize("lacking", ["IPAddress", "NetworkMask"])
def test_an_adapter_that_lacks_a_line_is_an_error(lacking: str) -> None:
    text = re.sub(rf"^{lacking}:.*\n", "", text_of("hostonlyifs.txt"), flags=re.MULTILINE)
    with pytest.raises(LabError) as caught:
        virtualbox.parse_adapters(text)
    assert lacking.lower() in caught.value.detail


@pytest.mark.parametrize("lacking", ["Dhcpd IP", "LowerIPAddress", "UpperIPAddress", "Enabled"])
def test_a_dhcp_server_that_lacks_a_line_is_an_error(lacking: str) -> None:
    with pytest.raises(LabError):
        virtualbox.parse_dhcp_servers(text_of("dhcpservers.txt").replace(f"{lacking}:", "Other:"))


@pytest.mark.parametrize("parser", [virtualbox.parse_adapters, virtualbox.parse_dhcp_servers])
def test_an_address_that_is_none_is_an_error(parser: Callable[[str], object]) -> None:
    text = text_of("hostonlyifs.txt") + text_of("dhcpservers.txt")
    with pytest.raises(LabError) as caught:
        parser(text.replace("192.168.56.1\n", "192.168.56\n").replace("192.168.56.100\n", "\n"))
    assert caught.value.entry.id == "LAB-PROV-002"


@pytest.mark.parametrize("said", ["", "WARNING: The vboxdrv kernel module is not loaded.\n7.0.20r163906\n"])
def test_a_virtualbox_that_starts_nothing_is_none(host: Host, said: str) -> None:
    assert virtualbox.version() == "7.0.20r163906"
    host.says("version", said)
    assert virtualbox.version() is None
    with pytest.raises(LabError) as caught:
        Site.of(LAB)
    assert caught.value.entry.id == "LAB-PROV-003"


# -- adapters and DHCP servers of others -----------------------------------------------------------------------


def adapter(name: str, address: str) -> Adapter:
    return Adapter(name, IPv4Interface(address))


def test_the_adapter_in_the_lab_network_is_used_again() -> None:
    there = virtualbox.parse_adapters(text_of("hostonlyifs.txt"))
    assert virtualbox.adapter_of(LAB, there) == there[1]
    assert virtualbox.adapter_of(LAB, there[:1]) is None
    assert virtualbox.adapter_of(LAB, there[2:]) is None


@pytest.mark.parametrize(
    ("there", "why"),
    [
        ([adapter("vboxnet3", "192.168.96.1/25")], "vboxnet3 has 192.168.96.0/25, which overlaps"),
        ([adapter("vboxnet3", "192.168.0.1/16")], "vboxnet3 has 192.168.0.0/16, which overlaps"),
        ([adapter("vboxnet1", "192.168.96.1/24"), adapter("vboxnet4", "192.168.96.1/24")], "vboxnet1 and vboxnet4"),
        ([adapter("vboxnet3", "192.168.96.11/24")], "so has worker-1 at 192.168.96.11"),
        ([adapter("vboxnet3", "192.168.96.64/24")], "so has the pool 192.168.96.64-192.168.96.95"),
    ],
)
def test_a_stale_adapter_is_explained_and_left_alone(there: list[Adapter], why: str) -> None:
    with pytest.raises(LabError) as caught:
        virtualbox.adapter_of(LAB, there)
    assert caught.value.entry.id == "LAB-PROV-004"
    assert why in caught.value.what
    assert f"VBoxManage hostonlyif remove {there[0].name}" in caught.value.fix


def server(lower: int, upper: int, own: int = 2) -> DhcpServer:
    base = MOVED.network_address
    return DhcpServer(STOCK_SERVER.network_name, base + own, base + lower, base + upper)


@pytest.mark.parametrize(
    ("given", "whose"),
    [
        (STOCK_SERVER, "client at 192.168.56.200"),
        (server(3, 254), "control-plane at 192.168.56.10"),
        (server(95, 150), "the pool 192.168.56.64-192.168.56.95"),
        (server(20, 64), "the pool 192.168.56.64-192.168.56.95"),
        (server(101, 150, own=70), "the pool 192.168.56.64-192.168.56.95"),
    ],
)
def test_a_dhcp_server_in_the_lab_s_way_is_refused_with_the_way_out(given: DhcpServer, whose: str) -> None:
    lab = LAB.model_copy(update={"network": MOVED})
    with pytest.raises(LabError) as caught:
        virtualbox.check_dhcp(lab, STOCK, [given], virtualbox.spare_network(lab, DEFAULT, [STOCK]))
    assert caught.value.entry.id == "LAB-PROV-004"
    assert whose in caught.value.what
    assert "VBoxManage dhcpserver modify --interface=vboxnet0 --disable" in caught.value.fix
    assert "network: 192.168.57.0/24 in lab.yaml" in caught.value.fix


def test_other_dhcp_servers_are_nobody_s_business() -> None:
    lab = LAB.model_copy(update={"network": MOVED})
    virtualbox.check_dhcp(lab, Adapter("vboxnet1", STOCK.address), [STOCK_SERVER], None)
    virtualbox.check_dhcp(lab, STOCK, [server(100, 199), server(201, 254)], None)


def test_a_spare_network_is_one_nobody_has() -> None:
    lab = LAB.model_copy(update={"network": MOVED})
    there = [STOCK, adapter("vboxnet1", "192.168.57.1/24"), Adapter("vboxnet2", None)]
    assert str(virtualbox.spare_network(lab, DEFAULT, there)) == "192.168.58.0/24"
    assert virtualbox.spare_network(lab, Allowed((MOVED,), ""), there) is None
    assert virtualbox.spare_network(parse("network: 10.20.0.0/16"), DEFAULT, there) is None


def ensure(lab: Lab) -> str:
    with silent().step("adapter") as step:
        return virtualbox.ensure_adapter(lab, step)


def test_the_adapter_is_made_once_and_inherits_no_dhcp_server(host: Host) -> None:
    host.says("dhcpservers", text_of("dhcpservers.txt"))
    assert ensure(LAB) == "vboxnet0"
    assert host.asked() == [
        "hostonlyif create",
        "dhcpserver remove --netname HostInterfaceNetworking-vboxnet0",
        "hostonlyif ipconfig vboxnet0 --ip 192.168.96.1 --netmask 255.255.255.0",
    ]
    host.says("hostonlyifs", text_of("hostonlyifs.txt"))
    assert ensure(LAB) == "vboxnet1"
    assert len(host.asked()) == 3


def test_an_adapter_that_gets_no_address_is_not_left_behind(host: Host) -> None:
    host.says("refuses", "")
    with pytest.raises(LabError) as caught:
        ensure(LAB)
    assert caught.value.entry.id == "LAB-PROV-002"
    assert "E_ACCESSDENIED" in caught.value.detail
    assert host.asked()[-1] == "hostonlyif remove vboxnet0"


def test_an_adapter_without_a_name_is_an_error(host: Host) -> None:
    host.says("created", "done\n")
    with pytest.raises(LabError, match="hostonlyif create"):
        ensure(LAB)


# -- the whole of it -------------------------------------------------------------------------------------------

Prepare = Callable[[Lab], tuple[Site, list[str]]]


def test_where_the_network_is_allowed_the_lab_is_what_lab_yaml_says(prepare: Prepare) -> None:
    virtualbox.NETWORKS_CONF.write_text(text_of("networks.conf"))
    here, warnings = prepare(LAB)
    assert warnings == []
    assert here.lab == LAB
    assert inventory_of(here) == text_of("inventory.json")


def test_where_it_is_not_the_lab_says_so_and_moves_with_everything(prepare: Prepare, host: Host) -> None:
    here, warnings = prepare(LAB)
    assert len(warnings) == 1
    assert "192.168.96.0/24" in warnings[0]
    assert "the lab takes 192.168.56.0/24" in warnings[0]
    assert inventory_of(here) == text_of("inventory-moved.json")
    assert (str(here.lab.gateway), here.lab.pool_range, str(here.lab.vip)) == (
        "192.168.56.1",
        "192.168.56.64-192.168.56.95",
        "192.168.56.70",
    )
    pinned = [line.split(",")[0] for line in here.labdir.known_hosts.read_text().splitlines()]
    assert pinned == ["192.168.56.10", "192.168.56.11", "192.168.56.12", "192.168.56.200"]
    assert host.asked()[-1] == "hostonlyif ipconfig vboxnet0 --ip 192.168.56.1 --netmask 255.255.255.0"
    every = [str(here.runner(machine).address) for machine in LAB.machines]
    assert every == pinned


def test_the_two_labs_differ_in_addresses_only() -> None:
    assert text_of("inventory.json").replace("192.168.96.", "192.168.56.") == text_of("inventory-moved.json")


def test_a_lab_that_was_made_stays_whatever_is_allowed_later(prepare: Prepare) -> None:
    prepare(LAB)
    virtualbox.NETWORKS_CONF.write_text("* 192.168.96.0/24\n")
    assert existing(LAB).lab.network == MOVED
    # The provider is the inventory's, too.
    assert Site.of(LAB.model_copy(update={"provider": "auto"})).lab.network == MOVED
    _here, warnings = prepare(LAB)
    assert warnings == [f"the lab {LAB.name} stays in 192.168.56.0/24, where it was made, until ./inv lab.destroy"]
    LabDir.of(LAB).remove()
    assert Site.of(LAB).lab.network == OWN


def test_a_lab_that_was_made_where_it_should_be_says_nothing(prepare: Prepare, host: Host) -> None:
    virtualbox.NETWORKS_CONF.write_text("* 192.168.96.0/24\n")
    prepare(LAB)
    virtualbox.NETWORKS_CONF.unlink()
    host.says("hostonlyifs", text_of("hostonlyifs.txt"))
    host.says("routes", json.dumps([{"dst": "192.168.96.0/24", "dev": "vboxnet1"}]))
    here, warnings = prepare(LAB)
    assert (here.lab.network, warnings) == (OWN, [])


def test_the_route_of_the_adapter_is_no_collision_but_another_one_is(prepare: Prepare, host: Host) -> None:
    virtualbox.NETWORKS_CONF.write_text("* 192.168.96.0/24\n")
    host.says("routes", json.dumps([{"dst": "192.168.96.0/24", "dev": "wlan0"}]))
    with pytest.raises(LabError) as caught:
        prepare(LAB)
    assert caught.value.entry.id == "LAB-PROV-004"
    assert "wlan0" in caught.value.what
    assert host.asked() == []


def test_the_stock_dhcp_server_on_an_adapter_that_was_there_is_left_alone(prepare: Prepare, host: Host) -> None:
    host.says("hostonlyifs", text_of("hostonlyifs.txt"))
    host.says("dhcpservers", text_of("dhcpservers.txt"))
    with pytest.raises(LabError) as caught:
        prepare(LAB)
    assert "vboxnet0 is at 192.168.56.100 and gives out 192.168.56.101-192.168.56.254" in caught.value.what
    assert host.asked() == []
    assert not LabDir.of(LAB).path.exists()


def test_all_that_is_wrong_with_the_host_is_said_at_once_and_only_to_a_new_lab(
    prepare: Prepare, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Check("host.disk", lambda _case: fail(errors.HOST_DISK, "0.1 GiB free", "df -h /"))
    late = Check("host.clock", lambda _case: fail(errors.HOST_CLOCK, "it is 1970", "date --set now"))
    odd = Check("host.processors", lambda _case: warn("1 processor"))
    good = checks.CHECKS["virtualbox"]
    monkeypatch.setitem(checks.CHECKS, "virtualbox", (*good, full, late))
    with pytest.raises(LabError) as caught:
        prepare(LAB)
    assert caught.value.entry.id == "LAB-HOST-020"
    assert "0.1 GiB free" in caught.value.detail
    assert "date --set now" in caught.value.detail
    assert (host.asked(), LabDir.of(LAB).path.exists()) == ([], False)
    monkeypatch.setitem(checks.CHECKS, "virtualbox", (*good, odd))
    assert "host.processors: 1 processor" in prepare(LAB)[1]
    monkeypatch.setitem(checks.CHECKS, "virtualbox", (*good, full, late, odd))
    assert not [warning for warning in prepare(LAB)[1] if "1 processor" in warning]


def test_a_lab_among_the_nat_addresses_moves_those(prepare: Prepare) -> None:
    virtualbox.NETWORKS_CONF.write_text("* 10.0.0.0/8\n")
    here, _warnings = prepare(LAB.model_copy(update={"network": IPv4Network("10.0.2.0/24")}))
    settings = VirtualBox().settings(here, Box("0", Path(), {}), LAB.client)
    assert settings["modify"] == [*HARDWARE, "--natnet1", "172.31.2.0/24"]


def test_no_two_machines_share_a_port_on_the_host(prepare: Prepare) -> None:
    here, _warnings = prepare(LAB)
    record: dict[str, Any] = json.loads(here.labdir.inventory.read_text())
    ports = [machine["settings"]["ssh_port"] for machine in record["machines"]]
    assert len(set(ports)) == len(ports)


# -- the box's description -------------------------------------------------------------------------------------


def test_the_description_holds_the_sizes_and_fits_the_hardware(tmp_path: Path) -> None:
    image = tmp_path / "disk.vmdk"
    image.write_bytes(b"x" * 4711)
    root = ET.fromstring(ovf.describe(image, 10 * 2**30))  # noqa: S314 - our own
    of = {"o": ovf.OVF, "r": ovf.NAMESPACES["rasd"], "v": ovf.NAMESPACES["vbox"]}
    file, section = root.find("./o:References/o:File", of), root.find("./o:DiskSection/o:Disk", of)
    assert file is not None
    assert section is not None
    assert (file.get(f"{{{ovf.OVF}}}href"), file.get(f"{{{ovf.OVF}}}size")) == ("disk.vmdk", "4711")
    assert section.get(f"{{{ovf.OVF}}}capacity") == str(10 * 2**30)
    assert section.get(f"{{{ovf.OVF}}}fileRef") == file.get(f"{{{ovf.OVF}}}id")
    assert root.findtext(".//v:OSType", namespaces=of) == "Debian_64"
    # 10 is a card, 17 a disk, 20 a controller: one each, the card on NAT, the disk on the SATA controller.
    items = {item.findtext("r:ResourceType", namespaces=of): item for item in root.iterfind(".//o:Item", of)}
    assert items["10"].findtext("r:Connection", namespaces=of) == "NAT"
    assert items["17"].findtext("r:HostResource", namespaces=of) == f"/disk/{section.get(f'{{{ovf.OVF}}}diskId')}"
    controller = items["20"].findtext("r:InstanceID", namespaces=of)
    assert items["17"].findtext("r:Parent", namespaces=of) == controller
    assert items["20"].findtext("r:ResourceSubType", namespaces=of) == "AHCI"
