"""Reports to draw: one that passes, one that fails, one where nothing ran, one with warnings, one full of nasty text.

Made of what iperf3 and arping really printed (``tests/data/proof``), so that a page shows what a page will show.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from metallab.proof import acts, iperf3
from metallab.proof.iperf3 import TcpRun, UdpRun
from metallab.proof.records import Check, Evidence, Flow, Interval, Picture, Place, Report, Verdict
from metallab.proof.units import rate

DATA = Path(__file__).parent.parent / "data" / "proof"
ADDRESS = "192.168.96.70"
SERVER_NODE = "192.168.96.11"
SEEN = {
    "nodes": "3 of 3 Ready",
    "metallb": "controller 1/1 ready, speaker 3/3 ready",
    "server": "one, on worker-1",
    "address": f"{ADDRESS} for both",
    "flows": "no stale flow",
    "one-mac": "02:42:c0:a8:60:0c = worker-2",
    "announcer": "worker-2 announces",
    "echo": "answers 'metallab'",
    "source-cluster": "it sees 10.244.1.1",
    "source-local": "it sees 192.168.96.200",
    "no-tcp": "unable to connect to server: No route to host",
    "b-echo": "answers 'metallab'",
    "b-control": f"worker-1 ({SERVER_NODE}) is reached",
    "b-arp": "answered by 02:42:c0:a8:60:0c",
    "no-udp": "no datagram came, although the TCP connection was made (5 s)",
    "c-echo": "answers 'metallab'",
    "other-key": "can't change sharing key for the service, address also in use by two others",
    "port-clash": f'port TCP/5201 is already in use on "{ADDRESS}"',
    "exhausted": '["<nil>"] is not allowed in config',
    "silent": "nobody answers",
    "answered": "answered by 02:42:c0:a8:60:0c",
    "as-found": "7 objects as before",
}
"""Id -> what is seen when all is well; what iperf3 runs say is not among it."""
PLAN = (
    *((act, claim.id, claim.words, SEEN.get(claim.id, "")) for act, claim in acts.known()),
    (acts.END, acts.AS_FOUND, acts.AS_FOUND_WORDS, SEEN[acts.AS_FOUND]),
)
"""Act, id, claim, and what is seen when all is well."""
REQUIRED = (*(claim.id for _, claim in acts.known() if claim.core), acts.AS_FOUND)
NOT_TESTED = acts.NOT_TESTED
VERSIONS = {"Kubernetes": "v1.37.2", "MetalLB": "v0.15.2", "containerd": "2.2.1", "iperf3": "3.12"}
MACS = {"control-plane": "0a", "worker-1": "0b", "worker-2": "0c", "client": "c8"}


def text(name: str) -> str:
    """Return a captured output."""
    return (DATA / name).read_text(encoding="utf-8")


@functools.cache
def tcp() -> TcpRun:
    """Return the captured good run over TCP."""
    run = iperf3.parse(text("tcp.json"))
    assert isinstance(run, TcpRun)
    return run


@functools.cache
def udp(name: str = "udp.json") -> UdpRun:
    """Return a captured run over UDP."""
    run = iperf3.parse(text(name))
    assert isinstance(run, UdpRun)
    return run


def flow(name: str, run: TcpRun | UdpRun, target: str = ADDRESS, faster: float = 1.0) -> Flow:
    """Return a run as the flow a check keeps of it; ``faster`` makes another run of it."""
    intervals = tuple(Interval(item.start, item.end, item.bits_per_second * faster) for item in run.intervals)
    plain = Flow(name, "TCP", target, run.seconds, run.received_bits_per_second * faster, intervals)
    if isinstance(run, TcpRun):
        return dataclasses.replace(plain, retransmits=run.retransmits)
    return dataclasses.replace(
        plain,
        protocol="UDP",
        offered_bits_per_second=run.offered_bits_per_second,
        sent=run.sent,
        lost=run.lost,
        jitter_ms=run.jitter_ms,
    )


def measured(command: str, output: str) -> Evidence:
    """Return the evidence of an iperf3 run of 3 s."""
    return Evidence(command, "client", 0, text(output), "", 3.412, 3.0)


ARPING = Evidence(f"arping -b -c 3 -w 4 -I eth1 {ADDRESS}", "client", 0, text("arping-one.txt"), "", 2.104, 2.0)
NO_ROUTE = Evidence(
    f"iperf3 --forceflush -c {ADDRESS} -p 5201 -t 1 -u --connect-timeout 3000",
    "client",
    1,
    "",
    text("no-route.stderr.txt"),
    3.118,
    0.0,
)
NODES = Evidence("nodes", "Kubernetes API", None, "control-plane Ready\nworker-1 Ready\nworker-2 Ready\n", "", 0.081)


def _special(name: str) -> tuple[str, tuple[Evidence, ...], tuple[Flow, ...]]:
    """Return what was seen, the evidence and the flows of the checks that are more than one line."""
    good, datagrams = tcp(), udp()
    tcp_words = f"{rate(good.received_bits_per_second)}, {good.retransmits} retransmits"
    udp_words = f"{rate(datagrams.received_bits_per_second)} of 1.05 Mbit/s offered, 0 of 272 datagrams lost"
    tcp_evidence = measured(f"iperf3 -J -c {ADDRESS} -p 5201 -t 3 --connect-timeout 3000", "tcp.json")
    udp_evidence = measured(f"iperf3 -J -c {ADDRESS} -p 5201 -t 3 -u --connect-timeout 3000", "udp.json")
    direct = measured(f"iperf3 -J -c {SERVER_NODE} -p 5201 -t 3 --connect-timeout 3000", "tcp.json")
    again = flow("again", good)
    short = dataclasses.replace(again, seconds=1.0, intervals=again.intervals[:1])
    return {
        "nodes": ("", (NODES,), ()),
        "tcp": (tcp_words, (tcp_evidence,), (flow("service", good),)),
        "udp": (udp_words, (udp_evidence,), (flow("service", datagrams),)),
        "one-mac": ("", (ARPING,), ()),
        "direct": (
            "0.93 times the 8.30 Gbit/s that go directly to worker-1",
            (direct,),
            (flow("direct", good, SERVER_NODE, 1.08),),
        ),
        "no-tcp": ("", (NO_ROUTE,), ()),
        "b-arp": ("", (ARPING,), ()),
        "again-tcp": (
            "TCP 7.68 Gbit/s, UDP 0 of 91 lost",
            (tcp_evidence, udp_evidence),
            (short, flow("again", datagrams)),
        ),
        "no-udp": (
            "",
            (
                Evidence(
                    f"timeout --signal=INT 5 {NO_ROUTE.command}",
                    "client",
                    124,
                    "",
                    "iperf3: interrupt - the client has terminated\n",
                    5.1,
                ),
            ),
            (),
        ),
        "c-tcp": ("7.68 Gbit/s, 0 retransmits", (tcp_evidence,), ()),
        "again-udp": ("TCP 7.71 Gbit/s, UDP 0 of 91 lost", (tcp_evidence, udp_evidence), ()),
        "answered": ("", (ARPING,), ()),
    }.get(name, ("", (), ()))


def check(act: str, name: str, claim: str, seen: str) -> Check:
    """Return a check of the plan that passed."""
    words, evidence, flows = _special(name)
    took = round(sum(item.seconds for item in evidence) + 0.214, 3)
    return Check(name, claim, Verdict.PASS, act, "as claimed", seen or words, "", "", took, evidence, flows)


def picture(workers: int = 2) -> Picture:
    """Return the lab network with so many workers."""
    names = ["control-plane", *(f"worker-{number}" for number in range(1, workers + 1))]
    places = [
        Place(
            name,
            name.split("-")[0] if number else name,
            f"192.168.96.{10 + number}",
            f"02:42:c0:a8:60:{10 + number:02x}",
            announces=number == workers,
            elected=number == workers,
            serves=number == 1,
        )
        for number, name in enumerate(names)
    ]
    client = Place("client", "client", "192.168.96.200", "02:42:c0:a8:60:c8")
    return Picture("192.168.96.0/24", "192.168.96.64-192.168.96.95", (*places, client))


@functools.cache
def passing() -> Report:
    """Return a proof of everything."""
    return Report(
        lab="metallab",
        address=ADDRESS,
        started="2026-11-23T10:00:00+00:00",
        seconds=118.4,
        provider="docker",
        versions=VERSIONS,
        picture=picture(),
        checks=tuple(check(*row) for row in PLAN),
        required=REQUIRED,
        not_tested=NOT_TESTED,
    )


def changed(report: Report, **changes: Check) -> Report:
    """Return the report with some checks exchanged; a ``_`` in a key is a ``-`` in an id."""
    new = {name.replace("_", "-"): item for name, item in changes.items()}
    return dataclasses.replace(report, checks=tuple(new.get(item.id, item) for item in report.checks))


def one(report: Report, name: str) -> Check:
    """Return a check by its id."""
    return next(item for item in report.checks if item.id == name)


def not_run(item: Check, reason: str, *blocked_by: str) -> Check:
    """Return the check as one nobody could ask."""
    return Check(item.id, item.claim, Verdict.NOT_RUN, item.act, reason=reason, blocked_by=blocked_by)


@functools.cache
def warned() -> Report:
    """Return a proof that holds, with things somebody should know."""
    report = passing()
    warning = "worker-2 announces, though the election has to choose worker-1; seen again after 2 s"
    return changed(
        report,
        announcer=dataclasses.replace(one(report, "announcer"), warning=warning),
        source_local=not_run(one(report, "source-local"), "because the server runs on the announcer"),
    )


@functools.cache
def failing() -> Report:
    """Return a proof that fails where it matters most, and everything that hangs on it."""
    report = passing()
    works = dataclasses.replace(
        one(report, "no-tcp"),
        verdict=Verdict.FAIL,
        expected="unable to connect to server",
        seen="it works: 0 of 91 datagrams lost",
        evidence=(Evidence(NO_ROUTE.command, "client", 0, text("udp.txt"), "", 1.4, 1.0),),
    )
    two = dataclasses.replace(
        one(report, "one-mac"),
        verdict=Verdict.FAIL,
        expected="one MAC, that of a node",
        seen="02:42:c0:a8:60:0c = worker-2; 02:42:c0:a8:60:42 = no node of this lab",
        evidence=(dataclasses.replace(ARPING, stdout=text("arping-two.txt")),),
    )
    report = changed(report, no_tcp=works, one_mac=two)
    for name in ("no-udp", "c-tcp", "c-echo", "again-udp"):
        item = not_run(one(report, name), "because again-tcp did not pass", "again-tcp")
        report = changed(report, **{name.replace("-", "_"): item})
    again = dataclasses.replace(
        one(report, "again-tcp"),
        verdict=Verdict.FAIL,
        expected="TCP and UDP arrive",
        seen="the server is busy",
        flows=(),
    )
    return changed(report, again_tcp=again)


@functools.cache
def nothing() -> Report:
    """Return a proof that could not begin: no picture, nothing measured, only reasons."""
    reason = "because no SSH to client: timed out (LAB-MCH-002)"
    checks = tuple(not_run(item, reason) for item in passing().checks)
    return Report("metallab", ADDRESS, "2026-11-23T10:00:00+00:00", 12.0, checks=checks, required=REQUIRED)


NASTY = (
    "</script><script>alert(1)</script>",
    "]]>",
    "a\x00b\x1b[31mred\x1b[0m\x7f\x85",
    "<!--",
    "-->",
    "\u202egnp.exe",
    "\ufffe\uffff",
    "Grüße, 世界, 🙂, é",
    "\r\nover\rwritten",
    '" onload="alert(1)',
    "{{ 7 * 7 }}{% raw %}",
    "&amp;&#0;",
)
"""What a program may print, and a page or an XML file must survive."""


@functools.cache
def hostile() -> Report:
    """Return a report with nasty text wherever text can stand, and a megabyte of output."""
    mess = "\n".join(NASTY)
    evidence = Evidence(mess, mess, 1, mess, "x" * 1_000_000, 1.0, 9.0)
    outcomes: list[tuple[Verdict, TcpRun | UdpRun]]
    outcomes = [(Verdict.FAIL, tcp()), (Verdict.PASS, udp()), (Verdict.NOT_RUN, udp())]
    checks = tuple(
        Check(
            f"odd {number}",
            mess,
            verdict,
            mess,
            mess,
            mess,
            mess,
            mess,
            1.0,
            (evidence,) if number == 0 else (),
            (dataclasses.replace(flow(mess, run), target=mess),),
        )
        for number, (verdict, run) in enumerate(outcomes)
    )
    places = (Place(mess, mess, mess, mess, announces=True, elected=True, serves=True), Place("", "client", ""))
    return Report(mess, mess, mess, 1.0, mess, {mess: mess}, Picture(mess, mess, places), checks, ("odd 2",), NASTY)


ALL = {
    "passing": passing,
    "warned": warned,
    "failing": failing,
    "nothing": nothing,
    "hostile": hostile,
}
"""Every sample by its name."""
