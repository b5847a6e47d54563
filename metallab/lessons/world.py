"""The lab as a lesson's checks see it: the proof's subject, the cluster, the lesson's values, the learner's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from metallab.cluster import metallb_status
from metallab.cluster.api import Cluster, Object
from metallab.cluster.ready import condition
from metallab.lessons.format import NAMESPACE
from metallab.proof import probes
from metallab.proof.checks import neighbours
from metallab.proof.checks.scene import who_has
from metallab.proof.subject import Subject

ANSWER_TRIES = 3


@dataclass(frozen=True)
class World:
    """Everything a check may ask. ``values`` are the lab's and the lesson's facts; ``answer`` is the learner's."""

    subject: Subject
    cluster: Cluster
    values: Mapping[str, str]
    answer: str = ""
    _owners: dict[str, str] = field(default_factory=dict)

    def owners(self) -> Mapping[str, str]:
        """Return MAC -> node, read from the nodes once."""
        if not self._owners:
            self._owners.update(neighbours.owners(self.subject)[0])
        return self._owners

    def macs(self, address: IPv4Address) -> tuple[str, ...]:
        """Return the MACs that answer ARP for an address now. Takes 2 to 3 s."""
        return who_has(self.subject, address)[0].macs

    def answering(self, address: IPv4Address) -> list[str]:
        """Return who answers ARP for an address: machines by name, and MACs that are no node's."""
        return [self.owners().get(mac, mac) for mac in self.macs(address)]

    def candidates(self) -> list[str]:
        """Return the nodes that may announce now."""
        speakers = self.cluster.list("v1", "Pod", metallb_status.NAMESPACE, labels="component=speaker")
        return metallb_status.candidates(self.cluster.list("v1", "Node"), speakers)

    def elected(self, address: str) -> str | None:
        """Return the node that MetalLB's election has to choose for an address now."""
        return metallb_status.predicted_announcer(self.candidates(), address)

    def ready_pods(self, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Return the pods with these labels that are ready and do not end."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        pods = self.cluster.list("v1", "Pod", namespace, labels=selector)
        return [pod for pod in pods if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]

    def service(self, name: str) -> Object | None:
        """Return a service, ``namespace/name``; without a namespace the lesson's."""
        namespace, slash, plain = name.rpartition("/")
        return self.cluster.get("v1", "Service", plain, namespace if slash else NAMESPACE)

    def source_through(self, service: str) -> tuple[str, str]:
        """Ask the echo server behind a service which address it sees; return that, and why it cannot be told."""
        item = self.service(service)
        address = None if item is None else metallb_status.service_address(item)
        if item is None or address is None:
            return "", f"{service} has no address"
        port = item["spec"]["ports"][0]["port"]
        for _ in range(ANSWER_TRIES):
            said, _ = probes.say(self.subject.client, IPv4Address(address), port, "clientip")
            if said is not None:
                return said.rpartition(":")[0], ""
        return "", f"no answer comes back through {service}"


def _is_ready(pod: Object) -> bool:
    state = condition(pod, "Ready")
    return state is not None and state["status"] == "True"
