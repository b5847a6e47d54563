"""What a machine can see: who answers ARP or a datagram, kube-proxy's rules, conntrack's flows, its own interfaces.

A probe is an argument list, a run over a :class:`~metallab.run.result.Runner` as root, and a pure parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address

from metallab import errors
from metallab.errors import LabError
from metallab.proof.reader import Node, loads
from metallab.proof.records import Evidence
from metallab.run import pace
from metallab.run.result import Runner

ARP_PROBES = 2
"""A second apart. Two machines that both claim an address answer the first already."""
ARP_SECONDS, ARP_MOST_SECONDS = 3, 20
"""Within which somebody has to answer: on ordinary machines, and on the slowest."""
RUN_SECONDS = 15.0
NO_ANSWER = 1
"""arping's exit status when fewer, or more, answers came than it asked for: two machines answering end so, too."""

NO_ELEMENT = "Could not process rule: No such file or directory"
"""nft's words for a table that is there and an element that is not (nft 1.0.6)."""
ECHO_SECONDS = 2
SAY = r"""
exec 3<>"/dev/udp/$1/$2" || exit 2
printf %s "$3" >&3
timeout "$4" dd bs=1500 count=1 status=none <&3
"""
"""bash: send one datagram and print the one that comes back. Every run has a source port of its own."""

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
    """Return the command line: broadcasts only (``-b``), so that a second machine is heard each time, too.

    With ``-w`` it goes on asking until it has its answers, so a longer wait costs nothing but where nobody answers.
    """
    return ["arping", "-b", "-c", str(ARP_PROBES), "-w", str(_arp_seconds()), "-I", interface, str(address)]


def _arp_seconds() -> int:
    return min(ARP_MOST_SECONDS, round(pace.scaled(ARP_SECONDS)))


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
    """Ask the lab network who has ``address``, about 2 s for an ordinary machine.

    Raises LAB-PRF-002 when arping itself cannot run.
    """
    result = runner.run(arping_argv(interface, address), timeout=RUN_SECONDS, check=False)
    if result.rc not in (0, NO_ANSWER) or not result.stdout.startswith("ARPING"):
        what = f"arping ended with status {result.rc}"
        raise LabError(errors.PROOF_PROBE_FAILED, what, where=runner.name, detail=result.tail)
    answers = parse_arping(result.stdout)
    # arping pauses a second between questions, and waits for the last answer when there was none.
    return answers, Evidence.of(result, _arp_seconds() if not answers.replies else answers.sent - 1)


def say(runner: Runner, address: IPv4Address, port: int, words: str) -> tuple[str | None, Evidence]:
    """Send a datagram from a fresh port and return what came back, None when nothing did within two seconds."""
    argv = ["bash", "-c", SAY.strip(), "say", str(address), str(port), words, str(ECHO_SECONDS)]
    result = runner.run(argv, timeout=RUN_SECONDS, check=False)
    shown = f"printf %s {words!r} | (UDP {address}:{port})"
    silent = result.rc != 0 or not result.stdout
    evidence = replace(Evidence.of(result, ECHO_SECONDS if silent else 0.0), command=shown)
    return (None if silent else result.stdout), evidence


def programmed(runner: Runner, address: IPv4Address, protocol: str, port: int) -> tuple[bool, Evidence]:
    """Tell whether kube-proxy (nftables mode) has a rule for a service's address on this node.

    Raises LAB-PRF-002 when that cannot be told: a table that is not there, or another mode's, has not lost a rule.
    """
    element = f"{{ {address} . {protocol.lower()} . {port} }}"
    argv = ["nft", "get", "element", "ip", "kube-proxy", "service-ips", element]
    result = runner.run(argv, timeout=RUN_SECONDS, check=False)
    if not result.ok and NO_ELEMENT not in result.stderr:
        what = f"kube-proxy's rules cannot be read: nft ended with status {result.rc}"
        raise LabError(errors.PROOF_PROBE_FAILED, what, where=runner.name, detail=result.tail)
    return result.ok, Evidence.of(result)


@dataclass(frozen=True)
class KeptFlow:
    """A flow that a node's conntrack remembers: where it came from and where its packets are sent now."""

    protocol: str
    state: str
    source: str
    source_port: int
    port: int
    endpoint: str

    def __str__(self) -> str:
        return f"{self.protocol} from {self.source}:{self.source_port} to {self.endpoint}"


def parse_conntrack(text: str) -> tuple[KeptFlow, ...]:
    """Read what ``conntrack -L`` prints. Raises LAB-PRF-001 for a line that is none of its own."""
    flows = []
    for line in text.splitlines():
        words = line.split()
        pairs = [word.partition("=")[::2] for word in words if "=" in word]
        ways = {name: [value for key, value in pairs if key == name] for name in ("src", "dst", "sport", "dport")}
        try:
            protocol = {"tcp": "TCP", "udp": "UDP"}[words[0]]
            state = words[3] if protocol == "TCP" else ""
            # There and back: the second of each is what the other end answers with.
            (source, endpoint), (source_port, _), (port, _) = ways["src"], ways["sport"], ways["dport"]
            flows.append(KeptFlow(protocol, state, source, int(source_port), int(port), endpoint))
        except (KeyError, IndexError, ValueError) as error:
            raise LabError(errors.PROOF_UNREADABLE, f"conntrack: not understood: {line}") from error
    return tuple(flows)


def kept_flows(runner: Runner, address: IPv4Address, port: int) -> tuple[tuple[KeptFlow, ...], Evidence]:
    """Return the flows to an address and port that a node keeps alive: UDP ones, and TCP connections that stand."""
    found, kept = [], []
    for protocol in ("tcp", "udp"):
        argv = ["conntrack", "-L", "-p", protocol, "-d", str(address), "--dport", str(port)]
        result = runner.run(argv, timeout=RUN_SECONDS)
        flows = parse_conntrack(result.stdout)
        found += [flow for flow in flows if flow.state in ("", "ESTABLISHED")]
        kept.append(Evidence.of(result))
    tcp, udp = kept
    both = replace(udp, command=f"{tcp.command}; {udp.command}", stdout=tcp.stdout + udp.stdout)
    return tuple(found), replace(both, stderr="", seconds=round(tcp.seconds + udp.seconds, 3))


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
