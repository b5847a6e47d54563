"""What a machine can see of the lab network: who answers ARP for an address, and its own interfaces.

A probe is an argument list, a run over a :class:`~metallab.run.result.Runner` as root, and a pure parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from metallab import errors
from metallab.errors import LabError
from metallab.proof.reader import Node, loads
from metallab.proof.records import Evidence
from metallab.run.result import Runner

ARP_PROBES = 3
ARP_SECONDS = 4
RUN_SECONDS = 15.0
NO_ANSWER = 1
"""arping's exit status when fewer, or more, answers came than it asked for: two machines answering end so, too."""

_REPLY = re.compile(r"(?:Unicast|Broadcast) reply from (\S+) \[([0-9A-Fa-f:]{17})\].*?\s([0-9.]+)ms$")
_SENT = re.compile(r"^Sent (\d+) probes?\b", re.MULTILINE)
_RECEIVED = re.compile(r"^Received (\d+) response", re.MULTILINE)


@dataclass(frozen=True)
class ArpReply:
    """One answer to "who has this address": the MAC in small letters, and the milliseconds it took."""

    mac: str
    milliseconds: float


@dataclass(frozen=True)
class ArpAnswers:
    """Everything that answered; several MACs mean that several machines claim the address."""

    sent: int
    replies: tuple[ArpReply, ...]

    @property
    def macs(self) -> tuple[str, ...]:
        """Return the different MACs, in the order they first answered."""
        return tuple(dict.fromkeys(reply.mac for reply in self.replies))


@dataclass(frozen=True)
class Nic:
    """A network interface with the IPv4 addresses it holds; ``mac`` is empty where there is none (a tunnel)."""

    name: str
    mac: str
    addresses: tuple[IPv4Address, ...]


def arping_argv(interface: str, address: IPv4Address) -> list[str]:
    """Return the command line: broadcasts only (``-b``), so that a second machine is heard each time, too."""
    return ["arping", "-b", "-c", str(ARP_PROBES), "-w", str(ARP_SECONDS), "-I", interface, str(address)]


def parse_arping(text: str) -> ArpAnswers:
    """Read arping's (iputils) output. Raises LAB-PRF-001 when its closing counts are missing or do not add up."""
    replies = tuple(
        ArpReply(match[2].lower(), float(match[3]))
        for match in (_REPLY.match(line.rstrip()) for line in text.splitlines())
        if match is not None
    )
    sent, received = _SENT.search(text), _RECEIVED.search(text)
    if sent is None or received is None:
        raise LabError(errors.PROOF_UNREADABLE, "arping: its closing counts are missing", detail=text)
    if int(received[1]) != len(replies):
        what = f"arping: it counts {received[1]} answers but shows {len(replies)}"
        raise LabError(errors.PROOF_UNREADABLE, what, detail=text)
    return ArpAnswers(int(sent[1]), replies)


def arp(runner: Runner, interface: str, address: IPv4Address) -> tuple[ArpAnswers, Evidence]:
    """Ask the lab network who has ``address``. Takes about 2 s. Raises LAB-PRF-002 when arping itself cannot run."""
    result = runner.run(arping_argv(interface, address), timeout=RUN_SECONDS, check=False)
    if result.rc not in (0, NO_ANSWER) or not result.stdout.startswith("ARPING"):
        what = f"arping ended with status {result.rc}"
        raise LabError(errors.PROOF_PROBE_FAILED, what, where=runner.name, detail=result.tail)
    return parse_arping(result.stdout), Evidence.of(result)


def parse_ip_addr(text: str) -> tuple[Nic, ...]:
    """Read what ``ip -j addr`` prints. Raises LAB-PRF-001 with the path of what is missing."""
    # iproute2 prints an empty object for every interface a filter left out.
    return tuple(_nic(node) for node in loads(text, "ip -j addr").items() if node.value != {})


def _nic(node: Node) -> Nic:
    families = [(info, info["family"].text()) for info in node["addr_info"].items()]
    addresses = tuple(_address(info["local"]) for info, family in families if family == "inet")
    # Tunnels and such have no link-layer address, so no key; every Ethernet has one.
    ethernet = node["link_type"].text() == "ether"
    mac = node["address"].text().lower() if ethernet else ""
    return Nic(node["ifname"].text(), mac, addresses)


def _address(node: Node) -> IPv4Address:
    try:
        return IPv4Address(node.text())
    except AddressValueError:
        return node.refuse("should be an IPv4 address")


def nics(runner: Runner) -> tuple[tuple[Nic, ...], Evidence]:
    """Return a machine's interfaces."""
    result = runner.run(["ip", "-j", "addr"], timeout=RUN_SECONDS)
    return parse_ip_addr(result.stdout), Evidence.of(result)


def holding(interfaces: tuple[Nic, ...], address: IPv4Address, where: str) -> Nic:
    """Return the interface that holds ``address``. Raises LAB-PRF-002 when none does."""
    for nic in interfaces:
        if address in nic.addresses:
            return nic
    held = ", ".join(f"{nic.name} {ip}" for nic in interfaces for ip in nic.addresses) or "none"
    what = f"no interface holds {address}; held are: {held}"
    raise LabError(
        errors.PROOF_PROBE_FAILED, what, where=where, fix="run: ./inv lab.up, which sets the addresses again"
    )
