"""What is proven, in order: acts, and in each act its claims. A table of contents; :mod:`.verify` plays it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass

from metallab.proof.checks import absence, neighbours, refusals, standing, traffic
from metallab.proof.checks.scene import Scene, Seen
from metallab.proof.subject import TCP_SERVICE, UDP_SERVICE, Subject

WORKS = ("tcp", "udp", "one-mac", "echo")
"""What must hold before anything is taken away: of an address that does not work, or that two machines answer for,
its absence proves nothing."""


@dataclass(frozen=True)
class Claim:
    """Something to prove: its id, the claim in plain words, and the check.

    ``needs`` are ids that must hold before it is asked, ``after`` ids that only must have been asked. A ``core`` claim
    that could not be asked leaves the lab unproven.
    """

    id: str
    words: str
    check: Callable[[Scene], Seen]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    core: bool = True


@dataclass(frozen=True)
class Change:
    """A change that an act is played under: what is done to the lab, what undoes it, and the words for both."""

    words: str
    make: Callable[[Subject], None]
    undo_words: str
    undo: Callable[[Subject], None]


@dataclass(frozen=True)
class Act:
    """A part of the story: its claims, and the change they are asked under, if any."""

    title: str
    claims: tuple[Claim, ...]
    change: Change | None = None


def _without(service: str) -> Change:
    return Change(
        f"delete {service}",
        lambda subject: subject.cluster.take_away(service),
        f"restore {service}",
        lambda subject: subject.cluster.put_back(service),
    )


def _again(title: str, protocol: str) -> Act:
    """Return the act in which the deleted service is back."""
    name, check = protocol.lower(), functools.partial(traffic.again, protocol=protocol)
    words = "with it both pass on the same address"
    return Act(title, (Claim(f"again-{name}", words, check, WORKS, (f"no-{name}",)),))


def _no_server(subject: Subject) -> None:
    # The echo shares the address and would keep it announced.
    subject.cluster.strike()
    subject.cluster.scale_down()


EVERYTHING = Act(
    "A1 everything in place",
    (
        Claim("nodes", "all nodes are Ready", standing.nodes),
        Claim("metallb", "MetalLB's controller and speakers run", standing.metallb, ("nodes",)),
        Claim("address", "both services share one address", standing.shared_address, ("nodes",)),
        Claim("server", "one iperf3 server is ready", standing.server, ("nodes",)),
        Claim("flows", "no node keeps a flow to a server that is gone", standing.kept_flows, ("server",), core=False),
        Claim("tcp", "TCP arrives through it", traffic.tcp, ("server", "address")),
        Claim("udp", "UDP arrives through it", traffic.udp, ("server", "address")),
        Claim("one-mac", "exactly one node answers ARP for it", neighbours.one_mac, ("address",)),
        Claim("announcer", "it is the node MetalLB has to elect", standing.announcer, ("one-mac",), core=False),
        Claim("echo", "a UDP echo on the same address answers", traffic.echo, ("server", "one-mac")),
    ),
)
QUALITY = Act(
    "Quality",
    (Claim("direct", "TCP through it keeps up with the direct way", traffic.direct, ("tcp",), core=False),),
)
SOURCE = Act(
    "Source addresses",
    tuple(
        Claim(
            f"source-{policy.lower()}",
            f"externalTrafficPolicy {policy}: the server sees {sees}",
            functools.partial(traffic.source, policy=policy),
            ("echo",),
            core=False,
        )
        for policy, sees in (("Cluster", "a node's address"), ("Local", "the client's"))
    ),
)
WITHOUT_TCP = Act(
    "B the TCP service deleted",
    (
        Claim("no-tcp", "without it iperf3 -u cannot connect", absence.no_tcp, WORKS),
        Claim("b-echo", "the UDP echo still answers", traffic.echo, WORKS, ("no-tcp",)),
        Claim("b-control", "a server without a service is still reached", absence.control_target, WORKS, ("no-tcp",)),
        Claim("b-arp", "the address is still answered by the same node", neighbours.still_answered, WORKS, ("no-tcp",)),
    ),
    _without(TCP_SERVICE),
)
TCP_AGAIN = _again("A2 the TCP service back", "TCP")
WITHOUT_UDP = Act(
    "C the UDP service deleted",
    (
        Claim("no-udp", "without it iperf3 -u connects, but no datagram comes", absence.no_udp, WORKS),
        Claim("c-tcp", "TCP still arrives", absence.tcp_goes_on, WORKS, ("no-udp",)),
        Claim("c-echo", "the UDP echo still answers", traffic.echo, WORKS, ("no-udp",)),
    ),
    _without(UDP_SERVICE),
)
UDP_AGAIN = _again("A3 the UDP service back", "UDP")
REFUSALS = Act(
    "What MetalLB refuses",
    tuple(
        Claim(case, words, functools.partial(refusals.refused, case=case), ("metallb", "address"), core=False)
        for case, words in (
            ("other-key", "MetalLB refuses the address to another sharing key"),
            ("port-clash", "MetalLB refuses a port of the address that is taken"),
            ("exhausted", "MetalLB refuses an address of a pool that has none left"),
        )
    ),
)
NO_SERVER = Act(
    "D no server",
    (Claim("silent", "with no server nobody answers ARP", neighbours.silent, WORKS, core=False),),
    Change("scale the server to none", _no_server, "scale it back", lambda subject: subject.cluster.scale_back()),
)
SERVER_AGAIN = Act(
    "A4 the server back",
    (Claim("answered", "the same node answers again", neighbours.answered, WORKS, ("silent",), core=False),),
)

STORY = (
    EVERYTHING,
    QUALITY,
    SOURCE,
    WITHOUT_TCP,
    TCP_AGAIN,
    WITHOUT_UDP,
    UDP_AGAIN,
    REFUSALS,
    NO_SERVER,
    SERVER_AGAIN,
)
END = "The end"
AS_FOUND = "as-found"
AS_FOUND_WORDS = "the lab is left as it was found"
BRINGS = frozenset({"echo", "direct", "source-cluster", "source-local", "b-echo", "b-control", "c-echo"})
"""Claims that need what the proof brings along."""

NOT_TESTED = (
    "Failover: no node was stopped and no speaker killed (./inv drill.run announcer-off, speaker-killed).",
    "BGP mode and IPv6: the lab announces IPv4 by ARP.",
    "A switch of hardware: the lab network is a bridge of this host, and its ARP tables are Linux's.",
    "More than one client, and clients in another network.",
    "Long flows and high load: runs take seconds, and UDP is offered at 10 Mbit/s.",
)
"""What no run of this proof says anything about, in plain words, with the drills that do where there are some."""


def known() -> tuple[tuple[str, Claim], ...]:
    """Return every claim with the title of its act, in order; the last one is about the end."""
    return tuple((act.title, claim) for act in STORY for claim in act.claims)


def ids() -> tuple[str, ...]:
    """Return every id there is, in order."""
    return (*(claim.id for _, claim in known()), AS_FOUND)


def with_needs(chosen: Collection[str]) -> frozenset[str]:
    """Return the chosen ids and all that must be asked before them."""
    claims = {claim.id: claim for _, claim in known()}
    wanted, left = set(chosen), list(chosen)
    while left:
        claim = claims.get(left.pop())
        for need in () if claim is None else (*claim.needs, *claim.after):
            if need not in wanted:
                wanted.add(need)
                left.append(need)
    return frozenset(wanted)
