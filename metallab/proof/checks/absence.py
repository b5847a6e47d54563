"""What must fail while one of the two services is deleted, in which words, and what must go on meanwhile."""

from __future__ import annotations

import contextlib

from metallab.errors import LabError
from metallab.proof import iperf3
from metallab.proof.checks.scene import Scene, Seen, kept_flows, rules
from metallab.proof.checks.traffic import AGAIN_SECONDS, control
from metallab.proof.iperf3 import CANNOT_CONNECT, SILENCE, Failed
from metallab.proof.records import Evidence
from metallab.proof.subject import CONTROL_PORT, TCP_SERVICE, UDP_SERVICE
from metallab.proof.units import rate

NO_DATAGRAM = (SILENCE, "unable to read from stream socket", "unable to create a new stream")
"""How iperf3 may say that the control connection was made and the UDP stream was not: by silence, or where the network
answers the datagrams with an error (its iperf_error.c)."""
SILENCE_SECONDS = 5
"""How long a UDP client is let wait for its first datagram; a healthy one gets it at once."""


def no_tcp(scene: Scene) -> Seen:
    """With the TCP service gone - object and rules - iperf3 -u cannot even begin, although the UDP service is there.

    A connection that began before is kept alive by conntrack and proves nothing; if there is one, it is named.
    """
    expected = f"iperf3 -u ends with an error: {CANNOT_CONNECT} …"
    synced, trouble = rules(scene, "TCP", iperf3.PORT, there=False)
    if trouble:
        return Seen(holds=False, expected=expected, seen=f"{trouble} after {TCP_SERVICE} was deleted", evidence=synced)
    words, evidence = iperf3.try_udp(scene.subject.client, scene.subject.address, seconds=AGAIN_SECONDS)
    holds = words is not None and words.startswith(CANNOT_CONNECT)
    # Only told beside it: the proof is made.
    kept: list[str] = []
    listing: tuple[Evidence, ...] = ()
    with contextlib.suppress(LabError):
        flows, listing = kept_flows(scene)
        kept = [f"{flow} on {name}" for name, flow in flows if flow.protocol == "TCP"]
    named = f" (conntrack keeps alive what began before: {', '.join(kept)})" if kept else ""
    seen = f"{words or 'iperf3 -u works without the TCP service'}{named}"
    return Seen(holds, expected, seen, (*synced, *listing, evidence))


def control_target(scene: Scene) -> Seen:
    """Send the very same from the same client to a server without a service: client, SSH and iperf3 are healthy."""
    node, address = control(scene)
    words, evidence = iperf3.try_udp(scene.subject.client, address, seconds=AGAIN_SECONDS, port=CONTROL_PORT)
    expected = f"iperf3 -u reaches {node} directly"
    return Seen(words is None, expected, words or f"{node} ({address}) is reached", (evidence,))


def no_udp(scene: Scene) -> Seen:
    """With the UDP service gone the TCP connection is made, and then not one datagram gets through."""
    expected = "iperf3 -u makes its TCP connection and gets no datagram through"
    synced, trouble = rules(scene, "UDP", iperf3.PORT, there=False)
    if trouble:
        return Seen(holds=False, expected=expected, seen=f"{trouble} after {UDP_SERVICE} was deleted", evidence=synced)
    client, address = scene.subject.client, scene.subject.address
    words, evidence = iperf3.try_udp(client, address, seconds=AGAIN_SECONDS, limit=SILENCE_SECONDS)
    holds = words is not None and words.startswith(NO_DATAGRAM)
    return Seen(holds, expected, words or "iperf3 -u works without the UDP service", (*synced, evidence))


def tcp_goes_on(scene: Scene) -> Seen:
    """With the UDP service gone TCP still arrives."""
    subject = scene.subject
    outcome, evidence = iperf3.measure(
        subject.client, subject.address, udp=False, seconds=AGAIN_SECONDS, on_wait=scene.say
    )
    if isinstance(outcome, Failed):
        return Seen(holds=False, expected="TCP arrives", seen=outcome.error, evidence=(evidence,))
    seen = f"{rate(outcome.received_bits_per_second)} arrived"
    return Seen(outcome.received_bytes > 0, "TCP arrives", seen, (evidence,))
