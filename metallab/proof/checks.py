"""The checks: each asks one question of the lab and returns what it saw, with the evidence.

They know nothing of each other; ``verify.py`` puts them in order. A check raises LabError when it could not ask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from metallab.proof import iperf3, probes
from metallab.proof.iperf3 import CANNOT_CONNECT, Failed, Outcome, TcpRun, UdpRun
from metallab.proof.records import Evidence
from metallab.proof.subject import TCP_SERVICE, UDP_SERVICE, NodeState, ServiceState, Subject
from metallab.run.wait import NotYet, WaitTimedOut, until

Say = Callable[[str], None]
"""Told what a check waits for."""

API = "Kubernetes API"
RULES_SECONDS = 60.0
"""How long kube-proxy on every node may take to follow a change; usually it is well below one second."""
AGAIN_SECONDS = 1
"""Length of the runs that only repeat an earlier one."""


@dataclass(frozen=True)
class Seen:
    """What a check found: whether the claim holds, what was expected, what was seen in a few words, the evidence."""

    holds: bool
    expected: str
    seen: str
    evidence: tuple[Evidence, ...] = ()


def nodes_ready(subject: Subject, _say: Say) -> Seen:
    """Every machine that should be a node is one, and is Ready."""
    wanted = [machine.name for machine in subject.lab.nodes]
    found = {node.name: node for node in subject.cluster.nodes()}
    troubles = []
    for name in wanted:
        node = found.get(name)
        if node is None:
            troubles.append(f"{name} is no node")
        elif not node.ready:
            troubles.append(f"{name} is not Ready{f' ({node.reason})' if node.reason else ''}")
    seen = "; ".join(troubles) or f"{len(wanted)} of {len(wanted)} Ready"
    evidence = _asked("nodes", [_node_line(node) for node in found.values()])
    return Seen(not troubles, f"{', '.join(wanted)} Ready", seen, (evidence,))


def shared_address(subject: Subject, _say: Say) -> Seen:
    """Both services exist and have the one address of the lab file, one for TCP and one for UDP."""
    services = subject.cluster.services()
    evidence = _asked("services", [_service_line(service) for service in services])
    found = {service.name: service for service in services}
    troubles = []
    for name, protocol in ((TCP_SERVICE, "TCP"), (UDP_SERVICE, "UDP")):
        service = found.get(name)
        if service is None:
            troubles.append(f"{name} does not exist")
        elif service.address != subject.address:
            troubles.append(f"{name} has {service.address or 'no address'}")
        elif (service.protocol, service.port) != (protocol, iperf3.PORT):
            troubles.append(f"{name} is {service.protocol} {service.port}")
    expected = f"{TCP_SERVICE} and {UDP_SERVICE} both on {subject.address}, port {iperf3.PORT}"
    return Seen(not troubles, expected, "; ".join(troubles) or f"{subject.address} for both", (evidence,))


def tcp_run(subject: Subject, say: Say, *, seconds: int) -> Seen:
    """Send TCP from the client; it has to arrive at the server."""
    outcome, evidence = iperf3.measure(subject.client, subject.address, udp=False, seconds=seconds, on_wait=say)
    return _judge(outcome, evidence, "more than 0 bytes received by the server")


def udp_run(subject: Subject, say: Say, *, seconds: int) -> Seen:
    """Send UDP from the client; it has to arrive at the server, whose count decides, not the sender's."""
    outcome, evidence = iperf3.measure(subject.client, subject.address, udp=True, seconds=seconds, on_wait=say)
    return _judge(outcome, evidence, "more than 0 datagrams received by the server")


def one_announcer(subject: Subject, _say: Say) -> Seen:
    """Exactly one MAC answers ARP for the address, and it is a node's.

    The MACs are read from the machines themselves. What MetalLB says is kept beside it but decides nothing: its
    ServiceL2Status was seen naming a dead node for a minute.
    """
    answers, evidence = _ask_arp(subject)
    owners, read = _mac_owners(subject)
    told = subject.cluster.announcer()
    note = _asked("ServiceL2Status", [f"announced from {told or 'nowhere'}"])
    named = [f"{mac} = {owners.get(mac, 'no node of this lab')}" for mac in answers.macs]
    holds = len(answers.macs) == 1 and answers.macs[0] in owners
    seen = "; ".join(named) or "nobody answers"
    if holds and told != owners[answers.macs[0]]:
        seen += f" (MetalLB names {told or 'none'})"
    return Seen(holds, "one MAC, that of a node", seen, (evidence, *read, note))


def no_tcp_no_udp(subject: Subject, say: Say) -> Seen:
    """With the TCP service gone the UDP client cannot even begin, although the UDP service is still there.

    The service's rules outlive its object for a moment, so it first waits until they are gone: on the wire, at the
    client.
    """
    expected = f"iperf3 -u ends with an error: {CANNOT_CONNECT} …"
    last: list[Evidence] = []

    def rules_gone() -> None:
        words, evidence = iperf3.connect(subject.client, subject.address)
        last[:] = [evidence]
        if words is None or not words.startswith(CANNOT_CONNECT):
            raise NotYet(words or f"TCP {iperf3.PORT} still connects")

    try:
        until(rules_gone, timeout=RULES_SECONDS, what="the TCP service's rules to be gone", on_wait=say)
    except WaitTimedOut as error:
        return Seen(
            holds=False,
            expected=expected,
            seen=f"{error.last}, {RULES_SECONDS:.0f} s after {TCP_SERVICE} was deleted",
            evidence=(*last,),
        )
    words, evidence = iperf3.try_udp(subject.client, subject.address, seconds=AGAIN_SECONDS)
    holds = words is not None and words.startswith(CANNOT_CONNECT)
    return Seen(holds, expected, words or "iperf3 -u works without the TCP service", (*last, evidence))


def still_announced(subject: Subject, _say: Say) -> Seen:
    """See the UDP service keep the address answered: the failure is the missing TCP service's, not the network's."""
    services = subject.cluster.services()
    answers, evidence = _ask_arp(subject)
    kept = [service for service in services if service.name == UDP_SERVICE and service.address == subject.address]
    told = f"ARP answered by {answers.macs[0]}" if len(answers.macs) == 1 else f"{len(answers.macs)} MACs answer ARP"
    if not kept:
        told += f"; {UDP_SERVICE} lost {subject.address}"
    listing = _asked("services", [_service_line(service) for service in services])
    expected = f"{UDP_SERVICE} keeps {subject.address}, one MAC answers"
    return Seen(bool(kept) and len(answers.macs) == 1, expected, told, (evidence, listing))


def serves_again(subject: Subject, say: Say) -> Seen:
    """With the TCP service back, TCP and UDP pass again on the same address."""
    expected = f"TCP and UDP arrive at {subject.address} again"
    last: list[Evidence] = []

    def back() -> None:
        addresses = {service.name: service.address for service in subject.cluster.services()}
        if addresses.get(TCP_SERVICE) != subject.address:
            raise NotYet(f"{TCP_SERVICE} has {addresses.get(TCP_SERVICE) or 'no address'}")
        words, evidence = iperf3.connect(subject.client, subject.address)
        last[:] = [evidence]
        if words is not None:
            raise NotYet(words)

    try:
        until(back, timeout=RULES_SECONDS, what=f"{TCP_SERVICE} to answer again", on_wait=say)
    except WaitTimedOut as error:
        return Seen(
            holds=False,
            expected=expected,
            seen=f"{error.last}, {RULES_SECONDS:.0f} s after it was restored",
            evidence=(*last,),
        )
    runs = [
        iperf3.measure(subject.client, subject.address, udp=udp, seconds=AGAIN_SECONDS, on_wait=say)
        for udp in (False, True)
    ]
    seen = ", ".join(f"{name} {_short(outcome)}" for name, (outcome, _) in zip(("TCP", "UDP"), runs, strict=True))
    holds = all(not isinstance(outcome, Failed) and outcome.received_bytes > 0 for outcome, _ in runs)
    return Seen(holds, expected, seen, tuple(evidence for _, evidence in runs))


def rate(bits_per_second: float) -> str:
    """Return a rate as people say it: ``9.8 Gbit/s``."""
    for limit, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if bits_per_second >= limit:
            return f"{bits_per_second / limit:.3g} {unit}"
    return f"{bits_per_second:.0f} bit/s"


def _judge(outcome: Outcome, evidence: Evidence, expected: str) -> Seen:
    if isinstance(outcome, Failed):
        return Seen(holds=False, expected=expected, seen=outcome.error, evidence=(evidence,))
    if isinstance(outcome, TcpRun):
        resent = "1 retransmit" if outcome.retransmits == 1 else f"{outcome.retransmits} retransmits"
        seen = f"{rate(outcome.received_bits_per_second)}, {resent}"
    else:
        seen = _udp_words(outcome)
    return Seen(outcome.received_bytes > 0, expected, seen, (evidence,))


def _udp_words(run: UdpRun) -> str:
    arrived, offered = rate(run.received_bits_per_second), rate(run.offered_bits_per_second)
    return f"{arrived} of {offered} offered, {run.lost} of {run.sent} datagrams lost"


def _short(outcome: Outcome) -> str:
    if isinstance(outcome, Failed):
        return outcome.error
    if isinstance(outcome, UdpRun):
        return f"{outcome.lost} of {outcome.sent} lost"
    return rate(outcome.received_bits_per_second)


def _ask_arp(subject: Subject) -> tuple[probes.ArpAnswers, Evidence]:
    interfaces, _ = probes.nics(subject.client)
    own = subject.lab.address(subject.lab.client)
    return probes.arp(subject.client, probes.holding(interfaces, own, subject.client.name).name, subject.address)


def _mac_owners(subject: Subject) -> tuple[dict[str, str], tuple[Evidence, ...]]:
    """Return which node each lab MAC belongs to, read from the nodes."""
    owners, evidence = {}, []
    for machine in subject.lab.nodes:
        interfaces, read = probes.nics(subject.nodes[machine.name])
        owners[probes.holding(interfaces, subject.lab.address(machine), machine.name).mac] = machine.name
        evidence.append(read)
    return owners, tuple(evidence)


def _asked(what: str, lines: list[str]) -> Evidence:
    """Keep an answer of the API server. It is a record by the time it gets here, so a line each is what is kept."""
    return Evidence(f"GET {what}", API, None, "\n".join(lines), "", 0.0)


def _node_line(node: NodeState) -> str:
    return f"{node.name} {'Ready' if node.ready else 'NotReady'} {node.reason}".rstrip()


def _service_line(service: ServiceState) -> str:
    return f"{service.name} {service.protocol} {service.port} {service.address or '-'}"
