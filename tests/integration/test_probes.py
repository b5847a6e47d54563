"""The real probes against real iperf3 and arping, in network namespaces: a bridge, a client, a server, a rogue.

The whole story of ``verify`` is told here, too. Only the cluster is an imitation, and its "delete the TCP service" is
what a node does with a port nobody serves: the kernel answers "unreachable". The words are those of the seed document.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from metallab.config import Lab, Machine
from metallab.errors import ExitCode, LabError
from metallab.events import Event, Events, silent
from metallab.proof import iperf3, probes
from metallab.proof.iperf3 import Failed, TcpRun, UdpRun
from metallab.proof.records import Verdict
from metallab.proof.subject import TCP_SERVICE, UDP_SERVICE, NodeState, ServiceState, Subject
from metallab.proof.verify import verify
from metallab.run import local
from metallab.run.result import Argv, OnLine, Result

NEEDED = ("ip", "nsenter", "sysctl", "iperf3", "arping", "nft")
MISSING = [tool for tool in NEEDED if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed: ./inv test installs what it needs"),
]

LAB = Lab(
    machines=(
        Machine(name="control-plane", role="control-plane", host=10),
        Machine(name="worker-1", role="worker", host=11),
        Machine(name="client", role="client", host=200),
    )
)
NODES = ("control-plane", "worker-1")


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
        return local.run(words, timeout=timeout, input=input, check=check, on_line=on_line)

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

    def serve(self, machine: str) -> subprocess.Popen[bytes]:
        # Bound to the address, or datagrams would be answered from the machine's own; in the lab NAT sees to that.
        words = ("iperf3", "-s", "--forceflush", "-B", str(LAB.vip), "-p", str(iperf3.PORT))
        argv = [*self.runners[machine].prefix, *words]
        server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.servers.append(server)
        assert server.stdout is not None
        server.stdout.readline()
        assert b"Server listening" in server.stdout.readline()
        return server

    def close(self) -> None:
        for server in self.servers:
            server.kill()
            server.communicate(timeout=10)
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
        yield made
    finally:
        made.close()
        assert made.tag not in Path("/proc/mounts").read_text(encoding="utf-8"), "a namespace was left behind"


class NamespaceCluster:
    """A cluster's place taken by policy routing on one machine; ``apply_service`` and ``delete_service`` are real."""

    rule = ("pref", "1", "to", str(LAB.vip), "ipproto", "tcp", "dport", str(iperf3.PORT), "unreachable")

    def __init__(self, net: Net) -> None:
        self.net = net
        self.tcp = True
        self.ready = True

    def versions(self) -> Mapping[str, str]:
        return {"iproute2": "real"}

    def nodes(self) -> tuple[NodeState, ...]:
        return tuple(NodeState(name, self.ready) for name in NODES)

    def services(self) -> tuple[ServiceState, ...]:
        tcp = (ServiceState(TCP_SERVICE, "TCP", iperf3.PORT, LAB.vip),) if self.tcp else ()
        return (*tcp, ServiceState(UDP_SERVICE, "UDP", iperf3.PORT, LAB.vip))

    def announcer(self) -> str | None:
        return "worker-1"

    def delete_service(self, name: str) -> None:
        assert name == TCP_SERVICE
        self.net.on("worker-1", "ip", "rule", "add", *self.rule)
        self.tcp = False

    def apply_service(self, name: str) -> None:
        assert name == TCP_SERVICE
        if not self.tcp:
            self.net.on("worker-1", "ip", "rule", "delete", *self.rule)
        self.tcp = True


@pytest.fixture
def cluster(net: Net) -> NamespaceCluster:
    return NamespaceCluster(net)


@pytest.fixture
def subject(net: Net, cluster: NamespaceCluster) -> Subject:
    return Subject(LAB, net.runners["client"], {name: net.runners[name] for name in NODES}, cluster)


def test_the_whole_story_is_proven_and_the_lab_left_as_found(net: Net, subject: Subject) -> None:
    net.serve("worker-1")
    report = verify(subject, silent(), seconds=1)
    assert [check for check in report.checks if check.verdict is not Verdict.PASS] == []
    assert report.exit_code == ExitCode.OK
    assert len(report.checks) == 8
    negative = next(check for check in report.checks if check.id == "no-tcp-no-udp")
    assert negative.seen == "unable to connect to server: Network is unreachable"
    assert negative.evidence[-1].rc == 1
    assert "unreachable" not in net.on("worker-1", "ip", "rule").stdout


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
    assert evidence.command.endswith(f"arping -b -c 3 -w 4 -I eth1 {LAB.vip}")
    interfaces, _ = probes.nics(net.runners["worker-1"])
    assert probes.holding(interfaces, IPv4Address("192.168.96.11"), "worker-1").mac == answers.macs[0]


def test_a_rogue_with_the_same_address_is_seen(net: Net, subject: Subject) -> None:
    net.on("rogue", "ip", "address", "add", f"{LAB.vip}/32", "dev", "eth1")
    answers, _ = probes.arp(net.runners["client"], "eth1", LAB.vip)
    assert sorted(answers.macs) == ["02:42:c0:a8:60:0b", "02:42:c0:a8:60:42"]
    net.serve("worker-1")
    net.serve("rogue")
    report = verify(subject, silent(), seconds=1)
    one_mac = next(check for check in report.checks if check.id == "one-mac")
    assert one_mac.verdict is Verdict.FAIL
    assert "02:42:c0:a8:60:42 = no node of this lab" in one_mac.seen
    assert {check.verdict for check in report.checks[-3:]} == {Verdict.NOT_RUN}, "nothing is taken from such a lab"
    assert report.exit_code == ExitCode.CHECK_FAILED


def test_nobody_answers_for_a_free_address(net: Net) -> None:
    answers, _ = probes.arp(net.runners["client"], "eth1", LAB.at(99))
    assert (answers.sent, answers.macs) == (3, ())


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


def test_a_probe_that_a_change_of_rules_catches_half_way_is_ended_and_tried_again(
    net: Net, subject: Subject, cluster: NamespaceCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_gone(_name: str) -> None:
        # The probe's control connection still comes through; the one for its data does not, and no later one.
        net.runners["worker-1"].run(["nft", "-f", "-"], timeout=10, input=HALF_GONE)
        cluster.tcp = False

    def back(_name: str) -> None:
        net.on("worker-1", "nft", "delete", "table", "ip", "half")
        cluster.tcp = True

    monkeypatch.setattr(iperf3, "CONNECT_SECONDS", 4.0)
    monkeypatch.setattr(cluster, "delete_service", half_gone)
    monkeypatch.setattr(cluster, "apply_service", back)
    net.serve("worker-1")
    events: list[Event] = []
    report = verify(subject, Events(events.append), seconds=1)
    assert [check for check in report.checks if check.verdict is not Verdict.PASS] == []
    assert any(event.text.startswith("no end after 4 s: ") for event in events), "the probe was not caught half way"


def test_a_service_that_is_never_really_gone_fails_the_negative_proof(
    net: Net, subject: Subject, cluster: NamespaceCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    net.serve("worker-1")
    monkeypatch.setattr("metallab.proof.checks.RULES_SECONDS", 1.0)
    monkeypatch.setattr(cluster, "delete_service", lambda _name: None)
    report = verify(subject, silent(), seconds=1)
    negative = next(check for check in report.checks if check.id == "no-tcp-no-udp")
    assert (negative.verdict, negative.seen) == (
        Verdict.FAIL,
        "TCP 5201 still connects, 1 s after iperf3-server-tcp was deleted",
    )
    assert report.exit_code == ExitCode.CHECK_FAILED
