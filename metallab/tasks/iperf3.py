"""``inv iperf3.…``: the example of the seed document and its client."""

from __future__ import annotations

from ipaddress import IPv4Address

from metallab import console
from metallab.proof.units import SECONDS
from metallab.tasks._task import Session, task


@task(long=True)
def deploy(session: Session) -> None:
    """Deploy the iperf3 server and its TCP and UDP services on one address. Example: ./inv iperf3.deploy."""
    from metallab import steps
    from metallab.site import existing

    steps.deploy_example(existing(session.lab), session.events)


@task(help={"udp": "send UDP instead of TCP", "seconds": "how long to send"})
def run(session: Session, udp: bool = False, seconds: int = SECONDS) -> None:
    """Run the iperf3 client on the client machine and show its lines as they come. Example: ./inv iperf3.run --udp."""
    from metallab.cluster import example
    from metallab.proof import iperf3
    from metallab.site import existing
    from metallab.tasks.verify import require_seconds

    require_seconds(seconds)
    site = existing(session.lab)
    found = example.address(site.cluster)
    # With one of the two services gone the other's address is still the one to try: that is the negative proof by hand.
    given = found.tcp or found.udp
    address = site.lab.vip if given is None else IPv4Address(given)
    client = site.runner(site.lab.client)
    iperf3.stream(client, address, udp=udp, seconds=seconds, on_line=console.line)


@task(long=True)
def delete(session: Session) -> None:
    """Delete the iperf3 server and its services; MetalLB stays. Example: ./inv iperf3.delete."""
    from metallab.cluster import example
    from metallab.site import existing

    with session.events.step("delete the iperf3 example") as step:
        example.delete(existing(session.lab).cluster, step)
