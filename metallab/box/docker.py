"""The box as a docker image, and how a container of it becomes a machine with systemd."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from metallab import errors
from metallab.box.record import Box
from metallab.errors import LabError
from metallab.events import Step
from metallab.run import capabilities, pace
from metallab.run.local import run
from metallab.run.result import CommandFailed

REPOSITORY = "metallab/box"
SCRIPTS = "/usr/local/lib/metallab"
ENTRY = f"{SCRIPTS}/container-entry"
IMPORT_SECONDS = 600
ASK_SECONDS = 30


def image_name(box: Box) -> str:
    """Return the image's name: its tag follows from the content."""
    return f"{REPOSITORY}:{box.key}"


def ensure_image(box: Box, environment: Mapping[str, str], step: Step) -> str:
    """Have the box's image in the daemon that ``environment`` leads to; older ones of ours are removed.

    Raises LAB-BOX-001 with docker's words.
    """
    name = image_name(box)
    if run(["docker", "image", "inspect", name], timeout=ASK_SECONDS, env=environment, check=False).ok:
        step.skip("already there")
        return name
    step.progress("docker import of the golden root")
    changes = (f'ENTRYPOINT ["{ENTRY}"]', f"LABEL metallab.box={box.key}")
    flags = [word for change in changes for word in ("--change", change)]
    try:
        run(["docker", "import", *flags, box.root_tar, name], timeout=pace.scaled(IMPORT_SECONDS), env=environment)
    except CommandFailed as error:
        raise LabError(errors.BOX_BUILD_FAILED, "docker import failed", detail=error.result.tail) from error
    listed = run(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY],
        timeout=ASK_SECONDS,
        env=environment,
    )
    for old in set(listed.stdout.split()) - {name}:
        # One that a machine of another lab still runs on cannot be removed, and should not be.
        run(["docker", "image", "rm", old], timeout=ASK_SECONDS, env=environment, check=False)
    step.result(name)
    return name


def freedom(bounding_set: Collection[str]) -> tuple[str, ...]:
    """Return the arguments of ``docker run`` that let a container mount, and start containers of its own.

    Named one by one: ``--privileged`` fails where the host's bounding set lacks a capability, and gives every device
    besides.
    """
    lacking = [name for name in capabilities.NAMES if name not in bounding_set]
    return (
        *("--cap-add", "ALL"),
        *(word for name in lacking for word in ("--cap-drop", name)),
        *("--security-opt", "seccomp=unconfined"),
        *("--security-opt", "apparmor=unconfined"),
        *("--security-opt", "systempaths=unconfined"),
    )


def create_args(environment_file: Path, images: str | None, *, bounding_set: Collection[str]) -> tuple[str, ...]:
    """Return the arguments of ``docker run`` that make a container of the box a machine.

    ``images`` is what becomes /var/lib/containerd: a folder of this host or the name of a volume.
    """
    return (
        *("--cgroupns", "private"),
        *freedom(bounding_set),
        *("--device-cgroup-rule", "a *:* rwm"),
        *("--stop-signal", "SIGRTMIN+3"),
        *("--tmpfs", "/run", "--tmpfs", "/tmp"),  # noqa: S108 - a mount point on the machine
        *("--env-file", str(environment_file)),
        *(("--volume", f"{images}:/var/lib/containerd") if images is not None else ()),
    )
