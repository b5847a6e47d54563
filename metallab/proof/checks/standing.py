"""How the lab stands before anything is sent: nodes, MetalLB, the server, the address, who has to announce it."""

from __future__ import annotations

from metallab.proof import iperf3
from metallab.proof.checks import scene as scenes
from metallab.proof.checks.scene import Scene, Seen, asked, patiently, service_line
from metallab.proof.subject import TCP_SERVICE, UDP_SERVICE, NodeState
from metallab.run.wait import NotYet

NAMESPACE = "default"
STATUS_SECONDS = 5.0
"""How long ServiceL2Status is waited for; it follows a change within a second, but for one of a dead node's."""


def nodes(scene: Scene) -> Seen:
    """Every machine that should be a node is one, and is Ready."""
    wanted = [machine.name for machine in scene.subject.lab.nodes]
    found = {node.name: node for node in scene.subject.cluster.nodes()}
    troubles = []
    for name in wanted:
        node = found.get(name)
        if node is None:
            troubles.append(f"{name} is no node")
        elif not node.ready:
            troubles.append(f"{name} is not Ready{f' ({node.reason})' if node.reason else ''}")
    seen = "; ".join(troubles) or f"{len(wanted)} of {len(wanted)} Ready"
    evidence = asked("nodes", [_node_line(node) for node in found.values()])
    return Seen(not troubles, f"{', '.join(wanted)} Ready", seen, (evidence,))


def metallb(scene: Scene) -> Seen:
    """MetalLB's controller gives addresses, its speakers answer for them; both have to run everywhere they should."""
    parts = scene.subject.cluster.metallb()
    words = ", ".join(f"{part.name} {part.words}" for part in parts)
    evidence = asked("MetalLB's Deployment and DaemonSet", [f"{part.name} {part.words}" for part in parts])
    return Seen(all(part.ready for part in parts), "controller and every speaker ready", words, (evidence,))


def server(scene: Scene) -> Seen:
    """Exactly one iperf3 server: of two, the control connection reaches one and the data perhaps the other."""
    pods = scene.subject.cluster.servers()
    ready = [pod for pod in pods if pod.ready]
    evidence = asked(
        "pods of the iperf3 server",
        [f"{pod.name} {pod.node} {pod.address} {'Ready' if pod.ready else 'not Ready'}" for pod in pods],
    )
    expected = "one server ready"
    if len(ready) == 1:
        (pod,) = ready
        facts = {"node": pod.node, "address": pod.address}
        return Seen(holds=True, expected=expected, seen=f"one, on {pod.node}", evidence=(evidence,), facts=facts)
    if ready:
        where = ", ".join(pod.node for pod in ready)
        seen = f"{len(ready)} servers ({where}): control and data connections may reach different ones"
    else:
        seen = f"none of {len(pods)} is ready" if pods else f"no server runs in the namespace {NAMESPACE}"
    return Seen(holds=False, expected=expected, seen=seen, evidence=(evidence,))


def shared_address(scene: Scene) -> Seen:
    """Both services exist and have the one address of the lab file, one for TCP and one for UDP."""
    address = scene.subject.address
    services = scene.subject.cluster.services()
    evidence = asked("services", [service_line(service) for service in services])
    found = {service.name: service for service in services}
    troubles = []
    for name, protocol in ((TCP_SERVICE, "TCP"), (UDP_SERVICE, "UDP")):
        service = found.get(name)
        if service is None:
            troubles.append(f"{name} does not exist")
        elif service.namespace != NAMESPACE:
            troubles.append(f"{name} is in the namespace {service.namespace}, not in {NAMESPACE}")
        elif service.address is None:
            reason = f" ({service.events[-1]})" if service.events else ""
            troubles.append(f"{name} has no address{reason}")
        elif service.address != address:
            troubles.append(f"{name} has {service.address}")
        elif (service.protocol, service.port) != (protocol, iperf3.PORT):
            troubles.append(f"{name} is {service.protocol} {service.port}")
    expected = f"{TCP_SERVICE} and {UDP_SERVICE} both on {address}, port {iperf3.PORT}"
    return Seen(not troubles, expected, "; ".join(troubles) or f"{address} for both", (evidence,))


def announcer(scene: Scene) -> Seen:
    """Compare the node whose MAC answers with the one MetalLB's election has to choose, computed from ``node#address``.

    ServiceL2Status is shown beside it and only warned about: it was seen naming a dead node for a minute.
    """
    real, cluster = scene.fact("one-mac", "node"), scene.subject.cluster
    said: list[str | None] = []

    def names_it() -> None:
        said.append(cluster.announcer())
        if said[-1] != real:
            raise NotYet(f"ServiceL2Status names {said[-1] or 'nobody'}")

    wait, _ = patiently("ServiceL2Status to follow", names_it, scene.say, timeout=STATUS_SECONDS)
    elected, told = cluster.elected(), said[-1]
    evidence = asked(
        "ServiceL2Status, nodes, speakers",
        [
            f"announced from {told or 'nowhere'}",
            f"smallest SHA-256 of node#{scene.subject.address}: {elected or 'none'}",
        ],
    )
    warning = "" if told == real else f"ServiceL2Status names {told or 'nobody'}, but {real} answers"
    facts = {"elected": elected or ""}
    seen, expected = f"{real} announces", f"{elected} announces"
    return Seen(real == elected, expected, seen, (wait, evidence), warning=warning, facts=facts)


def kept_flows(scene: Scene) -> Seen:
    """No node keeps a flow of the example alive whose end is no longer there: it would swallow what is sent by it.

    The proof itself sends every time from a fresh port, so such a flow does not touch it; a person's client may be hit.
    """
    alive = {pod.address for pod in scene.subject.cluster.servers()}
    flows, evidence = scenes.kept_flows(scene)
    stale = [f"{flow} on {name}" for name, flow in flows if flow.endpoint not in alive]
    expected = "every flow that conntrack keeps ends at a server that is there"
    if not stale:
        return Seen(holds=True, expected=expected, seen="no stale flow", evidence=evidence)
    told = f"{len(stale)} stale: {'; '.join(stale)}"
    warning = f"conntrack keeps a stale flow: {'; '.join(stale)}, which is no server"
    return Seen(holds=True, expected=expected, seen=told, evidence=evidence, warning=warning)


def _node_line(node: NodeState) -> str:
    return f"{node.name} {'Ready' if node.ready else 'NotReady'} {node.reason}".rstrip()
