"""iperf3 on the client machine: its command lines, and a pure parser of what ``iperf3 -J`` prints.

Seen with iperf3 3.12 (Debian 12), and the reason for much of this module:

- with ``-J`` it ends with status 0 even when it could not connect: only the ``error`` key tells;
- when every datagram is lost it reports ``lost_packets: 0``, because the server counts only gaps between datagrams
  that came; what was lost is therefore computed from what was sent and what arrived;
- when the UDP path is dead but the control connection works, it waits 30 s before it gives up.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from metallab import errors
from metallab.errors import LabError
from metallab.proof import records
from metallab.proof.reader import Node, loads
from metallab.proof.records import Evidence, Flow
from metallab.run.result import Argv, CommandTimedOut, Result, Runner
from metallab.run.wait import NotYet, WaitTimedOut, until

PORT = 5201
CONNECT_MILLISECONDS = 3000
CONNECT_SECONDS = 10.0
"""How long a whole probe of the control connection may take; a healthy one takes a tenth of a second."""
PATIENCE_SECONDS = 40.0
"""How much longer than its own test time a client may take: it waits up to 30 s for a dead UDP path."""
CANNOT_CONNECT = "unable to connect to server"
BUSY = "the server is busy running a test"
BUSY_SECONDS = 20.0
"""How long a busy server is waited for: it serves one client at a time, and a vanished one for a while."""
NOT_THERE = 127
"""Exit status of sudo, timeout(1) and a shell for a program that does not exist."""
INTERRUPTED = 124
"""Exit status of timeout(1) that ended its command."""
SILENCE = "no datagram came, although the TCP connection was made"
_WHAT = "iperf3 -J"


def client_argv(
    address: IPv4Address, *, udp: bool = False, seconds: int = 3, port: int = PORT, rate: int | None = None
) -> list[str]:
    """Return the client's command line with output for people: interval lines as they come, a status that counts.

    ``rate`` is what UDP offers, in bits a second; iperf3's own is 1,048,576.
    """
    argv = ["iperf3", "--forceflush", "-c", str(address), "-p", str(port), "-t", str(seconds)]
    udp_words = ["-u", *(["-b", str(rate)] if rate is not None else [])] if udp else []
    return [*argv, *udp_words, "--connect-timeout", str(CONNECT_MILLISECONDS)]


def json_argv(
    address: IPv4Address, *, udp: bool = False, seconds: int = 3, port: int = PORT, rate: int | None = None
) -> list[str]:
    """Return the client's command line with output for :func:`parse`."""
    return ["iperf3", "-J", *client_argv(address, udp=udp, seconds=seconds, port=port, rate=rate)[2:]]


def connect_argv(address: IPv4Address, port: int = PORT) -> list[str]:
    """Return a command line that only tells whether the TCP control connection can be made.

    It speaks the whole protocol for 1 KiB: a bare connect leaves ``iperf3 -s`` waiting for a client that never speaks,
    and it then refuses the next one.
    """
    argv = ["iperf3", "-c", str(address), "-p", str(port), "-n", "1K"]
    return [*argv, "--connect-timeout", str(CONNECT_MILLISECONDS)]


@dataclass(frozen=True)
class Endpoint:
    """One end of the test's connection."""

    address: str
    port: int


@dataclass(frozen=True)
class Interval:
    """What was sent in one stretch of the run. ``retransmits`` is TCP's, ``datagrams`` is UDP's; the other is None."""

    start: float
    end: float
    bytes: int
    bits_per_second: float
    retransmits: int | None = None
    datagrams: int | None = None


@dataclass(frozen=True)
class TcpRun:
    """A finished TCP test. Rates are bits a second; ``received_*`` is what the server says it got."""

    version: str
    local: Endpoint
    remote: Endpoint
    seconds: float
    intervals: tuple[Interval, ...]
    sent_bytes: int
    received_bytes: int
    sent_bits_per_second: float
    received_bits_per_second: float
    retransmits: int


@dataclass(frozen=True)
class UdpRun:
    """A finished UDP test. ``offered_*`` is the rate asked for, ``received_*`` what the server says it got.

    ``counted`` and ``gaps`` are the server's own numbers: the highest datagram it saw, and how many before it were
    missing. Use :attr:`received` and :attr:`lost`.
    """

    version: str
    local: Endpoint
    remote: Endpoint
    seconds: float
    intervals: tuple[Interval, ...]
    offered_bits_per_second: float
    sent_bytes: int
    received_bytes: int
    received_bits_per_second: float
    sent: int
    counted: int
    gaps: int
    jitter_ms: float

    @property
    def received(self) -> int:
        """Return how many datagrams arrived."""
        return max(0, self.counted - self.gaps)

    @property
    def lost(self) -> int:
        """Return how many of the sent datagrams never arrived, also those after the last one that did."""
        return max(0, self.sent - self.received)


@dataclass(frozen=True)
class Failed:
    """iperf3 says it could not do the test; ``error`` is its own words."""

    error: str

    @property
    def cannot_connect(self) -> bool:
        """Tell whether the control connection itself was impossible."""
        return self.error.startswith(CANNOT_CONNECT)

    @property
    def busy(self) -> bool:
        """Tell whether the server was serving another client (it serves one at a time)."""
        return self.error.startswith(BUSY)


Outcome = TcpRun | UdpRun | Failed


def parse(text: str) -> Outcome:
    """Read what ``iperf3 -J`` printed.

    An ``error`` in it makes the run :class:`Failed`, whatever sums stand beside it. Raises LAB-PRF-001 with the path of
    any value that is missing or cannot be.
    """
    root = loads(text, _WHAT)
    if root.has("error"):
        return Failed(root["error"].text())
    protocol = root["start"]["test_start"]["protocol"]
    if protocol.text() == "TCP":
        return _tcp(root)
    if protocol.text() == "UDP":
        return _udp(root)
    return protocol.refuse("should be TCP or UDP")


def failure_words(stderr: str) -> str | None:
    """Return why iperf3 (without ``-J``) gave up, in its own words, or None when it did not say."""
    for line in stderr.splitlines():
        _, found, words = line.partition("iperf3: error - ")
        if found:
            return words.strip()
    return None


def _tcp(root: Node) -> TcpRun:
    sent, received = root["end"]["sum_sent"], root["end"]["sum_received"]
    local, remote = _endpoints(root)
    return TcpRun(
        version=root["start"]["version"].text(),
        local=local,
        remote=remote,
        seconds=sent["seconds"].number(),
        intervals=tuple(_interval(node["sum"], "retransmits") for node in root["intervals"].items()),
        sent_bytes=sent["bytes"].integer(),
        received_bytes=received["bytes"].integer(),
        sent_bits_per_second=sent["bits_per_second"].number(),
        received_bits_per_second=received["bits_per_second"].number(),
        retransmits=sent["retransmits"].integer(),
    )


def _udp(root: Node) -> UdpRun:
    sent, received = root["end"]["sum_sent"], root["end"]["sum_received"]
    local, remote = _endpoints(root)
    return UdpRun(
        version=root["start"]["version"].text(),
        local=local,
        remote=remote,
        seconds=sent["seconds"].number(),
        intervals=tuple(_interval(node["sum"], "packets") for node in root["intervals"].items()),
        offered_bits_per_second=root["start"]["test_start"]["target_bitrate"].number(),
        sent_bytes=sent["bytes"].integer(),
        received_bytes=received["bytes"].integer(),
        received_bits_per_second=received["bits_per_second"].number(),
        sent=sent["packets"].integer(),
        counted=received["packets"].integer(),
        # Datagrams that overtake each other or come twice are subtracted again, so this one may be below 0.
        gaps=received["lost_packets"].integer(minimum=None),
        jitter_ms=received["jitter_ms"].number(),
    )


def _endpoints(root: Node) -> tuple[Endpoint, Endpoint]:
    connected = root["start"]["connected"]
    streams = connected.items()
    if not streams:
        connected.refuse("should name a connection")
    first = streams[0]
    return (
        Endpoint(first["local_host"].text(), first["local_port"].integer(1)),
        Endpoint(first["remote_host"].text(), first["remote_port"].integer(1)),
    )


def _interval(node: Node, counter: str) -> Interval:
    count = node[counter].integer()
    return Interval(
        start=node["start"].number(),
        end=node["end"].number(),
        bytes=node["bytes"].integer(),
        bits_per_second=node["bits_per_second"].number(),
        retransmits=count if counter == "retransmits" else None,
        datagrams=count if counter == "packets" else None,
    )


# -- running it --------------------------------------------------------------------------------------------------


def measure(
    client: Runner,
    address: IPv4Address,
    *,
    udp: bool,
    seconds: int,
    port: int = PORT,
    rate: int | None = None,
    on_wait: Callable[[str], None] | None = None,
    patience: float = BUSY_SECONDS,
) -> tuple[Outcome, Evidence]:
    """Run a test from ``client`` and read it; a busy server, and nothing else, is asked again for ``patience`` seconds.

    Raises LAB-PRF-002 when iperf3 itself cannot run, LAB-PRF-001 when its answer cannot be read.
    """
    argv = json_argv(address, udp=udp, seconds=seconds, port=port, rate=rate)
    seen: list[tuple[Outcome, Evidence]] = []

    def attempt() -> None:
        result = _run(client, argv, seconds + PATIENCE_SECONDS)
        seen.append((parse(result.stdout), Evidence.of(result, seconds)))
        outcome = seen[-1][0]
        if isinstance(outcome, Failed) and outcome.busy:
            raise NotYet(outcome.error)

    # When it stays busy to the end, the last answer says so and is the result.
    with contextlib.suppress(WaitTimedOut):
        until(attempt, timeout=patience, every=1.0, what="the iperf3 server to be free", on_wait=on_wait)
    return seen[-1]


def connect(client: Runner, address: IPv4Address, port: int = PORT) -> tuple[str | None, Evidence]:
    """Try the control connection once; return None when it works, else iperf3's own words.

    A probe that a change of the service's rules catches between its two connections gets no answer for its second one,
    and iperf3 3.12 has no time limit there: it is ended here, and what it saw is neither a yes nor a no. (Seen on a
    real lab: the speaker answers its own node's ARP request, so that node sends what no rule takes to itself.)
    """
    argv = connect_argv(address, port)
    try:
        result = _run(client, argv, CONNECT_SECONDS)
    except CommandTimedOut as error:
        return error.what, Evidence(shlex.join(argv), client.name, None, "", error.detail, CONNECT_SECONDS)
    return (None if result.ok else _words(result)), Evidence.of(result)


def try_udp(
    client: Runner, address: IPv4Address, *, seconds: int, port: int = PORT, limit: int | None = None
) -> tuple[str | None, Evidence]:
    """Run the UDP client as a person would; return None when it works, else iperf3's own words.

    With ``limit`` it is interrupted after so many seconds, as a person would do who sees that nothing comes; left
    alone it waits 30 s for the first datagram (:data:`SILENCE` is then what is returned).
    """
    argv = client_argv(address, udp=True, seconds=seconds, port=port)
    if limit is not None:
        argv = ["timeout", "--signal=INT", str(limit), *argv]
    result = _run(client, argv, seconds + PATIENCE_SECONDS, also=(INTERRUPTED,))
    if result.rc == INTERRUPTED:
        return f"{SILENCE} ({limit} s)", Evidence.of(result, limit or 0)
    return (None if result.ok else _words(result)), Evidence.of(result, seconds if result.ok else 0)


def stream(client: Runner, address: IPv4Address, *, udp: bool, seconds: int, on_line: Callable[[str], None]) -> None:
    """Run the client as a person would and hand on its lines as they come.

    Raises LAB-PRF-002 with iperf3's own words when the test does not work.
    """
    argv = client_argv(address, udp=udp, seconds=seconds)
    result = client.run(argv, timeout=seconds + PATIENCE_SECONDS, check=False, on_line=on_line)
    if not result.ok:
        raise LabError(errors.PROOF_PROBE_FAILED, f"iperf3 says: {_words(result)}", where=client.name)


def flow(run: TcpRun | UdpRun, name: str) -> Flow:
    """Return a finished test as the report keeps it."""
    intervals = tuple(records.Interval(item.start, item.end, item.bits_per_second) for item in run.intervals)
    target = f"{run.remote.address}:{run.remote.port}"
    common = (name, "TCP" if isinstance(run, TcpRun) else "UDP", target, run.seconds, run.received_bits_per_second)
    if isinstance(run, TcpRun):
        return Flow(*common, intervals, retransmits=run.retransmits)
    return Flow(
        *common,
        intervals,
        offered_bits_per_second=run.offered_bits_per_second,
        sent=run.sent,
        lost=run.lost,
        jitter_ms=run.jitter_ms,
    )


def _run(client: Runner, argv: Argv, timeout: float, also: tuple[int, ...] = ()) -> Result:
    result = client.run(argv, timeout=timeout, check=False)
    # 0 and 1 are iperf3's own; 126 and up is a shell or sudo saying that it could not even be started.
    if result.rc not in (0, 1, *also) or not (result.stdout or result.stderr):
        what = f"iperf3 ended with status {result.rc}"
        if result.rc == NOT_THERE:
            what = f"iperf3 is not installed on {client.name}"
        raise LabError(errors.PROOF_PROBE_FAILED, what, where=client.name, detail=result.tail)
    return result


def _words(result: Result) -> str:
    return failure_words(result.stderr) or result.tail
