"""What every check is given and returns, and the few things that several of them do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from types import MappingProxyType

from metallab.proof import iperf3, probes
from metallab.proof.records import Evidence, Flow
from metallab.proof.subject import Say, ServiceState, Subject
from metallab.run.wait import NotYet, WaitTimedOut, until

API = "Kubernetes API"
RULES_SECONDS = 60.0
"""How long kube-proxy on every node may take to follow a change; usually it is well below one second."""
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Seen:
    """What a check found: whether the claim holds, what was expected, what was seen in a few words, the evidence.

    ``facts`` are for the checks after it: the MAC that answered, the node it belongs to.
    """

    holds: bool
    expected: str
    seen: str
    evidence: tuple[Evidence, ...] = ()
    flows: tuple[Flow, ...] = ()
    warning: str = ""
    facts: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True)
class Scene:
    """A check's view: the lab, what the checks before it saw (by id), the length of an iperf3 run, and whom to tell."""

    subject: Subject
    past: Mapping[str, Seen]
    seconds: int
    say: Say

    def fact(self, check: str, name: str) -> str:
        """Return a fact of an earlier check, empty when it was not asked or saw none."""
        return self.past[check].facts.get(name, "") if check in self.past else ""


def asked(what: str, lines: list[str]) -> Evidence:
    """Keep an answer of the API server. It is a record by the time it gets here, so a line each is what is kept."""
    return Evidence(f"GET {what}", API, None, "\n".join(lines), "", 0.0)


def service_line(service: ServiceState) -> str:
    """Return a service as a line of evidence."""
    where = f"{service.namespace}/{service.name}"
    return "\n".join((f"{where} {service.protocol} {service.port} {service.address or '-'}", *service.events))


def waited(what: str, seconds: float) -> Evidence:
    """Keep that something had to be waited for."""
    return Evidence(f"wait for {what}", "the lab", None, "", "", round(seconds, 3), round(seconds, 3))


def patiently(what: str, attempt: Callable[[], None], say: Say, timeout: float = RULES_SECONDS) -> tuple[Evidence, str]:
    """Repeat ``attempt`` until it no longer raises NotYet; return the wait, and the last state if it gave up."""
    began = time.monotonic()
    try:
        until(attempt, timeout=timeout, what=what, on_wait=say)
    except WaitTimedOut as error:
        return waited(what, time.monotonic() - began), error.last
    return waited(what, time.monotonic() - began), ""


def rules(scene: Scene, protocol: str, port: int, *, there: bool) -> tuple[tuple[Evidence, ...], str]:
    """Wait until every node's kube-proxy has (or no longer has) the rule for a port of the shared address.

    Returns the evidence, and the trouble in words when a node does not follow.
    """
    subject, last = scene.subject, dict[str, Evidence]()
    state = "programmed" if there else "gone"

    def attempt() -> None:
        late = []
        for name, runner in subject.nodes.items():
            has, last[name] = probes.programmed(runner, subject.address, protocol, port)
            if has is not there:
                late.append(name)
        if late:
            raise NotYet(f"{protocol} {port} is {'still' if not there else 'not yet'} programmed on {', '.join(late)}")

    wait, trouble = patiently(f"{protocol} {port} to be {state} on every node", attempt, scene.say)
    return (wait, *last.values()), trouble


def kept_flows(scene: Scene) -> tuple[list[tuple[str, probes.KeptFlow]], tuple[Evidence, ...]]:
    """Return the flows of the example that conntrack keeps, each with the name of its node."""
    found, evidence = [], []
    for name, runner in scene.subject.nodes.items():
        flows, read = probes.kept_flows(runner, scene.subject.address, iperf3.PORT)
        found += [(name, flow) for flow in flows]
        evidence.append(read)
    return found, tuple(evidence)


def arp(scene: Scene) -> tuple[probes.ArpAnswers, Evidence]:
    """Ask from the client who has the shared address."""
    return who_has(scene.subject, scene.subject.address)


def who_has(subject: Subject, address: IPv4Address) -> tuple[probes.ArpAnswers, Evidence]:
    """Ask the lab network from the client who has an address."""
    interfaces, _ = probes.nics(subject.client)
    own = subject.lab.address(subject.lab.client)
    return probes.arp(subject.client, probes.holding(interfaces, own, subject.client.name).name, address)
