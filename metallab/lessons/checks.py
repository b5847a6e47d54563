"""A step judged: each check asks the cluster, a machine or the client for what is so now, and says what is wrong.

Never the way to mend it, and never the answer. Probes and readers are the proof's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from metallab.cluster import metallb_status, workloads
from metallab.cluster.api import Object
from metallab.lessons import answers
from metallab.lessons.format import (
    NAMESPACE,
    AddressCheck,
    AnnouncedCheck,
    AnswerCheck,
    Check,
    Iperf3Check,
    NeighbourCheck,
    ObjectCheck,
    ProcessCheck,
    ServerCheck,
    SourceCheck,
    fill,
)
from metallab.lessons.world import World
from metallab.proof import iperf3
from metallab.run.wait import NotYet, WaitTimedOut, until

API_VERSIONS = {
    "Deployment": workloads.APPS,
    "IPAddressPool": metallb_status.GROUP,
    "L2Advertisement": metallb_status.GROUP,
    "Node": "v1",
    "Pod": "v1",
    "Service": "v1",
}
SAMPLE_SECONDS = 1
"""Length of an iperf3 run that only shows that it works."""
ASK_SECONDS = 15.0
EVERY = 0.5


@dataclass(frozen=True)
class Verdict:
    """What a check found; ``trouble`` is empty when it holds."""

    check: Check
    trouble: str = ""

    @property
    def words(self) -> str:
        """Return what is wrong: in the lesson's words where it has some, and always what was seen."""
        if not self.trouble or not self.check.otherwise:
            return self.trouble
        return f"{self.check.otherwise} ({self.trouble})"


def judge(check: Check, world: World, *, patience: float, say: Callable[[str], None] | None = None) -> Verdict:
    """Judge one check; one that does not hold is asked again for ``patience`` seconds, as a lab may lag behind.

    An answer is compared once: it does not get better by waiting. Raises LabError where nothing can be asked.
    """

    def ask() -> None:
        trouble = _ask(check, world)
        if trouble:
            raise NotYet(trouble)

    timeout = 0 if isinstance(check, AnswerCheck) else patience
    try:
        until(ask, timeout=timeout, what="it to hold", every=EVERY, on_wait=say)
    except WaitTimedOut as error:
        return Verdict(check, fill(error.last, world.values))
    return Verdict(check)


def _ask(check: Check, world: World) -> str:  # noqa: PLR0911 - one line a kind
    if isinstance(check, ObjectCheck):
        return _object(check, world)
    if isinstance(check, AddressCheck):
        return _address(check, world)
    if isinstance(check, AnnouncedCheck):
        return _announced(check, world)
    if isinstance(check, Iperf3Check):
        return _iperf3(check, world)
    if isinstance(check, SourceCheck):
        return _source(check, world)
    if isinstance(check, ServerCheck):
        return _server(check, world)
    if isinstance(check, ProcessCheck):
        return _process(check, world)
    if isinstance(check, NeighbourCheck):
        return _neighbour(check, world)
    return answers.judge(check.asks, fill(check.about, world.values), world)


# -- the cluster's word ------------------------------------------------------------------------------------------


def _object(check: ObjectCheck, world: World) -> str:
    namespace, name = split(check.name, check.kind)
    shown = f"{check.kind} {name}" if namespace is None else f"{check.kind} {namespace}/{name}"
    item = world.cluster.get(API_VERSIONS[check.kind], check.kind, name, namespace)
    if check.absent:
        return f"{shown} is still there" if item is not None else ""
    if item is None:
        return f"there is no {shown}"
    for path, wanted in check.fields.items():
        found = field(item, path)
        if found != _filled(wanted, world.values):
            return f"{shown}: {path} is {'not set' if found is None else repr(found)}"
    return ""


def split(name: str, kind: str = "Service") -> tuple[str | None, str]:
    """Return namespace and name of ``namespace/name``; what has no namespace gets none."""
    if kind == "Node":
        return None, name
    namespace, slash, rest = name.partition("/")
    if slash:
        return namespace, rest
    return (metallb_status.NAMESPACE if kind in ("IPAddressPool", "L2Advertisement") else NAMESPACE), name


def field(item: Object, path: str) -> object:
    """Return what stands at a dotted path of an object, None when there is nothing; a number picks from a list.

    A part of a name that has dots itself is written in quotes: ``metadata.annotations."metallb.io/x"``.
    """
    found: object = item
    for part in _parts(path):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def _parts(path: str) -> list[str]:
    parts: list[str] = []
    for index, piece in enumerate(path.split('"')):
        parts += [piece] if index % 2 else [part for part in piece.split(".") if part]
    return parts


def _filled(wanted: object, known: Mapping[str, str]) -> object:
    if isinstance(wanted, str):
        return fill(wanted, known)
    if isinstance(wanted, list):
        return [_filled(item, known) for item in wanted]
    return wanted


def _address(check: AddressCheck, world: World) -> str:
    service, trouble = _service(check.service, world)
    if service is None:
        return trouble
    found = metallb_status.service_address(service)
    name = check.service
    if not check.given:
        return f"{name} has the address {found}" if found is not None else ""
    if found is None:
        return f"{name} has no address"
    if check.equals and found != fill(check.equals, world.values):
        return f"{name} has the address {found}"
    if check.within:
        first, last = (IPv4Address(end) for end in fill(check.within, world.values).split("-"))
        if not first <= IPv4Address(found) <= last:
            return f"{name} has the address {found}, which is not of that pool"
    return ""


def _service(name: str, world: World) -> tuple[Object | None, str]:
    namespace, plain = split(name)
    service = world.cluster.get("v1", "Service", plain, namespace)
    return service, "" if service is not None else f"there is no Service {namespace}/{plain}"


def _server(check: ServerCheck, world: World) -> str:
    namespace, name = split(check.deployment, "Deployment")
    deployment = world.cluster.get(workloads.APPS, "Deployment", name, namespace)
    if deployment is None:
        return f"there is no Deployment {namespace}/{name}"
    running = world.ready_pods(str(namespace), deployment["spec"]["selector"]["matchLabels"])
    if len(running) != 1:
        return f"{len(running)} pods of {name} are ready"
    node = running[0]["spec"]["nodeName"]
    return f"it runs on {node}" if node == fill(check.never, world.values) else ""


# -- what the client sees ----------------------------------------------------------------------------------------


def _announced(check: AnnouncedCheck, world: World) -> str:
    address, service = fill(check.address, world.values), None
    if check.service is not None:
        service, trouble = _service(check.service, world)
        given = None if service is None else metallb_status.service_address(service)
        if given is None:
            return trouble or f"{check.service} has no address"
        address = given
    answering = world.answering(IPv4Address(address))
    seen = f"{' and '.join(answering)} {'answers' if len(answering) == 1 else 'answer'} for {address}"
    by = fill(check.by, world.values)
    if by == "nobody" or not answering:
        return seen if answering else "" if by == "nobody" else f"nobody answers for {address}"
    if len(answering) > 1:
        return seen
    return "" if _is_the_one(by, answering[0], address, service, world) else seen


def _is_the_one(by: str, answering: str, address: str, service: Object | None, world: World) -> bool:
    """Tell whether the machine that answers for an address is the one a check wants."""
    if by == "one":
        return answering in world.owners().values()
    if by == "elected":
        return answering == world.elected(address)
    if by == "other":
        shared = world.answering(world.subject.address)
        return len(shared) == 1 and shared[0] != answering
    if by == "server" and service is not None:
        pods = world.ready_pods(service["metadata"]["namespace"], service["spec"].get("selector", {}))
        return answering in {pod["spec"]["nodeName"] for pod in pods}
    return answering == by


def _iperf3(check: Iperf3Check, world: World) -> str:
    client, address = world.subject.client, world.subject.address
    if check.protocol == "TCP" or not check.works:
        words, _ = iperf3.connect(client, address)
        if words is None or check.works:
            return words or ("" if check.works else "iperf3 can make its TCP connection")
        if not words.startswith(iperf3.CANNOT_CONNECT):
            return words
        return ""
    words, _ = iperf3.try_udp(client, address, seconds=SAMPLE_SECONDS, limit=5)
    return "" if words is None else f"iperf3 -u: {words}"


def _source(check: SourceCheck, world: World) -> str:
    seen, trouble = world.source_through(check.service)
    own = str(world.subject.lab.address(world.subject.lab.client))
    if trouble:
        return trouble
    if (seen == own) is (check.sees == "client"):
        return ""
    return f"through {check.service} the server sees {seen}"


def _process(check: ProcessCheck, world: World) -> str:
    machine = fill(check.machine, world.values)
    runner = world.subject.nodes[world.subject.lab.machine(machine).name]
    runs = runner.run(["pgrep", "--exact", check.program], timeout=ASK_SECONDS, check=False).ok
    if runs is check.running:
        return ""
    return f"{check.program} {'still runs' if runs else 'does not run'} on {machine}"


def _neighbour(check: NeighbourCheck, world: World) -> str:
    address, never = fill(check.address, world.values), fill(check.never, world.values)
    shown = world.subject.client.run(["ip", "neigh", "show", "to", address], timeout=ASK_SECONDS).stdout
    return f"its entry is the same as at the start: {shown.strip()}" if never in shown.split() else ""
