"""Containers kept as they are: paused together, and committed to images that machines can be made from again.

Names hold no dot, so the dots of a tag keep lab, snapshot and machine apart. Every image is labelled with its lab: when
that is destroyed, all of them go.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from metallab import errors
from metallab.errors import LabError
from metallab.run.local import run
from metallab.run.result import CommandFailed

REPOSITORY = "metallab/snapshot"
RESTORED = "metallab/restored"
"""Of this repository is what machines run on after a restore; the snapshot itself may be deleted meanwhile."""
LABEL = "metallab.snapshot-of"
NAMELESS = "<none>:<none>"
"""What docker calls an image whose name another one has by now."""
ASK_SECONDS = 30
PAUSE_SECONDS = 60
COMMIT_SECONDS = 600
REMOVE_SECONDS = 120


def image_name(lab: str, snapshot: str, machine: str) -> str:
    """Return the image that a snapshot keeps of a machine."""
    return f"{REPOSITORY}:{lab}.{snapshot}.{machine}"


def restored_name(lab: str, machine: str) -> str:
    """Return the image that a restored machine runs on."""
    return f"{RESTORED}:{lab}.{machine}"


def states(containers: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return each container's state in docker's words (running, paused, exited …); ``gone`` when there is none."""
    found = dict.fromkeys(containers, "gone")
    for name in containers:
        argv = ["docker", "container", "inspect", "--format", "{{.State.Status}}", name]
        result = run(argv, timeout=ASK_SECONDS, env=environment, check=False)
        if result.ok:
            found[name] = result.stdout.strip()
    return found


@contextlib.contextmanager
def paused(containers: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    """Let no process of any of the containers run for the block. Raises LAB-MACH-012 where docker cannot pause."""
    try:
        try:
            run(["docker", "pause", *containers], timeout=PAUSE_SECONDS, env=environment)
        except CommandFailed as error:
            what = "docker cannot pause the machines, so they cannot be kept as of one moment"
            raise LabError(errors.SNAPSHOT_IMPOSSIBLE, what, detail=error.result.tail) from error
        yield
    finally:
        wake(containers, environment)


def wake(containers: Sequence[str], environment: Mapping[str, str]) -> None:
    """Let paused containers go on; also heals a save that was killed. The others are left alone."""
    listed = run(
        ["docker", "ps", "--filter", "status=paused", "--format", "{{.Names}}"], timeout=ASK_SECONDS, env=environment
    )
    sleeping = [name for name in listed.stdout.split() if name in containers]
    if sleeping:
        run(["docker", "unpause", *sleeping], timeout=PAUSE_SECONDS, env=environment)


def discard(containers: Sequence[str], environment: Mapping[str, str]) -> None:
    """Remove containers, running or not; those there are not, too. Raises LAB-HOST-004."""
    there = [name for name, state in states(containers, environment).items() if state != "gone"]
    if there:
        run(["docker", "rm", "--force", "--volumes", *there], timeout=REMOVE_SECONDS, env=environment)


def commit(container: str, image: str, lab: str, environment: Mapping[str, str]) -> None:
    """Keep what a container has on its disk as an image that starts as the container did. Raises LAB-HOST-004."""
    argv = ["docker", "commit", "--change", f"LABEL {LABEL}={lab}", container, image]
    run(argv, timeout=COMMIT_SECONDS, env=environment)


def exists(image: str, environment: Mapping[str, str]) -> bool:
    """Tell whether the daemon has an image."""
    return run(["docker", "image", "inspect", image], timeout=ASK_SECONDS, env=environment, check=False).ok


def adopt(image: str, restored: str, environment: Mapping[str, str]) -> None:
    """Give an image a name of its own for the machine that is going to run on it."""
    run(["docker", "tag", image, restored], timeout=ASK_SECONDS, env=environment)


def remove(images: Sequence[str], lab: str, environment: Mapping[str, str]) -> None:
    """Remove images of a lab by name, those that are there, and what no name leads to any more."""
    there = set(_of(lab, environment)) - {NAMELESS}
    known = [image for image in images if image in there]
    if known:
        # By force: a machine that runs on one has it by another name, too.
        run(["docker", "image", "rm", "--force", *known], timeout=REMOVE_SECONDS, env=environment)
    argv = ["docker", "image", "prune", "--force", "--filter", f"label={LABEL}={lab}"]
    run(argv, timeout=REMOVE_SECONDS, env=environment)


def remove_all(lab: str, environment: Mapping[str, str]) -> None:
    """Remove every image that was kept of a lab, once its machines are gone."""
    images = _of(lab, environment)
    if images:
        remove(images, lab, environment)


def _of(lab: str, environment: Mapping[str, str]) -> list[str]:
    argv = ["docker", "image", "ls", "--filter", f"label={LABEL}={lab}", "--format", "{{.Repository}}:{{.Tag}}"]
    return run(argv, timeout=ASK_SECONDS, env=environment).stdout.split()
