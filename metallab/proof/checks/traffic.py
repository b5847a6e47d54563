"""What arrives through the address: TCP, UDP, a UDP echo, and TCP beside the direct way to the same node.

The first runs cross a lab that is cold. Emulated machines still translate their code then: 460 Mbit/s were measured
where it was 1.2 Gbit/s a minute later, and 12 % of the datagrams were lost where later none was. So what would be worth
a warning is measured once more, and warned about when it is so again.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from ipaddress import IPv4Address

from metallab import errors
from metallab.errors import LabError
from metallab.proof import iperf3, probes
from metallab.proof.checks.scene import Scene, Seen, patiently, rules
from metallab.proof.iperf3 import Failed, Outcome, TcpRun, UdpRun
from metallab.proof.records import Evidence, Flow
from metallab.proof.subject import CONTROL_PORT, ECHO_PORT, SOURCE_SERVICES
from metallab.proof.units import rate
from metallab.run.wait import NotYet

AGAIN_SECONDS = 1
"""Length of the runs that only repeat an earlier one."""
OFFERED = 10_000_000
"""What UDP offers, in bits a second: little enough for any lab, and a loss is then a loss and no overload."""
LOSS = 0.01
"""So much of it may be lost before it is worth a warning."""
SLOW_RATIO = 0.5
"""Below this part of the direct way's throughput the way through the address is worth a warning."""
ONCE_MORE = ", once more"
WORD = "metallab"
ANSWER_SECONDS = 20.0
"""How long an answer by UDP is waited for: the echo server may still be starting, a neighbour entry still be old."""


def tcp(scene: Scene) -> Seen:
    """Send TCP from the client; it has to arrive at the server."""
    return _through(scene, udp=False)[1]


def udp(scene: Scene) -> Seen:
    """Send UDP from the client; it has to arrive at the server, whose count decides, not the sender's."""
    _, first = _through(scene, udp=True)
    if not first.warning:
        return first
    outcome, second = _through(scene, udp=True, again=ONCE_MORE)
    return replace(
        first,
        seen=f"{first.seen}; once more: {_short(outcome)}",
        evidence=(*first.evidence, *second.evidence),
        flows=(*first.flows, *second.flows),
        warning="" if second.holds and not second.warning else first.warning,
    )


def direct(scene: Scene) -> Seen:
    """Compare TCP through the address with TCP to a server of the same node without any service, in the same run.

    The way through the address is slow when it was so before the direct one and behind it.
    """
    node, address = control(scene)
    wait = _await_control(scene, address)
    outcome, evidence = iperf3.measure(
        scene.subject.client, address, udp=False, seconds=scene.seconds, port=CONTROL_PORT, on_wait=scene.say
    )
    name = f"TCP directly to {node}"
    plain = _judge(outcome, evidence, name, "more than 0 bytes received by the server")
    through = scene.past["tcp"].flows
    if isinstance(outcome, Failed) or not through or not outcome.received_bits_per_second:
        return plain
    best, seen = through[0].received_bits_per_second, replace(plain, evidence=(wait, evidence))
    if best < SLOW_RATIO * outcome.received_bits_per_second:
        _, second = _through(scene, udp=False, again=ONCE_MORE)
        best = max([best, *(flow.received_bits_per_second for flow in second.flows)])
        seen = replace(seen, evidence=(*seen.evidence, *second.evidence), flows=(*seen.flows, *second.flows))
    ratio = best / outcome.received_bits_per_second
    return replace(
        seen,
        expected=f"a ratio, and no warning from {SLOW_RATIO} on",
        seen=f"{ratio:.2f} times the {rate(outcome.received_bits_per_second)} that go directly to {node}",
        warning="" if ratio >= SLOW_RATIO else f"through the address only {ratio:.2f} of what goes directly to {node}",
    )


def echo(scene: Scene) -> Seen:
    """Send a word by UDP to another port of the same address; it has to come back."""
    evidence, answer = _say_until_answered(scene, scene.subject.address, f"echo {WORD}")
    expected = f"UDP {ECHO_PORT} of {scene.subject.address} answers {WORD!r}"
    return Seen(answer == WORD, expected, f"answers {answer!r}" if answer else "no answer", evidence)


def source(scene: Scene, *, policy: str) -> Seen:
    """Ask a server which source address it sees, through a service with the given externalTrafficPolicy.

    Cluster: any node may take the packet and sends it on under an address of its own, so that the answer comes back
    through it. Local: only the server's own node announces, and the packet stays as it was.
    """
    own = str(scene.subject.lab.address(scene.subject.lab.client))
    service = scene.subject.cluster.service(SOURCE_SERVICES[policy])
    if service is None or service.address is None:
        reason = service.events[-1] if service is not None and service.events else "it was not given one"
        what = f"{SOURCE_SERVICES[policy]} has no address: {reason}"
        raise LabError(errors.EXAMPLE_NO_ADDRESS, what)
    evidence, answer = _say_until_answered(scene, service.address, "clientip")
    seen_as = answer.rpartition(":")[0] if answer else ""
    if policy == "Local":
        expected, holds = f"the client's own address, {own}", seen_as == own
    else:
        expected, holds = f"an address of a node, not the client's {own}", seen_as not in ("", own)
    return Seen(holds, expected, f"it sees {seen_as}" if answer else "no answer", evidence)


def again(scene: Scene, *, protocol: str) -> Seen:
    """With the service back, and its rules on every node, TCP and UDP pass again on the same address."""
    expected = f"TCP and UDP arrive at {scene.subject.address} again"
    synced, trouble = rules(scene, protocol, iperf3.PORT, there=True)
    if trouble:
        return Seen(holds=False, expected=expected, seen=trouble, evidence=synced)
    runs = [_run(scene, udp=udp, seconds=AGAIN_SECONDS) for udp in (False, True)]
    seen = ", ".join(f"{name} {_short(outcome)}" for name, (outcome, _) in zip(("TCP", "UDP"), runs, strict=True))
    holds = all(not isinstance(outcome, Failed) and outcome.received_bytes > 0 for outcome, _ in runs)
    return Seen(holds, expected, seen, (*synced, *(evidence for _, evidence in runs)))


def control(scene: Scene) -> tuple[str, IPv4Address]:
    """Return the node of the control server, and that node's own address. Raises LAB-PRF-002 when there is none."""
    node = scene.fact("server", "node")
    if not node:
        raise LabError(errors.PROOF_PROBE_FAILED, "there is no node with the iperf3 server to compare with")
    return node, scene.subject.lab.address(scene.subject.lab.machine(node))


def _through(scene: Scene, *, udp: bool, again: str = "") -> tuple[Outcome, Seen]:
    """Send through the address; return what iperf3 told, and what that is as a check. ``again`` goes after its name."""
    outcome, evidence = _run(scene, udp=udp)
    protocol, what = ("UDP", "datagrams") if udp else ("TCP", "bytes")
    name = f"{protocol} through the address{again}"
    return outcome, _judge(outcome, evidence, name, f"more than 0 {what} received by the server")


def _run(scene: Scene, *, udp: bool, seconds: int | None = None) -> tuple[Outcome, Evidence]:
    subject = scene.subject
    send = functools.partial(iperf3.measure, subject.client, subject.address, on_wait=scene.say)
    return send(udp=udp, seconds=seconds or scene.seconds, rate=OFFERED if udp else None)


def _await_control(scene: Scene, address: IPv4Address) -> Evidence:
    def listens() -> None:
        words, _ = iperf3.connect(scene.subject.client, address, CONTROL_PORT)
        if words is not None:
            raise NotYet(words)

    wait, trouble = patiently("the control server to listen", listens, scene.say)
    if trouble:
        what = f"the control server at {address}:{CONTROL_PORT} does not answer: {trouble}"
        raise LabError(errors.PROOF_PROBE_FAILED, what)
    return wait


def _say_until_answered(scene: Scene, address: IPv4Address, words: str) -> tuple[tuple[Evidence, ...], str]:
    """Ask until an answer comes; return the evidence and the answer, which is empty when none came in time."""
    tries: list[Evidence] = []
    answers: list[str] = []

    def ask() -> None:
        answer, evidence = probes.say(scene.subject.client, address, ECHO_PORT, words)
        tries.append(evidence)
        if answer is None:
            raise NotYet(f"no answer from UDP {address}:{ECHO_PORT}")
        answers.append(answer)

    patiently("an answer by UDP", ask, scene.say, timeout=ANSWER_SECONDS)
    first = () if len(tries) == 1 else (_all_but_last(tries),)
    return (*first, tries[-1]), answers[-1] if answers else ""


def _all_but_last(tries: list[Evidence]) -> Evidence:
    took = round(sum(item.seconds for item in tries[:-1]), 3)
    what = f"{len(tries) - 1} times the same, without an answer"
    return Evidence(what, tries[-1].where, None, "", "", took, took)


def _judge(outcome: Outcome, evidence: Evidence, name: str, expected: str) -> Seen:
    if isinstance(outcome, Failed):
        return Seen(holds=False, expected=expected, seen=outcome.error, evidence=(evidence,))
    flows: tuple[Flow, ...] = (iperf3.flow(outcome, name),)
    warning = ""
    if isinstance(outcome, TcpRun):
        resent = "1 retransmit" if outcome.retransmits == 1 else f"{outcome.retransmits} retransmits"
        seen = f"{rate(outcome.received_bits_per_second)}, {resent}"
    else:
        seen = _udp_words(outcome)
        if outcome.received and outcome.lost > LOSS * outcome.sent:
            offered = rate(outcome.offered_bits_per_second)
            warning = f"{outcome.lost / outcome.sent:.1%} of the datagrams lost at {offered}"
    return Seen(outcome.received_bytes > 0, expected, seen, (evidence,), flows, warning)


def _udp_words(run: UdpRun) -> str:
    arrived, offered = rate(run.received_bits_per_second), rate(run.offered_bits_per_second)
    return f"{arrived} of {offered} offered, {run.lost} of {run.sent} lost, jitter {run.jitter_ms:.3f} ms"


def _short(outcome: Outcome) -> str:
    if isinstance(outcome, Failed):
        return outcome.error
    if isinstance(outcome, UdpRun):
        return f"{outcome.lost} of {outcome.sent} lost"
    return rate(outcome.received_bits_per_second)
