"""Which provider makes the machines, and why. The answer is a record; nothing later asks the host again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from metallab import errors
from metallab.config import Lab
from metallab.errors import LabError
from metallab.host.sandbox import Sandbox
from metallab.run.local import run
from metallab.run.result import CommandFailed, CommandTimedOut, ToolMissing

INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
# Counted on a running lab: systemd, dbus, logind, containerd, kubelet, kube-proxy and the control plane's own.
INOTIFY_PER_NODE = 20
INOTIFY_PER_CLIENT = 10


@dataclass(frozen=True)
class Choice:
    """The provider of a lab. ``sandbox`` is set when the lab runs a Docker daemon of its own."""

    provider: str
    reason: str
    sandbox: Sandbox | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that lead the docker and vagrant programs to the right daemon."""
        return {} if self.sandbox is None else {"DOCKER_HOST": self.sandbox.docker_host}


def choose(lab: Lab, made_with: Mapping[str, str] | None = None) -> Choice:
    """Return the provider for the lab: the one it was made with, else what fits this host.

    ``made_with`` is the environment its machines were made with, None for a lab that has none. Raises LAB-PROV-003
    for a provider that is not there, LAB-PROV-001 when nothing fits or the daemon that has the machines is silent.
    """
    if lab.provider not in ("auto", "docker"):
        raise LabError(errors.PROVIDER_UNSUPPORTED, f"provider {lab.provider} is not available yet")
    sandbox = Sandbox(lab.name)
    own = Choice("docker", "the lab has its own Docker daemon", sandbox)
    if sandbox.exists() or made_with == own.environment:
        return own
    answer = daemon_version()
    if answer is not None:
        return Choice("docker", f"a Docker daemon answers (version {answer})")
    if made_with is not None:
        what = f"the lab {lab.name} is on this host's Docker daemon, which does not answer"
        raise LabError(errors.PROVIDER_NONE, what, fix="start Docker, then run the command again")
    if os.geteuid() == 0:
        return Choice("docker", "no Docker daemon answers, so the lab starts its own", sandbox)
    raise LabError(errors.PROVIDER_NONE, "no Docker daemon answers, and only root can start one")


def daemon_version() -> str | None:
    """Return the version of the Docker daemon that answers this user, or None."""
    try:
        result = run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=10)
    except (ToolMissing, CommandFailed, CommandTimedOut):
        return None
    return result.stdout.strip() or None


def check_inotify(lab: Lab) -> None:
    """Refuse a host whose inotify instances do not last for the lab's machines; containers share the host's.

    Without them kube-proxy ends with "too many open files" and the cluster never gets ready. Raises LAB-HOST-011.
    """
    limit = int(INOTIFY_LIMIT.read_text())
    needed = INOTIFY_PER_NODE * len(lab.nodes) + INOTIFY_PER_CLIENT
    left = limit - inotify_instances(Path("/proc"))
    if left < needed:
        what = f"{left} of {limit} inotify instances are left, {lab.name} needs {needed}"
        raise LabError(errors.HOST_INOTIFY, what, where=str(INOTIFY_LIMIT))


def inotify_instances(proc: Path) -> int:
    """Count the inotify instances of all processes this user may look into (for root: all)."""
    return sum(_is_inotify(entry) for entry in proc.glob("[0-9]*/fd/*"))


def _is_inotify(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()) == "anon_inode:inotify"
    except OSError:
        # Closed since it was listed, or not ours to see.
        return False


def check_network_is_free(lab: Lab, choice: Choice) -> None:
    """Refuse a lab network the host already has a route to. A sandboxed lab cannot collide with anything.

    Raises LAB-PROV-004 naming the route, before any machine is touched.
    """
    if choice.sandbox is not None:
        return
    own = _own_bridge(lab)
    result = run(["ip", "-json", "-4", "route"], timeout=10)
    for network, device in routes(result.stdout):
        if device != own and network.overlaps(lab.network):
            what = f"{lab.network} overlaps {network}, which this host reaches through {device}"
            raise LabError(errors.PROVIDER_ADDRESS_TAKEN, what)


def routes(text: str) -> list[tuple[IPv4Network, str]]:
    """Return the networks of ``ip -json route`` with their interface, the default route left out."""
    return [
        (IPv4Network(route["dst"]), route.get("dev", "?"))
        for route in json.loads(text)
        if route["dst"] != "default" and route.get("type", "unicast") == "unicast"
    ]


def _own_bridge(lab: Lab) -> str | None:
    """Return the bridge of the lab network that an earlier ``up`` made (Docker names it after the network's id)."""
    name = f"vagrant_network_{lab.network}"
    result = run(["docker", "network", "inspect", "--format", "{{.Id}}", name], timeout=10, check=False)
    return f"br-{result.stdout.strip()[:12]}" if result.ok else None
