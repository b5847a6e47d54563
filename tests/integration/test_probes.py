"""The real probes against real iperf3, arping, nft and conntrack, in network namespaces: a bridge, a client, two nodes,
a rogue.

The story of ``verify`` is told here, too. Only the cluster is an imitation. Its "delete a service" takes the service's
rules from every node, and then a node does with the port what it does with one nobody serves: to a TCP connection the
kernel answers "unreachable", datagrams vanish. The words are those of the seed document.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from metallab.config import Lab, Machine
from metallab.errors import ExitCode, LabError
from metallab.events import Events, Kind, silent
from metallab.proof import acts, iperf3, probes
from metallab.proof.checks import scene
from metallab.proof.iperf3 import Failed, TcpRun, UdpRun
from metallab.proof.records import Check, Report, Verdict
from metallab.proof.subject import (
    CONTROL_PORT,
    ECHO_PORT,
    TCP_SERVICE,
    UDP_SERVICE,
    NodeState,
    Part,
    Pod,
    ServiceState,
    Subject,
)
from metallab.proof.verify import verify
from metallab.run import local
from metallab.run.result import Argv, OnLine, Result
from metallab.run.wait import until

NEEDED = ("ip", "nsenter", "sysctl", "iperf3", "arping", "nft")
MISSING = [tool for tool in NEEDED if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed: ./inv test installs what it needs"),
]

needs_conntrack = pytest.mark.skipif(shutil.which("conntrack") is None, reason="conntrack not installed")

LAB = Lab(
    machines=(
        Machine(name="control-plane", role="control-plane", host=10),
        Machine(name="worker-1", role="worker", host=11),
        Machine(name="client", role="client", host=200),
    )
)
NODES = ("control-plane", "worker-1")
STORY = tuple(
    name
    for name in acts.ids()
    # There is no MetalLB that could refuse, and no kube-proxy that would translate a source.
    if name not in {*(claim.id for claim in acts.REFUSALS.claims), *(claim.id for claim in acts.SOURCE.claims)}
)
KUBE_PROXY = """
table ip kube-proxy {
    chain tcp/iperf3 { }
    chain udp/iperf3 { }
    map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
}
"""
ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind((%r, %d))
    print("listening", flush=True)
    while True:
        said, sender = server.recvfrom(1500)
        command, _, words = said.decode().partition(" ")
        server.sendto(words.encode() if command == "echo" else ("%%s:%%d" %% sender).encode(), sender)
"""


@dataclasses.dataclass
class NamespaceRunner:
    """Runs commands inside a network namespace, with the paths and users of this host."""

    name: str
    namespace: str

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        words = (*self.prefix, *argv)
        result = local.run(words, timeout=timeout, input=input, check=check, on_line=on_line)
        return dataclasses.replace(result, where=self.name)

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/run/netns/{self.namespace}")


class Net:
    """A bridge in a namespace of its own, and one namespace a machine."""

    def __init__(self) -> None:
        self.tag = f"mlp{os.getpid()}"
        self.runners: dict[str, NamespaceRunner] = {}
        self.servers: list[subprocess.Popen[bytes]] = []

    def here(self, *argv: str) -> None:
        local.run(argv, timeout=10)

    def on(self, machine: str, *argv: str) -> Result:
        return self.runners[machine].run(argv, timeout=10)

    def add(self, name: str, last: int) -> None:
        namespace = f"{self.tag}-{len(self.runners)}"
        self.here("ip", "netns", "add", namespace)
        self.runners[name] = NamespaceRunner(name, namespace)
        self.on(name, "ip", "link", "set", "lo", "up")
        if name == "lan":
            self.on("lan", "ip", "link", "add", "br0", "type", "bridge")
            self.on("lan", "ip", "link", "set", "br0", "up")
            return
        port, mac = f"p{last}", f"02:42:c0:a8:60:{last:02x}"
        peer = ("peer", "name", "eth1", "address", mac, "netns", namespace)
        self.on("lan", "ip", "link", "add", port, "type", "veth", *peer)
        self.on("lan", "ip", "link", "set", port, "master", "br0", "up")
        self.on(name, "ip", "address", "add", f"192.168.96.{last}/24", "dev", "eth1")
        self.on(name, "ip", "link", "set", "eth1", "up")

    def start(self, machine: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a server and return when it says that it listens."""
        argv = [*self.runners[machine].prefix, *words]
        server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.servers.append(server)
        assert server.stdout is not None
        for line in server.stdout:
            if b"listening" in line:
                return server
        pytest.fail(f"{words[0]} does not listen")

    def stop(self, server: subprocess.Popen[bytes]) -> None:
        server.kill()
        server.communicate(timeout=10)
        self.servers.remove(server)

    def serve(self, machine: str, address: IPv4Address = LAB.vip, port: int = iperf3.PORT) -> subprocess.Popen[bytes]:
        # Bound to the address, or datagrams would be answered from the machine's own; in the lab NAT sees to that.
        return self.start(machine, "iperf3", "-s", "--forceflush", "-B", str(address), "-p", str(port))

    def echo(self, machine: str) -> subprocess.Popen[bytes]:
        return self.start(machine, sys.executable, "-c", ECHO % (str(LAB.vip), ECHO_PORT))

    def close(self) -> None:
        for server in list(self.servers):
            self.stop(server)
        for runner in reversed(self.runners.values()):
            with contextlib.suppress(LabError):
                self.here("ip", "netns", "delete", runner.namespace)


@pytest.fixture
def net() -> Iterator[Net]:
    made = Net()
    try:
        for name, last in (("lan", 0), ("client", 200), ("control-plane", 10), ("worker-1", 11), ("rogue", 66)):
            made.add(name, last)
        made.on("worker-1", "ip", "address", "add", f"{LAB.vip}/32", "dev", "eth1")
        # The rule that stands for the missing service must come before the one that delivers locally.
        made.on("worker-1", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        made.on("worker-1", "ip", "rule", "add", "pref", "100", "lookup", "local")
        made.on("worker-1", "ip", "rule", "delete", "pref", "0")
        for node in NODES:
            made.runners[node].run(["nft", "-f", "-"], timeout=10, input=KUBE_PROXY)
        yield made
    finally:
        made.close()
        assert made.tag not in Path("/proc/mounts").read_text(encoding="utf-8"), "a namespace was left behind"


class NamespaceCluster:
    """A cluster's place taken by nft elements on every node and policy routing on one; its changes are real."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.ready = True
        self.there: set[str] = set()
        self.staged: list[subprocess.Popen[bytes]] = []
        self.server: subprocess.Popen[bytes] | None = None
        self.put_back(TCP_SERVICE)
        self.put_back(UDP_SERVICE)

    # -- asked

    def versions(self) -> Mapping[str, str]:
        return {"iproute2": "real"}

    def nodes(self) -> tuple[NodeState, ...]:
        return tuple(NodeState(name, self.ready) for name in NODES)

    def metallb(self) -> tuple[Part, ...]:
        return (Part("controller", ready=True, words="imitated"),)

    def servers(self) -> tuple[Pod, ...]:
        # Nothing is translated here, so the flows to the server end at the address itself.
        return (Pod("iperf3-server", "worker-1", str(LAB.vip), ready=True),)

    def services(self) -> tuple[ServiceState, ...]:
        return tuple(
            ServiceState(name, name[-3:].upper(), iperf3.PORT, LAB.vip, "default") for name in sorted(self.there)
        )

    def service(self, name: str) -> ServiceState | None:
        raise NotImplementedError(name)

    def announcer(self) -> str | None:
        return "worker-1"

    def elected(self) -> str | None:
        return "worker-1"

    def found(self) -> Mapping[str, str]:
        """Return what the kernel has of it."""
        rules = {f"rules of {node}": self.net.on(node, "nft", "list", "ruleset").stdout for node in NODES}
        routing = {f"ip {what}": self.net.on("worker-1", "ip", *what.split()).stdout for what in ("rule", "-4 address")}
        return {**rules, **routing, "brought along": str(len(self.staged))}

    # -- changed

    def stage(self, node: str) -> None:
        own = LAB.address(LAB.machine(node))
        self.staged = [self.net.echo(node), self.net.serve(node, own, CONTROL_PORT)]

    def strike(self, service: str = "") -> None:
        while self.staged:
            self.net.stop(self.staged.pop())

    def take_away(self, name: str) -> None:
        self.there.remove(name)
        self.rules("delete", name)
        self.net.on("worker-1", "ip", "rule", "add", *self.unserved(name))

    def put_back(self, name: str) -> None:
        if name in self.there:
            return
        self.there.add(name)
        self.rules("add", name)
        self.net.runners["worker-1"].run(["ip", "rule", "delete", *self.unserved(name)], timeout=10, check=False)

    def scale_down(self) -> None:
        assert self.server is not None
        self.net.stop(self.server)
        self.net.on("worker-1", "ip", "address", "delete", f"{LAB.vip}/32", "dev", "eth1")

    def scale_back(self) -> None:
        if self.server is not None and self.server not in self.net.servers:
            self.net.on("worker-1", "ip", "address", "add", f"{LAB.vip}/32", "dev", "eth1")
            self.serve()

    def heal(self) -> tuple[str, ...]:
        self.strike()
        for name in (TCP_SERVICE, UDP_SERVICE):
            self.put_back(name)
        self.scale_back()
        return ()

    def refused(self, case: str, words: Sequence[str]) -> tuple[str, ...]:
        raise NotImplementedError(case)

    # -- how it is done

    def serve(self) -> None:
        self.server = self.net.serve("worker-1")

    def rules(self, change: str, name: str) -> None:
        """Do what kube-proxy does with a service's rule on every node."""
        protocol = name[-3:]
        verdict = f" : goto {protocol}/iperf3" if change == "add" else ""
        element = f"{{ {LAB.vip} . {protocol} . {iperf3.PORT}{verdict} }}"
        for node in NODES:
            self.net.on(node, "nft", change, "element", "ip", "kube-proxy", "service-ips", element)

    @staticmethod
    def unserved(name: str) -> tuple[str, ...]:
        """Return the rule by which a node does not serve the port of a service."""
        protocol, way = name[-3:], "unreachable" if name == TCP_SERVICE else "blackhole"
        return ("pref", "1", "to", str(LAB.vip), "ipproto", protocol, "dport", str(iperf3.PORT), way)


@pytest.fixture
def cluster(net: Net) -> NamespaceCluster:
    return NamespaceCluster(net)


@pytest.fixture
def subject(net: Net, cluster: NamespaceCluster) -> Subject:
    return Subject(LAB, net.runners["client"], {name: net.runners[name] for name in NODES}, cluster)


def check_of(report: Report, name: str) -> Check:
    return next(check for check in report.checks if check.id == name)


def not_passed(report: Report) -> dict[str, tuple[str, str]]:
    return {
        check.id: (check.verdict.value, check.seen or check.reason)
        for check in report.checks
        if check.verdict is not Verdict.PASS
    }


@needs_conntrack
def test_the_story_is_proven_and_the_lab_left_as_found(net: Net, cluster: NamespaceCluster, subject: Subject) -> None:
    cluster.serve()
    before = cluster.found()
    report = verify(subject, silent(), seconds=1, only=STORY)
    assert not_passed(report) == {}
    # A busy host loses datagrams, which is worth a warning, and proves the same.
    assert {warning.partition(":")[0] for warning in report.warnings} <= {"udp", "direct"}
    assert report.exit_code == (ExitCode.WARNINGS if report.warnings else ExitCode.OK)
    assert [check.id for check in report.checks] == [name for name in acts.ids() if name in acts.with_needs(STORY)]
    no_tcp, no_udp = check_of(report, "no-tcp"), check_of(report, "no-udp")
    assert no_tcp.seen == "unable to connect to server: Network is unreachable"
    assert no_udp.seen == "no datagram came, although the TCP connection was made (5 s)"
    rules, again = (
        {item.where: item.rc for item in check.evidence if "nft get" in item.command}
        for check in (no_tcp, check_of(report, "again-tcp"))
    )
    assert (rules, again) == (dict.fromkeys(NODES, 1), dict.fromkeys(NODES, 0))
    assert check_of(report, "silent").seen == "nobody answers"
    assert cluster.found() == before
    (worker,) = [place for place in report.picture.places if place.serves]
    assert (worker.name, worker.mac, worker.announces) == ("worker-1", "02:42:c0:a8:60:0b", True)
    assert 0 < report.least < report.seconds


def test_tcp_is_measured_from_the_client(net: Net) -> None:
    net.serve("worker-1")
    run, evidence = iperf3.measure(net.runners["client"], LAB.vip, udp=False, seconds=1)
    assert isinstance(run, TcpRun)
    assert run.received_bytes > 0
    assert (run.local.address, run.remote.address, run.remote.port) == ("192.168.96.200", str(LAB.vip), iperf3.PORT)
    assert evidence.rc == 0


def test_udp_is_counted_at_the_server(net: Net) -> None:
    net.serve("worker-1")
    run, _ = iperf3.measure(net.runners["client"], LAB.vip, udp=True, seconds=1)
    assert isinstance(run, UdpRun)
    assert 0 < run.received <= run.sent
    assert run.offered_bits_per_second == 1048576


def test_a_busy_server_is_asked_again_until_it_is_free(net: Net) -> None:
    net.serve("worker-1")
    argv = [*net.runners["rogue"].prefix, *iperf3.client_argv(LAB.vip, udp=True, seconds=4)]
    waits: list[str] = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        assert other.stdout is not None
        assert b"Connecting" in other.stdout.readline()
        assert b"connected to" in other.stdout.readline()
        run, _ = iperf3.measure(net.runners["client"], LAB.vip, udp=True, seconds=1, on_wait=waits.append)
        other.wait(20)
    assert isinstance(run, UdpRun)
    assert waits == ["the server is busy running a test. try again later"]


def test_a_server_that_stays_busy_fails_with_its_words(net: Net) -> None:
    net.serve("worker-1")
    argv = [*net.runners["rogue"].prefix, *iperf3.client_argv(LAB.vip, udp=True, seconds=5)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.stdout.readline()
        run, _ = iperf3.measure(net.runners["client"], LAB.vip, udp=True, seconds=1, patience=1.0)
        other.wait(20)
    assert run == Failed("the server is busy running a test. try again later")


def test_without_a_server_the_words_are_kept(net: Net) -> None:
    words, evidence = iperf3.try_udp(net.runners["client"], LAB.vip, seconds=1)
    assert (words, evidence.rc) == ("unable to connect to server: Connection refused", 1)
    run, evidence = iperf3.measure(net.runners["client"], LAB.vip, udp=True, seconds=1)
    assert run == Failed("unable to connect to server: Connection refused")
    # The reason why -J's exit status is never asked: see metallab/proof/iperf3.py.
    assert evidence.rc in (0, 1)


def test_interval_lines_come_while_it_runs_and_a_failure_is_an_error(net: Net) -> None:
    server = net.serve("worker-1")
    lines: list[str] = []
    iperf3.stream(net.runners["client"], LAB.vip, udp=True, seconds=1, on_line=lines.append)
    assert any("Total Datagrams" in line for line in lines)
    server.kill()
    server.wait(10)
    with pytest.raises(LabError, match=r"LAB-PRF-002.*Connection refused"):
        iperf3.stream(net.runners["client"], LAB.vip, udp=True, seconds=1, on_line=lines.append)


def test_one_mac_answers_and_is_found_on_its_machine(net: Net) -> None:
    answers, evidence = probes.arp(net.runners["client"], "eth1", LAB.vip)
    assert answers.macs == ("02:42:c0:a8:60:0b",)
    assert evidence.command.endswith(f"arping -b -c 2 -w 3 -I eth1 {LAB.vip}")
    interfaces, _ = probes.nics(net.runners["worker-1"])
    assert probes.holding(interfaces, IPv4Address("192.168.96.11"), "worker-1").mac == answers.macs[0]


def test_a_rogue_with_the_same_address_is_seen(net: Net, cluster: NamespaceCluster, subject: Subject) -> None:
    net.on("rogue", "ip", "address", "add", f"{LAB.vip}/32", "dev", "eth1")
    answers, _ = probes.arp(net.runners["client"], "eth1", LAB.vip)
    assert sorted(answers.macs) == ["02:42:c0:a8:60:0b", "02:42:c0:a8:60:42"]
    cluster.serve()
    net.serve("rogue")
    report = verify(subject, silent(), seconds=1, only=["b-arp", "as-found"])
    one_mac = check_of(report, "one-mac")
    assert one_mac.verdict is Verdict.FAIL
    assert "02:42:c0:a8:60:42 = no node of this lab" in one_mac.seen
    assert check_of(report, "no-tcp").verdict is Verdict.NOT_RUN, "nothing is taken from such a lab"
    assert check_of(report, "as-found").verdict is Verdict.PASS
    assert report.exit_code == ExitCode.CHECK_FAILED


def test_nobody_answers_for_a_free_address(net: Net) -> None:
    answers, _ = probes.arp(net.runners["client"], "eth1", LAB.at(99))
    assert (answers.sent, answers.macs) == (2, ())


def test_a_missing_interface_is_an_error_not_silence(net: Net) -> None:
    with pytest.raises(LabError, match="LAB-PRF-002") as caught:
        probes.arp(net.runners["client"], "eth9", LAB.vip)
    assert "eth9 not available" in caught.value.detail
    assert caught.value.where == "client"


def test_a_dead_udp_path_is_failed_not_zero(net: Net) -> None:
    net.serve("worker-1")
    rule = ("pref", "2", "ipproto", "udp", "dport", str(iperf3.PORT), "blackhole")
    net.on("worker-1", "ip", "rule", "add", *rule)
    run, evidence = iperf3.measure(net.runners["client"], LAB.vip, udp=True, seconds=1)
    assert isinstance(run, Failed)
    assert not run.cannot_connect
    assert evidence.seconds > 25, "it gives up after 30 s; a shorter limit of ours would hide its words"


HALF_GONE = f"""
table ip half {{
    chain in {{
        type filter hook prerouting priority 0
        tcp dport {iperf3.PORT} tcp flags & (syn | ack) == syn limit rate over 1/day burst 1 packets drop
    }}
}}
"""


def test_a_connection_that_a_change_of_rules_catches_half_way_is_ended_and_works_again(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control connection still comes through; the one for its data does not."""
    monkeypatch.setattr(iperf3, "CONNECT_SECONDS", 4.0)
    net.serve("worker-1")
    net.runners["worker-1"].run(["nft", "-f", "-"], timeout=10, input=HALF_GONE)
    words, evidence = iperf3.connect(net.runners["client"], LAB.vip)
    assert words is not None
    assert words.startswith("no end after 4 s: ")
    assert evidence.rc is None
    net.on("worker-1", "nft", "delete", "table", "ip", "half")
    assert iperf3.connect(net.runners["client"], LAB.vip)[0] is None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks wait one second for what is not so at once."""
    monkeypatch.setattr(scene, "until", lambda check, **how: until(check, **{**how, "timeout": 1.0}))


def test_rules_that_stay_fail_the_negative_proof(
    cluster: NamespaceCluster, subject: Subject, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.serve()
    monkeypatch.setattr(cluster, "take_away", lambda _name: None)
    report = verify(subject, silent(), seconds=1, only=["no-tcp"])
    seen = f"TCP 5201 is still programmed on control-plane, worker-1 after {TCP_SERVICE} was deleted"
    assert not_passed(report) == {"no-tcp": ("fail", seen)}
    assert report.exit_code == ExitCode.CHECK_FAILED


@needs_conntrack
@pytest.mark.parametrize(
    ("service", "check"), [(TCP_SERVICE, "no-tcp"), (UDP_SERVICE, "no-udp")], ids=["no-tcp", "no-udp"]
)
def test_a_service_that_is_never_really_gone_fails_the_negative_proof(
    cluster: NamespaceCluster, subject: Subject, monkeypatch: pytest.MonkeyPatch, service: str, check: str
) -> None:
    """Its rules go from every node, and what is sent arrives all the same."""

    def only_its_rules(name: str) -> None:
        cluster.there.remove(name)
        cluster.rules("delete", name)

    cluster.serve()
    monkeypatch.setattr(cluster, "take_away", only_its_rules)
    report = verify(subject, silent(), seconds=1, only=[check])
    words = f"iperf3 -u works without the {check.removeprefix('no-').upper()} service"
    assert not_passed(report) == {check: ("fail", words)}


@needs_conntrack
def test_a_server_that_is_busy_meanwhile_proves_nothing(
    net: Net, cluster: NamespaceCluster, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's test is no sign of a service that is missing."""
    others: list[subprocess.Popen[bytes]] = []
    take_away, put_back = cluster.take_away, cluster.put_back

    def somebody_comes(name: str) -> None:
        argv = [*net.runners["rogue"].prefix, *iperf3.client_argv(LAB.vip, seconds=60)]
        others.append(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        net.servers.append(others[-1])
        assert others[-1].stdout is not None
        others[-1].stdout.readline()
        others[-1].stdout.readline()
        take_away(name)

    def and_goes(name: str) -> None:
        while others:
            net.stop(others.pop())
        put_back(name)

    cluster.serve()
    monkeypatch.setattr(cluster, "take_away", somebody_comes)
    monkeypatch.setattr(cluster, "put_back", and_goes)
    report = verify(subject, silent(), seconds=1, only=["no-udp"])
    assert not_passed(report) == {"no-udp": ("fail", "the server is busy running a test. try again later")}


def test_ctrl_c_in_the_middle_leaves_the_lab_as_it_was(
    cluster: NamespaceCluster, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.serve()
    before = cluster.found()
    take_away = cluster.take_away

    def interrupted(name: str) -> None:
        take_away(name)
        assert cluster.found() != before
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "take_away", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify(subject, silent(), seconds=1, only=["no-tcp"])
    assert cluster.found() == before


# -- the smaller probes


def test_a_datagram_comes_back_and_each_one_has_a_port_of_its_own(net: Net) -> None:
    echo, client = net.echo("worker-1"), net.runners["client"]
    assert probes.say(client, LAB.vip, ECHO_PORT, "echo it's %s")[0] == "it's %s"
    seen = [probes.say(client, LAB.vip, ECHO_PORT, "clientip")[0] or "" for _ in range(3)]
    assert {each.rpartition(":")[0] for each in seen} == {"192.168.96.200"}
    assert len(set(seen)) == 3
    net.stop(echo)
    refused, evidence = probes.say(client, LAB.vip, ECHO_PORT, "echo x")
    assert (refused, evidence.rc) == (None, 1)


def test_a_datagram_that_vanishes_is_no_answer_after_two_seconds(net: Net) -> None:
    answer, evidence = probes.say(net.runners["client"], LAB.at(99), ECHO_PORT, "echo x")
    assert answer is None
    assert evidence.least == probes.ECHO_SECONDS <= evidence.seconds < probes.ECHO_SECONDS + 5


def test_rules_are_read_from_the_node_itself(net: Net, cluster: NamespaceCluster) -> None:
    there = {node: probes.programmed(net.runners[node], LAB.vip, "UDP", iperf3.PORT)[0] for node in NODES}
    assert there == dict.fromkeys(NODES, True)
    cluster.rules("delete", UDP_SERVICE)
    gone, evidence = probes.programmed(net.runners["worker-1"], LAB.vip, "UDP", iperf3.PORT)
    assert (gone, evidence.rc) == (False, 1)
    assert probes.programmed(net.runners["worker-1"], LAB.vip, "TCP", iperf3.PORT)[0]


def test_a_node_without_kube_proxys_rules_is_not_one_where_a_rule_is_gone(net: Net) -> None:
    with pytest.raises(LabError, match="LAB-PRF-002"):
        probes.programmed(net.runners["rogue"], LAB.vip, "TCP", iperf3.PORT)


TRACKED = """
table ip tracked {
    chain in {
        type filter hook input priority 0
        ct state new accept
    }
}
"""


@needs_conntrack
def test_flows_are_read_from_the_nodes_conntrack(net: Net) -> None:
    worker, client = net.runners["worker-1"], net.runners["client"]
    worker.run(["nft", "-f", "-"], timeout=10, input=TRACKED)
    assert probes.kept_flows(worker, LAB.vip, ECHO_PORT)[0] == ()
    net.echo("worker-1")
    port = (probes.say(client, LAB.vip, ECHO_PORT, "clientip")[0] or "").rpartition(":")[2]
    (flow,), evidence = probes.kept_flows(worker, LAB.vip, ECHO_PORT)
    assert str(flow) == f"UDP from 192.168.96.200:{port} to {LAB.vip}"
    assert evidence.rc == 0
    net.serve("worker-1")
    iperf3.measure(client, LAB.vip, udp=False, seconds=1)
    flows, evidence = probes.kept_flows(worker, LAB.vip, iperf3.PORT)
    assert flows == (), "a connection that was closed is kept, but not alive"
    assert "TIME_WAIT" in evidence.stdout


def test_what_is_brought_along_that_fails_is_on_the_screen(
    cluster: NamespaceCluster, subject: Subject, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: dict[str, Kind] = {}
    events = Events(lambda event: ends.update({event.step: event.kind}))
    cluster.serve()
    monkeypatch.setattr(cluster, "stage", lambda _node: None)
    monkeypatch.setattr("metallab.proof.checks.traffic.ANSWER_SECONDS", 1.0, raising=False)
    report = verify(subject, events, seconds=1, only=["b-echo"])
    assert not_passed(report)["echo"] == ("fail", "no answer")
    assert ends["a UDP echo on the same address answers"] is Kind.FAILED
    assert report.exit_code == ExitCode.CHECK_FAILED
