"""Who answers ARP for the address: one node, the same one while half is taken away, and nobody without a server."""

from __future__ import annotations

from collections.abc import Callable

from metallab.proof import probes
from metallab.proof.checks.scene import Scene, Seen, arp, patiently
from metallab.proof.records import Evidence
from metallab.proof.subject import Subject
from metallab.run.wait import NotYet

RETURN_SECONDS = 30.0


def one_mac(scene: Scene) -> Seen:
    """Exactly one MAC answers ARP for the address, and it is a node's, read from the machines themselves."""
    answers, evidence = arp(scene)
    owned, read = owners(scene.subject)
    named = [f"{mac} = {owned.get(mac, 'no node of this lab')}" for mac in answers.macs]
    holds = len(answers.macs) == 1 and answers.macs[0] in owned
    facts = {f"mac of {node}": mac for mac, node in owned.items()}
    facts["answering"] = " ".join(owned[mac] for mac in answers.macs if mac in owned)
    if holds:
        facts |= {"mac": answers.macs[0], "node": owned[answers.macs[0]]}
    seen = "; ".join(named) or "nobody answers"
    return Seen(holds, "one MAC, that of a node", seen, (evidence, *read), facts=facts)


def still_answered(scene: Scene) -> Seen:
    """See the other service keep the address answered: what fails is the missing service's, not the network's."""
    answers, evidence = arp(scene)
    before = scene.fact("one-mac", "mac")
    seen = _words(answers)
    return Seen(answers.macs == (before,), f"answered by {before} alone, as before", seen, (evidence,))


def silent(scene: Scene) -> Seen:
    """With no server behind it nobody announces the address: MetalLB looks for ready endpoints."""
    answers, evidence = _until(scene, lambda found: not found.macs, "the address to fall silent")
    seen = f"still {_words(answers)}" if answers.macs else _words(answers)
    return Seen(not answers.macs, "nobody answers ARP", seen, evidence)


def answered(scene: Scene) -> Seen:
    """With the server back, one node answers again."""
    answers, evidence = _until(scene, lambda found: bool(found.macs), "the address to be answered again")
    before = scene.fact("one-mac", "mac")
    seen = _words(answers)
    return Seen(answers.macs == (before,), f"answered by {before}, as before", seen, evidence)


def _words(answers: probes.ArpAnswers) -> str:
    return f"answered by {' and '.join(answers.macs)}" if answers.macs else "nobody answers"


def _until(
    scene: Scene, good: Callable[[probes.ArpAnswers], bool], what: str
) -> tuple[probes.ArpAnswers, tuple[Evidence, ...]]:
    seen: list[tuple[probes.ArpAnswers, Evidence]] = []

    def ask() -> None:
        seen.append(arp(scene))
        if not good(seen[-1][0]):
            raise NotYet(f"{len(seen[-1][0].macs)} answer")

    patiently(what, ask, scene.say, timeout=RETURN_SECONDS)
    return seen[-1][0], tuple(evidence for _, evidence in seen)


def owners(subject: Subject) -> tuple[dict[str, str], tuple[Evidence, ...]]:
    """Return which node each lab MAC belongs to, read from the nodes."""
    found, evidence = {}, []
    for machine in subject.lab.nodes:
        interfaces, read = probes.nics(subject.nodes[machine.name])
        found[probes.holding(interfaces, subject.lab.address(machine), machine.name).mac] = machine.name
        evidence.append(read)
    return found, tuple(evidence)
