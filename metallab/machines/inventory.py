"""What Vagrant is told: the lab resolved into plain values, written as JSON for the Vagrantfile.

The Vagrantfile has no logic of its own; which values a machine needs is decided and tested here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

from metallab.config import Lab, Machine
from metallab.machines.labdir import USER, LabDir
from metallab.run import pace
from metallab.run.ssh import SshRunner

BOOT_SECONDS = 300
"""Vagrant's own default of how long a machine may take until it lets Vagrant in."""
EMULATED_BOOT_SECONDS = 1200


@dataclass(frozen=True)
class VagrantMachine:
    """One machine as the Vagrantfile sees it. ``settings`` are in the words of the lab's provider.

    ``guest`` is empty unless the machine's box is not the lab's own: then the kit that makes it one of the lab.
    """

    name: str
    role: str
    ip: str
    identity: str
    settings: Mapping[str, Any]
    guest: Mapping[str, str]


@dataclass(frozen=True)
class Inventory:
    """Everything the Vagrantfile reads, and nothing more.

    ``identity`` is the file a machine gets its keys from, ``common`` what the provider says once for all machines.
    """

    lab: str
    provider: str
    accelerated: bool
    boot_timeout: int
    user: str
    key: str
    environment: dict[str, str]
    proxy_command: str | None
    common: Mapping[str, Any]
    machines: tuple[VagrantMachine, ...]

    def to_json(self) -> str:
        """Return the JSON text the Vagrantfile parses."""
        return json.dumps(asdict(self), indent=2) + "\n"


def container_name(lab: Lab, machine: Machine) -> str:
    """Return the name of a machine's container, and of its volume if it has one: two labs on one daemon must differ.

    Names hold no underscore, so no machine ``b-c`` of a lab ``a`` is called as a machine ``c`` of a lab ``a-b``.
    """
    return f"metallab-{lab.name}_{machine.name}"


def recorded(labdir: LabDir) -> Mapping[str, Any] | None:
    """Return the inventory the lab's machines were made with, None when there is no (readable) one."""
    try:
        record = json.loads(labdir.inventory.read_text(encoding="utf-8"))
        known: dict[str, Any] = {key: record[key] for key in ("provider", "environment")}
        # Earlier inventories knew only containers, which are not emulated.
        known["accelerated"] = record.get("accelerated", True)
        netmask = record["common"]["netmask"] if "common" in record else record["prefix"]
        # Where the lab really is: its provider may have moved it away from what lab.yaml says.
        known["network"] = IPv4Interface(f"{record['machines'][0]['ip']}/{netmask}").network
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return known if isinstance(known["environment"], dict) else None


def origin(lab: Lab, file: Path) -> str:
    """Return what ``lab.list`` tells of a lab besides its inventory: where its file is, and the shared address."""
    return json.dumps({"file": str(file.resolve()), "address": str(lab.vip)}) + "\n"


def identity(lab: Lab, machine: Machine, labdir: LabDir) -> str:
    """Return who a machine is, as lines NAME=VALUE: role, login key, host key, host names (see provision's identity).

    In a file, because an argument can be read by everyone on the host while a program runs.
    """
    hosts = "".join(f"{lab.address(other)} {other.name}\n" for other in lab.machines)
    values = {
        "METALLAB_NAME": machine.name,
        "METALLAB_ROLE": "client" if machine.role == "client" else "node",
        "METALLAB_AUTHORIZED_KEY": labdir.login_key.with_suffix(".pub").read_text(encoding="ascii").strip(),
        "METALLAB_HOST_KEY": base64.b64encode(labdir.host_key.read_bytes()).decode(),
        "METALLAB_HOSTS": base64.b64encode(hosts.encode()).decode(),
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def resolve(
    lab: Lab,
    labdir: LabDir,
    *,
    provider: str,
    accelerated: bool,
    environment: dict[str, str],
    namespace: tuple[str, ...],
    common: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
    guests: Mapping[str, Mapping[str, str]],
) -> Inventory:
    """Return the inventory of a lab.

    ``environment`` leads vagrant to the right daemon, ``namespace`` is the prefix of a command inside a sandbox,
    ``common``, ``settings`` and ``guests`` (by machine) are the provider's.
    """
    # Vagrant's own SSH has to get into the sandbox's network from the user's ordinary shell, too.
    proxy = " ".join([*namespace, "nc", "%h", "%p"]) if namespace else None
    machines = tuple(
        VagrantMachine(
            name=machine.name,
            role=machine.role,
            ip=str(lab.address(machine)),
            identity=str(labdir.identity_of(machine.name)),
            settings=settings[machine.name],
            guest=guests[machine.name],
        )
        for machine in lab.machines
    )
    return Inventory(
        lab=lab.name,
        provider=provider,
        accelerated=accelerated,
        boot_timeout=min(EMULATED_BOOT_SECONDS, int(pace.scaled(BOOT_SECONDS)))
        if accelerated
        else EMULATED_BOOT_SECONDS,
        user=USER,
        key=str(labdir.login_key),
        environment=environment,
        proxy_command=proxy,
        common=common,
        machines=machines,
    )


class Runners:
    """One SSH runner a machine, made when first asked for and closed together."""

    def __init__(self, lab: Lab, labdir: LabDir) -> None:
        self._lab = lab
        self._login = labdir.login
        self._runners: dict[str, SshRunner] = {}

    def of(self, machine: Machine) -> SshRunner:
        """Return the runner of a machine. Nothing is connected yet."""
        if machine.name not in self._runners:
            address: IPv4Address = self._lab.address(machine)
            self._runners[machine.name] = SshRunner(machine.name, address, self._login)
        return self._runners[machine.name]

    def close(self) -> None:
        """Close every connection."""
        for runner in self._runners.values():
            runner.close()
