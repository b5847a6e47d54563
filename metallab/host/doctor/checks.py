"""Which checks a provider's lab has, making them side by side, and the one error all of their failures come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metallab import errors
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Step, silent
from metallab.host.doctor import docker, hypervisors, kernel, leftovers, limits, machine, network, tools
from metallab.host.doctor.records import Case, Check, Finding, Verdict, refused
from metallab.workflow import Do, Job, perform

COMMON = (
    machine.SYSTEM,
    machine.CLOCK,
    machine.PROCESSORS,
    machine.DISK,
    limits.LIMITS,
    network.PROXIES,
    kernel.USERS,
)
CHECKS: Mapping[str, Sequence[Check]] = {
    "docker": (
        *COMMON,
        machine.MEMORY_SHARED,
        limits.CGROUPS,
        limits.CAPABILITIES,
        limits.INOTIFY,
        limits.SECURITY,
        kernel.NETWORK,
        kernel.NFTABLES,
        kernel.FORWARDING,
        kernel.OVERLAY,
        kernel.DEVICES,
        kernel.MOUNTS,
        kernel.RULES,
        tools.PACKAGES,
        tools.VAGRANT,
        tools.BOX,
        docker.DAEMON,
        docker.DISK,
        network.LAB_NETWORK,
        network.CLUSTER_NETWORKS,
    ),
    "libvirt": (
        *COMMON,
        machine.MEMORY_APART,
        kernel.NETWORK,
        kernel.TAP,
        kernel.RULES,
        tools.PACKAGES,
        tools.VAGRANT,
        tools.PLUGIN,
        hypervisors.LIBVIRTD,
        hypervisors.LIBVIRT_DISK,
        network.LAB_NETWORK,
        network.CLUSTER_NETWORKS,
        network.LIBVIRT_FIREWALL,
    ),
    "virtualbox": (
        *COMMON,
        machine.MEMORY_APART,
        tools.PACKAGES,
        tools.VAGRANT,
        hypervisors.VIRTUALBOX,
        hypervisors.VIRTUALBOX_KVM,
        network.CLUSTER_NETWORKS,
        network.ADAPTERS,
        network.PORTS,
    ),
}
"""What a provider's lab needs of the host."""
ON_REQUEST: Mapping[str, Sequence[Check]] = {
    "docker": (leftovers.SANDBOXES, leftovers.FOLDERS, leftovers.CONTAINERS),
    "libvirt": (machine.KVM, leftovers.SANDBOXES, leftovers.FOLDERS, leftovers.DOMAINS),
    "virtualbox": (leftovers.FOLDERS, leftovers.MACHINES),
}
"""Only made when the doctor is asked: leftovers are in nobody's way, and of KVM ``lab.up`` speaks itself."""
MADE_ONCE = frozenset({*COMMON, leftovers.SANDBOXES, leftovers.FOLDERS})
"""These come out the same whichever provider is meant."""


def examine(case: Case) -> tuple[Finding, ...]:
    """Make the checks of a case's provider; of a lab that has machines only those that may change under it."""
    checks = [check for check in CHECKS[case.provider] if check.again or not case.exists]
    return _make({check: [case] for check in checks})


def examine_all(cases: Mapping[str, Case]) -> tuple[Finding, ...]:
    """Make every check of the cases' providers, leftovers included."""
    wanted: dict[Check, list[Case]] = {}
    for name, case in cases.items():
        for check in (*CHECKS[name], *ON_REQUEST[name]):
            wanted.setdefault(check, []).append(case)
    return _make(wanted)


def _make(wanted: Mapping[Check, Sequence[Case]]) -> tuple[Finding, ...]:
    """Make checks side by side; findings come in the order of the checks, equal ones of several providers as one."""
    verdicts: dict[tuple[Check, str], Verdict | None] = {}

    def make(check: Check, case: Case) -> Do:
        def look(_step: Step) -> None:
            try:
                verdicts[check, case.provider] = check.look(case)
            except LabError as error:
                verdicts[check, case.provider] = refused(error)

        return look

    jobs = [
        Job(f"{check.id} for {case.provider}", make(check, case))
        for check, cases in wanted.items()
        for case in (cases[:1] if check in MADE_ONCE else cases)
    ]
    perform(jobs, silent())
    found: list[Finding] = []
    for check, cases in wanted.items():
        groups: dict[Verdict, list[str]] = {}
        for case in cases:
            verdict = verdicts[check, (cases[0] if check in MADE_ONCE else case).provider]
            if verdict is not None:
                groups.setdefault(verdict, []).append(case.provider)
        found += [Finding(check.id, tuple(names), verdict) for verdict, names in groups.items()]
    return tuple(found)


def refusal(findings: Sequence[Finding], lab: Lab) -> LabError | None:
    """Return the error that findings come to: the one failure as it is, several as one error with all of them.

    None where nothing fails.
    """
    failed = [(finding, finding.verdict.entry) for finding in findings if finding.verdict.entry is not None]
    if not failed:
        return None
    if len(failed) == 1:
        finding, entry = failed[0]
        return LabError(entry, finding.verdict.seen, where=f"this host ({finding.id})", fix=finding.verdict.fix)
    lines = []
    for finding, entry in failed:
        lines += [f"{finding.id} ({entry.id}): {finding.verdict.seen}", f"    {finding.verdict.fix}"]
    what = f"{len(failed)} things keep the lab {lab.name} from running here"
    return LabError(errors.HOST_UNFIT, what, detail="\n".join(lines))
