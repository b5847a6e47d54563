"""What a lab is: one frozen record, typed and strict, every value with a default. The home of pydantic.

Addresses are written once, as the lab network plus *host numbers* (10 is ``192.168.96.10`` in ``192.168.96.0/24``),
so that one line moves the whole lab to another network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails

from metallab import errors
from metallab.config.problems import Path
from metallab.errors import LabError

ApiVersion = Literal["metallab/v1"]
API_VERSION: ApiVersion = "metallab/v1"
"""The form of lab files this code reads. Another one gets another name, so that neither is taken for the other."""
Role = Literal["control-plane", "worker", "client"]
Provider = Literal["auto", "docker", "libvirt", "virtualbox"]
Suite = Literal["bookworm", "trixie", "noble"]
"""The releases another box may have: Debian 12 and 13, Ubuntu 24.04."""
# RFC 1123, and short enough for a host name made of the lab's and the machine's name (63 octets).
NAME_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
NAME_LENGTH = 24
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=NAME_LENGTH)]
HostNumber = Annotated[int, Field(ge=1, strict=True)]
# For editors only: every number 0-255, the prefix (or a netmask, which ipaddress takes, too) optional.
NETWORK_PATTERN = r"^((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)(/[\d.]+)?$"
PRIVATE = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918."""
POD_PREFIX = 24
"""Every node gets a /24 of the pod range, as kube-controller-manager would give it."""
LEAST_MIB: Mapping[Role, int] = {"control-plane": 1536, "worker": 768, "client": 256}
"""Memory a virtual machine needs. Measured on a running lab: 685 and 190 MiB in use on nodes, and some for caches."""
PREFIXES = {"network": (16, 28), "services": (8, 24)}
"""The widest and the narrowest network that makes sense; the pod range depends on the number of nodes."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class HostRange(_Strict):
    """A range of host numbers, both ends included; written ``64-95``."""

    first: HostNumber
    last: HostNumber

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @model_validator(mode="after")
    def _is_forward(self) -> HostRange:
        if self.first > self.last:
            raise ValueError(f"starts after it ends; write {self.last}-{self.first}")
        return self


RANGE_LENGTH = 40
"""Characters a range may have, blanks included."""


def _parse_range(value: object) -> object:
    if not isinstance(value, str):
        return value
    # On a long text of blanks the pattern would work for hours.
    pattern = r"\s*([0-9]{1,9})\s*(\D{1,4}?)\s*([0-9]{1,9})\s*"
    match = re.fullmatch(pattern, value) if len(value) <= RANGE_LENGTH else None
    if match is None:
        raise ValueError("should be two host numbers with a dash between, for example 64-95")
    first, last = int(match[1]), int(match[3])
    if match[2] != "-":
        raise ValueError(f"should be two host numbers with a dash between; write {first}-{last}")
    return {"first": first, "last": last}


Pool = Annotated[
    HostRange,
    BeforeValidator(_parse_range),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+\s*-\s*\d+\s*$", "examples": ["64-95"]}),
]


def _parse_network(value: object) -> IPv4Network:
    # IPv4Network itself takes numbers and even booleans.
    if isinstance(value, IPv4Network):
        return value
    if not isinstance(value, str):
        raise ValueError("should be an IPv4 network, for example 192.168.96.0/24")  # noqa: TRY004 - pydantic collects these
    try:
        return IPv4Network(value)
    except ValueError as error:
        try:
            meant = IPv4Network(value, strict=False)
        except ValueError:
            raise ValueError("should be an IPv4 network, for example 192.168.96.0/24") from error
        raise ValueError(f"is not the first address of its network; write {meant}") from error


Network = Annotated[
    IPv4Network,
    BeforeValidator(_parse_network),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": NETWORK_PATTERN, "examples": ["192.168.96.0/24"]}),
]


class Machine(_Strict):
    """One machine: its name, what it is for, its host number in the lab network, and its size."""

    name: Name
    role: Role
    host: HostNumber
    cpus: Annotated[int, Field(ge=1, le=64, strict=True)] = 2
    memory: Annotated[int, Field(ge=256, le=1048576, strict=True, description="MiB")] = 2048


class OtherBox(_Strict):
    """A plain Debian or Ubuntu box instead of the lab's own, made a machine of the lab when it is first up."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$", max_length=128)]
    suite: Suite = "bookworm"
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.]+$", max_length=32)] | None = None


class Versions(_Strict):
    """Versions the lab insists on; empty means: what the bundle holds. The pins themselves are in bundle/*/go.mod."""

    kubernetes: str | None = None
    metallb: str | None = None


def _default_machines() -> tuple[Machine, ...]:
    return (
        Machine(name="control-plane", role="control-plane", host=10),
        Machine(name="worker-1", role="worker", host=11),
        Machine(name="worker-2", role="worker", host=12),
        Machine(name="client", role="client", host=200, cpus=1, memory=512),
    )


class Lab(_Strict):
    """The whole lab as one frozen record; the other rooms are given this and never read the file."""

    api_version: ApiVersion = Field(default=API_VERSION, alias="apiVersion", description="form of this file")
    name: Name = "metallab"
    provider: Provider = "auto"
    network: Network = Field(default=IPv4Network("192.168.96.0/24"), description="the lab network, the nodes' LAN")
    machines: tuple[Machine, ...] = Field(default_factory=_default_machines)
    pool: Pool = Field(default=HostRange(first=64, last=95), description="host numbers MetalLB may give away")
    shared_address: HostNumber = Field(default=70, alias="sharedAddress", description="of both iperf3 services")
    pods: Network = Field(default=IPv4Network("10.244.0.0/16"), description="pod addresses, a /24 a node")
    services: Network = Field(default=IPv4Network("10.96.0.0/16"), description="cluster-internal service addresses")
    versions: Versions = Versions()
    box: OtherBox | None = Field(default=None, description="another box than the lab's own, for virtual machines")

    def at(self, host: int) -> IPv4Address:
        """Return the address of a host number in the lab network."""
        return self.network.network_address + host

    def address(self, machine: Machine) -> IPv4Address:
        """Return a machine's address in the lab network."""
        return self.at(machine.host)

    @property
    def gateway(self) -> IPv4Address:
        """Return the first address of the lab network: the host's own (every provider takes it)."""
        return self.at(1)

    @property
    def vip(self) -> IPv4Address:
        """Return the address both iperf3 services share."""
        return self.at(self.shared_address)

    @property
    def pool_range(self) -> str:
        """Return MetalLB's pool as it is written in an IPAddressPool."""
        return f"{self.at(self.pool.first)}-{self.at(self.pool.last)}"

    @cached_property
    def control_plane(self) -> Machine:
        """Return the machine that runs the control plane."""
        return next(machine for machine in self.machines if machine.role == "control-plane")

    @cached_property
    def client(self) -> Machine:
        """Return the machine iperf3 runs on as a client; it is not a node."""
        return next(machine for machine in self.machines if machine.role == "client")

    @cached_property
    def workers(self) -> tuple[Machine, ...]:
        """Return the worker machines, in the order written."""
        return tuple(machine for machine in self.machines if machine.role == "worker")

    @cached_property
    def nodes(self) -> tuple[Machine, ...]:
        """Return the machines that are Kubernetes nodes: the control plane first."""
        return (self.control_plane, *self.workers)

    def machine(self, name: str) -> Machine:
        """Return the machine of that name. Raises LAB-MACH-005 when there is none."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        names = ", ".join(machine.name for machine in self.machines)
        raise LabError(errors.MACHINE_UNKNOWN, f"no machine is called {name!r}", fix=f"the machines are: {names}")

    def pod_network(self, node: Machine) -> IPv4Network:
        """Return the node's share of the pod range. It follows from the order in the file, so it never moves."""
        start = int(self.pods.network_address) + self.nodes.index(node) * 2 ** (32 - POD_PREFIX)
        return IPv4Network((start, POD_PREFIX))

    @property
    def dns_address(self) -> IPv4Address:
        """Return the cluster DNS address: the tenth of the service range (kubeadm's rule)."""
        return self.services.network_address + 10


def is_name(text: str) -> bool:
    """Tell whether ``text`` could name a machine or a lab; what else the lab names is held to the same rule."""
    return len(text) <= NAME_LENGTH and re.fullmatch(NAME_PATTERN.rstrip("$"), text) is not None


def check(data: object) -> Lab | list[ErrorDetails]:
    """Return the lab that plain values describe, or everything that is wrong with their form."""
    try:
        return Lab.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        return error.errors()


def keys_at(path: Path) -> tuple[str, ...]:
    """Return the keys there can be inside ``path``, as a file spells them."""
    inner: Mapping[str, type[BaseModel]] = {
        "": Lab,
        "machines": Machine,
        "versions": Versions,
        "box": OtherBox,
        "pool": HostRange,
    }
    record = inner.get(".".join(part for part in path if isinstance(part, str)))
    return () if record is None else tuple(info.alias or name for name, info in record.model_fields.items())


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a lab file, for editors."""
    schema = Lab.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "metallab lab file"
    # The default is itself part of the documentation an editor shows.
    schema["properties"]["machines"]["default"] = json.loads(Lab().model_dump_json(by_alias=True))["machines"]
    return schema
