"""kubeadm's configuration files as objects: pure functions from the lab to YAML, never text templates.

Types and fields are kubeadm's v1beta4 (Kubernetes 1.31 and later), kubelet's v1beta1 and kube-proxy's v1alpha1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import yaml

from metallab.cluster.podnet import RESOLV_CONF
from metallab.cluster.tuning import ORDINARY, Tuning
from metallab.config import Lab, Machine

KUBEADM = "kubeadm.k8s.io/v1beta4"
CRI_SOCKET = "unix:///run/containerd/containerd.sock"
API_PORT = 6443
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
PROTOCOLS = "/etc/protocols"
TOKEN_LIFE = timedelta(minutes=15)
IGNORED_CHECKS = (
    # Checks the kernel's build configuration, which a system container does not see, and refuses cgroup v1.
    "SystemVerification",
    # The host's swap, in a system container; the kubelet is told to live with it.
    "Swap",
    # Only for bridges whose frames pass through iptables; see podnet.masquerade.
    "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables",
    # lab.yaml says how big a machine is; a small lab is the user's choice.
    "NumCPU",
    "Mem",
)


class Versions(Protocol):
    """What is asked of the bundle: the Kubernetes version (``v1.37.2``) and the image tags of etcd and CoreDNS."""

    @property
    def kubernetes(self) -> str: ...  # noqa: D102 - the class says it
    @property
    def etcd_tag(self) -> str: ...  # noqa: D102
    @property
    def coredns_tag(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Token:
    """A bootstrap token: a public id and a secret."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"{self.id}.{self.secret}"


def init_config(
    lab: Lab,
    versions: Versions,
    token: Token,
    patches: str,
    *,
    lacks_resources: bool,
    tuning: Tuning = ORDINARY,
) -> str:
    """Return what ``kubeadm init --config`` reads.

    ``patches`` is the folder where :func:`patches` will lie; ``lacks_resources``: see :func:`_kubelet`.
    ``tuning`` is for machines slower than ordinary ones.
    """
    node = lab.control_plane
    init = {
        "apiVersion": KUBEADM,
        "kind": "InitConfiguration",
        "bootstrapTokens": [{"token": str(token), "ttl": _duration(TOKEN_LIFE), "usages": ["authentication"]}],
        "localAPIEndpoint": {"advertiseAddress": str(lab.address(node)), "bindPort": API_PORT},
        # Without workers everything has to run on the control plane, so nothing may be kept off it.
        "nodeRegistration": _registration(lab, node) | ({} if lab.workers else {"taints": []}),
        "patches": {"directory": patches},
        "timeouts": _timeouts(tuning),
    }
    documents = [
        init,
        _cluster(lab, versions, tuning),
        _kubelet(lab, lacks_resources=lacks_resources),
        _kube_proxy(lab),
    ]
    return _dump(documents)


def patches(tuning: Tuning = ORDINARY) -> dict[str, str]:
    """Return file name -> content of the changes to what kubeadm itself deploys.

    kubeadm lets CoreDNS be asked only every ten seconds whether it is ready, which would be most of what the lab
    waits for it.

    kube-proxy asks nft what is there and compares names: ``tcp`` with ``6`` where nft has no /etc/protocols, and its
    image carries none. Started a second time it then takes all it wants for foreign, and deletes every service's
    rules (seen with Kubernetes 1.37.2 and nft 1.0.6). So it is given the machine's file.
    """
    dns: dict[str, Any] = {"name": "coredns", "readinessProbe": {"periodSeconds": 1}}
    if tuning.probe_seconds is not None:
        # An answer may take seconds there, and a question every second would be work in itself.
        dns["readinessProbe"] = {"periodSeconds": 5, "timeoutSeconds": tuning.probe_seconds}
        dns["livenessProbe"] = {"timeoutSeconds": tuning.probe_seconds}
    mount = {"name": "protocols", "mountPath": PROTOCOLS, "readOnly": True}
    volume = {"name": "protocols", "hostPath": {"path": PROTOCOLS, "type": "File"}}
    proxy = {"containers": [{"name": "kube-proxy", "volumeMounts": [mount]}], "volumes": [volume]}
    slow = {f"{name}+strategic.yaml": _dump([_patient(name, tuning.probe_seconds)]) for name in CONTROL_PLANE}
    return {
        **(slow if tuning.slow else {}),
        "corednsdeployment+strategic.yaml": _dump([{"spec": {"template": {"spec": {"containers": [dns]}}}}]),
        "kubeproxydaemonset+strategic.yaml": _dump([{"spec": {"template": {"spec": proxy}}}]),
    }


def _patient(name: str, seconds: int | None) -> dict[str, Any]:
    """Return the change that keeps the kubelet from ending a part of the control plane which is only slow.

    kubeadm's own probes end it after 80 s without a good answer. On emulated machines the API server was seen to say
    for longer than that that etcd does not answer: while MetalLB's kinds of objects were being added.
    """
    probe = {"periodSeconds": 30, "timeoutSeconds": seconds, "failureThreshold": 40}
    return {"spec": {"containers": [{"name": name, "livenessProbe": probe}]}}


def join_config(lab: Lab, node: Machine, token: Token, discovery_path: str, tuning: Tuning = ORDINARY) -> str:
    """Return what ``kubeadm join --config`` reads; ``discovery_path`` is where :func:`discovery` will lie."""
    join = {
        "apiVersion": KUBEADM,
        "kind": "JoinConfiguration",
        # A file needs no signed cluster-info, which the controller-manager makes only seconds after init is done.
        "discovery": {"file": {"kubeConfigPath": discovery_path}, "tlsBootstrapToken": str(token)},
        "nodeRegistration": _registration(lab, node),
        "timeouts": _timeouts(tuning),
    }
    return _dump([join])


def discovery(lab: Lab, authority: str, token: Token | None = None) -> str:
    """Return a kubeconfig that only says where the API server is and which authority signed it (base64 PEM).

    With a ``token`` it also has that to say who somebody is.
    """
    cluster = {"server": server(lab), "certificate-authority-data": authority}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": lab.name, "cluster": cluster}],
        # A context must name a user. For a join this one has no credentials: the token is kubeadm's to use.
        "users": [{"name": "nobody", "user": {} if token is None else {"token": str(token)}}],
        "contexts": [{"name": lab.name, "context": {"cluster": lab.name, "user": "nobody"}}],
        "current-context": lab.name,
    }
    return _dump([config])


def short_lived(lab: Lab, settings: str, folder: str) -> str:
    """Return a configuration by which kubeadm signs in ``folder`` what has run out a second later.

    ``settings`` is the cluster's own, as kubeadm keeps it (ConfigMap ``kubeadm-config``), so the certificate names what
    the real one names.
    """
    node = lab.control_plane
    init = {
        "apiVersion": KUBEADM,
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": str(lab.address(node)), "bindPort": API_PORT},
        "nodeRegistration": _registration(lab, node),
    }
    cluster = yaml.safe_load(settings) | {"certificatesDir": folder, "certificateValidityPeriod": "1s"}
    return _dump([init, cluster])


def token_secret(token: Token, expires: str) -> dict[str, Any]:
    """Return the Secret that makes a token valid until ``expires`` (RFC 3339)."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": token_secret_name(token), "namespace": "kube-system"},
        "stringData": {
            "description": "metallab: one worker is joining",
            "token-id": token.id,
            "token-secret": token.secret,
            "expiration": expires,
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        },
    }


def token_secret_name(token: Token) -> str:
    """Return the name Kubernetes demands of a bootstrap token's Secret."""
    return f"bootstrap-token-{token.id}"


def server(lab: Lab) -> str:
    """Return the API server's URL."""
    return f"https://{lab.address(lab.control_plane)}:{API_PORT}"


def _cluster(lab: Lab, versions: Versions, tuning: Tuning) -> dict[str, Any]:
    etcd = {"heartbeat-interval": tuning.etcd_heartbeat, "election-timeout": tuning.etcd_election}
    leader = {
        "leader-elect-lease-duration": _seconds(tuning.lease),
        "leader-elect-renew-deadline": _seconds(tuning.renew),
        "leader-elect-retry-period": _seconds(tuning.retry),
    }
    checks = {f"etcd-{kind}check-timeout": _seconds(tuning.probe_seconds) for kind in ("health", "ready")}
    checks["request-timeout"] = _seconds(tuning.request)
    # lab.yaml says which pods' network a node has (Lab.pod_network), so routes can be laid before a node exists.
    controllers = {"allocate-node-cidrs": "false", **leader}
    return {
        "apiVersion": KUBEADM,
        "kind": "ClusterConfiguration",
        "clusterName": lab.name,
        "kubernetesVersion": versions.kubernetes,
        "networking": {"podSubnet": str(lab.pods), "serviceSubnet": str(lab.services)},
        "etcd": {"local": {"imageTag": versions.etcd_tag, "dataDir": "/var/lib/etcd", **_arguments(etcd)}},
        "dns": {"imageTag": versions.coredns_tag},
        "apiServer": {
            "certSANs": [lab.control_plane.name, str(lab.address(lab.control_plane)), "127.0.0.1"],
            **_arguments(checks),
            **({"extraEnvs": [{"name": "GOGC", "value": str(tuning.collect)}]} if tuning.collect is not None else {}),
        },
        "controllerManager": _arguments(controllers),
        **({"scheduler": _arguments(leader)} if tuning.slow else {}),
        # Ten key pairs are made; elliptic ones take milliseconds also where the processor is emulated.
        "encryptionAlgorithm": "ECDSA-P256",
    }


def _kubelet(lab: Lab, *, lacks_resources: bool) -> dict[str, Any]:
    """Return the kubelets' configuration.

    ``lacks_resources`` says that even root on a node lacks CAP_SYS_RESOURCE, as in a container of a restricted host;
    the kubelet then has to take refused sysctls, limits and /dev/kmsg for granted, as it does in a user namespace.
    """
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "clusterDNS": [str(lab.dns_address)],
        # A lab is powered off and on. What starts before the API server fails a few times, and would then wait up to
        # five minutes (gate KubeletCrashLoopBackOffMax, on by default since 1.35).
        "crashLoopBackOff": {"maxContainerRestartPeriod": "10s"},
        # Without it a kubelet of 1.35 and later does not start on a cgroup v1 host.
        "failCgroupV1": False,
        "failSwapOn": False,
        # What the lab runs is baked in and can't be pulled again, so nothing is ever cleaned up or evicted.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
        "localStorageCapacityIsolation": False,
        # The machine's own may name a loopback address; see podnet.resolv_conf.
        "resolvConf": RESOLV_CONF,
    }
    if lacks_resources:
        config["featureGates"] = {"KubeletInUserNamespace": True}
    return config


def _kube_proxy(lab: Lab) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clusterCIDR": str(lab.pods),
        "mode": "nftables",
        # These sysctls belong to the host, not to a system container: 0 leaves them alone.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def _registration(lab: Lab, node: Machine) -> dict[str, Any]:
    return {
        "name": node.name,
        "criSocket": CRI_SOCKET,
        # Images are baked in; a pull could only hang.
        "imagePullPolicy": "Never",
        "ignorePreflightErrors": list(IGNORED_CHECKS),
        # Every provider's machines have a second network card, and the kubelet would take that one's address.
        "kubeletExtraArgs": [{"name": "node-ip", "value": str(lab.address(node))}],
    }


def _arguments(values: Mapping[str, object]) -> dict[str, Any]:
    """Return v1beta4's form of a program's extra arguments; one without a value is left out."""
    given = [{"name": name, "value": str(value)} for name, value in values.items() if value is not None]
    return {"extraArgs": given} if given else {}


def _seconds(number: int | None) -> str | None:
    return None if number is None else f"{number}s"


def _timeouts(tuning: Tuning) -> dict[str, str]:
    # kubeadm's own defaults, written down because the lab's own deadlines have to be longer; but for its requests,
    # which have one minute: under plain emulation a new API server was seen to need more for its first answer.
    waits = ("controlPlaneComponentHealthCheck", "kubeletHealthCheck", "kubernetesAPICall", "tlsBootstrap")
    return dict.fromkeys(waits, f"{tuning.kubeadm_minutes}m0s")


def _duration(life: timedelta) -> str:
    return f"{int(life.total_seconds())}s"


def _dump(documents: list[dict[str, Any]]) -> str:
    text: str = yaml.safe_dump_all(documents, sort_keys=False)
    return text
