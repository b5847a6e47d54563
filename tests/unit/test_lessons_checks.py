"""Checks and answers, against objects as the API server gives them and outputs as machines gave them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import TypeAdapter

from metallab.cluster.api import Cluster
from metallab.config import Lab
from metallab.errors import LabError
from metallab.lessons import answers
from metallab.lessons.checks import Verdict, field, judge
from metallab.lessons.format import Check, values
from metallab.lessons.world import World
from metallab.proof.adapter import RealCluster
from metallab.proof.subject import Subject
from metallab.run.result import Argv, OnLine, Result

DATA = Path(__file__).parent.parent / "data" / "proof"
LAB = Lab()
VIP = str(LAB.vip)
MACS = {"control-plane": "02:42:c0:a8:60:0a", "worker-1": "02:42:c0:a8:60:0b", "worker-2": "02:42:c0:a8:60:0c"}
READ: TypeAdapter[Check] = TypeAdapter(Check)


def order(address: str, nodes: list[str]) -> list[str]:
    return sorted(nodes, key=lambda node: hashlib.sha256(f"{node}#{address}".encode()).hexdigest())


def a(kind: str, name: str, namespace: str = "lesson", **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {}, "uid": name, **rest.pop("metadata", {})}
    return {"kind": kind, "metadata": metadata, **rest}


def service(name: str, address: str | None = None, namespace: str = "lesson", **spec: Any) -> dict[str, Any]:
    ingress = [{"ip": address}] if address else []
    full = {"type": "LoadBalancer", "selector": {"app": "echo"}, "ports": [{"port": 5202, "protocol": "UDP"}], **spec}
    return a("Service", name, namespace, spec=full, status={"loadBalancer": {"ingress": ingress}})


def pod(app: str, node: str, namespace: str = "lesson", *, ready: str = "True") -> dict[str, Any]:
    key = "component" if app == "speaker" else "app"
    return a(
        "Pod",
        f"{app}-on-{node}",
        namespace,
        metadata={"labels": {key: app}},
        spec={"nodeName": node},
        status={"conditions": [{"type": "Ready", "status": ready}]},
    )


SPEAKERS = [pod("speaker", node, "metallb-system") for node in MACS]
NODES = [
    a(
        "Node",
        name,
        metadata={"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": ""}}
        if name == "control-plane"
        else {},
    )
    for name in MACS
]


class Objects:
    """The part of a cluster client that reads."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = [*objects, *SPEAKERS, *NODES]

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        return next(
            (item for item in self.list(api_version, kind, namespace) if item["metadata"]["name"] == name), None
        )

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[dict[str, Any]]:
        wanted = dict(word.split("=") for word in labels.split(",") if word)
        _, _, uid = fields.partition("involvedObject.uid=")
        return [
            item
            for item in self.objects
            if item["kind"] == kind
            and namespace in (None, item["metadata"]["namespace"])
            and wanted.items() <= item["metadata"]["labels"].items()
            and (not uid or item.get("of") == uid)
        ]


class Machine:
    """Answers like a machine of the lab: ``says`` holds outputs by a program's name; arping asks ``answering``."""

    def __init__(
        self, name: str, answering: Mapping[str, tuple[str, ...]], says: Mapping[str, tuple[int, str, str]]
    ) -> None:
        self.name = name
        self.answering = answering
        self.says = says

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        words = [str(word) for word in argv]
        rc, stdout, stderr = self._answer(words)
        return Result(tuple(words), rc, stdout, stderr, 0.1, self.name)

    def _answer(self, words: list[str]) -> tuple[int, str, str]:
        if words[:3] == ["ip", "-j", "addr"]:
            address = LAB.address(LAB.machine(self.name))
            mac = MACS.get(self.name, "02:42:c0:a8:60:c8")
            info = f'[{{"family":"inet","local":"{address}"}}]'
            return 0, f'[{{"ifname":"eth1","link_type":"ether","address":"{mac}","addr_info":{info}}}]', ""
        if words[0] == "arping":
            macs = [MACS.get(name, name) for name in self.answering.get(words[-1], ())]
            replies = "".join(f"Unicast reply from {words[-1]} [{mac.upper()}]  0.7ms\n" for mac in macs)
            return (
                0,
                f"ARPING {words[-1]}\n{replies}Sent 2 probes (2 broadcast(s))\nReceived {len(macs)} response(s)\n",
                "",
            )
        return self.says.get(words[0], (0, "", ""))


def world(
    *objects: dict[str, Any],
    answering: Mapping[str, tuple[str, ...]] | None = None,
    says: Mapping[str, tuple[int, str, str]] | None = None,
    answer: str = "",
    **facts: str,
) -> World:
    cluster = cast("Cluster", Objects(*objects))
    machines = {name: Machine(name, answering or {}, says or {}) for name in (*MACS, "client")}
    side = RealCluster(LAB, cluster, {})
    nodes = {name: machines[name] for name in MACS}
    return World(Subject(LAB, machines["client"], nodes, side), cluster, {**values(LAB), **facts}, answer)


def ask(seen: World, **check: Any) -> str:
    return judge(READ.validate_python(check), seen, patience=0).words


# -- objects and addresses ---------------------------------------------------------------------------------------


def test_an_object_is_there_or_it_is_not() -> None:
    there = world(service("web"))
    assert ask(there, check="object", kind="Service", name="web") == ""
    assert ask(there, check="object", kind="Service", name="web", absent=True) == "Service lesson/web is still there"
    assert ask(world(), check="object", kind="Service", name="web") == "there is no Service lesson/web"
    assert ask(world(), check="object", kind="Service", name="web", absent=True) == ""


def test_a_field_that_is_otherwise_is_shown_as_it_is_not_as_it_should_be() -> None:
    seen = world(a("IPAddressPool", "lab", "metallb-system", spec={"addresses": ["192.168.96.64-192.168.96.95"]}))
    check = {"check": "object", "kind": "IPAddressPool", "name": "lab"}
    words = ask(seen, **check, fields={"spec.addresses": ["{VIP}/32"]})
    assert words == "IPAddressPool metallb-system/lab: spec.addresses is ['192.168.96.64-192.168.96.95']"
    assert VIP not in words
    assert ask(seen, **check, fields={"spec.addresses.0": "{POOL}"}) == ""
    assert ask(seen, **check, fields={"spec.autoAssign": False}).endswith("spec.autoAssign is not set")


def test_a_path_may_have_parts_with_dots() -> None:
    item = {"metadata": {"annotations": {"metallb.io/x": "y"}}, "list": [{"a": 1}]}
    assert field(item, 'metadata.annotations."metallb.io/x"') == "y"
    assert field(item, "list.0.a") == 1
    assert field(item, "list.1.a") is None
    assert field(item, "metadata.name.first") is None


def test_the_lesson_s_own_words_come_first_and_what_was_seen_beside_them() -> None:
    words = ask(world(), check="object", kind="Service", name="web", otherwise="web should stay")
    assert words == "web should stay (there is no Service lesson/web)"


@pytest.mark.parametrize(
    ("address", "check", "trouble"),
    [
        (VIP, {"equals": "{VIP}"}, ""),
        ("192.168.96.71", {"equals": "{VIP}"}, "x has the address 192.168.96.71"),
        (None, {"equals": "{VIP}"}, "x has no address"),
        (None, {"given": False}, ""),
        (VIP, {"given": False}, f"x has the address {VIP}"),
        ("192.168.96.93", {"within": "{MORE}"}, ""),
        ("192.168.96.91", {"within": "{MORE}"}, "x has the address 192.168.96.91, which is not of that pool"),
    ],
)
def test_an_address(address: str | None, check: dict[str, Any], trouble: str) -> None:
    assert ask(world(service("x", address)), check="address", service="x", **check) == trouble


def test_no_service_has_no_address() -> None:
    assert ask(world(), check="address", service="default/x") == "there is no Service default/x"


# -- who answers -------------------------------------------------------------------------------------------------

FIRST, SECOND = order(VIP, ["worker-1", "worker-2"])


@pytest.mark.parametrize(
    ("by", "answering", "trouble"),
    [
        ("one", ("worker-1",), ""),
        ("one", (), f"nobody answers for {VIP}"),
        ("one", ("worker-1", "worker-2"), f"worker-1 and worker-2 answer for {VIP}"),
        ("one", ("02:00:00:00:00:99",), f"02:00:00:00:00:99 answers for {VIP}"),
        ("nobody", (), ""),
        ("nobody", ("worker-1",), f"worker-1 answers for {VIP}"),
        ("elected", (FIRST,), ""),
        ("elected", (SECOND,), f"{SECOND} answers for {VIP}"),
        ("{ANNOUNCER}", ("worker-2",), ""),
        ("{ANNOUNCER}", ("worker-1",), f"worker-1 answers for {VIP}"),
    ],
)
def test_who_announces_the_shared_address(by: str, answering: tuple[str, ...], trouble: str) -> None:
    seen = world(answering={VIP: answering}, ANNOUNCER="worker-2")
    assert ask(seen, check="announced", address="{VIP}", by=by) == trouble


def test_the_announcer_of_a_service_is_the_node_of_its_server() -> None:
    objects = service("echo-local", "192.168.96.64"), pod("echo", "worker-2"), pod("echo", "worker-1", ready="False")
    check = {"check": "announced", "service": "echo-local", "by": "server"}
    assert ask(world(*objects, answering={"192.168.96.64": ("worker-2",)}), **check) == ""
    wrong = world(*objects, answering={"192.168.96.64": ("worker-1",)})
    assert ask(wrong, **check) == "worker-1 answers for 192.168.96.64"
    assert ask(world(), **check) == "there is no Service lesson/echo-local"
    assert ask(world(service("echo-local")), **check) == "echo-local has no address"


def test_another_announcer_than_the_shared_address_s() -> None:
    check = {"check": "announced", "service": "elsewhere", "by": "other"}
    both = {VIP: ("worker-1",), "192.168.96.64": ("worker-2",)}
    objects = service("elsewhere", "192.168.96.64")
    assert ask(world(objects, answering=both), **check) == ""
    assert "worker-1 answers" in ask(world(objects, answering={**both, "192.168.96.64": ("worker-1",)}), **check)


# -- what the client and the machines say ------------------------------------------------------------------------


def iperf3(rc: int, stderr: str) -> World:
    said = (rc, "" if rc else "done", stderr)
    return world(says={"iperf3": said, "timeout": said})


def test_iperf3_works_or_cannot_connect() -> None:
    refused = (DATA / "refused.stderr.txt").read_text(encoding="utf-8")
    assert ask(iperf3(0, ""), check="iperf3", protocol="TCP") == ""
    assert ask(iperf3(0, ""), check="iperf3", protocol="UDP") == ""
    assert ask(iperf3(1, refused), check="iperf3", protocol="TCP").startswith("unable to connect to server")
    assert ask(iperf3(1, refused), check="iperf3", protocol="UDP").startswith("iperf3 -u: unable to connect")
    assert ask(iperf3(1, refused), check="iperf3", protocol="UDP", works=False) == ""
    works = ask(iperf3(0, ""), check="iperf3", protocol="UDP", works=False)
    assert works == "iperf3 can make its TCP connection"
    # A busy server is neither.
    busy = (DATA / "busy.stderr.txt").read_text(encoding="utf-8")
    assert "busy" in ask(iperf3(1, busy), check="iperf3", protocol="UDP", works=False)


def test_the_source_address_that_a_server_sees() -> None:
    def seen(address: str) -> World:
        return world(service("echo-local", "192.168.96.64"), says={"bash": (0, f"{address}:40000", "")})

    own = str(LAB.address(LAB.client))
    assert ask(seen(own), check="source", service="echo-local", sees="client") == ""
    assert own in ask(seen(own), check="source", service="echo-local", sees="node")
    assert ask(seen("10.244.1.1"), check="source", service="echo-local", sees="node") == ""
    assert "10.244.1.1" in ask(seen("10.244.1.1"), check="source", service="echo-local", sees="client")


@pytest.mark.parametrize("sees", ["client", "node"])
def test_no_answer_is_no_source_address(sees: str) -> None:
    silent = world(service("echo-local", "192.168.96.64"), says={"bash": (0, "", "")})
    assert "no answer comes back" in ask(silent, check="source", service="echo-local", sees=sees)
    assert "has no address" in ask(world(service("echo-local")), check="source", service="echo-local", sees=sees)


def test_where_the_server_runs() -> None:
    deployment = a("Deployment", "echo", spec={"selector": {"matchLabels": {"app": "echo"}}})
    seen = world(deployment, pod("echo", "worker-1"), SERVER_NODE="worker-1")
    assert ask(seen, check="server", deployment="echo") == ""
    assert ask(seen, check="server", deployment="echo", never="{SERVER_NODE}") == "it runs on worker-1"
    assert ask(world(deployment), check="server", deployment="echo") == "0 pods of echo are ready"
    assert ask(world(), check="server", deployment="echo") == "there is no Deployment lesson/echo"


def test_a_process_is_asked_for_on_its_machine() -> None:
    runs, gone = world(says={"pgrep": (0, "123\n", "")}), world(says={"pgrep": (1, "", "")})
    check = {"check": "process", "machine": "worker-1", "program": "speaker"}
    assert ask(gone, **check, running=False) == ""
    assert ask(runs, **check, running=False) == "speaker still runs on worker-1"
    assert ask(gone, **check, running=True) == "speaker does not run on worker-1"


def test_the_client_s_neighbour_table() -> None:
    check = {"check": "neighbour", "address": "{VIP}", "never": "{FAULT_MAC}"}
    entry = f"{VIP} dev eth1 lladdr 02:11:11:11:11:11 PERMANENT\n"
    wrong = world(says={"ip": (0, entry, "")}, FAULT_MAC="02:11:11:11:11:11")
    assert entry.strip() in ask(wrong, **check)
    assert ask(world(says={"ip": (0, "", "")}, FAULT_MAC="02:11:11:11:11:11"), **check) == ""


# -- answers -----------------------------------------------------------------------------------------------------


def say(words: str, asks: str, about: str = "{VIP}", **given: Any) -> str:
    objects = given.pop("objects", ())
    return ask(world(*objects, answer=words, **given), check="answer", asks=asks, about=about)


def test_an_answer_that_is_missing_is_asked_for() -> None:
    assert "--answer" in say("  ", "announcer")


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ("02:42:C0:A8:60:0B worker-1", ""),
        ("worker-1, 02:42:c0:a8:60:0b", ""),
        ("worker-1", "it should be a MAC and a machine's name"),
        ("02:42:c0:a8:60:0b", "it should be a MAC and a machine's name"),
        ("02:42:c0:a8:60:0b worker-1 worker-2", "it should be a MAC and a machine's name"),
        ("02:42:c0:a8:60:0b worker-2", "02:42:c0:a8:60:0b is not a card of worker-2"),
        ("02:42:c0:a8:60:0c worker-2", f"02:42:c0:a8:60:0c does not answer for {VIP}"),
    ],
)
def test_who_answers_is_compared_with_the_wire(words: str, trouble: str) -> None:
    assert say(words, "announcer", answering={VIP: ("worker-1",)}).startswith(trouble)
    if not trouble:
        assert say(words, "announcer", answering={VIP: ("worker-1",)}) == ""


def test_a_pool_s_first_address_elsewhere() -> None:
    pool = [str(LAB.at(host)) for host in range(LAB.pool.first, LAB.pool.last + 1)]
    right, later = [each for each in pool if order(each, ["worker-1", "worker-2"])[0] != FIRST][:2]
    same = next(each for each in pool if each != VIP and order(each, ["worker-1", "worker-2"])[0] == FIRST)
    assert say(right, "first-elsewhere") == ""
    assert say(later, "first-elsewhere") == f"there is an address before {later} for which it is so, too"
    assert say(same, "first-elsewhere") == f"{same} would be announced by {FIRST}, like {VIP}"
    assert "not in the pool" in say("192.168.96.10", "first-elsewhere")
    assert "one IPv4 address" in say("the third", "first-elsewhere")


def test_the_successor_is_who_wins_without_the_announcer() -> None:
    alive = {VIP: (FIRST,)}
    assert say(SECOND, "successor", answering=alive) == ""
    assert say(FIRST, "successor", answering=alive) == f"{FIRST} is the announcer now"
    assert "cannot announce" in say("control-plane", "successor", answering=alive)
    assert "nobody to follow" in say(SECOND, "successor")


RECORD = """\
100.0 02:42:c0:a8:60:0b
100.5 02:42:c0:a8:60:0b
101.5 -
102.7 -
105.1 02:42:c0:a8:60:0c
105.4 02:42:c0:a8:60:0c
105.6 02:42"""


def test_an_outage_is_the_longest_time_between_two_answers() -> None:
    assert answers.longest_gap(RECORD) == pytest.approx(4.6)
    assert answers.longest_gap("") == 0
    assert answers.longest_gap("100.0 -\n") == 0
    with pytest.raises(LabError, match="LAB-PRF-001"):
        answers.longest_gap("when who\nand\n")


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ("4.6", ""),
        ("5 s", ""),
        ("3.6s", ""),
        ("3.5", "not what the record shows"),
        ("0", "not what the record shows"),
        ("long", "a number of seconds"),
    ],
)
def test_an_outage_is_compared_with_the_record(words: str, trouble: str) -> None:
    found = say(words, "outage", says={"cat": (0, RECORD, "")})
    assert trouble in found
    assert bool(found) is bool(trouble)


def test_without_an_outage_or_a_record_no_number_is_right() -> None:
    quiet = "100.0 a\n100.3 a\n100.6 a\n"
    assert say("0.3", "outage", says={"cat": (0, quiet, "")}) == "the record shows no outage yet"
    assert "has written nothing" in say("1", "outage", says={"cat": (1, "", "no such file")})


def test_the_source_address_is_compared_with_what_the_server_says_now() -> None:
    given: dict[str, Any] = {
        "objects": (service("echo-cluster", "192.168.96.64"),),
        "says": {"bash": (0, "10.244.1.1:9", "")},
    }
    assert say("10.244.1.1", "source", "echo-cluster", **given) == ""
    wrong = say("192.168.96.200", "source", "echo-cluster", **given)
    assert wrong == "the server does not see 192.168.96.200"


def test_the_reason_is_one_of_the_events_about_the_service() -> None:
    event = a("Event", "e", reason="AllocationFailed", message="no available IPs", of="two")
    given: dict[str, Any] = {"objects": (service("two"), event)}
    assert say("allocationfailed", "reason", "two", **given) == ""
    assert say("Pending", "reason", "two", **given) == "no event about two has that reason"
    assert say("x", "reason", "two") == "there is no Service two"


def test_a_fact_is_what_the_start_has_set_and_is_not_told() -> None:
    assert say("02:AA:00:00:00:01", "fact", "FAULT_MAC", FAULT_MAC="02:aa:00:00:00:01") == ""
    wrong = say("02:aa:00:00:00:02", "fact", "FAULT_MAC", FAULT_MAC="02:aa:00:00:00:01")
    assert wrong
    assert "02:aa:00:00:00:01" not in wrong


def test_a_check_that_holds_a_little_later_holds() -> None:
    seen = world()

    def later(_said: str) -> None:
        cast("Objects", seen.cluster).objects.append(service("web"))

    check = READ.validate_python({"check": "object", "kind": "Service", "name": "web"})
    assert judge(check, seen, patience=5, say=later) == Verdict(check)
