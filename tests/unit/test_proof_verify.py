"""The story with an imitated lab; the real probes tell it again in tests/integration/test_probes.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from metallab import errors
from metallab.config import Lab
from metallab.errors import ExitCode, LabError
from metallab.events import Event, Events, Kind, silent
from metallab.proof import acts, probes
from metallab.proof.checks import refusals, scene
from metallab.proof.records import Check, Place, Report, Verdict
from metallab.proof.subject import (
    CONTROL_PORT,
    ECHO_PORT,
    SOURCE_SERVICES,
    TCP_SERVICE,
    UDP_SERVICE,
    NodeState,
    Part,
    Pod,
    ServiceState,
    Subject,
)
from metallab.proof.verify import verify
from metallab.run.result import Argv, CommandTimedOut, OnLine, Result, Unreachable
from metallab.run.wait import until

DATA = Path(__file__).parent.parent / "data" / "proof"
LAB = Lab()
NODES = ("control-plane", "worker-1", "worker-2")
MACS = {name: f"02:42:c0:a8:60:{last}" for name, last in zip(NODES, ("0a", "0b", "0c"), strict=True)}
SERVER = Pod("iperf3-server-6c8d8c7c7d-4chmk", "worker-1", "10.244.1.3", ready=True)
CLUSTER, LOCAL = LAB.at(64), LAB.at(65)
SOURCES = dict(zip(SOURCE_SERVICES.values(), (CLUSTER, LOCAL), strict=True))
REFUSED = {
    "other-key": 'AllocationFailed: Failed to allocate IP for "default/x": can\'t change sharing key for "default/x"',
    "port-clash": 'AllocationFailed: Failed to allocate IP for "default/x": port TCP/5201 is already in use on "y"',
    "exhausted": 'AllocationFailed: Failed to allocate IP for "default/x": ["<nil>"] is not allowed in config',
}


def captured(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


class FakeCluster:
    """Keeps what was done to it; ``act`` is told of every question and change, and lets a test interfere."""

    def __init__(self) -> None:
        self.there = {TCP_SERVICE: True, UDP_SERVICE: True}
        self.ports = {TCP_SERVICE: ("TCP", 5201), UDP_SERVICE: ("UDP", 5201)}
        self.address: IPv4Address | None = LAB.vip
        self.namespace = "default"
        self.events: tuple[str, ...] = ()
        self.not_ready = ""
        self.parts = (Part("controller", ready=True, words="1/1 ready"), Part("speaker", ready=True, words="3/3 ready"))
        self.pods: tuple[Pod, ...] = (SERVER,)
        self.asleep: tuple[Pod, ...] = ()
        self.announced_from: str | None = "worker-1"
        self.elected_is: str | None = "worker-1"
        self.sources: dict[str, IPv4Address | None] = dict(SOURCES)
        self.staged_on = ""
        self.refusals: dict[str, tuple[str, ...]] = {case: (words,) for case, words in REFUSED.items()}
        self.left: tuple[str, ...] = ()
        self.log: list[str] = []
        self.act: Callable[[str], None] = lambda _what: None

    def _do(self, what: str, on: str = "") -> None:
        self.log.append(f"{what} {on}".rstrip())
        self.act(what)

    # -- asked

    def versions(self) -> Mapping[str, str]:
        self.act("versions")
        return {"Kubernetes": "v1.37.2", "MetalLB": "v0.15.2"}

    def nodes(self) -> tuple[NodeState, ...]:
        self.act("nodes")
        return tuple(
            NodeState(name, name != self.not_ready, "KubeletNotReady" * (name == self.not_ready)) for name in NODES
        )

    def metallb(self) -> tuple[Part, ...]:
        self.act("metallb")
        return self.parts

    def servers(self) -> tuple[Pod, ...]:
        self.act("servers")
        return self.pods

    def services(self) -> tuple[ServiceState, ...]:
        self.act("services")
        return tuple(
            ServiceState(name, *self.ports[name], self.address, self.namespace, self.events)
            for name, there in self.there.items()
            if there
        )

    def service(self, name: str) -> ServiceState | None:
        self.act("service")
        return ServiceState(name, "UDP", ECHO_PORT, self.sources[name], "default", self.events)

    def announcer(self) -> str | None:
        return self.announced_from

    def elected(self) -> str | None:
        return self.elected_is

    def found(self) -> Mapping[str, str]:
        self.act("found")
        services = {f"Service default/{name}": f"{self.address}" for name, there in self.there.items() if there}
        staged = {"Pod default/metallab-proof-control": "is there"} if self.staged_on else {}
        return {**services, "Deployment default/iperf3-server": f"{len(self.pods)} replicas", **staged}

    # -- changed

    def stage(self, node: str) -> None:
        self._do("stage", node)
        self.staged_on = node

    def strike(self, service: str = "") -> None:
        self._do("strike", service)
        self.staged_on = ""

    def take_away(self, name: str) -> None:
        self._do("take_away", name)
        self.there[name] = False

    def put_back(self, name: str) -> None:
        self._do("put_back", name)
        self.there[name] = True

    def scale_down(self) -> None:
        self._do("scale_down")
        self.pods, self.asleep = (), self.pods

    def scale_back(self) -> None:
        self._do("scale_back")
        self.pods, self.asleep = self.pods or self.asleep, ()

    def heal(self) -> tuple[str, ...]:
        self._do("heal")
        healed, self.left, self.staged_on = self.left, (), ""
        self.there = dict.fromkeys(self.there, True)
        self.pods = self.pods or self.asleep
        return healed

    def refused(self, case: str, words: Sequence[str]) -> tuple[str, ...]:
        self._do("refused", case)
        assert words
        return self.refusals[case]

    # -- what machines see of it

    def serves(self, protocol: str, port: int = 5201) -> bool:
        name = {"TCP": TCP_SERVICE, "UDP": UDP_SERVICE}[protocol]
        return self.there[name] and port == self.ports[name][1]

    @property
    def changes(self) -> list[str]:
        """What was done beyond the healing before and after."""
        return [each for each in self.log if each != "heal"]


class FakeMachine:
    """Answers as captured: the client by what the cluster has, a node with its MAC and its rules."""

    def __init__(self, name: str, cluster: FakeCluster) -> None:
        self.name = name
        self.cluster = cluster
        self.answers: dict[str, tuple[int, str, str]] = {}
        """By program, with what tells its use apart: ``iperf3-J-u``, ``iperf3-u``, ``conntrack-tcp``, ``nft-udp``."""
        self.first: dict[str, list[tuple[int, str, str]]] = {}
        """The same, each given once and in that order, before any other."""

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        words = tuple(str(word) for word in argv)
        self.cluster.act(words[0])
        rc, stdout, stderr = self._answer(words)
        return Result(words, rc, stdout, stderr, 0.1, self.name)

    def _answer(self, words: tuple[str, ...]) -> tuple[int, str, str]:
        # How a person would end it that sees nothing come.
        short, argv = words[0] == "timeout", words[words.index("iperf3") :] if "iperf3" in words else words
        kind = _kind(argv)
        if self.first.get(kind):
            return self.first[kind].pop(0)
        if kind in self.answers:
            return self.answers[kind]
        programs: dict[str, Callable[[tuple[str, ...]], tuple[int, str, str]]] = {
            "ip": self._interfaces,
            "arping": self._arping,
            "nft": self._nft,
            "conntrack": lambda _: (0, "", captured("conntrack-none.stderr.txt")),
            "bash": self._said,
            "iperf3": lambda found: self._iperf3(found, short=short),
        }
        return programs[argv[0]](argv)

    def _interfaces(self, _: tuple[str, ...]) -> tuple[int, str, str]:
        address, mac = str(LAB.address(LAB.machine(self.name))), MACS.get(self.name, "02:42:c0:a8:60:01")
        listing = captured("ip-addr.json").replace("02:42:c0:a8:60:01", mac).replace("192.168.96.200", address)
        return 0, listing, ""

    def _arping(self, _: tuple[str, ...]) -> tuple[int, str, str]:
        # The echo's endpoint keeps the address announced as well.
        if not self.cluster.pods and not self.cluster.staged_on:
            return 1, captured("arping-none.txt"), ""
        return 0, captured("arping-one.txt").replace("60:02", "60:0B"), ""

    def _nft(self, words: tuple[str, ...]) -> tuple[int, str, str]:
        found = re.fullmatch(r"\{ (\S+) \. (\S+) \. (\d+) \}", words[-1])
        assert found is not None
        assert words[:-1] == ("nft", "get", "element", "ip", "kube-proxy", "service-ips")
        there = found[1] == str(LAB.vip) and self.cluster.serves(found[2].upper(), int(found[3]))
        return (0, captured("nft-element.txt"), "") if there else (1, "", captured("nft-no-element.stderr.txt"))

    def _said(self, words: tuple[str, ...]) -> tuple[int, str, str]:
        address, port, said = words[4:7]
        assert port == str(ECHO_PORT)
        if not self.cluster.staged_on:
            return 1, "", "dd: error reading 'standard input': Connection refused\n"
        if said == "clientip":
            seen = {str(CLUSTER): "10.244.1.1:54267", str(LOCAL): f"{LAB.address(LAB.client)}:52983"}
            return 0, seen[address], ""
        assert address == str(LAB.vip)
        return 0, said.removeprefix("echo "), ""

    def _iperf3(self, words: tuple[str, ...], *, short: bool) -> tuple[int, str, str]:
        as_json, udp = "-J" in words, "-u" in words
        if str(CONTROL_PORT) in words:
            assert words[words.index("-c") + 1] == str(LAB.address(LAB.machine("worker-1")))
            reached = bool(self.cluster.staged_on)
        else:
            reached = self.cluster.serves("TCP")
        if not reached:
            return (0, captured("no-route.json"), "") if as_json else (1, "", captured("no-route.stderr.txt"))
        if udp and str(CONTROL_PORT) not in words and not self.cluster.serves("UDP"):
            assert short, "left alone it waits half a minute"
            return 124, captured("udp-interrupted.txt"), captured("udp-interrupted.stderr.txt")
        return 0, captured(f"{'udp' if udp else 'tcp'}.{'json' if as_json else 'txt'}"), ""


def _kind(words: tuple[str, ...]) -> str:
    kind = words[0] + "".join(flag for flag in ("-J", "-u") if words[0] == "iperf3" and flag in words)
    if kind.startswith("iperf3") and str(CONTROL_PORT) in words:
        return f"{kind}-control"
    if kind == "conntrack":
        return f"{kind}-{words[words.index('-p') + 1]}"
    return f"nft-{words[-1].split(' . ')[1]}" if kind == "nft" else kind


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def client(cluster: FakeCluster) -> FakeMachine:
    return FakeMachine("client", cluster)


@pytest.fixture
def nodes(cluster: FakeCluster) -> dict[str, FakeMachine]:
    return {name: FakeMachine(name, cluster) for name in NODES}


@pytest.fixture
def subject(cluster: FakeCluster, client: FakeMachine, nodes: dict[str, FakeMachine]) -> Subject:
    return Subject(LAB, client, nodes, cluster, "docker")


@pytest.fixture(autouse=True)
def _nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not so at once never will be in this lab, unless a test makes it so."""
    monkeypatch.setattr(scene, "until", lambda check, **how: until(check, **{**how, "timeout": 0.0}))


def check_of(report: Report, name: str) -> Check:
    return next(check for check in report.checks if check.id == name)


def ended(report: Report, *names: str) -> list[tuple[str, str]]:
    return [(check_of(report, name).verdict.value, check_of(report, name).seen) for name in names]


def verdicts(report: Report) -> dict[str, str]:
    return {check.id: check.verdict.value for check in report.checks}


def not_passed(report: Report) -> dict[str, str]:
    return {name: verdict for name, verdict in verdicts(report).items() if verdict != "pass"}


def test_a_good_lab_is_proven_in_order(subject: Subject, cluster: FakeCluster) -> None:
    report = verify(subject, silent())
    assert {check.id: check.seen for check in report.checks} == {
        "nodes": "3 of 3 Ready",
        "metallb": "controller 1/1 ready, speaker 3/3 ready",
        "server": "one, on worker-1",
        "address": "192.168.96.70 for both",
        "flows": "no stale flow",
        "tcp": "7.68 Gbit/s, 1181 retransmits",
        "udp": "1.05 Mbit/s of 1.05 Mbit/s offered, 0 of 272 lost, jitter 0.013 ms",
        "one-mac": "02:42:c0:a8:60:0b = worker-1",
        "announcer": "worker-1 announces",
        "echo": "answers 'metallab'",
        "direct": "1.00 times the 7.68 Gbit/s that go directly to worker-1",
        "source-cluster": "it sees 10.244.1.1",
        "source-local": "it sees 192.168.96.200",
        "no-tcp": "unable to connect to server: No route to host",
        "b-echo": "answers 'metallab'",
        "b-control": "worker-1 (192.168.96.11) is reached",
        "b-arp": "answered by 02:42:c0:a8:60:0b",
        "again-tcp": "TCP 7.68 Gbit/s, UDP 0 of 272 lost",
        "no-udp": "no datagram came, although the TCP connection was made (5 s)",
        "c-tcp": "7.68 Gbit/s arrived",
        "c-echo": "answers 'metallab'",
        "again-udp": "TCP 7.68 Gbit/s, UDP 0 of 272 lost",
        "other-key": 'can\'t change sharing key for "default/x"',
        "port-clash": 'port TCP/5201 is already in use on "y"',
        "exhausted": '["<nil>"] is not allowed in config',
        "silent": "nobody answers",
        "answered": "answered by 02:42:c0:a8:60:0b",
        "as-found": "3 objects as before",
    }
    assert set(verdicts(report).values()) == {"pass"}
    assert (report.exit_code, report.warnings, report.missing) == (ExitCode.OK, (), ())
    assert (report.lab, report.address, report.started[-6:]) == ("metallab", "192.168.96.70", "+00:00")
    assert (report.provider, report.versions) == ("docker", {"Kubernetes": "v1.37.2", "MetalLB": "v0.15.2"})
    assert report.not_tested == acts.NOT_TESTED
    assert cluster.log == [
        "heal",
        "stage worker-1",
        f"take_away {TCP_SERVICE}",
        f"put_back {TCP_SERVICE}",
        f"take_away {UDP_SERVICE}",
        f"put_back {UDP_SERVICE}",
        "refused other-key",
        "refused port-clash",
        "refused exhausted",
        "strike",
        "scale_down",
        "scale_back",
        "heal",
    ]


def test_every_check_has_evidence_an_expectation_and_its_act(subject: Subject) -> None:
    report = verify(subject, silent())
    titles = [*(act for act, _ in acts.known()), acts.END]
    assert [check.act for check in report.checks] == titles
    assert [check.id for check in report.checks if not check.evidence or not check.expected] == []


# -- before anything is sent


def test_what_depends_on_a_failed_check_is_not_run(subject: Subject, cluster: FakeCluster) -> None:
    cluster.not_ready = "worker-2"
    report = verify(subject, silent())
    middle = acts.ids()[1:-1]
    assert verdicts(report) == {"nodes": "fail", **dict.fromkeys(middle, "not-run"), "as-found": "pass"}
    assert check_of(report, "nodes").seen == "worker-2 is not Ready (KubeletNotReady)"
    assert check_of(report, "metallb").reason == "because nodes did not pass"
    assert check_of(report, "tcp").reason == "because server and address did not pass"
    assert check_of(report, "no-tcp").reason == "because tcp, udp, one-mac and echo did not pass"
    assert report.exit_code == ExitCode.CHECK_FAILED
    assert cluster.changes == [], "a lab that does not work is not touched"


def test_a_machine_that_is_no_node_is_named(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject.cluster, "nodes", lambda: (NodeState("worker-1", ready=True),))
    seen = check_of(verify(subject, silent(), only=["nodes"]), "nodes").seen
    assert seen == "control-plane is no node; worker-2 is no node"


def test_a_metallb_that_is_not_whole_is_asked_nothing(subject: Subject, cluster: FakeCluster) -> None:
    cluster.parts = (cluster.parts[0], Part("speaker", ready=False, words="2/3 ready"))
    report = verify(subject, silent())
    refused = [claim.id for claim in acts.REFUSALS.claims]
    assert not_passed(report) == {"metallb": "fail", **dict.fromkeys(refused, "not-run")}
    assert check_of(report, "metallb").seen == "controller 1/1 ready, speaker 2/3 ready"


@pytest.mark.parametrize(
    ("pods", "seen"),
    [
        ((), "no server runs in the namespace default"),
        ((Pod("a", "worker-1", "", ready=False),), "none of 1 is ready"),
        (
            (SERVER, Pod("b", "worker-2", "10.244.2.3", ready=True)),
            "2 servers (worker-1, worker-2): control and data connections may reach different ones",
        ),
    ],
)
def test_one_server_and_no_other_number_will_do(
    subject: Subject, cluster: FakeCluster, pods: tuple[Pod, ...], seen: str
) -> None:
    cluster.pods = pods
    report = verify(subject, silent())
    assert ended(report, "server") == [("fail", seen)]
    assert check_of(report, "tcp").reason == "because server did not pass"
    assert not any("take_away" in change or "scale" in change for change in cluster.changes)
    assert report.exit_code == ExitCode.CHECK_FAILED


def test_a_server_that_ends_beside_a_ready_one_is_none(subject: Subject, cluster: FakeCluster) -> None:
    cluster.pods = (Pod("old", "worker-2", "10.244.2.3", ready=False), SERVER)
    assert ended(verify(subject, silent()), "server") == [("pass", "one, on worker-1")]


def break_address(cluster: FakeCluster, how: str) -> None:
    if how == "missing":
        cluster.there[UDP_SERVICE] = False
    elif how == "foreign":
        cluster.address = LAB.at(71)
    elif how == "none":
        cluster.address = None
    elif how == "none, with events":
        cluster.address, cluster.events = None, ("IPAllocated: long ago", "AllocationFailed: no available IPs")
    elif how == "namespace":
        cluster.namespace = "lab"
    else:
        cluster.ports[UDP_SERVICE] = ("UDP", 5300)


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("missing", f"{UDP_SERVICE} does not exist"),
        ("foreign", f"{TCP_SERVICE} has 192.168.96.71; {UDP_SERVICE} has 192.168.96.71"),
        ("none", f"{TCP_SERVICE} has no address; {UDP_SERVICE} has no address"),
        (
            "none, with events",
            "; ".join(
                f"{name} has no address (AllocationFailed: no available IPs)" for name in (TCP_SERVICE, UDP_SERVICE)
            ),
        ),
        (
            "namespace",
            "; ".join(f"{name} is in the namespace lab, not in default" for name in (TCP_SERVICE, UDP_SERVICE)),
        ),
        ("port", f"{UDP_SERVICE} is UDP 5300"),
    ],
)
def test_two_services_on_the_one_address_or_none(subject: Subject, cluster: FakeCluster, how: str, seen: str) -> None:
    break_address(cluster, how)
    # With its healing this lab would put the service back.
    cluster.heal = lambda: ()  # type: ignore[method-assign]
    report = verify(subject, silent())
    assert ended(report, "address") == [("fail", seen)]
    assert check_of(report, "tcp").reason == "because address did not pass"
    assert cluster.changes == []


STALE = (
    "udp      17 28 src=192.168.96.200 dst=192.168.96.70 sport=40000 dport=5201 "
    "src=10.244.2.9 dst=192.168.96.200 sport=5201 dport=40000 mark=0 use=1\n"
)
STANDING = (
    "tcp      6 86399 ESTABLISHED src=192.168.96.200 dst=192.168.96.70 sport=36462 dport=5201 "
    "src=10.244.1.3 dst=192.168.96.12 sport=5201 dport=36462 [ASSURED] mark=0 use=1\n"
)


def test_a_flow_to_a_server_that_is_gone_is_a_warning(subject: Subject, nodes: dict[str, FakeMachine]) -> None:
    nodes["worker-2"].answers["conntrack-udp"] = (0, STALE, "")
    report = verify(subject, silent())
    told = "UDP from 192.168.96.200:40000 to 10.244.2.9 on worker-2"
    assert ended(report, "flows") == [("pass", f"1 stale: {told}")]
    assert report.warnings == (f"flows: conntrack keeps a stale flow: {told}, which is no server",)
    assert report.exit_code == ExitCode.WARNINGS


def test_a_connection_that_began_before_is_named_and_proves_nothing(
    subject: Subject, nodes: dict[str, FakeMachine]
) -> None:
    nodes["worker-1"].answers["conntrack-tcp"] = (0, STANDING, "")
    report = verify(subject, silent())
    standing = "TCP from 192.168.96.200:36462 to 10.244.1.3 on worker-1"
    seen = f"unable to connect to server: No route to host (conntrack keeps alive what began before: {standing})"
    assert ended(report, "flows", "no-tcp") == [("pass", "no stale flow"), ("pass", seen)]


# -- traffic


@pytest.mark.parametrize(("kind", "name"), [("iperf3-J-u", "udp-all-lost.json"), ("iperf3-J", "tcp-64k.json")])
def test_nothing_received_is_a_failure(subject: Subject, client: FakeMachine, kind: str, name: str) -> None:
    client.answers[kind] = (0, captured(name), "")
    report = verify(subject, silent())
    failed = check_of(report, "udp" if kind.endswith("-u") else "tcp")
    assert failed.verdict is Verdict.FAIL
    assert failed.expected.startswith("more than 0")
    if kind.endswith("-u"):
        assert failed.seen.endswith(" bit/s of 1.05 Mbit/s offered, 181 of 181 lost, jitter 0.000 ms")
    assert failed.warning == "", "a failure needs no warning beside it"


def test_unreadable_output_is_not_run_and_no_pass(subject: Subject, client: FakeMachine) -> None:
    client.answers["iperf3-J"] = (0, captured("tcp.json")[:700], "")
    report = verify(subject, silent())
    tcp = check_of(report, "tcp")
    assert tcp.verdict is Verdict.NOT_RUN
    assert tcp.reason.endswith("(LAB-PRF-001)")
    assert tcp.evidence[0].stderr.startswith("{")
    assert tcp in report.missing
    assert report.exit_code == ExitCode.CHECK_FAILED


def test_loss_above_one_in_a_hundred_is_a_warning(subject: Subject, client: FakeMachine) -> None:
    client.answers["iperf3-J-u"] = (0, captured("udp-loss.json"), "")
    report = verify(subject, silent())
    assert check_of(report, "udp").verdict is Verdict.PASS
    assert report.warnings == ("udp: 20.2% of the datagrams lost at 1.05 Mbit/s",)
    assert report.exit_code == ExitCode.WARNINGS
    assert [flow.lost for flow in check_of(report, "udp").flows] == [55, 55], "measured twice before it is said"


def test_loss_of_the_first_run_alone_is_shown_and_not_warned_about(subject: Subject, client: FakeMachine) -> None:
    client.first["iperf3-J-u"] = [(0, captured("udp-loss.json"), "")]
    report = verify(subject, silent())
    check = check_of(report, "udp")
    assert (check.verdict, report.warnings) == (Verdict.PASS, ())
    assert check.seen.endswith("55 of 272 lost, jitter 0.008 ms; once more: 0 of 272 lost")
    assert [(flow.name, flow.lost) for flow in check.flows] == [
        ("UDP through the address", 55),
        ("UDP through the address, once more", 0),
    ]


def test_loss_and_then_no_answer_is_a_warning(subject: Subject, client: FakeMachine) -> None:
    client.first["iperf3-J-u"] = [(0, captured("udp-loss.json"), ""), (1, captured("refused.json"), "")]
    report = verify(subject, silent())
    assert check_of(report, "udp").verdict is Verdict.PASS
    assert check_of(report, "udp").seen.endswith("; once more: unable to connect to server: Connection refused")
    assert report.warnings == ("udp: 20.2% of the datagrams lost at 1.05 Mbit/s",)


def test_what_udp_offers_is_the_proofs_own(subject: Subject) -> None:
    report = verify(subject, silent(), seconds=7)
    assert "-t 7 -u -b 10000000 " in check_of(report, "udp").evidence[0].command
    assert "-t 1 -u -b 10000000 " in check_of(report, "again-tcp").evidence[-1].command


def test_measured_traffic_is_kept_as_flows(subject: Subject) -> None:
    report = verify(subject, silent())
    flows = {check.id: check.flows for check in report.checks if check.flows}
    assert {name: [flow.name for flow in each] for name, each in flows.items()} == {
        "tcp": ["TCP through the address"],
        "udp": ["UDP through the address"],
        "direct": ["TCP directly to worker-1"],
    }
    assert (flows["udp"][0].sent, flows["udp"][0].lost) == (272, 0)


@pytest.mark.parametrize(
    ("arping", "seen"),
    [
        ("arping-none.txt", "nobody answers"),
        ("arping-one.txt", "02:42:c0:a8:60:02 = no node of this lab"),
        ("arping-two.txt", "02:42:c0:a8:60:02 = no node of this lab; 02:42:c0:a8:60:03 = no node of this lab"),
    ],
)
def test_only_one_mac_of_a_node_will_do(
    subject: Subject, cluster: FakeCluster, client: FakeMachine, arping: str, seen: str
) -> None:
    client.answers["arping"] = (1, captured(arping), "")
    report = verify(subject, silent())
    assert check_of(report, "one-mac").verdict is Verdict.FAIL
    assert sorted(check_of(report, "one-mac").seen.split("; ")) == seen.split("; ")
    assert "one-mac" in check_of(report, "no-tcp").reason
    taken = [each for each in cluster.changes if each.startswith(("take_away", "scale"))]
    assert taken == [], "an address that two machines answer for is not experimented with"
    assert report.picture.places[0].mac == MACS["control-plane"]
    assert not any(place.announces for place in report.picture.places)


@pytest.mark.parametrize(("named", "who"), [("worker-2", "worker-2"), (None, "nobody")])
def test_what_metallb_says_of_itself_is_only_warned_about(
    subject: Subject, cluster: FakeCluster, named: str | None, who: str
) -> None:
    cluster.announced_from = named
    report = verify(subject, silent())
    assert check_of(report, "announcer").verdict is Verdict.PASS
    assert report.warnings == (f"announcer: ServiceL2Status names {who}, but worker-1 answers",)
    assert report.exit_code == ExitCode.WARNINGS


def test_another_node_than_the_elected_one_is_a_failure(subject: Subject, cluster: FakeCluster) -> None:
    cluster.elected_is = "worker-2"
    report = verify(subject, silent())
    assert not_passed(report) == {"announcer": "fail"}
    check = check_of(report, "announcer")
    assert (check.expected, check.seen) == ("worker-2 announces", "worker-1 announces")
    assert report.exit_code == ExitCode.CHECK_FAILED


SLOW_TCP = captured("tcp.json").replace('"bits_per_second":\t7683924780.4', '"bits_per_second":\t1683924780.4')


def test_a_slow_way_through_the_address_is_a_warning(subject: Subject, client: FakeMachine) -> None:
    assert captured("tcp.json") != SLOW_TCP
    client.answers["iperf3-J"] = (0, SLOW_TCP, "")
    report = verify(subject, silent())
    check = check_of(report, "direct")
    assert check.verdict is Verdict.PASS
    assert report.warnings == ("direct: through the address only 0.22 of what goes directly to worker-1",)
    assert [flow.name for flow in check.flows] == ["TCP directly to worker-1", "TCP through the address, once more"]
    assert [item.command.split()[3] for item in check.evidence[1:]] == ["192.168.96.11", str(LAB.vip)]


def test_a_way_that_was_only_cold_is_measured_once_more_and_not_warned_about(
    subject: Subject, client: FakeMachine
) -> None:
    client.first["iperf3-J"] = [(0, SLOW_TCP, "")]
    report = verify(subject, silent())
    assert report.warnings == ()
    assert check_of(report, "direct").seen == "1.00 times the 7.68 Gbit/s that go directly to worker-1"
    assert [flow.received_bits_per_second for flow in check_of(report, "tcp").flows] < [2e9]


def test_a_way_that_fails_when_it_is_measured_once_more_is_still_slow(subject: Subject, client: FakeMachine) -> None:
    client.first["iperf3-J"] = [(0, SLOW_TCP, ""), (1, captured("refused.json"), "")]
    report = verify(subject, silent(), only=["direct"])
    check = check_of(report, "direct")
    assert (check.verdict, len(check.flows), len(check.evidence)) == (Verdict.PASS, 1, 3)
    assert report.warnings == ("direct: through the address only 0.22 of what goes directly to worker-1",)


def test_a_control_server_that_never_listens_leaves_one_check_not_run_and_a_warning(
    subject: Subject, client: FakeMachine
) -> None:
    client.answers["iperf3-control"] = (1, "", captured("refused.stderr.txt"))
    report = verify(subject, silent(), only=["direct"])
    assert not_passed(report) == {"direct": "not-run"}
    assert check_of(report, "direct").reason == (
        "because the control server at 192.168.96.11:5301 does not answer: "
        "unable to connect to server: Connection refused (LAB-PRF-002)"
    )
    assert report.exit_code == ExitCode.WARNINGS
    assert report.warnings == (f"direct was not run {check_of(report, 'direct').reason}",)


def test_an_echo_that_is_silent_is_a_failure_and_nothing_is_taken_away(
    subject: Subject, cluster: FakeCluster, client: FakeMachine
) -> None:
    client.answers["bash"] = (1, "", "")
    report = verify(subject, silent())
    assert ended(report, "echo") == [("fail", "no answer")]
    assert not any(each.startswith(("take_away", "scale")) for each in cluster.changes)


def test_an_echo_of_something_else_is_a_failure(subject: Subject, client: FakeMachine) -> None:
    client.answers["bash"] = (0, "somebody else", "")
    assert ended(verify(subject, silent()), "echo") == [("fail", "answers 'somebody else'")]


@pytest.mark.parametrize(
    ("answer", "failed"),
    [("192.168.96.200:52983", "source-cluster"), ("10.244.1.1:54267", "source-local")],
)
def test_a_server_that_sees_the_wrong_source_is_a_failure(
    subject: Subject, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, answer: str, failed: str
) -> None:
    said = FakeMachine._said

    def wrong(machine: FakeMachine, words: tuple[str, ...]) -> tuple[int, str, str]:
        return (0, answer, "") if words[6] == "clientip" else said(machine, words)

    monkeypatch.setattr(FakeMachine, "_said", wrong)
    report = verify(subject, silent())
    assert not_passed(report) == {failed: "fail"}
    assert check_of(report, failed).seen == f"it sees {answer.rpartition(':')[0]}"


def test_a_source_service_without_an_address_is_not_run_and_says_why(subject: Subject, cluster: FakeCluster) -> None:
    cluster.sources["metallab-proof-local"] = None
    report = verify(subject, silent())
    assert check_of(report, "source-local").reason == (
        "because metallab-proof-local has no address: it was not given one (LAB-MLB-004)"
    )
    assert not_passed(report) == {"source-local": "not-run"}
    assert report.exit_code == ExitCode.WARNINGS
    cluster.events = ("AllocationFailed: no available IPs",)
    report = verify(subject, silent(), only=["source-local", "server"])
    assert "has no address: AllocationFailed: no available IPs" in check_of(report, "source-local").reason


# -- while something is missing


def test_udp_working_without_tcp_fails_the_negative_proof(subject: Subject, client: FakeMachine) -> None:
    client.answers["iperf3-u"] = (0, captured("udp.txt"), "")
    report = verify(subject, silent())
    assert ended(report, "no-tcp", "no-udp") == [
        ("fail", "iperf3 -u works without the TCP service"),
        ("fail", "iperf3 -u works without the UDP service"),
    ]


@pytest.mark.parametrize(
    ("stderr", "words", "proves"),
    [
        ("busy.stderr.txt", "the server is busy running a test. try again later", ()),
        ("no-route.stderr.txt", "unable to connect to server: No route to host", ("no-tcp",)),
        ("refused.stderr.txt", "unable to connect to server: Connection refused", ("no-tcp",)),
    ],
)
def test_another_failure_than_the_expected_one_is_no_negative_proof(
    subject: Subject, client: FakeMachine, stderr: str, words: str, proves: tuple[str, ...]
) -> None:
    client.answers["iperf3-u"] = (1, "", captured(stderr))
    report = verify(subject, silent())
    assert ended(report, "no-tcp", "no-udp") == [
        ("pass" if name in proves else "fail", words) for name in ("no-tcp", "no-udp")
    ]


@pytest.mark.parametrize(
    ("service", "gone", "back"), [(TCP_SERVICE, "no-tcp", "again-tcp"), (UDP_SERVICE, "no-udp", "again-udp")]
)
def test_rules_that_stay_or_stay_away_are_reported_with_the_node(
    subject: Subject, nodes: dict[str, FakeMachine], service: str, gone: str, back: str
) -> None:
    protocol = gone.removeprefix("no-")
    nodes["worker-2"].answers[f"nft-{protocol}"] = (0, captured("nft-element.txt"), "")
    report = verify(subject, silent())
    words = f"{protocol.upper()} 5201 is still programmed on worker-2 after {service} was deleted"
    assert ended(report, gone) == [("fail", words)]
    assert [item.where for item in check_of(report, gone).evidence[-3:]] == list(NODES)
    assert check_of(report, back).verdict is Verdict.PASS
    nodes["worker-2"].answers[f"nft-{protocol}"] = (1, "", captured("nft-no-element.stderr.txt"))
    report = verify(subject, silent())
    assert ended(report, gone)[0][0] == "pass"
    assert ended(report, back) == [("fail", f"{protocol.upper()} 5201 is not yet programmed on worker-2")]


def test_a_control_server_that_is_not_reached_either_says_so(
    subject: Subject, cluster: FakeCluster, client: FakeMachine
) -> None:
    """Then it is the client or the network that fails, and the missing service explains nothing."""
    client.answers["iperf3-u-control"] = (1, "", captured("no-route.stderr.txt"))
    report = verify(subject, silent())
    assert not_passed(report) == {"b-control": "fail"}
    assert check_of(report, "b-control").seen == "unable to connect to server: No route to host"
    assert report.exit_code == ExitCode.CHECK_FAILED


def test_an_address_that_another_node_answers_for_meanwhile_is_a_failure(
    subject: Subject, cluster: FakeCluster, client: FakeMachine
) -> None:
    def move(what: str) -> None:
        if what == "take_away":
            client.answers["arping"] = (0, captured("arping-one.txt").replace("60:02", "60:0C"), "")
        elif what == "put_back":
            client.answers.pop("arping", None)

    cluster.act = move
    report = verify(subject, silent())
    assert not_passed(report) == {"b-arp": "fail"}
    check = check_of(report, "b-arp")
    assert (check.expected, check.seen) == (
        "answered by 02:42:c0:a8:60:0b alone, as before",
        "answered by 02:42:c0:a8:60:0c",
    )


def test_tcp_that_ends_with_the_udp_service_is_a_failure(
    subject: Subject, cluster: FakeCluster, client: FakeMachine
) -> None:
    def end(what: str) -> None:
        if what == "take_away" and cluster.log[-1].endswith(UDP_SERVICE):
            client.answers["iperf3-J"] = (0, captured("tcp-server-killed.json"), "")
        elif what == "put_back":
            client.answers.pop("iperf3-J", None)

    cluster.act = end
    report = verify(subject, silent())
    assert not_passed(report) == {"c-tcp": "fail"}
    assert check_of(report, "c-tcp").seen == "unable to write to stream socket: Connection reset by peer"


def test_a_server_that_fails_afterwards_is_told_in_its_words(
    subject: Subject, cluster: FakeCluster, client: FakeMachine
) -> None:
    def end(what: str) -> None:
        if what == "put_back":
            client.answers["iperf3-J-u"] = (0, captured("udp-server-terminated.json"), "")

    cluster.act = end
    check = check_of(verify(subject, silent()), "again-tcp")
    assert (check.verdict, check.seen) == (Verdict.FAIL, "TCP 7.68 Gbit/s, UDP the server has terminated")


@pytest.mark.parametrize("case", sorted(REFUSED))
@pytest.mark.parametrize(
    ("events", "seen"),
    [
        ((), f"no event {refusals.FAILED}"),
        (("IPAllocated: Assigned IP",), "IPAllocated: Assigned IP"),
        (('AllocationFailed: Failed to allocate IP for "x": for another reason',), "for another reason"),
    ],
)
def test_a_refusal_that_is_not_said_or_for_another_reason_is_none(
    subject: Subject, cluster: FakeCluster, case: str, events: tuple[str, ...], seen: str
) -> None:
    cluster.refusals[case] = events
    report = verify(subject, silent(), only=[case])
    assert not_passed(report) == {case: "fail"}
    assert check_of(report, case).seen == seen


def test_the_right_words_in_another_event_are_no_refusal(subject: Subject, cluster: FakeCluster) -> None:
    cluster.refusals["port-clash"] = ("Whatever: port TCP/5201 is already in use on x",)
    assert check_of(verify(subject, silent(), only=["port-clash"]), "port-clash").verdict is Verdict.FAIL


def test_an_address_that_is_answered_without_a_server_is_a_failure(
    subject: Subject, cluster: FakeCluster, client: FakeMachine
) -> None:
    client.answers["arping"] = (0, captured("arping-one.txt").replace("60:02", "60:0B"), "")
    report = verify(subject, silent())
    assert not_passed(report) == {"silent": "fail"}
    assert check_of(report, "silent").seen == "still answered by 02:42:c0:a8:60:0b"
    assert cluster.pods == (SERVER,)


def test_another_node_that_answers_afterwards_is_a_failure(
    subject: Subject, cluster: FakeCluster, client: FakeMachine
) -> None:
    def move(what: str) -> None:
        if what == "scale_back":
            client.answers["arping"] = (0, captured("arping-one.txt").replace("60:02", "60:0C"), "")

    cluster.act = move
    report = verify(subject, silent())
    assert not_passed(report) == {"answered": "fail"}


# -- the lab as it was


def test_what_differs_in_the_end_is_a_failure_that_names_it(subject: Subject, cluster: FakeCluster) -> None:
    def move(what: str) -> None:
        if what == "scale_back":
            cluster.address = LAB.at(71)

    cluster.act = move
    report = verify(subject, silent())
    assert not_passed(report) == {"as-found": "fail"}
    check = check_of(report, "as-found")
    assert check.seen == f"different: Service default/{TCP_SERVICE}, Service default/{UDP_SERVICE}"
    assert f"Service default/{TCP_SERVICE}: 192.168.96.71" in check.evidence[-2].stdout
    assert f"Service default/{TCP_SERVICE}: 192.168.96.70" in check.evidence[-1].stdout
    assert report.exit_code == ExitCode.CHECK_FAILED


def test_what_is_left_over_in_the_end_is_a_failure_that_names_it(subject: Subject, cluster: FakeCluster) -> None:
    cluster.heal = lambda: ()  # type: ignore[method-assign]
    report = verify(subject, silent(), only=["direct", "as-found"])
    assert check_of(report, "as-found").seen == "different: Pod default/metallab-proof-control"
    assert check_of(report, "as-found").evidence[-1].stdout.endswith("metallab-proof-control: was not there")


def test_what_an_earlier_proof_left_is_put_back_and_told(subject: Subject, cluster: FakeCluster) -> None:
    cluster.left = (f"{TCP_SERVICE} put back", "Pod removed")
    events: list[Event] = []
    report = verify(subject, Events(events.append))
    assert [event.text for event in events if event.kind is Kind.NOTE] == [
        f"an earlier proof was interrupted: {TCP_SERVICE} put back",
        "an earlier proof was interrupted: Pod removed",
    ]
    assert report.exit_code == ExitCode.OK


def test_what_was_brought_along_goes_although_the_lab_could_not_be_looked_at(
    subject: Subject, cluster: FakeCluster
) -> None:
    """One question that is not answered in the beginning is no reason to leave things behind in the end."""
    asked: list[str] = []

    def refuse_once(what: str) -> None:
        if what == "found" and not asked:
            asked.append(what)
            raise LabError(errors.CLUSTER_UNREACHABLE, "no answer")

    cluster.act = refuse_once
    report = verify(subject, silent(), only=["direct", "as-found"])
    assert "stage worker-1" in cluster.log
    assert cluster.staged_on == ""
    assert not_passed(report) == {"as-found": "not-run"}
    assert report.exit_code == ExitCode.CHECK_FAILED


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("no-tcp", f"delete {TCP_SERVICE}"),
        ("again-tcp", f"restore {TCP_SERVICE}"),
        ("no-udp", f"delete {UDP_SERVICE}"),
        ("again-udp", f"restore {UDP_SERVICE}"),
        ("silent", "scale the server to none"),
        ("answered", "scale it back"),
        ("as-found", "take away what was brought along"),
    ],
)
def test_a_change_is_evidence_of_the_next_claim_and_had_to_be_waited_for(
    subject: Subject, check: str, words: str
) -> None:
    first = check_of(verify(subject, silent()), check).evidence[0]
    assert (first.command, first.where, first.rc) == (words, scene.API, None)
    assert first.least == first.seconds


def test_what_runs_had_to_take_is_told_beside_what_they_took(subject: Subject) -> None:
    report = verify(subject, silent())
    said = {item.command: (item.seconds, item.least) for item in check_of(report, "tcp").evidence}
    assert list(said.values()) == [(0.1, 0.1)], "this lab's iperf3 takes a tenth of a second for its three"
    assert report.least == pytest.approx(sum(item.least for check in report.checks for item in check.evidence))


# -- Ctrl-C, errors, dead machines

RESTORED = (True, True, (SERVER,), "")


def state(cluster: FakeCluster) -> tuple[bool, bool, tuple[Pod, ...], str]:
    return cluster.there[TCP_SERVICE], cluster.there[UDP_SERVICE], cluster.pods, cluster.staged_on


@pytest.mark.parametrize("missing", [TCP_SERVICE, UDP_SERVICE, "server"])
def test_ctrl_c_while_something_is_missing_restores_it(subject: Subject, cluster: FakeCluster, missing: str) -> None:
    pressed: list[str] = []

    def interrupt(what: str) -> None:
        gone = not cluster.pods if missing == "server" else not cluster.there[missing]
        if what in ("nft", "arping") and gone:
            pressed.append(what)
            raise KeyboardInterrupt

    cluster.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        verify(subject, silent())
    assert len(pressed) == 1
    assert state(cluster) == RESTORED


@pytest.mark.parametrize("when", ["stage", "take_away", "put_back", "strike", "scale_down", "scale_back"])
@pytest.mark.parametrize("after", [False, True], ids=["before it is done", "when it is done"])
def test_ctrl_c_in_the_change_itself_restores_it(
    subject: Subject,
    cluster: FakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    after: bool,  # noqa: FBT001
) -> None:
    pressed: list[str] = []
    change = getattr(cluster, when)

    def interrupted(*words: str) -> None:
        if after or pressed:
            change(*words)
        if not pressed:
            pressed.append(when)
            raise KeyboardInterrupt

    monkeypatch.setattr(cluster, when, interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify(subject, silent())
    assert pressed == [when]
    assert state(cluster) == RESTORED


def test_ctrl_c_in_between_takes_away_what_was_brought_along(subject: Subject, cluster: FakeCluster) -> None:
    def interrupt(what: str) -> None:
        if what == "bash":
            raise KeyboardInterrupt

    cluster.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        verify(subject, silent())
    assert cluster.log == ["heal", "stage worker-1", "heal"]
    assert state(cluster) == RESTORED


def test_ctrl_c_in_the_last_healing_does_not_stop_it(subject: Subject, cluster: FakeCluster) -> None:
    pressed: list[str] = []

    def interrupt(what: str) -> None:
        if what == "heal" and cluster.staged_on and not pressed:
            pressed.append(what)
            raise KeyboardInterrupt

    cluster.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        verify(subject, silent(), only=["direct"])
    assert (pressed, cluster.staged_on) == (["heal"], "")


def test_ctrl_c_is_heard_although_the_restoring_then_fails(subject: Subject, cluster: FakeCluster) -> None:
    presses: list[str] = []

    def interrupt(what: str) -> None:
        if what == "put_back":
            presses.append(what)
            if len(presses) == 1:
                raise KeyboardInterrupt
            raise LabError(errors.CLUSTER_UNREACHABLE, "no answer")

    cluster.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        verify(subject, silent())


def test_a_program_error_in_a_check_restores_it(
    subject: Subject, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(probes, "programmed", broken)
    with pytest.raises(ZeroDivisionError):
        verify(subject, silent())
    assert f"take_away {TCP_SERVICE}" in cluster.log
    assert state(cluster) == RESTORED


@pytest.mark.parametrize(
    ("when", "first", "warned"),
    [
        ("take_away", "no-tcp", 0),
        ("put_back", "again-tcp", 1),
        ("scale_down", "silent", 0),
        ("scale_back", "answered", 1),
    ],
)
def test_a_change_that_is_refused_is_told_and_nothing_more_is_tried(
    subject: Subject, cluster: FakeCluster, when: str, first: str, warned: int
) -> None:
    def refuse(what: str) -> None:
        if what == when:
            raise LabError(errors.CLUSTER_REFUSED, "no")

    events: list[Event] = []
    cluster.act = refuse
    report = verify(subject, Events(events.append))
    names = list(acts.ids())
    rest = names[names.index(first) : -1]
    assert not_passed(report) == dict.fromkeys(rest, "not-run")
    assert {check_of(report, name).reason for name in rest} == {"because no (LAB-CLUS-003)"}
    texts = [event.text for event in events if event.kind is Kind.WARNING]
    assert len([text for text in texts if text.endswith("the next ./inv verify does it")]) == warned
    assert state(cluster) == RESTORED, "the last healing tries once more, and in another way"


def test_an_echo_that_cannot_be_brought_along_is_told_and_nothing_is_taken_away(
    subject: Subject, cluster: FakeCluster
) -> None:
    def refuse(what: str) -> None:
        if what == "stage":
            raise LabError(errors.CLUSTER_REFUSED, "no", detail="quota exceeded")

    events: list[Event] = []
    cluster.act = refuse
    report = verify(subject, Events(events.append))
    echo = check_of(report, "echo")
    assert (echo.verdict, echo.reason) == (Verdict.NOT_RUN, "because no (LAB-CLUS-003)")
    assert echo.evidence[0].stderr == "quota exceeded"
    assert not any(each.startswith(("take_away", "scale")) for each in cluster.changes)
    assert report.exit_code == ExitCode.CHECK_FAILED


def test_a_client_that_does_not_answer_leaves_its_checks_not_run(subject: Subject, client: FakeMachine) -> None:
    def gone(*_: object, **__: object) -> Result:
        raise Unreachable("client", "timed out")

    client.run = gone  # type: ignore[method-assign]
    report = verify(subject, silent())
    assert check_of(report, "tcp").reason == "because no SSH to client: timed out on client (LAB-MACH-002)"
    passed = [name for name, verdict in verdicts(report).items() if verdict == "pass"]
    of_the_cluster = ["nodes", "metallb", "address", "server", "flows", *refusals.EXPECTED, "as-found"]
    assert passed == of_the_cluster
    assert report.exit_code == ExitCode.CHECK_FAILED


def test_a_node_that_does_not_answer_is_named(subject: Subject, nodes: dict[str, FakeMachine]) -> None:
    def gone(*_: object, **__: object) -> Result:
        raise CommandTimedOut(["ip"], 15.0, "worker-2")

    nodes["worker-2"].run = gone  # type: ignore[method-assign]
    report = verify(subject, silent())
    assert check_of(report, "one-mac").reason == "because no end after 15 s: ip on worker-2 (LAB-MACH-004)"
    assert check_of(report, "flows").verdict is Verdict.NOT_RUN
    assert report.exit_code == ExitCode.CHECK_FAILED


def test_nothing_can_be_asked_of_a_dead_cluster(subject: Subject, cluster: FakeCluster) -> None:
    def dead(_what: str) -> None:
        raise LabError(errors.CLUSTER_UNREACHABLE, "no answer")

    cluster.act = dead
    report = verify(subject, silent())
    assert verdicts(report) == dict.fromkeys(acts.ids(), "not-run")
    assert report.exit_code == ExitCode.NOTHING_TESTED
    assert report.versions == {}


def test_a_cluster_that_dies_in_the_middle_ends_the_proof_with_what_was_seen(
    subject: Subject, cluster: FakeCluster
) -> None:
    def die(what: str) -> None:
        if f"take_away {TCP_SERVICE}" in cluster.log and what in ("put_back", "heal", "found", "versions"):
            raise LabError(errors.CLUSTER_UNREACHABLE, "no answer")

    events: list[Event] = []
    cluster.act = die
    report = verify(subject, Events(events.append))
    assert check_of(report, "no-tcp").verdict is Verdict.PASS
    assert check_of(report, "again-tcp").reason == "because no answer (LAB-CLUS-002)"
    assert check_of(report, "as-found").verdict is Verdict.NOT_RUN
    assert [event.text for event in events if event.kind is Kind.WARNING] == [
        f"could not restore {TCP_SERVICE}; the next ./inv verify does it",
        "the lab may not be as it was; the next ./inv verify puts it back",
    ]
    assert report.exit_code == ExitCode.CHECK_FAILED


# -- what is asked for


@pytest.mark.parametrize(
    ("only", "asked", "changes"),
    [
        (["nodes"], ["nodes"], []),
        (["udp"], ["nodes", "address", "server", "udp"], []),
        (["as-found"], ["as-found"], []),
        (["port-clash"], ["nodes", "metallb", "address", "port-clash"], ["refused port-clash"]),
    ],
)
def test_only_what_is_asked_for_and_what_it_needs_is_asked(
    subject: Subject, cluster: FakeCluster, only: list[str], asked: list[str], changes: list[str]
) -> None:
    report = verify(subject, silent(), only=only)
    assert [check.id for check in report.checks] == asked
    assert not_passed(report) == {}
    assert cluster.changes == changes
    left_out = report.not_tested[-1].removeprefix("Not asked for in this run: ").removesuffix(".").split(", ")
    assert left_out == [name for name in acts.ids() if name not in asked]
    assert report.exit_code == ExitCode.OK


@pytest.mark.parametrize("name", acts.ids())
def test_every_claim_holds_when_it_is_asked_for_alone(subject: Subject, name: str) -> None:
    report = verify(subject, silent(), only=[name])
    assert {check.id for check in report.checks} == acts.with_needs([name])
    assert not_passed(report) == {}


def test_a_claim_about_what_is_missing_changes_only_that(subject: Subject, cluster: FakeCluster) -> None:
    verify(subject, silent(), only=["c-tcp"])
    taken = [each for each in cluster.changes if not each.startswith(("stage", "strike"))]
    assert taken == [f"take_away {UDP_SERVICE}", f"put_back {UDP_SERVICE}"]


def test_what_is_required_and_was_not_run_fails_the_proof(subject: Subject, client: FakeMachine) -> None:
    client.answers["iperf3-control"] = (1, "", captured("refused.stderr.txt"))
    assert verify(subject, silent(), only=["direct"]).exit_code == ExitCode.WARNINGS
    report = verify(subject, silent(), only=["direct"], require=["direct"])
    assert [check.id for check in report.missing] == ["direct"]
    assert report.exit_code == ExitCode.CHECK_FAILED
    assert report.warnings == ()


def test_what_is_required_is_asked_although_only_something_else_was_named(subject: Subject) -> None:
    report = verify(subject, silent(), only=["nodes"], require=["metallb"])
    assert [check.id for check in report.checks] == ["nodes", "metallb"]
    assert "metallb" in report.required


def test_what_must_have_been_asked_is_what_the_lab_is_for(subject: Subject) -> None:
    core = [claim.id for _, claim in acts.known() if claim.core]
    assert verify(subject, silent()).required == (*core, "as-found")
    assert verify(subject, silent(), only=["tcp"]).required == ("nodes", "address", "server", "tcp")


# -- the picture, the screen, words


def test_the_picture_is_of_what_was_seen(subject: Subject, cluster: FakeCluster) -> None:
    cluster.elected_is, cluster.pods = "worker-2", (Pod("a", "worker-2", "10.244.2.3", ready=True),)
    picture = verify(subject, silent(), only=["announcer", "server"]).picture
    assert (picture.network, picture.pool) == ("192.168.96.0/24", "192.168.96.64-192.168.96.95")
    assert picture.places == (
        Place("control-plane", "control-plane", "192.168.96.10", MACS["control-plane"]),
        Place("worker-1", "worker", "192.168.96.11", MACS["worker-1"], announces=True),
        Place("worker-2", "worker", "192.168.96.12", MACS["worker-2"], elected=True, serves=True),
        Place("client", "client", "192.168.96.200"),
    )


def test_what_was_not_asked_is_not_in_the_picture(subject: Subject) -> None:
    places = verify(subject, silent(), only=["nodes"]).picture.places
    assert [place.name for place in places] == [*NODES, "client"]
    assert not any(place.mac or place.announces or place.elected or place.serves for place in places)


def test_steps_on_the_screen_end_as_the_checks_do(subject: Subject, client: FakeMachine) -> None:
    client.answers["iperf3-u"] = (0, captured("udp.txt"), "")
    events: list[Event] = []
    verify(subject, Events(events.append))
    ends = {event.step: event.kind for event in events if event.kind in (Kind.DONE, Kind.FAILED)}
    assert ends["TCP arrives through it"] is Kind.DONE
    assert ends["without it iperf3 -u cannot connect"] is Kind.FAILED
    failed = next(event for event in events if event.kind is Kind.FAILED)
    assert failed.text == "iperf3 -u works without the TCP service"
    for change in (f"delete {TCP_SERVICE}", f"restore {TCP_SERVICE}", "bring along an echo and a control server"):
        assert ends[change] is Kind.DONE


def test_a_warning_is_on_the_screen_at_once(subject: Subject, cluster: FakeCluster) -> None:
    cluster.announced_from = None
    events: list[Event] = []
    verify(subject, Events(events.append), only=["announcer"])
    warned = [event.text for event in events if event.kind is Kind.WARNING]
    assert warned == ["ServiceL2Status names nobody, but worker-1 answers"]


def test_a_check_that_waits_says_for_what(subject: Subject, client: FakeMachine) -> None:
    client.answers["bash"] = (1, "", "")
    events: list[Event] = []
    verify(subject, Events(events.append), only=["echo", "server"])
    waits = [event.text for event in events if event.kind is Kind.PROGRESS]
    assert waits == ["no answer from UDP 192.168.96.70:5202"]


def test_the_change_kept_as_evidence_says_that_it_had_no_exit_status(subject: Subject) -> None:
    changes = [item for check in verify(subject, silent()).checks for item in check.evidence if item.where == scene.API]
    assert {item.rc for item in changes} == {None}
    assert len([item for item in changes if not item.command.startswith("GET ")]) == 8
