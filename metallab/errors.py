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
    DRILL = 19
    LESSON = 20
    BUG = 70
    INTERRUPTED = 130


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue: what an id means, why it happens (one sentence), and what to do about it.

    ``title``, ``cause`` and ``fix`` begin small and have no full stop; the guide's "Why" begins with the cause.
    """

    id: str
    exit_code: ExitCode
    title: str
    cause: str
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
HOST_PACKAGES_MISSING = Entry(
    "LAB-HOST-001",
    ExitCode.HOST,
    "host packages are missing",
    "programs or headers this command needs are not installed, or apt could not install them",
    "run: ./inv setup",
)
HOST_TOOL_MISSING = Entry(
    "LAB-HOST-002",
    ExitCode.HOST,
    "a program this step needs is not on the PATH",
    "it is not installed, or the PATH of this shell lacks its folder",
    "run: ./inv setup",
)
HOST_NEEDS_ROOT = Entry(
    "LAB-HOST-003",
    ExitCode.HOST,
    "this step needs root",
    "installing packages, running a daemon of the lab's own and entering its network are root's",
    "run the same command as root (sudo ./inv …)",
)
HOST_COMMAND_FAILED = Entry(
    "LAB-HOST-004",
    ExitCode.HOST,
    "a command on this host failed",
    "a program on this host failed; its own words tell why",
    "read the lines above; run the printed command by hand to see more",
)
HOST_COMMAND_TIMED_OUT = Entry(
    "LAB-HOST-005",
    ExitCode.HOST,
    "a command on this host did not end in time",
    "the host is very busy, or the network stalls",
    "run the same command again; it goes on where it stopped",
)
HOST_NO_PACKAGE_MANAGER = Entry(
    "LAB-HOST-006",
    ExitCode.HOST,
    "this host has no apt",
    "./inv setup can only install with apt",
    "install the named programs with your own package manager, then run the command again",
)
HOST_BUSY = Entry(
    "LAB-HOST-007",
    ExitCode.HOST,
    "another metallab command is working on the same thing",
    "two commands at once would spoil each other's work",
    "wait for it to end, then run the command again",
)
HOST_NOT_CONFIRMED = Entry(
    "LAB-HOST-008",
    ExitCode.HOST,
    "the command needs your consent",
    "you said no, or there is no terminal to ask on",
    "answer y, or run it again with --yes",
)
HOST_TESTS_FAILED = Entry(
    "LAB-HOST-009",
    ExitCode.CHECK_FAILED,
    "a test or a linter failed",
    "a rule of the house or a promise of the code does not hold",
    "read its report above; mend it and run again",
)
HOST_CHOICE_UNKNOWN = Entry(
    "LAB-HOST-010",
    ExitCode.HOST,
    "an option does not know this value",
    "the value is mistyped, or another option's",
    "use one of the values named above",
)
HOST_INOTIFY = Entry(
    "LAB-HOST-011",
    ExitCode.HOST,
    "this host's inotify instances do not last for the lab",
    "containers share the host's fs.inotify.max_user_instances (often 128), and a lab takes about 70 of them",
    "raise the limit: sysctl -w fs.inotify.max_user_instances=512, or end another lab; then run the command again",
)
HOST_MEMORY = Entry(
    "LAB-HOST-012",
    ExitCode.HOST,
    "this host has too little memory for the lab's machines",
    "virtual machines have memory of their own, and less can be had than they need at the least",
    "take a worker out of machines: in lab.yaml, end other programs, or use --provider docker, whose machines share "
    "the host's memory",
)
HOST_DISK_FULL = Entry(
    "LAB-HOST-013",
    ExitCode.HOST,
    "the disk is full",
    "the file system has no room left for what the command writes, or your quota is used up",
    "make room (df -h names the file system), then run the same command again; it goes on",
)
HOST_FILE = Entry(
    "LAB-HOST-014",
    ExitCode.HOST,
    "a file or folder cannot be used",
    "it belongs to another user, lies on a read-only file system, or is not what it should be",
    "look at it with ls -ld and give it to the user who runs ./inv, then run the same command again",
)
HOST_EXHAUSTED = Entry(
    "LAB-HOST-015",
    ExitCode.HOST,
    "this host has no more memory, processes or open files for the command",
    "other programs take them, or a limit of this user's is low",
    "end other programs or raise the limit (ulimit -a shows them), then run the same command again",
)
HOST_FILE_DAMAGED = Entry(
    "LAB-HOST-016",
    ExitCode.HOST,
    "a file the lab has written for itself is damaged",
    "it was changed by hand, or cut short by a full disk or a power cut",
    "run: ./inv lab.destroy --yes, then ./inv lab.up",
)
HOST_UNFIT = Entry(
    "LAB-HOST-020",
    ExitCode.HOST,
    "this host cannot carry the lab, for several reasons",
    "a host is looked at as a whole before a lab is made, so that you do not mend one thing to meet the next",
    "mend each of them with the line below it; ./inv doctor looks again",
)
HOST_UNSUPPORTED = Entry(
    "LAB-HOST-021",
    ExitCode.HOST,
    "the lab does not run on this kind of host",
    "containers, namespaces and KVM are Linux's; the lab's code needs Python 3.10, its packages an x86-64-v2",
    "use a host with Linux",
)
HOST_DISK = Entry(
    "LAB-HOST-022",
    ExitCode.HOST,
    "the disk is too full for a lab",
    "the disk has less room or fewer inodes left than the cache, the lab or its daemon needs",
    "remove what you do not need, then run it again",
)
HOST_CAPABILITIES = Entry(
    "LAB-HOST-023",
    ExitCode.HOST,
    "this host withholds a privilege the machines need",
    "you are inside a container or a service with a reduced bounding set",
    "run the lab on the host itself, not in a container, or use --provider libvirt",
)
HOST_KERNEL = Entry(
    "LAB-HOST-024",
    ExitCode.HOST,
    "the kernel cannot do what the machines need",
    "the kernel was built without it, its module is not installed for the running kernel (also after an "
    "upgrade without a restart), or a sandbox around you forbids it",
    "boot the distribution's own kernel with all its modules (linux-modules-extra on Ubuntu), or use a virtual machine",
)
HOST_CGROUPS = Entry(
    "LAB-HOST-025",
    ExitCode.HOST,
    "the control groups are not as the machines need them",
    "kubelet and runc need cpu, memory and pids; systemd in a machine needs its own hierarchy under version 1",
    "boot with systemd and without cgroup_disable= on the kernel's command line",
)
HOST_CLOCK = Entry(
    "LAB-HOST-026",
    ExitCode.HOST,
    "this host's clock is wrong",
    "certificates made under a wrong clock have ended, or not begun, under the right one",
    "set it, then run the command again",
)
# -- config ----------------------------------------------------------------------------------------------------
CONFIG_UNREADABLE = Entry(
    "LAB-CONF-001",
    ExitCode.CONFIG,
    "the lab file cannot be read as YAML",
    "lab.yaml is no YAML (mostly a tab or a missing bracket), or LAB_FILE names a file that is not there",
    "correct the named line",
)
CONFIG_INVALID = Entry(
    "LAB-CONF-002",
    ExitCode.CONFIG,
    "the lab file has values the lab cannot use",
    "values of several kinds are wrong, or one has the wrong form",
    "correct the named places; ./inv config.schema prints what is allowed",
)
CONFIG_VERSION_MISMATCH = Entry(
    "LAB-CONF-003",
    ExitCode.CONFIG,
    "the lab file asks for a version the bundle does not hold",
    "versions: in lab.yaml only insists on what the bundle holds; the pins of the bundle choose it",
    "remove the line from versions:, or change the pin in bundle/*/go.mod and run ./inv bundle.build",
)
CONFIG_KEY_UNKNOWN = Entry(
    "LAB-CONF-004",
    ExitCode.CONFIG,
    "the lab file has a key there is not",
    "unknown keys are refused: a misspelt one would silently be the default",
    "correct or remove the named keys; ./inv config.schema prints those there are",
)
CONFIG_KEY_TWICE = Entry(
    "LAB-CONF-005",
    ExitCode.CONFIG,
    "the lab file has a key twice",
    "YAML would silently take the last of the two",
    "keep one of the two lines of each named key",
)
CONFIG_YAML_READS = Entry(
    "LAB-CONF-006",
    ExitCode.CONFIG,
    "YAML reads a value of the lab file as something else than it looks like",
    "lab.yaml is YAML 1.1, in which some words and numbers mean something else",
    "write the named values as proposed: text in quotes, numbers plainly",
)
CONFIG_VALUE_MISSING = Entry(
    "LAB-CONF-007",
    ExitCode.CONFIG,
    "a value is missing in the lab file",
    "a key has nothing behind it, or a machine lacks its name, role or host",
    "write a value for each named key, or remove its line where it has a default",
)
CONFIG_API_VERSION = Entry(
    "LAB-CONF-008",
    ExitCode.CONFIG,
    "the lab file is for another metallab",
    "apiVersion names another form, in which the same keys may mean something else",
    "use the metallab it was written for, or begin anew: ./inv config.init writes a file of this one's form",
)
CONFIG_NAME = Entry(
    "LAB-CONF-009",
    ExitCode.CONFIG,
    "a name cannot be a host name, or is there twice",
    "names become host names",
    "rename what is named above",
)
CONFIG_RANGES = Entry(
    "LAB-CONF-010",
    ExitCode.CONFIG,
    "network, pod and service ranges do not go together",
    "all three are routed inside the lab, so they must be private and apart",
    "change the named ranges as proposed",
)
CONFIG_ADDRESS = Entry(
    "LAB-CONF-011",
    ExitCode.CONFIG,
    "host numbers collide or lie outside the lab network",
    "machines, gateway and broadcast address must be apart, and the pool inside the network and over none of them",
    "change the named numbers as proposed",
)
CONFIG_ROLES = Entry(
    "LAB-CONF-012",
    ExitCode.CONFIG,
    "the machines make no lab: it has one control plane, one client, and any number of workers",
    "the proof needs exactly one control plane and one client",
    "add, remove or change the named machines",
)
CONFIG_EXISTS = Entry(
    "LAB-CONF-013",
    ExitCode.CONFIG,
    "there is a lab file already, or it cannot be written",
    "a file is never overwritten without being asked to, and its folder must be there and yours",
    "name another file, or overwrite this one with --force",
)
# -- provider --------------------------------------------------------------------------------------------------
PROVIDER_NONE = Entry(
    "LAB-PROV-001",
    ExitCode.PROVIDER,
    "no provider can run here",
    "no Docker daemon or libvirtd answers that this user may use, and only root can start one",
    "start Docker, or run as root so that the lab can start its own",
)
PROVIDER_DAEMON_FAILED = Entry(
    "LAB-PROV-002",
    ExitCode.PROVIDER,
    "a daemon that makes machines did not start, or refused",
    "often no cgroups are mounted, the kernel lacks overlay or nftables/iptables, or the disk is full",
    "read the end of its log above; ./inv lab.destroy --yes clears what is left, then run the command again",
)
PROVIDER_UNSUPPORTED = Entry(
    "LAB-PROV-003",
    ExitCode.PROVIDER,
    "this provider cannot run here",
    "it is not installed, or this host does not let it do what it must",
    "install it, or choose another one: --provider docker, or provider: auto in lab.yaml",
)
PROVIDER_ADDRESS_TAKEN = Entry(
    "LAB-PROV-004",
    ExitCode.PROVIDER,
    "the lab network is already in use on this host",
    "two networks of the same addresses would cut one off",
    "change network: in lab.yaml to a free one (one line moves the whole lab)",
)
PROVIDER_OTHER = Entry(
    "LAB-PROV-005",
    ExitCode.PROVIDER,
    "the lab was made with another provider",
    "a lab stays with its provider: its machines are there",
    "leave --provider out to go on with it, or run: ./inv lab.destroy --yes, then the command again",
)
PROVIDER_HOST_ONLY = Entry(
    "LAB-PROV-006",
    ExitCode.PROVIDER,
    "VirtualBox does not allow the lab network on this host",
    "since 6.1.28 VirtualBox lets host-only networks be in 192.168.56.0/21 only, unless /etc/vbox/networks.conf says "
    "otherwise",
    "allow it in /etc/vbox/networks.conf (a line like: * 192.168.56.0/21 192.168.96.0/24), or choose another network: "
    "in lab.yaml",
)
PROVIDER_VERSIONS = Entry(
    "LAB-PROV-010",
    ExitCode.PROVIDER,
    "a program's version is known not to work here",
    "this version, or two versions beside each other, failed for others in a way that is known",
    "install one of the versions named above, or use another --provider",
)
PROVIDER_ELSEWHERE = Entry(
    "LAB-PROV-011",
    ExitCode.PROVIDER,
    "the Docker daemon's networks are not this host's",
    "the daemon runs on another machine, or in a virtual one as Docker Desktop's does, and so do its networks",
    "use Docker Engine of this host (docker context use default; unset DOCKER_HOST), or run as root where no daemon "
    "answers: the lab then starts its own",
)
PROVIDER_KVM_HELD = Entry(
    "LAB-PROV-012",
    ExitCode.PROVIDER,
    "VirtualBox and the kernel's KVM are in each other's way",
    "only one of them can use the processor's virtualisation at a time, and the kernel's setting decides",
    "set kvm.enable_virt_at_load as named above, or use --provider libvirt",
)
# -- machine ---------------------------------------------------------------------------------------------------
MACHINE_UP_FAILED = Entry(
    "LAB-MACH-001",
    ExitCode.MACHINE,
    "vagrant could not bring a machine up",
    "the provider refused to make or start it, or it did not boot in time; Vagrant's words tell which",
    "run: ./inv lab.up again; it goes on",
)
MACHINE_UNREACHABLE = Entry(
    "LAB-MACH-002",
    ExitCode.MACHINE,
    "a machine cannot be reached over SSH",
    "it is off, still booting, or its address in the lab network is gone",
    "run: ./inv lab.status, then ./inv lab.up to heal it",
)
MACHINE_COMMAND_FAILED = Entry(
    "LAB-MACH-003",
    ExitCode.MACHINE,
    "a command on a machine failed",
    "a program on the machine failed; its own words tell why",
    "log in with ./inv lab.ssh NAME and run the printed command",
)
MACHINE_COMMAND_TIMED_OUT = Entry(
    "LAB-MACH-004",
    ExitCode.MACHINE,
    "a command on a machine did not end in time",
    "the machine is very slow, or the command waits for something that does not come",
    "log in with ./inv lab.ssh NAME and look what it waits for",
)
MACHINE_UNKNOWN = Entry(
    "LAB-MACH-005",
    ExitCode.MACHINE,
    "there is no machine of that name",
    "only what stands under machines: in lab.yaml has a name",
    "run: ./inv lab.status for the names",
)
MACHINE_HOST_KEY = Entry(
    "LAB-MACH-006",
    ExitCode.MACHINE,
    "a machine showed another SSH host key than the lab gave it",
    "something else answers at that address, or the machine was made by another lab's folder",
    "somebody else answers at that address; ./inv lab.destroy --yes and ./inv lab.up make a clean lab",
)
MACHINE_NOT_UP = Entry(
    "LAB-MACH-007",
    ExitCode.MACHINE,
    "the lab is not up",
    "it was never brought up, or was destroyed, or LAB_FILE names another lab's file",
    "run: ./inv lab.up",
)
VAGRANT_FAILED = Entry(
    "LAB-MACH-008",
    ExitCode.MACHINE,
    "vagrant failed",
    "vagrant cannot run here, or said something the lab does not understand",
    "run: ./inv lab.up again; --debug shows vagrant's own words",
)
SNAPSHOT_UNKNOWN = Entry(
    "LAB-MACH-010",
    ExitCode.MACHINE,
    "there is no such snapshot",
    "it was deleted or never finished, or a machine was destroyed behind the lab's back and its part went with it",
    "run: ./inv lab.snapshot.list for the names",
)
SNAPSHOT_NAME = Entry(
    "LAB-MACH-011",
    ExitCode.MACHINE,
    "a snapshot cannot be given this name",
    "a snapshot of this name exists, or the name has characters it may not have",
    "choose another one, or run: ./inv lab.snapshot.delete NAME first",
)
SNAPSHOT_IMPOSSIBLE = Entry(
    "LAB-MACH-012",
    ExitCode.MACHINE,
    "the lab cannot be saved or restored as it is",
    "all machines are kept as of one moment, so all must run, and be the ones lab.yaml describes",
    "run: ./inv lab.up, then the command again",
)
SNAPSHOT_HALF = Entry(
    "LAB-MACH-013",
    ExitCode.MACHINE,
    "a restore was interrupted, and the machines are not of one time",
    "some machines are already what they were, others are not: such a cluster must not go on",
    "run: ./inv lab.snapshot.restore NAME again, or: ./inv lab.destroy --yes",
)
COLLECT_UNWRITABLE = Entry(
    "LAB-MACH-020",
    ExitCode.MACHINE,
    "the bug report cannot be written",
    "the disk is full, the folder is somebody else's, or its name is that of a file",
    "make room, or name another folder: ./inv collect --to FOLDER",
)
# -- cluster ---------------------------------------------------------------------------------------------------
CLUSTER_TIMEOUT = Entry(
    "LAB-CLUS-001",
    ExitCode.CLUSTER,
    "the cluster did not get where it should in time",
    "the host is slow or overloaded, or a part does not start",
    "run: ./inv lab.status to see the first broken layer; running the command again goes on",
)
CLUSTER_UNREACHABLE = Entry(
    "LAB-CLUS-002",
    ExitCode.CLUSTER,
    "the API server does not answer",
    "the control plane machine is off, or its kubelet could not start it",
    "run: ./inv lab.up; it heals what is half done",
)
CLUSTER_REFUSED = Entry(
    "LAB-CLUS-003",
    ExitCode.CLUSTER,
    "the API server refused an object",
    "a manifest under manifests/ is wrong, or a webhook refused it",
    "read its reason above; correct the manifest and run the command again",
)
CLUSTER_INIT_FAILED = Entry(
    "LAB-CLUS-004",
    ExitCode.CLUSTER,
    "kubeadm failed",
    "a node could not be made or could not join; kubeadm's own words tell why",
    "read its last lines above; ./inv lab.up again resets the half-made node and goes on",
)
CLUSTER_MANIFEST = Entry(
    "LAB-CLUS-005",
    ExitCode.CLUSTER,
    "a manifest cannot be read or lacks an object",
    "a file under manifests/ was changed or is gone, or MetalLB's own in the bundle is damaged",
    "restore the file under manifests/, or run: ./inv bundle.build --rebuild if it is MetalLB's own",
)
CLUSTER_NO_ADDRESS = Entry(
    "LAB-CLUS-006",
    ExitCode.CLUSTER,
    "a node does not have its address in the lab network",
    "its second network card is missing or has another address",
    "run: ./inv lab.up, which gives machines their addresses; ./inv lab.ssh NAME -- ip address shows what it has",
)
KUBECONFIG_UNREADABLE = Entry(
    "LAB-CLUS-010",
    ExitCode.CLUSTER,
    "a kubeconfig cannot be read or written",
    "it is not YAML or of another kind, or the system does not allow it; only what is wholly understood is changed",
    "correct the named file, or name another one: KUBECONFIG=FILE ./inv kubeconfig.merge; nothing was changed",
)
KUBECONFIG_LOCKED = Entry(
    "LAB-CLUS-011",
    ExitCode.CLUSTER,
    "another program is changing the kubeconfig",
    "kubectl makes a file beside it while it changes it, and so does the lab; one that was killed leaves it",
    "run the command again; if no kubectl is at work, one that was killed left the lock: remove the named file",
)
KUBECONFIG_TAKEN = Entry(
    "LAB-CLUS-012",
    ExitCode.CLUSTER,
    "the kubeconfig has an entry of the lab's name that is not this lab's",
    "what the lab writes carries a mark with the lab's folder, and this entry has none or another one",
    "rename or delete that entry (kubectl config rename-context), or name another file: KUBECONFIG=FILE "
    "./inv kubeconfig.merge",
)
# -- metallb and example ---------------------------------------------------------------------------------------
METALLB_TIMEOUT = Entry(
    "LAB-MLB-001",
    ExitCode.METALLB,
    "MetalLB did not get ready in time",
    "mostly the host is overloaded; the pool is only accepted once MetalLB's webhook answers",
    "run: ./inv metallb.status, then ./inv metallb.install again",
)
METALLB_MISSING = Entry(
    "LAB-MLB-002",
    ExitCode.METALLB,
    "MetalLB is not installed",
    "it was never installed in this cluster, or was deleted",
    "run: ./inv metallb.install",
)
EXAMPLE_MISSING = Entry(
    "LAB-MLB-003",
    ExitCode.METALLB,
    "the iperf3 example is not deployed",
    "it was never deployed in this cluster, or was deleted",
    "run: ./inv iperf3.deploy",
)
EXAMPLE_NO_ADDRESS = Entry(
    "LAB-MLB-004",
    ExitCode.METALLB,
    "the services did not get the shared address",
    "the pool is too small or taken, or another service holds the shared address with another sharing key",
    "read the events above; ./inv metallb.status shows the pool",
)
# -- bundle ----------------------------------------------------------------------------------------------------
BUNDLE_BUILD_FAILED = Entry(
    "LAB-BNDL-001",
    ExitCode.BUNDLE,
    "building the bundle failed",
    "a module proxy or mirror does not answer, the disk is full, or there is too little memory",
    "read the lines above; ./inv bundle.build goes on",
)
BUNDLE_MISSING = Entry(
    "LAB-BNDL-002",
    ExitCode.BUNDLE,
    "there is no bundle yet",
    "it was never built on this host, or the cache was cleared",
    "run: ./inv bundle.build",
)
BUNDLE_DIFFERS = Entry(
    "LAB-BNDL-003",
    ExitCode.BUNDLE,
    "the built bundle is not what the lock file promises",
    "a pin or a compiler has changed",
    "if you changed a pin on purpose run: ./inv bundle.build --update-lock; otherwise do not use this bundle",
)
BUNDLE_CORRUPT = Entry(
    "LAB-BNDL-004",
    ExitCode.BUNDLE,
    "the bundle in the cache is damaged",
    "a file was changed, cut short or removed after the bundle was built",
    "run: ./inv bundle.build --rebuild",
)
# -- box -------------------------------------------------------------------------------------------------------
BOX_BUILD_FAILED = Entry(
    "LAB-BOX-001",
    ExitCode.BOX,
    "building the machine image failed",
    "the Debian mirror does not answer, the disk is full, or mounts are not allowed here",
    "read the lines above; ./inv box.build goes on",
)
BOX_MISSING = Entry(
    "LAB-BOX-002",
    ExitCode.BOX,
    "there is no machine image yet",
    "it was never built on this host, or the cache was cleared",
    "run: ./inv box.build",
)
# -- proof -----------------------------------------------------------------------------------------------------
PROOF_UNREADABLE = Entry(
    "LAB-PRF-001",
    ExitCode.PROOF,
    "a probe's output could not be read",
    "a tool says it differently than expected, and nothing is guessed: a missing number is an error, never 0",
    "run it by hand: ./inv iperf3.run; report the output if it looks right",
)
PROOF_PROBE_FAILED = Entry(
    "LAB-PRF-002",
    ExitCode.PROOF,
    "the iperf3 client failed",
    "nobody answers at the shared address, or the connection broke; iperf3's own words tell which",
    "run: ./inv lab.status, then ./inv verify",
)
# -- drill -----------------------------------------------------------------------------------------------------
DRILL_NOT_UNDONE = Entry(
    "LAB-DRL-001",
    ExitCode.DRILL,
    "what a drill has broken could not be undone",
    "a machine does not come back, or the cluster does not answer; what was broken stays on record until it is undone",
    "run: ./inv lab.up, which heals the machines and undoes it again; ./inv lab.destroy --yes always helps",
)
DRILL_OBSERVER = Entry(
    "LAB-DRL-002",
    ExitCode.DRILL,
    "the observer on the client did not do its work",
    "the program that asks the address from the client without a pause could not run there, or was not understood",
    "run: ./inv lab.status; report the line above if the client is well",
)
DRILL_RECORD = Entry(
    "LAB-DRL-003",
    ExitCode.DRILL,
    "the record of what a drill has broken is damaged",
    "it was changed by hand or cut short, so nobody can tell what is still broken",
    "run: ./inv lab.destroy --yes, then ./inv lab.up",
)
DRILL_UNKNOWN = Entry(
    "LAB-DRL-004",
    ExitCode.DRILL,
    "there is no drill of that name",
    "only what ./inv drill.list names is a drill",
    "run: ./inv drill.list",
)
# -- lessons ---------------------------------------------------------------------------------------------------
LESSON_UNKNOWN = Entry(
    "LAB-LSN-001",
    ExitCode.LESSON,
    "there is no lesson of that name",
    "a lesson is named by its number or by its folder under lessons/, and there is none like this",
    "run: ./inv lesson.list for the lessons",
)
LESSON_NONE = Entry(
    "LAB-LSN-002",
    ExitCode.LESSON,
    "no lesson is going on",
    "the command is about the lesson that was started on this lab, and none was since the lab was made",
    "run: ./inv lesson.list, then ./inv lesson.start NUMBER",
)
LESSON_UNUSABLE = Entry(
    "LAB-LSN-003",
    ExitCode.LESSON,
    "a lesson's folder cannot be used",
    "its lesson.yaml has a key or value that a lesson cannot have, or one of its files is missing",
    "correct the named file; docs/lessons.md says what a lesson consists of",
)
LESSON_SCRIPT_FAILED = Entry(
    "LAB-LSN-004",
    ExitCode.LESSON,
    "a lesson's own script did not do what it is for",
    "its start or a step's solution ended with an error, or the step's checks do not hold after it",
    "run: ./inv lab.status, then ./inv lesson.reset, then the command again",
)
LESSON_NOT_AT_START = Entry(
    "LAB-LSN-005",
    ExitCode.LESSON,
    "the lab is not where the lesson starts",
    "making the start was interrupted, or the lab did not get there in time",
    "run: ./inv lesson.reset; ./inv lab.status shows the first broken layer",
)
LESSON_TOO_SMALL = Entry(
    "LAB-LSN-006",
    ExitCode.LESSON,
    "the lab is too small for this lesson",
    "the lesson needs more workers, or more addresses in the pool, than lab.yaml has",
    "add what is named to lab.yaml, then run: ./inv lab.up and the command again",
)
LESSON_PORT = Entry(
    "LAB-LSN-007",
    ExitCode.LESSON,
    "the lessons' pages cannot be served at this port",
    "another program has it, or it is one that this user may not take, or no port's number",
    "run: ./inv lesson.serve, which takes a free one, or name another: --port 8080",
)


def catalogue() -> tuple[Entry, ...]:
    """Return every entry of this module, in the order written."""
    return tuple(value for value in globals().values() if isinstance(value, Entry))
