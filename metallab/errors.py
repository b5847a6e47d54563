"""The error catalogue: every mistake a user can make or meet has an id, a meaning and a next step.

Code below ``tasks/`` raises :class:`LabError` and never prints or exits. ``metallab.tasks._task`` is the one
place that turns an error into words on stderr and an exit code. ``docs/troubleshooting.md`` has one anchor
for each id; a unit test holds the two together.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ExitCode(enum.IntEnum):
    """Exit codes by layer, so that a script can tell what broke without reading words.

    0 to 3 belong to ``verify`` (passed, a check failed, nothing could be tested, passed with warnings).
    """

    OK = 0
    CHECK_FAILED = 1
    NOTHING_TESTED = 2
    WARNINGS = 3
    HOST = 10
    CONFIG = 11
    PROVIDER = 12
    MACHINE = 13
    CLUSTER = 14
    METALLB = 15
    BUNDLE = 16
    BOX = 17
    PROOF = 18
    BUG = 70
    INTERRUPTED = 130


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue: what an id means and what to do about it."""

    id: str
    exit_code: ExitCode
    title: str
    fix: str


class LabError(Exception):
    """Something a user can understand and act on.

    ``what`` says what failed, ``where`` on which machine or file, ``fix`` replaces the entry's own next step when
    the raiser knows a better one, ``detail`` is the evidence (the end of a failing command's output).
    """

    def __init__(self, entry: Entry, what: str, *, where: str = "", fix: str | None = None, detail: str = "") -> None:
        super().__init__(f"{entry.id}: {what}")
        self.entry = entry
        self.what = what
        self.where = where
        self.fix = entry.fix if fix is None else fix
        self.detail = detail


# -- host ------------------------------------------------------------------------------------------------------
HOST_PACKAGES_MISSING = Entry("LAB-HOST-001", ExitCode.HOST, "host packages are missing", "run: ./inv setup")
HOST_TOOL_MISSING = Entry(
    "LAB-HOST-002", ExitCode.HOST, "a program this step needs is not on the PATH", "run: ./inv setup"
)
HOST_NEEDS_ROOT = Entry(
    "LAB-HOST-003", ExitCode.HOST, "this step needs root", "run the same command as root (sudo ./inv …)"
)
HOST_COMMAND_FAILED = Entry(
    "LAB-HOST-004",
    ExitCode.HOST,
    "a command on this host failed",
    "read the lines above; run the printed command by hand to see more",
)
HOST_COMMAND_TIMED_OUT = Entry(
    "LAB-HOST-005",
    ExitCode.HOST,
    "a command on this host did not end in time",
    "run the same command again; it goes on where it stopped",
)
HOST_NO_PACKAGE_MANAGER = Entry(
    "LAB-HOST-006",
    ExitCode.HOST,
    "this host has no apt",
    "install the named programs with your own package manager, then run the command again",
)
HOST_BUSY = Entry(
    "LAB-HOST-007",
    ExitCode.HOST,
    "another metallab command is working on the same thing",
    "wait for it to end, then run the command again",
)
HOST_NOT_CONFIRMED = Entry(
    "LAB-HOST-008", ExitCode.HOST, "the command needs your consent", "answer y, or run it again with --yes"
)
HOST_TESTS_FAILED = Entry(
    "LAB-HOST-009", ExitCode.CHECK_FAILED, "a test or a linter failed", "read its report above; mend it and run again"
)
HOST_CHOICE_UNKNOWN = Entry(
    "LAB-HOST-010", ExitCode.HOST, "an option does not know this value", "use one of the values named above"
)
HOST_INOTIFY = Entry(
    "LAB-HOST-011",
    ExitCode.HOST,
    "this host's inotify instances do not last for the lab",
    "raise the limit: sysctl -w fs.inotify.max_user_instances=512, or end another lab; then run the command again",
)
HOST_MEMORY = Entry(
    "LAB-HOST-012",
    ExitCode.HOST,
    "this host has too little memory for the lab's machines",
    "take a worker out of machines: in lab.yaml, end other programs, or use --provider docker, whose machines share "
    "the host's memory",
)
HOST_UNFIT = Entry(
    "LAB-HOST-020",
    ExitCode.HOST,
    "this host cannot carry the lab, for several reasons",
    "mend each of them with the line below it; ./inv doctor looks again",
)
HOST_UNSUPPORTED = Entry(
    "LAB-HOST-021", ExitCode.HOST, "the lab does not run on this kind of host", "use a host with Linux"
)
HOST_DISK = Entry(
    "LAB-HOST-022", ExitCode.HOST, "the disk is too full for a lab", "remove what you do not need, then run it again"
)
HOST_CAPABILITIES = Entry(
    "LAB-HOST-023",
    ExitCode.HOST,
    "this host withholds a privilege the machines need",
    "run the lab on the host itself, not in a container, or use --provider libvirt",
)
HOST_KERNEL = Entry(
    "LAB-HOST-024",
    ExitCode.HOST,
    "the kernel cannot do what the machines need",
    "boot the distribution's own kernel with all its modules (linux-modules-extra on Ubuntu), or use a virtual machine",
)
HOST_CGROUPS = Entry(
    "LAB-HOST-025",
    ExitCode.HOST,
    "the control groups are not as the machines need them",
    "boot with systemd and without cgroup_disable= on the kernel's command line",
)
HOST_CLOCK = Entry("LAB-HOST-026", ExitCode.HOST, "this host's clock is wrong", "set it, then run the command again")
# -- config ----------------------------------------------------------------------------------------------------
CONFIG_UNREADABLE = Entry(
    "LAB-CONF-001", ExitCode.CONFIG, "the lab file cannot be read as YAML", "correct the named line"
)
CONFIG_INVALID = Entry(
    "LAB-CONF-002",
    ExitCode.CONFIG,
    "the lab file has values the lab cannot use",
    "correct the named keys; ./inv config.schema prints what is allowed",
)
CONFIG_VERSION_MISMATCH = Entry(
    "LAB-CONF-003",
    ExitCode.CONFIG,
    "the lab file asks for a version the bundle does not hold",
    "remove the line from versions:, or change the pin in bundle/*/go.mod and run ./inv bundle.build",
)
# -- provider --------------------------------------------------------------------------------------------------
PROVIDER_NONE = Entry(
    "LAB-PROV-001",
    ExitCode.PROVIDER,
    "no provider can run here",
    "start Docker, or run as root so that the lab can start its own",
)
PROVIDER_DAEMON_FAILED = Entry(
    "LAB-PROV-002",
    ExitCode.PROVIDER,
    "a daemon that makes machines did not start, or refused",
    "read the end of its log above; ./inv lab.destroy --yes clears what is left, then run the command again",
)
PROVIDER_UNSUPPORTED = Entry(
    "LAB-PROV-003",
    ExitCode.PROVIDER,
    "this provider cannot run here",
    "install it, or choose another one: --provider docker, or provider: auto in lab.yaml",
)
PROVIDER_ADDRESS_TAKEN = Entry(
    "LAB-PROV-004",
    ExitCode.PROVIDER,
    "the lab network is already in use on this host",
    "change network: in lab.yaml to a free one (one line moves the whole lab)",
)
PROVIDER_OTHER = Entry(
    "LAB-PROV-005",
    ExitCode.PROVIDER,
    "the lab was made with another provider",
    "leave --provider out to go on with it, or run: ./inv lab.destroy --yes, then the command again",
)
PROVIDER_HOST_ONLY = Entry(
    "LAB-PROV-006",
    ExitCode.PROVIDER,
    "VirtualBox does not allow the lab network on this host",
    "allow it in /etc/vbox/networks.conf (a line like: * 192.168.56.0/21 192.168.96.0/24), or choose another network: "
    "in lab.yaml",
)
PROVIDER_VERSIONS = Entry(
    "LAB-PROV-010",
    ExitCode.PROVIDER,
    "a program's version is known not to work here",
    "install one of the versions named above, or use another --provider",
)
PROVIDER_ELSEWHERE = Entry(
    "LAB-PROV-011",
    ExitCode.PROVIDER,
    "the Docker daemon's networks are not this host's",
    "use Docker Engine of this host (docker context use default; unset DOCKER_HOST), or run as root where no daemon "
    "answers: the lab then starts its own",
)
PROVIDER_KVM_HELD = Entry(
    "LAB-PROV-012",
    ExitCode.PROVIDER,
    "VirtualBox and the kernel's KVM are in each other's way",
    "set kvm.enable_virt_at_load as named above, or use --provider libvirt",
)
# -- machine ---------------------------------------------------------------------------------------------------
MACHINE_UP_FAILED = Entry(
    "LAB-MACH-001", ExitCode.MACHINE, "vagrant could not bring a machine up", "run: ./inv lab.up again; it goes on"
)
MACHINE_UNREACHABLE = Entry(
    "LAB-MACH-002",
    ExitCode.MACHINE,
    "a machine cannot be reached over SSH",
    "run: ./inv lab.status, then ./inv lab.up to heal it",
)
MACHINE_COMMAND_FAILED = Entry(
    "LAB-MACH-003",
    ExitCode.MACHINE,
    "a command on a machine failed",
    "log in with ./inv lab.ssh NAME and run the printed command",
)
MACHINE_COMMAND_TIMED_OUT = Entry(
    "LAB-MACH-004",
    ExitCode.MACHINE,
    "a command on a machine did not end in time",
    "log in with ./inv lab.ssh NAME and look what it waits for",
)
MACHINE_UNKNOWN = Entry(
    "LAB-MACH-005", ExitCode.MACHINE, "there is no machine of that name", "run: ./inv lab.status for the names"
)
MACHINE_HOST_KEY = Entry(
    "LAB-MACH-006",
    ExitCode.MACHINE,
    "a machine showed another SSH host key than the lab gave it",
    "somebody else answers at that address; ./inv lab.destroy --yes and ./inv lab.up make a clean lab",
)
MACHINE_NOT_UP = Entry("LAB-MACH-007", ExitCode.MACHINE, "the lab is not up", "run: ./inv lab.up")
VAGRANT_FAILED = Entry(
    "LAB-MACH-008", ExitCode.MACHINE, "vagrant failed", "run: ./inv lab.up again; --debug shows vagrant's own words"
)
SNAPSHOT_UNKNOWN = Entry(
    "LAB-MACH-010", ExitCode.MACHINE, "there is no such snapshot", "run: ./inv lab.snapshot.list for the names"
)
SNAPSHOT_NAME = Entry(
    "LAB-MACH-011",
    ExitCode.MACHINE,
    "a snapshot cannot be given this name",
    "choose another one, or run: ./inv lab.snapshot.delete NAME first",
)
SNAPSHOT_IMPOSSIBLE = Entry(
    "LAB-MACH-012",
    ExitCode.MACHINE,
    "the lab cannot be saved or restored as it is",
    "run: ./inv lab.up, then the command again",
)
SNAPSHOT_HALF = Entry(
    "LAB-MACH-013",
    ExitCode.MACHINE,
    "a restore was interrupted, and the machines are not of one time",
    "run: ./inv lab.snapshot.restore NAME again, or: ./inv lab.destroy --yes",
)
# -- cluster ---------------------------------------------------------------------------------------------------
CLUSTER_TIMEOUT = Entry(
    "LAB-CLUS-001",
    ExitCode.CLUSTER,
    "the cluster did not get where it should in time",
    "run: ./inv lab.status to see the first broken layer; running the command again goes on",
)
CLUSTER_UNREACHABLE = Entry(
    "LAB-CLUS-002", ExitCode.CLUSTER, "the API server does not answer", "run: ./inv lab.up; it heals what is half done"
)
CLUSTER_REFUSED = Entry(
    "LAB-CLUS-003",
    ExitCode.CLUSTER,
    "the API server refused an object",
    "read its reason above; correct the manifest and run the command again",
)
CLUSTER_INIT_FAILED = Entry(
    "LAB-CLUS-004",
    ExitCode.CLUSTER,
    "kubeadm failed",
    "read its last lines above; ./inv lab.up again resets the half-made node and goes on",
)
CLUSTER_MANIFEST = Entry(
    "LAB-CLUS-005",
    ExitCode.CLUSTER,
    "a manifest cannot be read or lacks an object",
    "restore the file under manifests/, or run: ./inv bundle.build --rebuild if it is MetalLB's own",
)
CLUSTER_NO_ADDRESS = Entry(
    "LAB-CLUS-006",
    ExitCode.CLUSTER,
    "a node does not have its address in the lab network",
    "run: ./inv lab.up, which gives machines their addresses; ./inv lab.ssh NAME -- ip address shows what it has",
)
# -- metallb and example ---------------------------------------------------------------------------------------
METALLB_TIMEOUT = Entry(
    "LAB-MLB-001",
    ExitCode.METALLB,
    "MetalLB did not get ready in time",
    "run: ./inv metallb.status, then ./inv metallb.install again",
)
METALLB_MISSING = Entry("LAB-MLB-002", ExitCode.METALLB, "MetalLB is not installed", "run: ./inv metallb.install")
EXAMPLE_MISSING = Entry(
    "LAB-MLB-003", ExitCode.METALLB, "the iperf3 example is not deployed", "run: ./inv iperf3.deploy"
)
EXAMPLE_NO_ADDRESS = Entry(
    "LAB-MLB-004",
    ExitCode.METALLB,
    "the services did not get the shared address",
    "read the events above; ./inv metallb.status shows the pool",
)
# -- bundle ----------------------------------------------------------------------------------------------------
BUNDLE_BUILD_FAILED = Entry(
    "LAB-BNDL-001", ExitCode.BUNDLE, "building the bundle failed", "read the lines above; ./inv bundle.build goes on"
)
BUNDLE_MISSING = Entry("LAB-BNDL-002", ExitCode.BUNDLE, "there is no bundle yet", "run: ./inv bundle.build")
BUNDLE_DIFFERS = Entry(
    "LAB-BNDL-003",
    ExitCode.BUNDLE,
    "the built bundle is not what the lock file promises",
    "if you changed a pin on purpose run: ./inv bundle.build --update-lock; otherwise do not use this bundle",
)
BUNDLE_CORRUPT = Entry(
    "LAB-BNDL-004", ExitCode.BUNDLE, "the bundle in the cache is damaged", "run: ./inv bundle.build --rebuild"
)
# -- box -------------------------------------------------------------------------------------------------------
BOX_BUILD_FAILED = Entry(
    "LAB-BOX-001", ExitCode.BOX, "building the machine image failed", "read the lines above; ./inv box.build goes on"
)
BOX_MISSING = Entry("LAB-BOX-002", ExitCode.BOX, "there is no machine image yet", "run: ./inv box.build")
# -- proof -----------------------------------------------------------------------------------------------------
PROOF_UNREADABLE = Entry(
    "LAB-PRF-001",
    ExitCode.PROOF,
    "a probe's output could not be read",
    "run it by hand: ./inv iperf3.run; report the output if it looks right",
)
PROOF_PROBE_FAILED = Entry(
    "LAB-PRF-002", ExitCode.PROOF, "the iperf3 client failed", "run: ./inv lab.status, then ./inv verify"
)


def catalogue() -> tuple[Entry, ...]:
    """Return every entry of this module, in the order written."""
    return tuple(value for value in globals().values() if isinstance(value, Entry))
