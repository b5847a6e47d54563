"""Whether the lab's networks are free on this host, and nothing drops what its machines say to each other."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, ip_network
from urllib.request import getproxies_environment

from metallab.errors import LabError
from metallab.host import libvirt, provider, virtualbox
from metallab.host.doctor.records import Case, Check, Verdict, ok, refused, unseen, warn
from metallab.host.doctor.tools import version_in
from metallab.host.provider import routes
from metallab.host.sandbox import machine_prefix
from metallab.run.local import run
from metallab.run.result import CommandFailed, CommandTimedOut, ToolMissing

ASK_SECONDS = 10
NFTABLES_SINCE = (10, 4)
"""From this libvirt on its networks use nftables where there is nft (its news of 10.4.0)."""
BACKEND = "/etc/libvirt/network.conf"


# -- addresses -------------------------------------------------------------------------------------------------


def lab_network(case: Case) -> Verdict | None:
    """Look whether another route of the host leads into the lab network; a sandbox has its own routes."""
    if case.choice is None:
        return None
    if case.choice.sandbox is not None:
        return ok(f"{case.lab.network} in a network namespace of the lab's own")
    try:
        provider.check_network_is_free(case.lab, case.choice, own=_own_device(case, case.choice.environment))
        if case.provider == "docker":
            provider.check_docker_network(case.lab)
    except ToolMissing as error:
        return unseen(error.what)
    except LabError as error:
        return refused(error)
    return ok(f"{case.lab.network} is free")


def _own_device(case: Case, environment: Mapping[str, str]) -> str | None:
    """Return the interface that an earlier ``up`` on a daemon of the host's made for the lab network."""
    if case.provider == "docker":
        return provider.docker_bridge(case.lab)
    return libvirt.bridge(f"{machine_prefix(case.lab.name)}lab", environment)


def cluster_networks(case: Case) -> Verdict | None:
    """Look whether the host has routes into the pods' or the services' addresses."""
    if not case.on_the_host or case.exists:
        return None
    try:
        known = routes(run(["ip", "-json", "-4", "route"], timeout=ASK_SECONDS).stdout)
    except (ToolMissing, CommandFailed, CommandTimedOut) as error:
        return unseen(error.what)
    ranges = {"pods": case.lab.pods, "services": case.lab.services}
    return judge_cluster_networks(known=[(str(network), device) for network, device in known], ranges=ranges)


def judge_cluster_networks(*, known: Sequence[tuple[str, str]], ranges: Mapping[str, IPv4Network | str]) -> Verdict:
    """Judge routes of the host (network, interface) against the cluster's own ranges, by their keys in lab.yaml."""
    for network, device in known:
        for key, wanted in ranges.items():
            if ip_network(network).overlaps(ip_network(wanted)):
                seen = f"this host reaches {network} through {device}, machines will not: the lab's {key} are {wanted}"
                return warn(seen, f"if machines need it, change {key}: in lab.yaml")
    return ok(f"no route of this host leads into {' or '.join(str(each) for each in ranges.values())}")


# -- VirtualBox ------------------------------------------------------------------------------------------------


def adapters(case: Case) -> Verdict | None:
    """Look at the host-only adapters, their DHCP servers, and the routes that are not theirs."""
    if case.choice is None:
        return None
    try:
        there = virtualbox.adapters()
        adapter = virtualbox.adapter_of(case.lab, there)
        if adapter is not None:
            where = virtualbox.allowed(virtualbox.version() or "?")
            spare = virtualbox.spare_network(case.lab, where, there)
            virtualbox.check_dhcp(case.lab, adapter, virtualbox.dhcp_servers(), spare)
        provider.check_network_is_free(case.lab, case.choice, own=None if adapter is None else adapter.name)
    except ToolMissing as error:
        return unseen(error.what)
    except LabError as error:
        return refused(error)
    return ok(f"{case.lab.network} is free" if adapter is None else f"{adapter.name} is in {case.lab.network}")


def ports(case: Case) -> Verdict | None:
    """Try the ports on the loopback through which Vagrant would get into VirtualBox's machines."""
    if case.choice is None or case.exists:
        return None
    wanted = range(virtualbox.SSH_PORT, virtualbox.SSH_PORT + len(case.lab.machines))
    return judge_ports(taken=[port for port in wanted if not is_free(port)], wanted=[*wanted])


def is_free(port: int) -> bool:
    """Tell whether a port of the loopback could be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def judge_ports(*, taken: Sequence[int], wanted: Sequence[int]) -> Verdict:
    """Judge them: Vagrant takes others instead, but machines that start side by side may then take the same."""
    if not taken:
        return ok(f"127.0.0.1:{wanted[0]} to {wanted[-1]} are free")
    names = ", ".join(map(str, taken))
    return warn(f"in use on 127.0.0.1: {names}", f"ss -tlnp 'sport = :{taken[0]}' names who has it; end it")


# -- firewall --------------------------------------------------------------------------------------------------


def libvirt_firewall(case: Case) -> Verdict | None:
    """Read the host's firewall as far as a libvirtd of the host's is concerned."""
    if not case.on_the_host:
        return None
    if os.geteuid() != 0:
        return unseen("needs root to read the firewall")
    try:
        rules = run(["iptables", "-S"], timeout=ASK_SECONDS).stdout
    except ToolMissing:
        rules = ""
    except (CommandFailed, CommandTimedOut) as error:
        return unseen(error.what)
    conf = case.read(BACKEND) or ""
    return judge_libvirt_firewall(
        rules=rules,
        bridges=case.read("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        backend=backend(conf, libvirt.version(libvirt.SYSTEM) or "", nft=shutil.which("nft") is not None),
        ufw=enables_ufw(case.read("/etc/ufw/ufw.conf") or ""),
        firewalld=_runs(case, "firewalld"),
    )


def backend(conf: str, version: str, *, nft: bool) -> str:
    """Return what libvirt's networks use, nftables or iptables: its network.conf decides, else its version."""
    said = re.search(r'^\s*firewall_backend\s*=\s*"(\w+)"', conf, re.MULTILINE)
    if said is not None:
        return said[1]
    numbers = version_in(version)
    return "nftables" if nft and numbers is not None and numbers >= NFTABLES_SINCE else "iptables"


def enables_ufw(conf: str) -> bool:
    """Tell whether an ``ufw.conf`` has the firewall on."""
    return re.search(r"^ENABLED=yes\s*$", conf, re.MULTILINE | re.IGNORECASE) is not None


def policy(rules: str, chain: str) -> str:
    """Return the policy of a chain in the output of ``iptables -S``; ACCEPT where it has no such chain."""
    said = re.search(rf"^-P {chain} (\w+)$", rules, re.MULTILINE)
    return said[1] if said else "ACCEPT"


def judge_libvirt_firewall(*, rules: str, bridges: str | None, backend: str, ufw: bool, firewalld: bool) -> Verdict:
    """Judge ``iptables -S`` beside libvirt's own rules.

    libvirt lets its networks through. By iptables, that is in the same chains as everybody's rules; by nftables in a
    table of its own, and what another table drops stays dropped (vagrant-libvirt issue 1839). ``bridges`` is
    bridge-nf-call-iptables: where it is on, frames between two machines go through FORWARD as well (moby issue 39439).
    """
    by_iptables = f"echo 'firewall_backend = \"iptables\"' | sudo tee -a {BACKEND} && sudo systemctl restart libvirtd"
    forward, into = policy(rules, "FORWARD"), policy(rules, "INPUT")
    who = "ufw" if ufw else "Docker" if "-A FORWARD -j DOCKER" in rules else "iptables"
    if backend == "nftables" and (ufw or into != "ACCEPT"):
        seen = f"{who} drops what is not allowed, libvirt's nftables rules do not change that: machines get no address"
        return warn(f"{seen} (vagrant-libvirt issue 1839)", by_iptables)
    if forward != "ACCEPT" and (bridges or "").strip() == "1":
        lets_through = backend == "iptables" and "-A FORWARD -j LIBVIRT_FWX" in rules
        if not lets_through:
            seen = f"{who} has set FORWARD to {forward}, and frames between machines pass it (bridge-nf-call-iptables)"
            return warn(seen, "sudo sysctl -w net.bridge.bridge-nf-call-iptables=0")
    if firewalld:
        return ok("firewalld runs; libvirt has a zone of its own in it")
    return ok(f"INPUT {into}, FORWARD {forward}, libvirt's own rules by {backend}")


def _runs(case: Case, program: str) -> bool:
    """Tell whether a program of that name runs."""
    names = (case.read(str(entry.relative_to(case.root))) for entry in (case.root / "proc").glob("[0-9]*/comm"))
    return any((name or "").strip() == program for name in names)


# -- proxies ---------------------------------------------------------------------------------------------------


def proxies(case: Case) -> Verdict | None:
    """Look at the proxy variables."""
    given = getproxies_environment()
    return judge_proxies(given=given, network=str(case.lab.network), api=str(case.lab.address(case.lab.control_plane)))


def judge_proxies(*, given: Mapping[str, str], network: str, api: str) -> Verdict:
    """Judge the proxies (as urllib reads them: ``http``, ``https``, ``no``): the lab's addresses are behind none."""
    used = sorted(key for key in given if key in ("http", "https", "all"))
    if not used:
        return ok("no proxy variables")
    names = " and ".join(f"{key.upper()}_PROXY" for key in used)
    if any(_covers(entry.strip(), api) for entry in given.get("no", "").split(",")):
        return ok(f"{names} set, NO_PROXY has the lab network")
    wanted = ",".join(filter(None, [given.get("no", ""), network]))
    fix = f"export NO_PROXY={wanted} no_proxy={wanted}"
    return warn(f"{names} set, NO_PROXY lacks {network}: kubectl would ask the proxy for the cluster", fix)


def _covers(entry: str, address: str) -> bool:
    """Tell whether an entry of NO_PROXY is everything, the address, or a range with it (as Go's programs read it)."""
    if entry in ("*", address):
        return True
    try:
        return ip_network(address).subnet_of(ip_network(entry, strict=False))  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return False


LAB_NETWORK = Check("network.lab", lab_network, again=True)
CLUSTER_NETWORKS = Check("network.cluster", cluster_networks)
PROXIES = Check("network.proxies", proxies)
LIBVIRT_FIREWALL = Check("libvirt.firewall", libvirt_firewall)
ADAPTERS = Check("virtualbox.adapters", adapters, again=True)
PORTS = Check("virtualbox.ports", ports)
