"""The Docker daemon: which one answers, whether it is new enough, and whether its networks are this host's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metallab import errors
from metallab.errors import LabError
from metallab.host.doctor import machine
from metallab.host.doctor.records import Case, Check, Verdict, fail, ok, unseen, warn
from metallab.host.doctor.tools import version_in
from metallab.run.local import run
from metallab.run.result import CommandTimedOut, ToolMissing

ASK_SECONDS = 20
OLDEST_DOCKER = (20, 10)
"""The first with ``docker run --cgroupns`` (API 1.41: moby issue 41071)."""


def docker(case: Case) -> Verdict | None:
    """Ask the Docker daemon what it is; where none answers, its client why."""
    if case.choice is not None and case.choice.sandbox is not None:
        # What another daemon of the host's says does not matter then, but one that is there and refuses us may.
        words = _docker_words([])
        return judge_own_daemon(reason=case.choice.reason, words=words, host=os.environ.get("DOCKER_HOST", ""))
    if case.refusal is not None:
        return judge_no_daemon(words=_docker_words([]), error=case.refusal)
    info = _docker_words(["info", "--format", "{{json .}}"])
    try:
        return judge_docker(info=json.loads(info), host=_endpoint())
    except ValueError:
        return unseen(f"docker info says: {info[:200]}")


def _endpoint() -> str:
    """Return where the docker program reaches its daemon: DOCKER_HOST, else what its context says."""
    asked = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    return os.environ.get("DOCKER_HOST") or _docker_words(asked)


def _docker_words(words: Sequence[str]) -> str:
    """Return what docker says: of ``docker version`` where no words are given, its errors then."""
    argv = ["docker", *(words or ["version"])]
    try:
        result = run(argv, timeout=ASK_SECONDS, check=False)
    except ToolMissing:
        return ""
    except CommandTimedOut as error:
        return error.what
    return (result.stdout if words else result.stderr).strip()


def judge_docker(*, info: Mapping[str, Any], host: str) -> Verdict:
    """Judge ``docker info`` of a daemon of the host's: its version, and whether its networks are this host's.

    ``host`` is where it is reached.
    """
    version = str(info.get("ServerVersion", ""))
    words = f"a Docker daemon answers (version {version or '?'}, {info.get('Driver', '?')})"
    numbers = version_in(version)
    if numbers is not None and numbers[:2] < OLDEST_DOCKER:
        seen = f"{words}; machines need 20.10 or newer (docker run --cgroupns)"
        return fail(errors.PROVIDER_VERSIONS, seen, "install a newer Docker: https://docs.docker.com/engine/install/")
    elsewhere = _elsewhere(info, host)
    if elsewhere:
        seen = f"{words}, but {elsewhere}: the machines' addresses cannot be reached from here"
        return fail(errors.PROVIDER_ELSEWHERE, seen, errors.PROVIDER_ELSEWHERE.fix)
    if info.get("Driver") == "vfs":
        return warn(f"{words}: vfs copies the whole box for each machine", "give Docker a disk that overlay2 works on")
    return ok(words)


def _elsewhere(info: Mapping[str, Any], host: str) -> str:
    """Return why a daemon's networks are not this host's, empty when they are."""
    if host and not host.startswith("unix://"):
        return f"it is reached at {host}"
    if "Docker Desktop" in str(info.get("OperatingSystem", "")):
        return "it is Docker Desktop's, in a virtual machine"
    if any("rootless" in str(option) for option in info.get("SecurityOptions") or ()):
        return "it is rootless, with a network of its own"
    return ""


OLD_CLIENT = "is too old. Minimum supported API version"
"""What a daemon from 29 on answers an old client."""


def judge_own_daemon(*, reason: str, words: str, host: str) -> Verdict:
    """Judge a lab that starts its own daemon: ``words`` are why the host's does not answer."""
    if OLD_CLIENT in words:
        seen = f"{reason}; one is there, but refuses this docker program: {_last(words)}"
        return warn(seen, "install a newer docker program (the package docker-ce-cli) to use that daemon")
    if host:
        return warn(f"{reason}; DOCKER_HOST is {host}", "unset DOCKER_HOST, or start what it names")
    return ok(reason)


def judge_no_daemon(*, words: str, error: LabError) -> Verdict:
    """Judge why no daemon can be had by a user who cannot start one."""
    if OLD_CLIENT in words:
        fix = "install a newer docker program (the package docker-ce-cli)"
        return fail(errors.PROVIDER_VERSIONS, f"the daemon refuses this docker program: {_last(words)}", fix)
    if "permission denied" in words:
        fix = "sudo usermod -aG docker $USER, then log in again; or run ./inv as root"
        return fail(error.entry, "a Docker daemon is there, but refuses this user", fix)
    return fail(error.entry, error.what, "sudo systemctl start docker; or run ./inv as root: the lab starts its own")


def _last(words: str) -> str:
    return words.strip().splitlines()[-1]


def docker_disk(case: Case) -> Verdict | None:
    """Look at the disk that a daemon of the host's keeps containers on; the lab's own keeps them in the cache."""
    if not case.on_the_host:
        return None
    try:
        root = str(json.loads(_docker_words(["info", "--format", "{{json .}}"]))["DockerRootDir"])
    except (ValueError, KeyError):
        return unseen("docker info does not say where it keeps containers")
    return machine.judge_disk([machine.space("Docker", Path(root), machine.LAB)], exists=case.exists)


DAEMON = Check("docker.daemon", docker)
DISK = Check("docker.disk", docker_disk)
