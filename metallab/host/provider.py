"""Which provider makes the machines, and why. The answer is a record; nothing later asks the host again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path

from metallab import errors
from metallab.config import Lab
from metallab.errors import LabError
from metallab.host import kvm, libvirt, virtualbox
from metallab.host.daemons import DOCKER, LIBVIRT
from metallab.host.kvm import Kvm
from metallab.host.sandbox import Sandbox, machine_prefix
from metallab.run.local import run
from metallab.run.result import CommandFailed, CommandTimedOut, ToolMissing

INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
# Counted on a running lab: systemd, dbus, logind, containerd, kubelet, kube-proxy and the control plane's own.
INOTIFY_PER_NODE = 20
INOTIFY_PER_CLIENT = 10
LAB_TAKES: Mapping[bool, str] = {True: "a minute or two", False: "8 to 40 minutes"}
"""What a default lab takes from the first machine to the proof, by whether its machines run at full speed.

By emulation, on hosts of one kind with two cores: 8 minutes on one day, 13 and more than 40 on others.
"""
DISTRIBUTION_GEMS = Path("/usr/share/rubygems-integration/all/gems")
"""Where Debian and Ubuntu keep the plugins they package for Vagrant."""


@dataclass(frozen=True)
class Made:
    """What a lab's machines were made with, as its inventory says: provider, variables, whether by KVM, and where."""

    provider: str
    environment: Mapping[str, str]
    accelerated: bool
    network: IPv4Network


@dataclass(frozen=True)
class Choice:
    """The provider of a lab, and why.

    ``sandbox`` is set when the lab runs a daemon of its own. ``accelerated`` is false where every instruction of a
    machine is emulated: all waits are longer then. ``evidence`` is what the try of KVM showed. ``network`` is where
    the lab is when that is not what lab.yaml says, and ``warning`` why.
    """

    provider: str
    reason: str
    sandbox: Sandbox | None = None
    accelerated: bool = True
    evidence: str = ""
    host: Mapping[str, str] = field(default_factory=dict)
    """The variables that lead to the host's own daemon."""
    network: IPv4Network | None = None
    warning: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that lead programs to the right daemon."""
        return dict(self.host) if self.sandbox is None else self.sandbox.environment


def choose(lab: Lab, made: Made | None = None) -> Choice:
    """Return the provider for the lab: the one it was made with, else the one it asks for, else what fits this host.

    ``made`` is None for a lab that has no machines. Raises LAB-PROV-001 when nothing fits, or the daemon that has the
    machines is silent, LAB-PROV-003 when the provider asked for cannot run here.
    """
    for daemon in (LIBVIRT, DOCKER):
        sandbox = Sandbox(lab.name, daemon)
        if sandbox.exists() or (made is not None and dict(made.environment) == sandbox.environment):
            return _in_sandbox(sandbox, made)
    if made is not None:
        return _again(lab, made)
    return fresh(lab)


def fresh(lab: Lab) -> Choice:
    """Return the provider a lab would get that was never made. Raises as :func:`choose`."""
    if lab.provider == "auto":
        return _fitting(lab)
    return {"docker": _docker, "libvirt": _libvirt, "virtualbox": _virtualbox}[lab.provider](lab)


def _in_sandbox(sandbox: Sandbox, made: Made | None) -> Choice:
    if sandbox.daemon is DOCKER:
        return Choice("docker", "the lab has its own Docker daemon", sandbox)
    tried = kvm.probe() if made is None else _remembered(made)
    return Choice("libvirt", f"the lab has its own libvirtd{_how(tried.works)}", sandbox, tried.works, tried.evidence)


def _again(lab: Lab, made: Made) -> Choice:
    """Return the provider on this host that the lab's machines were made with."""
    if made.provider == "virtualbox":
        return _virtualbox(lab, made)
    on_libvirt = made.provider == "libvirt"
    asked, name = (libvirt.version(made.environment), "libvirtd") if on_libvirt else (daemon_version(), "Docker")
    if asked is None:
        what = f"the lab {lab.name} is on this host's {name}, which does not answer"
        raise LabError(errors.PROVIDER_NONE, what, fix=f"start {name}, then run the command again")
    if not on_libvirt:
        return _on_docker(asked)
    return _on_libvirt(asked, _remembered(made))


def _fitting(lab: Lab) -> Choice:
    """Return libvirt where KVM boots a guest, else VirtualBox where it works, else Docker."""
    if vagrant_libvirt() is not None and (libvirt.version(libvirt.SYSTEM) is not None or _can_start("libvirtd")):
        choice = _libvirt(lab)
        if choice.accelerated:
            return choice
    if virtualbox.version() is not None:
        return _virtualbox(lab)
    return _docker(lab)


def _docker(lab: Lab) -> Choice:
    answer = daemon_version()
    if answer is not None:
        return _on_docker(answer)
    if os.geteuid() == 0:
        return Choice("docker", "no Docker daemon answers, so the lab starts its own", Sandbox(lab.name, DOCKER))
    raise LabError(errors.PROVIDER_NONE, "no Docker daemon answers, and only root can start one")


def _on_docker(answer: str) -> Choice:
    return Choice("docker", f"a Docker daemon answers (version {answer})")


def _libvirt(lab: Lab) -> Choice:
    """Return libvirt, on the host's libvirtd or on the lab's own, with KVM if a guest boots with it."""
    answer = libvirt.version(libvirt.SYSTEM)
    tried = kvm.probe()
    if answer is not None:
        return _on_libvirt(answer, tried)
    if os.geteuid() == 0:
        reason = f"no libvirtd answers, so the lab starts its own{_how(tried.works)}"
        return Choice("libvirt", reason, Sandbox(lab.name, LIBVIRT), tried.works, tried.evidence)
    fix = "start libvirtd and become a member of its group (libvirt), or run as root so that the lab starts its own"
    raise LabError(errors.PROVIDER_NONE, "no libvirtd answers, and only root can start one", fix=fix)


def _on_libvirt(answer: str, tried: Kvm) -> Choice:
    reason = f"a libvirtd answers (version {answer}){_how(tried.works)}"
    return Choice("libvirt", reason, None, tried.works, tried.evidence, libvirt.SYSTEM)


def _remembered(made: Made) -> Kvm:
    return Kvm(works=made.accelerated, evidence="as seen when the lab was made", seconds=0.0)


def _how(accelerated: bool) -> str:  # noqa: FBT001 - one word of a sentence
    return ", with KVM" if accelerated else ", by plain emulation"


def _virtualbox(lab: Lab, made: Made | None = None) -> Choice:
    """Return VirtualBox, with the network it allows; a lab that has machines stays where it was made."""
    answer = virtualbox.version()
    if answer is None:
        what = "VirtualBox is not installed, or its kernel module is not loaded (VBoxManage --version)"
        raise LabError(errors.PROVIDER_UNSUPPORTED, what, fix="install VirtualBox, or choose another --provider")
    chosen = Choice("virtualbox", f"VirtualBox {answer} is installed")
    if made is None:
        where = virtualbox.allowed(answer)
        network = virtualbox.place(lab, where)
        warning = virtualbox.moved(lab, network, where)
    else:
        network = made.network
        warning = f"the lab {lab.name} stays in {network}, where it was made, until ./inv lab.destroy"
    return chosen if network == lab.network else replace(chosen, network=network, warning=warning)


def _can_start(program: str) -> bool:
    """Tell whether this user could run the daemon in a sandbox."""
    return os.geteuid() == 0 and shutil.which(program) is not None


def vagrant_libvirt() -> str | None:
    """Return the version of the vagrant-libvirt plugin, the user's own or the distribution's, None without.

    ``vagrant plugin list`` would take seconds.
    """
    return _own_plugin() or packaged_plugin()


def _own_plugin() -> str | None:
    home = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d")
    try:
        installed = json.loads((home / "plugins.json").read_text(encoding="utf-8"))["installed"]
        if "vagrant-libvirt" in installed:
            known = installed["vagrant-libvirt"]
            return str(known.get("installed_gem_version") or known.get("gem_version"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        pass
    return None


def packaged_plugin() -> str | None:
    """Return the version of the plugin that the distribution packages, built for its own Vagrant; None without."""
    found = sorted(DISTRIBUTION_GEMS.glob("vagrant-libvirt-*"))
    return found[-1].name.removeprefix("vagrant-libvirt-") if found else None


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


def check_network_is_free(lab: Lab, choice: Choice, *, own: str | None) -> None:
    """Refuse a lab network the host already has a route to, but for ``own``, the device an earlier ``up`` made.

    A sandboxed lab cannot collide with anything. Raises LAB-PROV-004 naming the route, before any machine is touched.
    """
    if choice.sandbox is not None:
        return
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


def check_docker_network(lab: Lab) -> None:
    """Refuse a lab network that already is the Docker network of containers which are not the lab's, running or not.

    Vagrant calls a network by its addresses, so a second lab with the same ones would join it. Raises LAB-PROV-004.
    """
    argv = ["docker", "ps", "--all", "--filter", f"network={_docker_network(lab)}", "--format", "{{.Names}}"]
    result = run(argv, timeout=10, check=False)
    there = result.stdout.split() if result.ok else []
    others = [name for name in there if not name.startswith(machine_prefix(lab.name))]
    if others:
        raise LabError(errors.PROVIDER_ADDRESS_TAKEN, f"{lab.network} is the Docker network of {', '.join(others)}")


def _docker_network(lab: Lab) -> str:
    return f"vagrant_network_{lab.network}"


def docker_bridge(lab: Lab) -> str | None:
    """Return the bridge of the lab network that an earlier ``up`` made (Docker names it after the network's id)."""
    result = run(["docker", "network", "inspect", "--format", "{{.Id}}", _docker_network(lab)], timeout=10, check=False)
    return f"br-{result.stdout.strip()[:12]}" if result.ok else None
