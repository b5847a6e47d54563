"""VirtualBox, asked and told through ``VBoxManage``: where host-only networks may be, which there are, who is on them.

Since 6.1.28 VirtualBox gives host-only adapters addresses only inside 192.168.56.0/21, unless a file of the host's says
otherwise; Vagrant reads the same file and refuses the rest. An adapter of somebody else's is never changed here.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, collapse_addresses, ip_network
from pathlib import Path

from metallab import errors
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Step
from metallab.run.local import run
from metallab.run.result import CommandFailed, CommandTimedOut, ToolMissing

ASK_SECONDS = 30
TELL_SECONDS = 60
SSH_PORT = 22200
"""Of the first machine, on the host's loopback. Several vagrants side by side would all find the same port free."""
NETWORKS_CONF = Path("/etc/vbox/networks.conf")
DEFAULT_RANGE = IPv4Network("192.168.56.0/21")
"""What is allowed where there is no such file (VirtualBox's manual, "Host-Only Networking")."""
LIMITED_SINCE = (6, 1, 28)
FALLBACK = IPv4Network("192.168.56.0/24")
"""Where a lab moves whose own network is not allowed."""
NAT_NETWORKS = tuple(IPv4Network(text) for text in ("10.0.2.0/24", "172.31.2.0/24", "192.168.252.0/24"))
"""Of the machines' first cards, VirtualBox's default first; another one where the lab itself is there."""


@dataclass(frozen=True)
class Allowed:
    """Where host-only networks may be (None: anywhere), and who says so."""

    ranges: tuple[IPv4Network, ...] | None
    source: str

    def holds(self, network: IPv4Network) -> bool:
        """Tell whether a whole network may be a host-only network."""
        return self.ranges is None or any(network.subnet_of(each) for each in collapse_addresses(self.ranges))


@dataclass(frozen=True)
class Adapter:
    """A host-only adapter: its name, and the host's address on it; None where it has none yet."""

    name: str
    address: IPv4Interface | None

    @property
    def network(self) -> IPv4Network | None:
        """Return the network it is in."""
        return None if self.address is None else self.address.network


@dataclass(frozen=True)
class DhcpServer:
    """An enabled DHCP server of VirtualBox's: whose it is, its own address, and the range it gives out."""

    network_name: str
    address: IPv4Address
    lower: IPv4Address
    upper: IPv4Address

    def serves(self, adapter: str) -> bool:
        """Tell whether it answers on an adapter; VirtualBox derives the one name from the other."""
        return self.network_name == f"HostInterfaceNetworking-{adapter}"


# -- what is allowed -------------------------------------------------------------------------------------------


def version() -> str | None:
    """Return the version of the VirtualBox that can start machines here, or None."""
    try:
        result = run(["VBoxManage", "--version"], timeout=ASK_SECONDS)
    except (ToolMissing, CommandFailed, CommandTimedOut):
        return None
    # Where its kernel module is not loaded, and so no machine can start, a warning comes before it.
    words = result.stdout.split()
    return words[0] if len(words) == 1 else None


def allowed(version: str, *, system: str | None = None, file: Path | None = None) -> Allowed:
    """Return where this VirtualBox allows host-only networks.

    ``system`` (``platform.system()``) and ``file`` are this host's unless given. Raises LAB-PROV-006 for a file that
    cannot be read.
    """
    system, file = system or platform.system(), file or NETWORKS_CONF
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    # What calls itself otherwise is taken for a new one.
    numbers = tuple(map(int, found.groups())) if found else LIMITED_SINCE
    if numbers < LIMITED_SINCE or system == "Windows" or (system == "Darwin" and numbers >= (7, 0, 0)):
        return Allowed(None, f"VirtualBox {version} on {system} has no limit")
    try:
        return Allowed(ranges(file.read_text(encoding="utf-8")), f"{file} decides")
    except FileNotFoundError:
        return Allowed((DEFAULT_RANGE,), f"without {file} only {DEFAULT_RANGE} is allowed")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(errors.PROVIDER_HOST_ONLY, f"cannot read it: {error}", where=str(file)) from error


def ranges(text: str) -> tuple[IPv4Network, ...]:
    """Return the IPv4 ranges of a networks.conf. A file without any allows nothing.

    Raises LAB-PROV-006 for a range that is none: Vagrant ends at it, too.
    """
    found: list[IPv4Network] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip().startswith("*"):
            continue
        for entry in line.strip().removeprefix("*").split():
            try:
                network = ip_network(entry, strict=False)
            except ValueError as error:
                where = f"{NETWORKS_CONF}, line {number}"
                raise LabError(errors.PROVIDER_HOST_ONLY, f"{entry!r} is no range", where=where) from error
            if isinstance(network, IPv4Network):
                found.append(network)
    return tuple(found)


def line_for(network: IPv4Network, *, file: Path | None = None) -> str:
    """Return the line of networks.conf that allows a network. The first line of a new file ends the default range."""
    kept = "" if (file or NETWORKS_CONF).exists() else f"{DEFAULT_RANGE} "
    return f"* {kept}{network}"


def place(lab: Lab, where: Allowed) -> IPv4Network:
    """Return the network the lab gets: its own where that is allowed, else 192.168.56.0/24.

    Raises LAB-PROV-006 where that is not allowed either, is of another size, or is what the pods or services have.
    """
    if where.holds(lab.network):
        return lab.network
    what = f"VirtualBox does not allow the host-only network {lab.network} ({where.source})"
    if lab.network.prefixlen != FALLBACK.prefixlen:
        what += f", and a lab of this size cannot move to {FALLBACK}"
    elif not where.holds(FALLBACK):
        what += f", and {FALLBACK} neither"
    elif any(FALLBACK.overlaps(other) for other in (lab.pods, lab.services)):
        what += f", and in {FALLBACK} are the lab's pods or services"
    else:
        return FALLBACK
    fix = f"add this line to {NETWORKS_CONF}: {line_for(lab.network)}"
    raise LabError(errors.PROVIDER_HOST_ONLY, what, fix=f"{fix}; or choose an allowed network: in lab.yaml")


def moved(lab: Lab, network: IPv4Network, where: Allowed) -> str:
    """Return what a user is told whose lab gets another network than lab.yaml says."""
    return (
        f"VirtualBox does not allow the host-only network {lab.network} ({where.source}), so the lab takes {network}: "
        f"machines and pool keep their host numbers there; to have {lab.network}, add this line to {NETWORKS_CONF} "
        f"before the first lab.up: {line_for(lab.network)}"
    )


def nat_network(lab: Lab) -> IPv4Network:
    """Return the network of the machines' first cards: the first choice that no network of the lab overlaps."""
    taken = (lab.network, lab.pods, lab.services)
    free = [network for network in NAT_NETWORKS if not any(network.overlaps(other) for other in taken)]
    if not free:
        names = ", ".join(map(str, NAT_NETWORKS))
        what = f"the lab covers all of {names}, and VirtualBox's NAT needs one of them"
        raise LabError(errors.PROVIDER_ADDRESS_TAKEN, what)
    return free[0]


# -- what is there ---------------------------------------------------------------------------------------------


def adapters() -> tuple[Adapter, ...]:
    """Return this host's host-only adapters. Raises LAB-PROV-002."""
    return parse_adapters(_tell(["list", "hostonlyifs"]))


def dhcp_servers() -> tuple[DhcpServer, ...]:
    """Return VirtualBox's enabled DHCP servers. Raises LAB-PROV-002."""
    return parse_dhcp_servers(_tell(["list", "dhcpservers"]))


def parse_adapters(text: str) -> tuple[Adapter, ...]:
    """Return the adapters in the output of ``VBoxManage list hostonlyifs``. Raises LAB-PROV-002 for a missing field."""
    return tuple(
        Adapter(_get(block, "name"), _interface(_get(block, "ipaddress"), _get(block, "networkmask")))
        for block in _blocks(text, "name")
    )


def parse_dhcp_servers(text: str) -> tuple[DhcpServer, ...]:
    """Return the enabled servers in the output of ``VBoxManage list dhcpservers``, of 6.1 and later or of before.

    Raises LAB-PROV-002 for a missing field.
    """
    return tuple(
        DhcpServer(
            _get(block, "networkname"),
            _address(_get(block, "dhcpd ip" if "dhcpd ip" in block else "ip")),
            _address(_get(block, "loweripaddress")),
            _address(_get(block, "upperipaddress")),
        )
        for block in _blocks(text, "networkname")
        if _get(block, "enabled").lower() == "yes"
    )


def adapter_of(lab: Lab, there: Sequence[Adapter]) -> Adapter | None:
    """Return the adapter the lab network has, made by whoever: Vagrant takes the one in the same network.

    Raises LAB-PROV-004 where adapters are in each other's way: a part of the lab network, two of the same, or the
    host at an address the lab wants.
    """
    near = [adapter for adapter in there if adapter.network is not None and adapter.network.overlaps(lab.network)]
    for adapter in near:
        if adapter.network != lab.network:
            what = f"the host-only adapter {adapter.name} has {adapter.network}, which overlaps {lab.network}"
            raise LabError(errors.PROVIDER_ADDRESS_TAKEN, what, fix=_remove_one([adapter]))
    if len(near) > 1:
        names = " and ".join(adapter.name for adapter in near)
        what = f"the host-only adapters {names} are both in {lab.network}, and the host sends to one of them only"
        raise LabError(errors.PROVIDER_ADDRESS_TAKEN, what, fix=_remove_one(near))
    for adapter in near:
        owners = [] if adapter.address is None else list(_owners(lab, adapter.address.ip, adapter.address.ip))
        if owners:
            what = f"the host has {adapter.address} on the host-only adapter {adapter.name}, and so has {owners[0]}"
            raise LabError(errors.PROVIDER_ADDRESS_TAKEN, what, fix=_remove_one(near))
    return near[0] if near else None


def check_dhcp(lab: Lab, adapter: Adapter, servers: Sequence[DhcpServer], spare: IPv4Network | None) -> None:
    """Refuse an adapter whose DHCP server may give a stranger an address of the pool or of a machine.

    The adapter was there before the lab, so the server may be somebody's and is left alone. ``spare`` is a network
    the lab could have to itself. Raises LAB-PROV-004.
    """
    for server in servers:
        owners = [*_owners(lab, server.lower, server.upper), *_owners(lab, server.address, server.address)]
        if server.serves(adapter.name) and owners:
            given = f"is at {server.address} and gives out {server.lower}-{server.upper}"
            what = f"the DHCP server of the host-only adapter {adapter.name} {given}, where the lab has {owners[0]}"
            fix = "" if spare is None else f"give the lab a network of its own (network: {spare} in lab.yaml); or, "
            end = f"VBoxManage dhcpserver modify --interface={adapter.name} --disable"
            fix += f"if no machine of yours asks that server for its address, end it: {end}"
            raise LabError(errors.PROVIDER_ADDRESS_TAKEN, what, fix=fix)


def spare_network(lab: Lab, where: Allowed, there: Sequence[Adapter]) -> IPv4Network | None:
    """Return an allowed network of the lab's size that no adapter, pod or service is in; None without one."""
    if lab.network.prefixlen < DEFAULT_RANGE.prefixlen:
        return None
    taken = [lab.network, lab.pods, lab.services, *(each.network for each in there if each.network is not None)]
    for network in DEFAULT_RANGE.subnets(new_prefix=lab.network.prefixlen):
        if where.holds(network) and not any(network.overlaps(other) for other in taken):
            return network
    return None


# -- what the lab makes ----------------------------------------------------------------------------------------


def ensure_adapter(lab: Lab, step: Step) -> str:
    """Have the adapter of the lab network, and return its name. Raises LAB-PROV-002, LAB-PROV-004.

    Several ``vagrant up`` side by side would each miss it and each make one. VirtualBox keeps DHCP servers by the
    adapter's name, also of adapters that are gone: what a new one inherits is nobody's, and is removed.
    """
    there = adapter_of(lab, adapters())
    if there is not None:
        return there.name
    said = _tell(["hostonlyif", "create"])
    found = re.search(r"Interface '(.+)' was successfully created", said)
    if found is None:
        raise _unreadable("hostonlyif create", said)
    name = found[1]
    try:
        for server in dhcp_servers():
            if server.serves(name):
                step.progress(f"removing the DHCP server that an earlier {name} left")
                _tell(["dhcpserver", "remove", "--netname", server.network_name])
        netmask = str(lab.network.netmask)
        _tell(["hostonlyif", "ipconfig", name, "--ip", str(lab.gateway), "--netmask", netmask])
    except BaseException:
        # An adapter without an address would be found by nobody and stay for ever.
        run(["VBoxManage", "hostonlyif", "remove", name], timeout=TELL_SECONDS, check=False)
        raise
    return name


# -- small parts -----------------------------------------------------------------------------------------------


def _owners(lab: Lab, first: IPv4Address, last: IPv4Address) -> Iterator[str]:
    """Yield what of the lab lies in a range of addresses, both ends included."""
    for machine in lab.machines:
        if first <= lab.address(machine) <= last:
            yield f"{machine.name} at {lab.address(machine)}"
    if first <= lab.at(lab.pool.last) and lab.at(lab.pool.first) <= last:
        yield f"the pool {lab.pool_range}"


def _remove_one(there: Sequence[Adapter]) -> str:
    names = " or ".join(adapter.name for adapter in there)
    return (
        "if it is left over, and no machine of yours uses it (VBoxManage list --long vms), remove it: "
        f"VBoxManage hostonlyif remove {names}; otherwise change network: in lab.yaml"
    )


def _blocks(text: str, first: str) -> Iterator[dict[str, str]]:
    """Yield the records of a list; each begins with the key ``first``. Indented lines are details of a record's."""
    block: dict[str, str] | None = None
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        key = key.lower()
        if key == first and colon:
            if block is not None:
                yield block
            block = {}
        if block is not None and colon and not line[0].isspace():
            block.setdefault(key, value.strip())
    if block is not None:
        yield block


def _get(block: dict[str, str], key: str) -> str:
    if key not in block:
        raise _unreadable("list", f"no {key} in {block}")
    return block[key]


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError as error:
        raise _unreadable("list", f"{text!r} is no address") from error


def _interface(address: str, netmask: str) -> IPv4Interface | None:
    if address in ("", "0.0.0.0"):  # noqa: S104 - nothing is bound: VirtualBox's word for "no address"
        return None
    try:
        return IPv4Interface(f"{address}/{netmask}")
    except ValueError as error:
        raise _unreadable("list", f"{address}/{netmask} is no address") from error


def _tell(words: list[str]) -> str:
    try:
        return run(["VBoxManage", *words], timeout=TELL_SECONDS, env={"LC_ALL": "C", "LANG": "C"}).stdout
    except CommandFailed as error:
        what = f"VirtualBox refused: VBoxManage {' '.join(words)}"
        raise LabError(errors.PROVIDER_DAEMON_FAILED, what, detail=error.result.tail) from error


def _unreadable(call: str, said: str) -> LabError:
    what = f"what VBoxManage {call} says cannot be read"
    return LabError(errors.PROVIDER_DAEMON_FAILED, what, fix="report it with the lines above", detail=said)
