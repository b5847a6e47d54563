from __future__ import annotations

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab.errors import LabError
from metallab.proof import probes
from metallab.proof.probes import (
    KeptFlow,
    Nic,
    arping_argv,
    holding,
    kept_flows,
    parse_arping,
    parse_conntrack,
    parse_ip_addr,
    programmed,
    say,
)
from metallab.run import local, pace
from metallab.run.result import Argv, CommandFailed, OnLine, Result

DATA = Path(__file__).parent.parent / "data" / "proof"
CLIENT = IPv4Address("192.168.96.200")
VIP = IPv4Address("192.168.96.70")


def captured(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


class Replay:
    """A runner that answers with captured outputs, by the words they are for, after the given seconds."""

    name = "worker-2"

    def __init__(self, *answers: tuple[int, str, str], seconds: float = 0.1) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.asked: list[tuple[str, ...]] = []

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        self.asked.append(tuple(str(word) for word in argv))
        rc, stdout, stderr = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        result = Result(self.asked[-1], rc, stdout, stderr, self.seconds, self.name)
        if check and not result.ok:
            raise CommandFailed(result)
        return result


# -- ARP


def test_arp_asks_twice_within_three_seconds_and_never_one_machine_alone() -> None:
    assert arping_argv("eth1", VIP) == ["arping", "-b", "-c", "2", "-w", "3", "-I", "eth1", "192.168.96.70"]


@pytest.mark.parametrize(("slowness", "seconds"), [(1.0, "3"), (4.0, "12"), (20.0, "20")])
def test_slow_machines_are_given_longer_to_answer(slowness: float, seconds: str) -> None:
    pace.settle([slowness])
    argv = arping_argv("eth1", VIP)
    assert argv[argv.index("-w") + 1] == seconds


def test_one_machine_answers() -> None:
    answers = parse_arping(captured("arping-one.txt"))
    assert (answers.sent, len(answers.replies), answers.macs) == (2, 2, ("02:42:c0:a8:60:02",))
    assert answers.replies[0].milliseconds == 0.542


def test_nobody_answers() -> None:
    answers = parse_arping(captured("arping-none.txt"))
    assert (answers.sent, answers.macs) == (2, ())


def test_two_machines_answer() -> None:
    assert parse_arping(captured("arping-two.txt")).macs == ("02:42:c0:a8:60:03", "02:42:c0:a8:60:02")


def test_an_answer_that_was_not_understood_is_not_passed_over() -> None:
    text = captured("arping-two.txt").replace("[02:42:C0:A8:60:03]", "[02-42-C0-A8-60-03]")
    with pytest.raises(LabError, match="LAB-PRF-001: arping: it counts 2 answers but shows 1"):
        parse_arping(text)


@pytest.mark.parametrize("end", [0, 40, 120, 165, 190])
def test_truncated_arping_is_unreadable(end: int) -> None:
    with pytest.raises(LabError, match="LAB-PRF-001: arping: its closing counts are missing"):
        parse_arping(captured("arping-one.txt")[:end])


@pytest.mark.parametrize(
    ("name", "rc", "took", "least"),
    [
        # One second's pause between two questions; two machines that answer the first are asked no second one.
        ("arping-one.txt", 0, 1.3, 1.0),
        ("arping-two.txt", 1, 0.2, 0.0),
        # Nobody: the last question waits for its answer, too.
        ("arping-none.txt", 1, 3.1, 3.0),
        ("arping-none.txt", 1, 2.1, 2.1),
    ],
)
def test_what_arp_had_to_take(name: str, rc: int, took: float, least: float) -> None:
    _, evidence = probes.arp(Replay((rc, captured(name), ""), seconds=took), "eth1", VIP)
    assert (evidence.seconds, evidence.least) == (took, least)


@pytest.mark.parametrize(
    ("rc", "stdout", "stderr"),
    [
        (2, "", "arping-no-device.stderr.txt"),
        (127, "", "arping-no-device.stderr.txt"),
        # Silence, and a status that silence has as well.
        (1, "", "arping-no-device.stderr.txt"),
    ],
)
def test_arping_that_cannot_ask_is_no_silence(rc: int, stdout: str, stderr: str) -> None:
    with pytest.raises(LabError, match="LAB-PRF-002") as caught:
        probes.arp(Replay((rc, stdout, captured(stderr))), "eth9", VIP)
    assert (caught.value.what, caught.value.where) == (f"arping ended with status {rc}", "worker-2")
    assert "eth9 not available" in caught.value.detail


# -- a datagram


def test_what_comes_back_is_what_was_said() -> None:
    runner = Replay((0, "metallab", ""))
    answer, evidence = say(runner, VIP, 5202, "echo metallab")
    assert (answer, evidence.least) == ("metallab", 0.0)
    assert evidence.command == "printf %s 'echo metallab' | (UDP 192.168.96.70:5202)"
    assert runner.asked[0][:2] == ("bash", "-c")
    assert runner.asked[0][3:] == ("say", "192.168.96.70", "5202", "echo metallab", "2")


@pytest.mark.parametrize(
    ("rc", "stderr"),
    [
        (124, ""),
        (1, "dd: error reading 'standard input': Connection refused\n"),
        (2, "say: connect: Network is unreachable\n"),
        (0, ""),
    ],
)
def test_no_datagram_is_no_answer_however_it_ends(rc: int, stderr: str) -> None:
    answer, evidence = say(Replay((rc, "", stderr), seconds=2.1), VIP, 5202, "clientip")
    assert (answer, evidence.rc, evidence.least) == (None, rc, 2.0)


def test_the_words_are_said_as_they_are_to_a_real_socket() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port, heard = server.getsockname()[1], list[bytes]()

        def echo() -> None:
            for _ in range(2):
                words, sender = server.recvfrom(1500)
                heard.append(words)
                server.sendto(str(sender[1]).encode(), sender)

        with ThreadPoolExecutor(1) as pool:
            served = pool.submit(echo)
            words = 'it\'s %s \\n $(true) "…"'
            answers = [say(Here(), IPv4Address("127.0.0.1"), port, words)[0] for _ in range(2)]
            served.result(10)
    assert heard == [words.encode()] * 2
    assert len(set(answers)) == 2, "every run has a source port of its own"


class Here:
    """This host, as a runner."""

    name = "here"

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        return local.run(argv, timeout=timeout, input=input, check=check, on_line=on_line)


# -- kube-proxy's rules


def test_a_rule_is_there_or_not() -> None:
    there, gone = Replay((0, captured("nft-element.txt"), "")), Replay((1, "", captured("nft-no-element.stderr.txt")))
    assert programmed(there, VIP, "TCP", 5201)[0]
    assert not programmed(gone, VIP, "UDP", 5201)[0]
    command = ("nft", "get", "element", "ip", "kube-proxy", "service-ips")
    assert there.asked == [(*command, "{ 192.168.96.70 . tcp . 5201 }")]
    assert gone.asked == [(*command, "{ 192.168.96.70 . udp . 5201 }")]


@pytest.mark.parametrize(
    ("rc", "stderr"),
    [
        (127, "sudo: nft: command not found\n"),
        (1, "nft-no-table.stderr.txt"),
    ],
)
def test_a_node_that_cannot_be_asked_for_rules_has_not_lost_one(rc: int, stderr: str) -> None:
    """Rules that nobody can see, or another mode of kube-proxy's, must not pass for rules that are gone."""
    said = captured(stderr) if stderr.endswith(".txt") else stderr
    with pytest.raises(LabError, match="LAB-PRF-002"):
        programmed(Replay((rc, "", said)), VIP, "TCP", 5201)


# -- conntrack


def test_flows_of_tcp_have_a_state_and_the_end_they_are_sent_to() -> None:
    client = str(CLIENT)
    assert parse_conntrack(captured("conntrack-tcp.txt")) == (
        KeptFlow("TCP", "ESTABLISHED", client, 43254, 5201, "10.244.1.3"),
        KeptFlow("TCP", "TIME_WAIT", client, 43244, 5201, "10.244.1.3"),
        # Nobody translated it, so it ends at the address itself.
        KeptFlow("TCP", "SYN_SENT", client, 47352, 5201, str(VIP)),
    )


def test_flows_of_udp_have_no_state() -> None:
    flows = parse_conntrack(captured("conntrack-udp.txt"))
    assert [(flow.protocol, flow.state, flow.source_port, flow.endpoint) for flow in flows] == [
        ("UDP", "", 52606, "10.244.1.3"),
        ("UDP", "", 60646, "10.244.1.3"),
    ]
    assert str(flows[0]) == "UDP from 192.168.96.200:52606 to 10.244.1.3"


def test_no_flows_is_an_empty_answer() -> None:
    assert parse_conntrack("") == ()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown.",
        "icmp     1 29 src=192.168.96.200 dst=192.168.96.70 type=8 code=0 id=1 src=192.168.96.70 dst=192.168.96.200",
        "udp      17 29 src=192.168.96.200 dst=192.168.96.70 sport=60646 dport=5201",
        "tcp      6 116 SYN_SENT src=192.168.96.200 dst=192.168.96.70 sport=47352",
        "ipv4     2 udp      17 29 src=192.168.96.200 dst=192.168.96.70 sport=60646 dport=5201",
    ],
)
def test_a_line_that_is_none_of_conntracks_is_not_passed_over(line: str) -> None:
    text = f"{captured('conntrack-udp.txt')}{line}\n{captured('conntrack-tcp.txt')}"
    with pytest.raises(LabError) as caught:
        parse_conntrack(text)
    assert (caught.value.entry.id, caught.value.what) == ("LAB-PRF-001", f"conntrack: not understood: {line}")


def test_a_port_that_is_no_number_is_unreadable() -> None:
    with pytest.raises(LabError, match="LAB-PRF-001"):
        parse_conntrack(captured("conntrack-udp.txt").replace("sport=60646", "sport=many"))


def test_kept_alive_are_datagrams_and_connections_that_stand() -> None:
    runner = Replay((0, captured("conntrack-tcp.txt"), ""), (0, captured("conntrack-udp.txt"), ""))
    flows, evidence = kept_flows(runner, VIP, 5201)
    assert [(flow.protocol, flow.source_port) for flow in flows] == [("TCP", 43254), ("UDP", 52606), ("UDP", 60646)]
    asked = ["conntrack -L -p tcp -d 192.168.96.70 --dport 5201", "conntrack -L -p udp -d 192.168.96.70 --dport 5201"]
    assert [" ".join(words) for words in runner.asked] == asked
    assert evidence.command == "; ".join(asked)
    assert evidence.stdout == captured("conntrack-tcp.txt") + captured("conntrack-udp.txt")
    assert evidence.seconds == 0.2


def test_a_node_without_conntrack_is_no_node_without_flows() -> None:
    with pytest.raises(CommandFailed):
        kept_flows(Replay((127, "", "sudo: conntrack: command not found\n")), VIP, 5201)


# -- interfaces


def test_interfaces_with_their_addresses() -> None:
    assert parse_ip_addr(captured("ip-addr.json")) == (
        Nic("lo", "", (IPv4Address("127.0.0.1"),)),
        Nic("eth1", "02:42:c0:a8:60:01", (CLIENT,)),
    )


def test_links_alone_are_not_enough() -> None:
    with pytest.raises(LabError, match=r"ip -j addr: \[0\].addr_info is missing"):
        parse_ip_addr(captured("ip-link.json"))


def test_empty_objects_of_iproute2_are_no_interfaces() -> None:
    assert parse_ip_addr("[{},{}]") == ()


@pytest.mark.parametrize("key", ["ifname", "address", "link_type", "addr_info"])
def test_a_missing_field_is_named(key: str) -> None:
    document = json.loads(captured("ip-addr.json"))
    del document[1][key]
    with pytest.raises(LabError) as caught:
        parse_ip_addr(json.dumps(document))
    assert caught.value.what == f"ip -j addr: [1].{key} is missing"


def test_an_odd_address_is_named() -> None:
    with pytest.raises(LabError, match=r"\[1\]\.addr_info\[0\]\.local should be an IPv4 address"):
        parse_ip_addr(captured("ip-addr.json").replace("192.168.96.200", "192.168.96.300"))


def test_the_interface_is_found_by_its_address() -> None:
    interfaces = parse_ip_addr(captured("ip-addr.json"))
    assert holding(interfaces, CLIENT, "client").name == "eth1"
    with pytest.raises(LabError, match=r"LAB-PRF-002.*no interface holds 192.168.96.11; held are: lo 127.0.0.1, eth1"):
        holding(interfaces, IPv4Address("192.168.96.11"), "client")


@pytest.mark.parametrize("parse", [parse_arping, parse_conntrack, parse_ip_addr])
@given(text=st.text())
def test_any_text_is_a_record_or_an_error(parse: Callable[[str], object], text: str) -> None:
    try:
        parse(text)
    except LabError as error:
        assert error.entry.id == "LAB-PRF-001"  # noqa: PT017 - both ends are good, nothing else is


WORDS = st.sampled_from(
    ["tcp", "udp", "6", "17", "ESTABLISHED", "[ASSURED]", "src=a", "dst=b", "sport=1", "dport=2", "sport=x", "\n"]
)


@given(st.lists(WORDS, max_size=16))
def test_any_line_of_conntracks_words_is_flows_or_an_error(words: list[str]) -> None:
    try:
        parse_conntrack(" ".join(words))
    except LabError as error:
        assert error.entry.id == "LAB-PRF-001"  # noqa: PT017 - both ends are good, nothing else is
