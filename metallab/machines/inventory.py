"""What Vagrant is told: the lab resolved into plain values, written as JSON for the Vagrantfile.

The Vagrantfile has no logic of its own; which values a machine needs is decided and tested here.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address

from metallab.config import Lab, Machine
from metallab.machines.labdir import USER, LabDir
from metallab.run.ssh import SshRunner


@dataclass(frozen=True)
class Container:
    """What only a system container has: its name, its image and the arguments of ``docker create``."""

    name: str
    image: str
    create_args: tuple[str, ...]


@dataclass(frozen=True)
class VagrantMachine:
    """One machine as the Vagrantfile sees it."""

    name: str
    role: str
    hostname: str
    ip: str
    cpus: int
    memory: int
    docker: Container | None = None


@dataclass(frozen=True)
class Inventory:
    """Everything the Vagrantfile reads, and nothing more."""

    lab: str
    provider: str
    prefix: int
    user: str
    key: str
    environment: dict[str, str]
    proxy_command: str | None
    machines: tuple[VagrantMachine, ...]

    def to_json(self) -> str:
        """Return the JSON text the Vagrantfile parses."""
        return json.dumps(asdict(self), indent=2) + "\n"


def container_name(lab: Lab, machine: Machine) -> str:
    """Return the name of a machine's container, and of its volume if it has one: two labs on one daemon must differ."""
    return f"metallab-{lab.name}-{machine.name}"


def made_with(labdir: LabDir) -> dict[str, str] | None:
    """Return the environment the lab's machines were made with, None when there is no (readable) inventory."""
    try:
        return dict(json.loads(labdir.inventory.read_text(encoding="utf-8"))["environment"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def environment_file(lab: Lab, machine: Machine, labdir: LabDir) -> str:
    """Return a machine's first environment in ``docker --env-file`` form: role, login key, host key, host names.

    A file, because an argument can be read by everyone on the host while docker runs.
    """
    hosts = "".join(f"{lab.address(other)} {other.name}\n" for other in lab.machines)
    values = {
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
    environment: dict[str, str],
    namespace: tuple[str, ...] = (),
    containers: dict[str, Container] | None = None,
) -> Inventory:
    """Return the inventory of a lab.

    ``environment`` leads vagrant to the right daemon, ``namespace`` is the prefix of a command inside a sandbox, and
    ``containers`` the docker part of each machine by name.
    """
    # Vagrant's own SSH has to get into the sandbox's network from the user's ordinary shell, too.
    proxy = " ".join([*namespace, "nc", "%h", "%p"]) if namespace else None
    machines = tuple(
        VagrantMachine(
            name=machine.name,
            role=machine.role,
            hostname=machine.name,
            ip=str(lab.address(machine)),
            cpus=machine.cpus,
            memory=machine.memory,
            docker=(containers or {}).get(machine.name),
        )
        for machine in lab.machines
    )
    return Inventory(
        lab=lab.name,
        provider="docker",
        prefix=lab.network.prefixlen,
        user=USER,
        key=str(labdir.login_key),
        environment=environment,
        proxy_command=proxy,
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
