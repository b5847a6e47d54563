"""The story with an imitated lab; the real probes tell it again in tests/integration/test_probes.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from metallab import errors
from metallab.config import Lab
from metallab.errors import ExitCode, LabError
from metallab.events import Event, Events, Kind, silent
from metallab.proof import checks
from metallab.proof.records import Check, Report, Verdict
from metallab.proof.subject import TCP_SERVICE, UDP_SERVICE, NodeState, ServiceState, Subject
from metallab.proof.verify import verify
from metallab.run.result import Argv, CommandTimedOut, OnLine, Result, Unreachable

DATA = Path(__file__).parent.parent / "data" / "proof"
LAB = Lab()
NODES = ("control-plane", "worker-1", "worker-2")
MACS = {name: f"02:42:c0:a8:60:{last}" for name, last in zip(NODES, ("0a", "0b", "0c"), strict=True)}


def captured(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


class FakeCluster:
    """Remembers what was done to the services; ``act`` lets a test interfere."""

    def __init__(self) -> None:
        self.there = {TCP_SERVICE: True, UDP_SERVICE: True}
        self.address = LAB.vip
        self.not_ready = ""
        self.announced_from: str | None = "worker-1"
        self.log: list[str] = []
        self.act: Callable[[str], None] = lambda _what: None

    def versions(self) -> Mapping[str, str]:
        self.act("versions")
        return {"Kubernetes": "v1.37.2", "MetalLB": "v0.15.2"}

    def nodes(self) -> tuple[NodeState, ...]:
        self.act("nodes")
        return tuple(
            NodeState(name, name != self.not_ready, "KubeletNotReady" * (name == self.not_ready)) for name in NODES
        )

    def services(self) -> tuple[ServiceState, ...]:
        self.act("services")
        protocols = {TCP_SERVICE: "TCP", UDP_SERVICE: "UDP"}
        return tuple(
            ServiceState(name, protocols[name], 5201, self.address) for name, there in self.there.items() if there
        )

    def announcer(self) -> str | None:
        return self.announced_from

    def delete_service(self, name: str) -> None:
        self.log.append(f"delete {name}")
        self.act("delete")
        self.there[name] = False

    def apply_service(self, name: str) -> None:
        self.log.append(f"apply {name}")
        self.act("apply")
        self.there[name] = True


class FakeMachine:
    """Answers as captured: the client by what the cluster has, a node with its MAC."""

    def __init__(self, name: str, cluster: FakeCluster) -> None:
        self.name = name
        self.cluster = cluster
        self.answers: dict[str, tuple[int, str, str]] = {}

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
        rc, stdout, stderr = self._answer(words)
        return Result(words, rc, stdout, stderr, 0.1, self.name)

    def _answer(self, words: tuple[str, ...]) -> tuple[int, str, str]:
        kind = words[0] + ("-J" if "-J" in words else "") + ("-u" if "-u" in words else "")
        if kind in self.answers:
            return self.answers[kind]
        if words[0] == "ip":
            mac = MACS.get(self.name, "02:42:c0:a8:60:01")
            address = str(LAB.address(LAB.machine(self.name)))
            listing = captured("ip-addr.json").replace("02:42:c0:a8:60:01", mac).replace("192.168.96.200", address)
            return 0, listing, ""
        if words[0] == "arping":
            return 0, captured("arping-one.txt").replace("60:02", "60:0B"), ""
        if not self.cluster.there[TCP_SERVICE]:
            return (0, captured("no-route.json"), "") if "-J" in words else (1, "", captured("no-route.stderr.txt"))
        name = "udp" if "-u" in words else "tcp"
        return 0, captured(f"{name}.json" if "-J" in words else f"{name}.txt"), ""


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def client(cluster: FakeCluster) -> FakeMachine:
    return FakeMachine("client", cluster)


@pytest.fixture
def subject(cluster: FakeCluster, client: FakeMachine) -> Subject:
    return Subject(LAB, client, {name: FakeMachine(name, cluster) for name in NODES}, cluster)


def check_of(report: Report, name: str) -> Check:
    return next(check for check in report.checks if check.id == name)


def verdicts(report: Report) -> dict[str, str]:
    return {check.id: check.verdict.value for check in report.checks}


def test_a_good_lab_is_proven_in_order(subject: Subject, cluster: FakeCluster) -> None:
    report = verify(subject, silent())
    seen = {check.id: check.seen for check in report.checks}
    assert seen == {
        "nodes": "3 of 3 Ready",
        "address": "192.168.96.70 for both",
        "tcp": "7.68 Gbit/s, 1181 retransmits",
        "udp": "1.05 Mbit/s of 1.05 Mbit/s offered, 0 of 272 datagrams lost",
        "one-mac": "02:42:c0:a8:60:0b = worker-1",
        "no-tcp-no-udp": "unable to connect to server: No route to host",
        "still-there": "ARP answered by 02:42:c0:a8:60:0b",
        "again": "TCP 7.68 Gbit/s, UDP 0 of 272 lost",
    }
    assert set(verdicts(report).values()) == {"pass"}
    assert report.exit_code == ExitCode.OK
    assert (report.lab, report.address, report.started[-6:]) == ("metallab", "192.168.96.70", "+00:00")
    assert report.versions == {"Kubernetes": "v1.37.2", "MetalLB": "v0.15.2"}
    assert cluster.log == [f"delete {TCP_SERVICE}", f"apply {TCP_SERVICE}"]
    assert all(check.evidence for check in report.checks)


def test_what_depends_on_a_failed_check_is_not_run(subject: Subject, cluster: FakeCluster) -> None:
    cluster.not_ready = "worker-2"
    report = verify(subject, silent())
    assert verdicts(report) == {"nodes": "fail"} | dict.fromkeys(list(verdicts(report))[1:], "not-run")
    assert check_of(report, "nodes").seen == "worker-2 is not Ready (KubeletNotReady)"
    assert check_of(report, "tcp").reason == "because address did not pass"
    assert check_of(report, "no-tcp-no-udp").reason == "because tcp, udp and one-mac did not pass"
    assert report.exit_code == ExitCode.CHECK_FAILED
    assert cluster.log == [], "a lab that does not work is not touched"


def test_a_missing_or_foreign_address_fails(subject: Subject, cluster: FakeCluster) -> None:
    cluster.there[UDP_SERVICE] = False
    cluster.address = LAB.at(71)
    seen = check_of(verify(subject, silent()), "address").seen
    assert seen == f"{TCP_SERVICE} has 192.168.96.71; {UDP_SERVICE} does not exist"


@pytest.mark.parametrize(("kind", "name"), [("iperf3-J-u", "udp-all-lost.json"), ("iperf3-J", "tcp-64k.json")])
def test_nothing_received_is_a_failure(subject: Subject, client: FakeMachine, kind: str, name: str) -> None:
    client.answers[kind] = (0, captured(name), "")
    report = verify(subject, silent())
    failed = check_of(report, "udp" if kind.endswith("-u") else "tcp")
    assert failed.verdict is Verdict.FAIL
    assert failed.expected.startswith("more than 0")
    if kind.endswith("-u"):
        assert failed.seen == "0 bit/s of 1.05 Mbit/s offered, 181 of 181 datagrams lost"


def test_unreadable_output_is_not_run_and_no_pass(subject: Subject, client: FakeMachine) -> None:
    client.answers["iperf3-J"] = (0, captured("tcp.json")[:700], "")
    report = verify(subject, silent())
    tcp = check_of(report, "tcp")
    assert tcp.verdict is Verdict.NOT_RUN
    assert tcp.reason.endswith("(LAB-PRF-001)")
    assert tcp.evidence[0].stderr.startswith("{")
    assert report.exit_code == ExitCode.CHECK_FAILED


@pytest.mark.parametrize(
    ("arping", "seen"),
    [
        ("arping-none.txt", "nobody answers"),
        ("arping-one.txt", "02:42:c0:a8:60:02 = no node of this lab"),
        ("arping-two.txt", "02:42:c0:a8:60:03 = no node of this lab; 02:42:c0:a8:60:02 = no node of this lab"),
    ],
)
def test_only_one_mac_of_a_node_will_do(
    subject: Subject, cluster: FakeCluster, client: FakeMachine, arping: str, seen: str
) -> None:
    client.answers["arping"] = (1, captured(arping), "")
    report = verify(subject, silent())
    assert (check_of(report, "one-mac").verdict, check_of(report, "one-mac").seen) == (Verdict.FAIL, seen)
    assert check_of(report, "still-there").reason == "because one-mac did not pass"
    assert cluster.log == [], "an address that two machines answer for is not experimented with"


def test_what_metallb_says_is_shown_and_decides_nothing(subject: Subject, cluster: FakeCluster) -> None:
    cluster.announced_from = "worker-2"
    check = check_of(verify(subject, silent()), "one-mac")
    assert (check.verdict, check.seen) == (Verdict.PASS, "02:42:c0:a8:60:0b = worker-1 (MetalLB names worker-2)")


def test_udp_working_without_tcp_fails_the_negative_proof(subject: Subject, client: FakeMachine) -> None:
    client.answers["iperf3-u"] = (0, captured("udp.txt"), "")
    check = check_of(verify(subject, silent()), "no-tcp-no-udp")
    assert (check.verdict, check.seen) == (Verdict.FAIL, "iperf3 -u works without the TCP service")


def test_another_failure_than_not_connecting_is_no_negative_proof(subject: Subject, client: FakeMachine) -> None:
    client.answers["iperf3-u"] = (1, "", captured("busy.stderr.txt"))
    check = check_of(verify(subject, silent()), "no-tcp-no-udp")
    assert (check.verdict, check.seen) == (Verdict.FAIL, "the server is busy running a test. try again later")


def test_a_probe_without_end_is_ended_and_its_command_kept(
    subject: Subject, client: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless(FakeMachine):
        def run(self, argv: Argv, **how: Any) -> Result:
            if "1K" in argv:
                raise CommandTimedOut([str(word) for word in argv], how["timeout"], self.name, "half a line")
            return super().run(argv, **how)

    monkeypatch.setattr(checks, "RULES_SECONDS", 0.0)
    endless = dataclasses.replace(subject, client=Endless("client", client.cluster))
    check = check_of(verify(endless, silent()), "no-tcp-no-udp")
    assert check.verdict is Verdict.FAIL
    assert check.seen.startswith("no end after 10 s: iperf3 -c 192.168.96.70")
    assert (check.evidence[0].rc, check.evidence[0].stderr) == (None, "half a line")


def test_rules_that_stay_are_reported_with_the_time(
    subject: Subject, client: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "RULES_SECONDS", 0.0)
    client.answers["iperf3"] = (0, captured("tcp.txt"), "")
    check = check_of(verify(subject, silent()), "no-tcp-no-udp")
    assert check.seen == "TCP 5201 still connects, 0 s after iperf3-server-tcp was deleted"
    assert check.evidence[0].command.startswith("iperf3 -c 192.168.96.70")


def test_the_address_lost_with_the_tcp_service_is_seen(subject: Subject, cluster: FakeCluster) -> None:
    def lose(what: str) -> None:
        if what == "delete":
            cluster.there[UDP_SERVICE] = False

    cluster.act = lose
    check = check_of(verify(subject, silent()), "still-there")
    assert (check.verdict, check.seen) == (
        Verdict.FAIL,
        "ARP answered by 02:42:c0:a8:60:0b; iperf3-server-udp lost 192.168.96.70",
    )


def test_another_address_afterwards_is_a_failure(
    subject: Subject, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move(what: str) -> None:
        if what == "apply":
            cluster.address = LAB.at(71)

    monkeypatch.setattr(checks, "RULES_SECONDS", 0.0)
    cluster.act = move
    check = check_of(verify(subject, silent()), "again")
    assert check.seen == "iperf3-server-tcp has 192.168.96.71, 0 s after it was restored"


def test_ctrl_c_while_it_is_deleted_restores_it(subject: Subject, cluster: FakeCluster) -> None:
    def interrupt(what: str) -> None:
        if what == "services" and not cluster.there[TCP_SERVICE]:
            raise KeyboardInterrupt

    cluster.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        verify(subject, silent())
    assert cluster.there[TCP_SERVICE]


@pytest.mark.parametrize("when", ["delete", "apply"])
def test_ctrl_c_in_the_change_itself_restores_it(subject: Subject, cluster: FakeCluster, when: str) -> None:
    pressed: list[str] = []

    def interrupt(what: str) -> None:
        if what == when and not pressed:
            pressed.append(what)
            raise KeyboardInterrupt

    cluster.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        verify(subject, silent())
    assert cluster.there[TCP_SERVICE]
    assert pressed


def test_a_program_error_in_a_check_restores_it(
    subject: Subject, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(checks, "no_tcp_no_udp", broken)
    with pytest.raises(ZeroDivisionError):
        verify(subject, silent())
    assert cluster.there[TCP_SERVICE]


@pytest.mark.parametrize("when", ["delete", "apply"])
def test_a_refused_change_is_told(subject: Subject, cluster: FakeCluster, when: str) -> None:
    def refuse(what: str) -> None:
        if what == when:
            raise LabError(errors.CLUSTER_REFUSED, "no")

    events: list[Event] = []
    cluster.act = refuse
    report = verify(subject, Events(events.append))
    last = check_of(report, "again")
    assert (last.verdict, last.reason) == (Verdict.NOT_RUN, "because no (LAB-CLUS-003)")
    assert report.exit_code == ExitCode.CHECK_FAILED
    warned = [event.text for event in events if event.kind is Kind.WARNING]
    assert len(warned) == (when == "apply")
    if when == "delete":
        assert check_of(report, "no-tcp-no-udp").verdict is Verdict.NOT_RUN


def test_a_client_that_does_not_answer_leaves_its_checks_not_run(subject: Subject, client: FakeMachine) -> None:
    def gone(*_: object, **__: object) -> Result:
        raise Unreachable("client", "timed out")

    client.run = gone  # type: ignore[method-assign]
    report = verify(subject, silent())
    assert check_of(report, "tcp").reason == "because no SSH to client: timed out on client (LAB-MACH-002)"
    assert report.count(Verdict.PASS) == 2


def test_nothing_can_be_asked_of_a_dead_cluster(subject: Subject, cluster: FakeCluster) -> None:
    def dead(_what: str) -> None:
        raise LabError(errors.CLUSTER_UNREACHABLE, "no answer")

    cluster.act = dead
    report = verify(subject, silent())
    assert set(verdicts(report).values()) == {"not-run"}
    assert report.exit_code == ExitCode.NOTHING_TESTED
    assert report.versions == {}


def test_steps_on_the_screen_end_as_the_checks_do(subject: Subject, client: FakeMachine) -> None:
    client.answers["iperf3-u"] = (0, captured("udp.txt"), "")
    events: list[Event] = []
    verify(subject, Events(events.append))
    ends = {event.step: event.kind for event in events if event.kind in (Kind.DONE, Kind.FAILED)}
    assert ends["TCP arrives through it"] is Kind.DONE
    assert ends["without the TCP service iperf3 -u fails"] is Kind.FAILED
    failed = next(event for event in events if event.kind is Kind.FAILED)
    assert failed.text == "iperf3 -u works without the TCP service"
    assert ends[f"restore {TCP_SERVICE}"] is Kind.DONE


@pytest.mark.parametrize(
    ("bits", "words"),
    [(0, "0 bit/s"), (999, "999 bit/s"), (64e3, "64 kbit/s"), (1048576, "1.05 Mbit/s"), (9.84e9, "9.84 Gbit/s")],
)
def test_rates(bits: float, words: str) -> None:
    assert checks.rate(bits) == words


def test_a_server_that_fails_afterwards_is_told_in_its_words(
    subject: Subject, cluster: FakeCluster, client: FakeMachine
) -> None:
    def end(what: str) -> None:
        if what == "apply":
            client.answers["iperf3-J-u"] = (0, captured("udp-server-terminated.json"), "")

    cluster.act = end
    check = check_of(verify(subject, silent()), "again")
    assert (check.verdict, check.seen) == (Verdict.FAIL, "TCP 7.68 Gbit/s, UDP the server has terminated")
