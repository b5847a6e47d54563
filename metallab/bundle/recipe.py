"""The recipe: what is compiled from which Go module, and what goes into which image. Tables only.

Facts and where they are from: the version variables from each project's own Makefile or release script; the build
tags of kubernetes from its ``hack/lib/golang.sh``; the paths inside images from the manifests that kubeadm writes
and from the Dockerfiles of MetalLB, CoreDNS, agnhost and pause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEBIAN_SUITE = "bookworm"
NOBODY = "65534:65534"
PAUSE_SOURCE = "build/pause/linux/pause.c"
METALLB_MANIFEST = "config/manifests/metallb-native.yaml"

Use = Literal["binary", "cni", "image"]


@dataclass(frozen=True)
class Program:
    """One Go program. ``use`` says where it ends: on a machine's PATH, among the CNI plugins, or in images only."""

    name: str
    package: str
    use: Use = "binary"


@dataclass(frozen=True)
class GoModule:
    """One upstream project, pinned by ``bundle/<name>/go.mod``.

    ``stamps`` are link-time variables that make the program tell its version; their values may use ``{version}``,
    ``{major}`` and ``{minor}``. Build dates keep their defaults: a build must be the same tomorrow. ``files`` are
    taken from the module's source as they are.
    """

    name: str
    module: str
    programs: tuple[Program, ...]
    stamps: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    cgo: bool = False


@dataclass(frozen=True)
class Image:
    """One image: compiled programs and Debian programs at their paths, and how it starts.

    ``programs`` maps a program's name to its path in the image; ``debian`` are paths in a Debian root, carried
    together with the libraries they need. The first program gives the image its version; without one, the Debian
    package of the image's name does.
    """

    name: str
    programs: tuple[tuple[str, str], ...] = ()
    debian: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = "0:0"


def _kubernetes_stamps() -> tuple[tuple[str, str], ...]:
    # The module's zip is checked against go.sum, so its tree is clean; the commit is not part of a module zip.
    values = {
        "gitVersion": "{version}",
        "gitMajor": "{major}",
        "gitMinor": "{minor}",
        "gitTreeState": "clean",
        "gitCommit": "unknown",
    }
    homes = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return tuple((f"{home}.{name}", value) for home in homes for name, value in values.items())


def _kubernetes_programs() -> tuple[Program, ...]:
    uses: dict[str, Use] = {
        "kubeadm": "binary",
        "kubelet": "binary",
        "kubectl": "binary",
        "kube-apiserver": "image",
        "kube-controller-manager": "image",
        "kube-scheduler": "image",
        "kube-proxy": "image",
    }
    commands = tuple(Program(name, f"k8s.io/kubernetes/cmd/{name}", use) for name, use in uses.items())
    return (*commands, Program("agnhost", "k8s.io/kubernetes/test/images/agnhost", "image"))


_CNI = "github.com/containernetworking/plugins"
_CONTAINERD = "github.com/containerd/containerd/v2"
_RUNC = "github.com/opencontainers/runc"
_METALLB = "go.universe.tf/metallb"
_ETCD = "go.etcd.io/etcd"
_COREDNS = "github.com/coredns/coredns"

GO_MODULES: tuple[GoModule, ...] = (
    GoModule(
        "kubernetes",
        "k8s.io/kubernetes",
        _kubernetes_programs(),
        _kubernetes_stamps(),
        # Without these the linker cannot drop x/net's tracing pages and the test helpers.
        tags=("grpcnotrace", "notest"),
        files=(PAUSE_SOURCE,),
    ),
    GoModule(
        "etcd",
        f"{_ETCD}/server/v3",
        (Program("etcd", f"{_ETCD}/server/v3", "image"), Program("etcdctl", f"{_ETCD}/etcdctl/v3")),
        ((f"{_ETCD}/api/v3/version.GitSHA", "unknown"),),
    ),
    GoModule(
        "coredns",
        _COREDNS,
        (Program("coredns", _COREDNS, "image"),),
        ((f"{_COREDNS}/coremain.GitCommit", "unknown"),),
    ),
    GoModule(
        "containerd",
        _CONTAINERD,
        tuple(Program(name, f"{_CONTAINERD}/cmd/{name}") for name in ("containerd", "containerd-shim-runc-v2", "ctr")),
        ((f"{_CONTAINERD}/version.Version", "{version}"), (f"{_CONTAINERD}/version.Revision", "unknown")),
        tags=("urfave_cli_no_docs",),
    ),
    # A runc without seccomp fails every pod that asks for the runtime's profile, so it needs cgo and libseccomp.
    GoModule(
        "runc",
        _RUNC,
        (Program("runc", _RUNC),),
        (("main.gitCommit", "unknown"),),
        tags=("seccomp", "urfave_cli_no_docs", "netgo", "osusergo"),
        cgo=True,
    ),
    GoModule(
        "cni",
        _CNI,
        tuple(
            Program(path.rpartition("/")[2], f"{_CNI}/plugins/{path}", "cni")
            for path in ("main/bridge", "main/loopback", "ipam/host-local", "meta/portmap")
        ),
        ((f"{_CNI}/pkg/utils/buildversion.BuildVersion", "{version}"),),
    ),
    GoModule(
        "metallb",
        _METALLB,
        (Program("controller", f"{_METALLB}/controller", "image"), Program("speaker", f"{_METALLB}/speaker", "image")),
        ((f"{_METALLB}/internal/version.gitCommit", "unknown"), (f"{_METALLB}/internal/version.gitBranch", "unknown")),
        files=(METALLB_MANIFEST,),
    ),
)

IMAGES: tuple[Image, ...] = (
    *(
        Image(name, ((name, f"usr/local/bin/{name}"),), entrypoint=(f"/usr/local/bin/{name}",))
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ),
    # In nftables mode kube-proxy runs one foreign program: nft. It cleans conntrack entries over netlink itself, and
    # only notes that it found no iptables whose rules of an earlier mode it would have to remove.
    Image(
        "kube-proxy",
        (("kube-proxy", "usr/local/bin/kube-proxy"),),
        debian=("usr/sbin/nft",),
        entrypoint=("/usr/local/bin/kube-proxy",),
    ),
    Image(
        "etcd",
        (("etcd", "usr/local/bin/etcd"), ("etcdctl", "usr/local/bin/etcdctl")),
        entrypoint=("/usr/local/bin/etcd",),
    ),
    Image("coredns", (("coredns", "coredns"),), entrypoint=("/coredns",)),
    Image("pause", (("pause", "pause"),), entrypoint=("/pause",), user="65535:65535"),
    Image("metallb-controller", (("controller", "controller"),), entrypoint=("/controller",)),
    Image("metallb-speaker", (("speaker", "speaker"),), entrypoint=("/speaker",)),
    Image("agnhost", (("agnhost", "agnhost"),), entrypoint=("/agnhost",), command=("pause",)),
    Image("iperf3", debian=("usr/bin/iperf3",), entrypoint=("/usr/bin/iperf3",), command=("-s",), user=NOBODY),
)

DEBIAN_PACKAGES = ("iperf3", "nftables")
