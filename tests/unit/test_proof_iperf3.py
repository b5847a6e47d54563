from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallab.errors import LabError
from metallab.proof.iperf3 import (
    Endpoint,
    Failed,
    TcpRun,
    UdpRun,
    client_argv,
    connect,
    connect_argv,
    failure_words,
    flow,
    json_argv,
    measure,
    parse,
    stream,
    try_udp,
)
from metallab.proof.records import Interval
from metallab.run.result import Argv, CommandTimedOut, OnLine, Result

DATA = Path(__file__).parent.parent / "data" / "proof"
VIP = IPv4Address("192.168.96.70")


def captured(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def test_a_tcp_run() -> None:
    run = parse(captured("tcp.json"))
    assert isinstance(run, TcpRun)
    assert run.version == "iperf 3.12"
    assert run.local == Endpoint("192.168.96.200", 46702)
    assert run.remote == Endpoint("192.168.96.70", 5201)
    assert (run.sent_bytes, run.received_bytes, run.retransmits) == (2887516160, 2887516160, 1181)
    assert run.received_bits_per_second == pytest.approx(7683924780.45)
    assert len(run.intervals) == 3
    assert run.intervals[0].retransmits == 428
    assert run.intervals[0].datagrams is None


def test_a_udp_run() -> None:
    run = parse(captured("udp.json"))
    assert isinstance(run, UdpRun)
    assert (run.sent, run.received, run.lost) == (272, 272, 0)
    assert run.offered_bits_per_second == 1048576
    assert run.received_bytes == 393856
    assert run.jitter_ms > 0
    assert [interval.datagrams for interval in run.intervals] == [91, 90, 91]
    assert run.intervals[0].retransmits is None


def test_loss_is_what_was_sent_and_did_not_arrive() -> None:
    run = parse(captured("udp-loss.json"))
    assert isinstance(run, UdpRun)
    # 314216 received bytes are 217 datagrams of 1448; iperf3's own "54 lost" forgets the last one.
    assert (run.received, run.lost, run.gaps) == (314216 // 1448, 55, 54)


def test_everything_lost_is_not_nothing_lost() -> None:
    run = parse(captured("udp-all-lost.json"))
    assert isinstance(run, UdpRun)
    assert (run.sent, run.received, run.lost, run.gaps) == (181, 0, 181, 0)


def test_a_test_too_short_for_the_server_shows_the_zero_it_counted() -> None:
    run = parse(captured("tcp-64k.json"))
    assert isinstance(run, TcpRun)
    assert (run.sent_bytes, run.received_bytes) == (131072, 0)


@pytest.mark.parametrize(
    ("name", "words", "cannot_connect"),
    [
        ("refused", "unable to connect to server: Connection refused", True),
        ("no-route", "unable to connect to server: No route to host", True),
        ("unreachable", "unable to connect to server: Network is unreachable", True),
        ("timeout", "unable to connect to server: Connection timed out", True),
        ("busy", "the server is busy running a test. try again later", False),
        ("udp-blackhole", "unable to read from stream socket: Resource temporarily unavailable", False),
        ("tcp-server-killed", "unable to write to stream socket: Connection reset by peer", False),
        ("udp-server-killed", "control socket has closed unexpectedly", False),
        ("udp-server-terminated", "the server has terminated", False),
    ],
)
def test_a_failure_keeps_its_words(name: str, words: str, cannot_connect: bool) -> None:  # noqa: FBT001
    failed = parse(captured(f"{name}.json"))
    assert failed == Failed(words)
    assert isinstance(failed, Failed)
    assert failed.cannot_connect is cannot_connect
    assert failed.busy is (name == "busy")


@pytest.mark.parametrize("name", ["refused", "no-route", "unreachable", "timeout"])
def test_the_words_without_json_are_the_same(name: str) -> None:
    assert Failed(failure_words(captured(f"{name}.stderr.txt")) or "") == parse(captured(f"{name}.json"))


def test_no_error_line_is_no_words() -> None:
    assert failure_words("warning: UDP block size 60000 exceeds TCP MSS 1448\n") is None
    assert (
        failure_words(captured("tcp-server-terminated.stderr.txt")) == "unable to write to stream socket: Broken pipe"
    )


@pytest.mark.parametrize("text", ["", "  \n", "{", "[1, 2", "not JSON", '{"end": NaN}', "1" * 5000, "[" * 100000])
def test_what_is_not_json_is_unreadable(text: str) -> None:
    with pytest.raises(LabError, match=r"LAB-PRF-001: iperf3 -J: "):
        parse(text)


def test_every_truncation_is_unreadable() -> None:
    text = captured("udp.json").rstrip()
    for end in range(0, len(text), 97):
        with pytest.raises(LabError, match="LAB-PRF-001"):
            parse(text[:end])


USED = {
    "tcp.json": [
        "start.version",
        "start.test_start",
        "start.test_start.protocol",
        "start.connected",
        "start.connected[0].local_host",
        "start.connected[0].remote_port",
        "intervals",
        "intervals[1].sum",
        "intervals[1].sum.retransmits",
        "end",
        "end.sum_sent.retransmits",
        "end.sum_received.bytes",
        "end.sum_received.bits_per_second",
    ],
    "udp.json": [
        "start.test_start.target_bitrate",
        "intervals[0].sum.packets",
        "end.sum_sent.packets",
        "end.sum_received.bytes",
        "end.sum_received.packets",
        "end.sum_received.lost_packets",
        "end.sum_received.jitter_ms",
    ],
}
PATHS = [(name, path) for name, paths in USED.items() for path in paths]


def steps(path: str) -> list[str | int]:
    parts = path.replace("[", ".[").split(".")
    return [int(part[1:-1]) if part.startswith("[") else part for part in parts]


def parent(document: Any, path: str) -> tuple[Any, Any]:
    *way, last = steps(path)
    for step in way:
        document = document[step]
    return document, last


@pytest.mark.parametrize(("name", "path"), PATHS)
def test_a_missing_value_is_named_by_its_path(name: str, path: str) -> None:
    document = json.loads(captured(name))
    holder, key = parent(document, path)
    del holder[key]
    with pytest.raises(LabError) as caught:
        parse(json.dumps(document))
    assert caught.value.what == f"iperf3 -J: {path} is missing"


@pytest.mark.parametrize(("name", "path"), PATHS)
@pytest.mark.parametrize("odd", [None, True, {"odd": 1}], ids=repr)
def test_a_value_of_the_wrong_kind_is_named_by_its_path(name: str, path: str, odd: object) -> None:
    document = json.loads(captured(name))
    holder, key = parent(document, path)
    holder[key] = odd
    with pytest.raises(LabError, match="LAB-PRF-001") as caught:
        parse(json.dumps(document))
    assert f"iperf3 -J: {path}" in caught.value.what


def test_no_connection_in_a_finished_run_is_unreadable() -> None:
    document = json.loads(captured("tcp.json"))
    document["start"]["connected"] = []
    with pytest.raises(LabError, match=r"start\.connected should name a connection"):
        parse(json.dumps(document))


@pytest.mark.parametrize("value", [-1, 1.5, 10**400])
def test_counts_are_whole_and_rates_are_finite(value: float) -> None:
    document = json.loads(captured("udp.json"))
    document["end"]["sum_received"]["bytes"] = value
    document["end"]["sum_received"]["jitter_ms"] = value if value != 1.5 else -0.5
    with pytest.raises(LabError, match="LAB-PRF-001"):
        parse(json.dumps(document))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_a_record_or_an_error(value: object) -> None:
    check_record_or_error(json.dumps(value))


@given(st.sampled_from(PATHS), json_values)
def test_any_value_at_any_place_is_a_record_or_an_error(place: tuple[str, str], value: object) -> None:
    name, path = place
    document = json.loads(captured(name))
    holder, key = parent(document, path)
    holder[key] = value
    check_record_or_error(json.dumps(document))


@given(st.text())
def test_any_text_is_a_record_or_an_error(text: str) -> None:
    check_record_or_error(text)


def check_record_or_error(text: str) -> None:
    try:
        run = parse(text)
    except LabError as error:
        assert error.entry.id == "LAB-PRF-001"  # noqa: PT017 - both ends are good, nothing else is
    else:
        assert isinstance(run, TcpRun | UdpRun | Failed)


def test_the_command_lines() -> None:
    tail = ["-c", "192.168.96.70", "-p", "5201"]
    assert client_argv(VIP, udp=True) == ["iperf3", "--forceflush", *tail, "-t", "3", "-u", "--connect-timeout", "3000"]
    assert json_argv(VIP, seconds=5) == ["iperf3", "-J", *tail, "-t", "5", "--connect-timeout", "3000"]
    assert connect_argv(VIP) == ["iperf3", *tail, "-n", "1K", "--connect-timeout", "3000"]


def test_the_command_lines_for_another_port_and_rate() -> None:
    tail = ["-c", "192.168.96.70", "-p", "5301"]
    rated = ["-t", "1", "-u", "-b", "10000000", "--connect-timeout", "3000"]
    assert json_argv(VIP, udp=True, seconds=1, port=5301, rate=10_000_000) == ["iperf3", "-J", *tail, *rated]
    assert client_argv(VIP, udp=True, seconds=1, port=5301, rate=10_000_000) == [
        "iperf3",
        "--forceflush",
        *tail,
        *rated,
    ]
    assert connect_argv(VIP, 5301) == ["iperf3", *tail, "-n", "1K", "--connect-timeout", "3000"]


def test_a_rate_is_udps_alone() -> None:
    """For TCP it would be a limit."""
    assert "-b" not in json_argv(VIP, udp=False, rate=10_000_000)


class Replay:
    """A runner that answers with captured outputs, one after the other, and then the last again and again."""

    name = "client"

    def __init__(self, *answers: tuple[int, str, str]) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.argv: list[str] = []
        self.timeout = 0.0

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        self.asked += 1
        self.argv, self.timeout = [str(word) for word in argv], timeout
        rc, stdout, stderr = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        for line in stdout.splitlines():
            if on_line is not None:
                on_line(line)
        return Result(tuple(str(word) for word in argv), rc, stdout, stderr, timeout / 100, self.name)


def test_only_a_busy_server_is_asked_again() -> None:
    runner = Replay((0, captured("busy.json"), ""), (0, captured("udp.json"), ""))
    waits: list[str] = []
    run, evidence = measure(runner, VIP, udp=True, seconds=3, on_wait=waits.append)
    assert isinstance(run, UdpRun)
    assert waits == ["the server is busy running a test. try again later"]
    assert evidence.stdout == captured("udp.json")
    runner = Replay((0, captured("refused.json"), ""))
    assert measure(runner, VIP, udp=True, seconds=3)[0] == Failed("unable to connect to server: Connection refused")
    assert runner.asked == 1


def test_a_server_that_stays_busy_is_the_result() -> None:
    outcome, evidence = measure(Replay((0, captured("busy.json"), "")), VIP, udp=True, seconds=3, patience=0.0)
    assert isinstance(outcome, Failed)
    assert outcome.busy
    assert evidence.stdout == captured("busy.json")


def test_what_a_run_had_to_take_is_its_own_test_time() -> None:
    _, evidence = measure(Replay((0, captured("udp.json"), "")), VIP, udp=True, seconds=3)
    assert (evidence.seconds, evidence.least) == (0.43, 0.43)
    _, evidence = measure(Replay((0, captured("udp.json"), "")), VIP, udp=True, seconds=300)
    assert (evidence.seconds, evidence.least) == (3.4, 3.4)


@pytest.mark.parametrize("rc", [2, 126, 137])
def test_a_client_that_cannot_start_is_no_verdict(rc: int) -> None:
    with pytest.raises(LabError, match="LAB-PRF-002") as caught:
        measure(Replay((rc, "", "timeout: failed to run command 'iperf3'")), VIP, udp=False, seconds=1)
    assert (caught.value.what, caught.value.where) == (f"iperf3 ended with status {rc}", "client")
    assert "failed to run" in caught.value.detail


def test_a_client_without_iperf3_says_so() -> None:
    missing = Replay((127, "", "timeout: failed to run command 'iperf3': No such file or directory"))
    for ask in (
        lambda: measure(missing, VIP, udp=False, seconds=1),
        lambda: connect(missing, VIP),
        lambda: try_udp(missing, VIP, seconds=1),
        lambda: try_udp(missing, VIP, seconds=1, limit=5),
    ):
        with pytest.raises(LabError, match="LAB-PRF-002: iperf3 is not installed on client") as caught:
            ask()
        assert "No such file" in caught.value.detail


def test_a_client_that_says_nothing_is_no_verdict() -> None:
    with pytest.raises(LabError, match="LAB-PRF-002: iperf3 ended with status 1"):
        try_udp(Replay((1, "", "")), VIP, seconds=1)


def test_status_124_is_only_good_where_it_was_asked_for() -> None:
    interrupted = Replay((124, captured("udp-interrupted.txt"), captured("udp-interrupted.stderr.txt")))
    with pytest.raises(LabError, match="LAB-PRF-002: iperf3 ended with status 124"):
        measure(interrupted, VIP, udp=True, seconds=1)


# -- UDP as a person runs it


def test_udp_that_works_has_no_words() -> None:
    runner = Replay((0, captured("udp.txt"), ""))
    words, evidence = try_udp(runner, VIP, seconds=1, port=5301)
    assert (words, evidence.stdout) == (None, captured("udp.txt"))
    assert runner.argv == client_argv(VIP, udp=True, seconds=1, port=5301)
    assert runner.timeout == 41.0, "it may wait half a minute for a dead path"


def test_udp_that_works_within_its_limit_has_no_words_either() -> None:
    runner = Replay((0, captured("udp.txt"), ""))
    assert try_udp(runner, VIP, seconds=1, limit=5)[0] is None
    assert runner.argv[:4] == ["timeout", "--signal=INT", "5", "iperf3"]
    assert runner.argv[3:] == client_argv(VIP, udp=True, seconds=1)


def test_udp_that_is_interrupted_says_what_did_not_come() -> None:
    runner = Replay((124, captured("udp-interrupted.txt"), captured("udp-interrupted.stderr.txt")))
    words, evidence = try_udp(runner, VIP, seconds=100, limit=1)
    assert words == "no datagram came, although the TCP connection was made (1 s)"
    assert (evidence.rc, evidence.least) == (124, 1)


@pytest.mark.parametrize("limit", [None, 5])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-route", "unable to connect to server: No route to host"),
        ("busy", "the server is busy running a test. try again later"),
        ("udp-refused", "unable to read from stream socket: Connection refused"),
    ],
)
def test_udp_that_fails_keeps_its_words_and_had_to_take_nothing(limit: int | None, name: str, words: str) -> None:
    found, evidence = try_udp(Replay((1, "", captured(f"{name}.stderr.txt"))), VIP, seconds=1, limit=limit)
    assert (found, evidence.least) == (words, 0.0)


# -- flows


def test_a_tcp_run_as_the_report_keeps_it() -> None:
    run = parse(captured("tcp.json"))
    assert isinstance(run, TcpRun)
    kept = flow(run, "TCP through the address")
    assert (kept.name, kept.protocol, kept.target) == ("TCP through the address", "TCP", "192.168.96.70:5201")
    assert (kept.seconds, kept.retransmits) == (run.seconds, 1181)
    assert kept.received_bits_per_second == run.received_bits_per_second
    assert kept.intervals == tuple(Interval(each.start, each.end, each.bits_per_second) for each in run.intervals)
    assert (kept.offered_bits_per_second, kept.sent, kept.lost, kept.jitter_ms) == (None, None, None, None)


def test_a_udp_run_as_the_report_keeps_it() -> None:
    run = parse(captured("udp-loss.json"))
    assert isinstance(run, UdpRun)
    kept = flow(run, "UDP")
    assert (kept.protocol, kept.sent, kept.lost, kept.retransmits) == ("UDP", 272, 55, None)
    assert (kept.offered_bits_per_second, kept.jitter_ms) == (run.offered_bits_per_second, run.jitter_ms)
    assert len(kept.intervals) == 3


def test_connecting_gives_no_words_and_not_connecting_gives_them() -> None:
    assert connect(Replay((0, captured("tcp.txt"), "")), VIP)[0] is None
    words, evidence = connect(Replay((1, "", captured("no-route.stderr.txt"))), VIP)
    assert words == "unable to connect to server: No route to host"
    assert evidence.stderr == captured("no-route.stderr.txt")


def test_connecting_without_end_is_ended_and_its_command_kept() -> None:
    class Endless(Replay):
        def run(self, argv: Argv, **how: Any) -> Result:
            raise CommandTimedOut([str(word) for word in argv], how["timeout"], self.name, "half a line")

    words, evidence = connect(Endless(), VIP, 5301)
    command = "iperf3 -c 192.168.96.70 -p 5301 -n 1K --connect-timeout 3000"
    assert words == f"no end after 10 s: {command}"
    assert (evidence.command, evidence.where, evidence.rc, evidence.stderr) == (command, "client", None, "half a line")


def test_streaming_hands_on_every_line_and_raises_its_words() -> None:
    lines: list[str] = []
    stream(Replay((0, captured("udp.txt"), "")), VIP, udp=True, seconds=3, on_line=lines.append)
    assert lines == captured("udp.txt").splitlines()
    with pytest.raises(LabError, match="LAB-PRF-002: iperf3 says: unable to connect to server: No route to host"):
        stream(Replay((1, "", captured("no-route.stderr.txt"))), VIP, udp=True, seconds=3, on_line=lines.append)
