"""Handing the user's terminal over: ssh to a machine, kubectl to the cluster."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from metallab.config import Lab
from metallab.machines.labdir import LabDir
from metallab.run import local


def ssh_argv(lab: Lab, labdir: LabDir, name: str, command: Sequence[str]) -> list[str]:
    """Return the ssh command line for a machine: the lab's keys only, and the pinned host key.

    A command is quoted, so that it arrives on the machine as the words that were typed. Raises LAB-MACH-005.
    """
    address = lab.address(lab.machine(name))
    options = {
        "IdentityFile": str(labdir.login_key),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(labdir.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "PasswordAuthentication": "no",
        "LogLevel": "ERROR",
    }
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return [
        "ssh",
        "-F",
        "/dev/null",
        *flags,
        f"{labdir.login.user}@{address}",
        *([shlex.join(command)] if command else []),
    ]


def become_ssh(lab: Lab, labdir: LabDir, name: str, command: Sequence[str]) -> None:
    """Become ssh to the machine. Raises LAB-MACH-005 for an unknown name."""
    local.replace(ssh_argv(lab, labdir, name, command))


def become_kubectl(kubectl: Path, kubeconfig: Path, words: Sequence[str]) -> None:
    """Become the bundle's kubectl with a kubeconfig: the lab's, or a learner's."""
    local.replace([kubectl, *words], {"KUBECONFIG": str(kubeconfig)})
