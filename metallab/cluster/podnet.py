"""The pod network without a daemon: a bridge on each node and one route for each other node.

Every node owns one /24 of the pod range (``Lab.pod_network``). Pods of one node share the bridge ``cni0``; to another
node's pods leads a plain route through the lab network. There is no overlay, no image to pull and no pod to wait for,
so a node is Ready as soon as its kubelet runs. This is what flannel's host-gw backend and kindnet do.

Only files are written here. The unit ``metallab-podnet.service`` of the machine image applies them, now and at every
boot, so routes survive a reboot. It runs before kubeadm.
"""

from __future__ import annotations

import json

from metallab.cluster import files
from metallab.config import Lab, Machine
from metallab.run.result import Runner

CNI_CONFIG = "/etc/cni/net.d/10-metallab.conflist"
ROUTES = "/etc/metallab/podnet/routes"
MASQUERADE = "/etc/metallab/podnet/masquerade.nft"
RESOLV_CONF = "/etc/metallab/podnet/resolv.conf"
SERVICE = "metallab-podnet.service"
BRIDGE = "cni0"
TABLE = "metallab-podnet"
RESTART_SECONDS = 30.0


def cni_config(lab: Lab, node: Machine) -> str:
    """Return the CNI configuration of a node."""
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        # A pod must be able to reach itself through a service.
        "hairpinMode": True,
        # The plugin would change the address between nodes, too; see masquerade().
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(lab.pod_network(node))}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            # Leases of pods that died with the machine must not survive it: /run is empty after a boot.
            "dataDir": "/run/cni-ipam-state",
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "backend": "nftables"}
    config = {"cniVersion": "1.0.0", "name": "metallab", "plugins": [bridge, portmap]}
    return json.dumps(config, indent=2) + "\n"


def routes(lab: Lab, node: Machine) -> str:
    """Return one line ``CIDR via ADDRESS`` for the pods of each other node, and one for the services.

    Processes of the node itself (the API server, MetalLB's speaker) reach services only where the kernel knows a route:
    a virtual machine on isolated networks has no default one.
    """
    others = (other for other in lab.nodes if other != node)
    lines = [f"{lab.pod_network(other)} via {lab.address(other)}\n" for other in others]
    return "".join([*lines, f"{lab.services} from {lab.address(node)}\n"])


def masquerade(lab: Lab, node: Machine) -> str:
    """Return the nft script of the two cases in which pod traffic takes the node's address.

    Otherwise addresses stay true, so that logs and network policies mean what they say. The script may be run again:
    it replaces its own table in one transaction.
    """
    nodes = ", ".join(str(lab.address(other)) for other in lab.nodes)
    own = lab.pod_network(node)
    return f"""\
add table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        # Out of the cluster: nobody outside knows a way back to a pod.
        ip saddr {lab.pods} ip daddr != {lab.pods} ip daddr != {{ {nodes} }} masquerade
        # Through a service to a pod on the same bridge: the answer would go past the host, which has to undo the
        # service's address. (Hosts with br_netfilter would see it; none is needed this way.)
        ip saddr {own} ip daddr {own} ct status dnat masquerade
    }}
}}
"""


def resolv_conf(lab: Lab, node: Machine) -> str:
    """Return the resolver file for pods that use the node's own, which CoreDNS does.

    CoreDNS does not start without an upstream, and asks itself for ever when that is a loopback address. The lab is
    offline, so it is given the node's own address, where nobody listens: a name outside the cluster is refused at
    once instead of after a time-out.
    """
    return f"nameserver {lab.address(node)}\n"


def render(lab: Lab, node: Machine) -> dict[str, str]:
    """Return path -> content of everything the pod network of a node consists of."""
    return {
        CNI_CONFIG: cni_config(lab, node),
        ROUTES: routes(lab, node),
        MASQUERADE: masquerade(lab, node),
        RESOLV_CONF: resolv_conf(lab, node),
    }


def configure(lab: Lab, node: Machine, runner: Runner) -> bool:
    """Bring a node's pod network to what the lab says and tell whether anything had to be changed."""
    wanted = render(lab, node)
    changed = files.differing(runner, wanted)
    if changed:
        files.write(runner, {path: wanted[path] for path in changed})
    # "restart" also heals a unit that failed; a unit that is active with the right files is left alone.
    active = runner.run(["systemctl", "is-active", "--quiet", SERVICE], timeout=RESTART_SECONDS, check=False).ok
    if changed or not active:
        runner.run(["systemctl", "restart", SERVICE], timeout=RESTART_SECONDS)
    return bool(changed) or not active
