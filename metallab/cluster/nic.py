"""Which network card a node has in the lab network: found by its address, for its name is the provider's business."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import IPv4Address

from metallab import errors
from metallab.config import Lab
from metallab.errors import LabError
from metallab.run.result import Runner

ASK_SECONDS = 15.0


def lab_interfaces(lab: Lab, runners: Mapping[str, Runner]) -> tuple[str, ...]:
    """Return the names the lab network's card has on the nodes: usually one, several when the nodes differ.

    ``runners`` are those of the nodes, by name. Raises LAB-CLUS-006 when a node does not have its address.
    """
    names = set()
    for machine in lab.nodes:
        listing = runners[machine.name].run(["ip", "-json", "-4", "address", "show"], timeout=ASK_SECONDS).stdout
        names.add(interface_of(listing, lab.address(machine), where=machine.name))
    return tuple(sorted(names))


def interface_of(listing: str, address: IPv4Address, *, where: str) -> str:
    """Return the card that carries ``address``, from the output of ``ip -json address show``."""
    for link in json.loads(listing):
        for entry in link["addr_info"]:
            if entry["local"] == str(address):
                return str(link["ifname"])
    raise LabError(errors.CLUSTER_NO_ADDRESS, f"no network card has the address {address}", where=where)
