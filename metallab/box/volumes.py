"""The machines' images as volumes of the Docker daemon: for a user who may talk to it, but is not root.

Such a user can neither own the files of a /var/lib/containerd nor link them. So the daemon does it: a helper container
of the box fills one volume with the seed, once, and gives each machine a volume with a copy of it. Volumes of one
daemon lie in one file system, so the copies are hard links here, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from metallab import errors
from metallab.box.docker import SCRIPTS, freedom
from metallab.box.record import Box
from metallab.bundle import Bundle
from metallab.errors import LabError
from metallab.events import Step
from metallab.run import capabilities
from metallab.run.local import run
from metallab.run.result import CommandFailed

FILL_SECONDS = 900
ASK_SECONDS = 30
LABEL = "metallab.lab"


def fill(
    box: Box, bundle: Bundle, image: str, lab: str, volumes: Sequence[str], environment: Mapping[str, str], step: Step
) -> None:
    """Make and fill a volume for each machine that has no container yet. A minute for the first lab, then a second.

    ``volumes`` are their names, ``environment`` leads to the daemon, ``image`` is the box's in it. Raises LAB-BOX-001
    with the helper's words.
    """
    seed = f"metallab-seed-{box.key}"
    _docker(["volume", "create", seed], environment)
    for volume in volumes:
        _docker(["volume", "create", "--label", f"{LABEL}={lab}", volume], environment)
    (where,) = _docker(["volume", "inspect", "--format", "{{.Mountpoint}}", seed], environment).split()
    mountpoint = PurePosixPath(where)
    # The daemon keeps a volume NAME in …/volumes/NAME/_data; what lies below is its own name for the content.
    folder, content = mountpoint.parent.parent, mountpoint.name
    targets = [f"{volume}/{content}" for volume in volumes]
    (images,) = {archive.parent for archive in bundle.image_archives}
    _end_helper(lab, environment)
    helper = [
        *("run", "--rm", "--name", _helper_name(lab), "--network", "none", *freedom(capabilities.own())),
        *("--volume", f"{folder}:/volumes", "--volume", f"{images}:/images:ro", "--tmpfs", "/run", "--tmpfs", "/tmp"),  # noqa: S108
        *("--entrypoint", f"{SCRIPTS}/volume-images", image, f"{seed}/{content}", *targets),
    ]
    try:
        run(["docker", *helper], timeout=FILL_SECONDS, env=environment, on_line=step.progress)
    except CommandFailed as error:
        what = "the container images could not be unpacked into volumes"
        raise LabError(errors.BOX_BUILD_FAILED, what, detail=error.result.tail) from error


def remove(lab: str, environment: Mapping[str, str]) -> None:
    """Remove the volumes of a lab's machines; the seed stays, as the box's image does."""
    _end_helper(lab, environment)
    found = _docker(["volume", "ls", "--quiet", "--filter", f"label={LABEL}={lab}"], environment).split()
    if found:
        _docker(["volume", "rm", "--force", *found], environment)


def _helper_name(lab: str) -> str:
    # No machine's can be the same, for no machine's name begins with a dash.
    return f"metallab-{lab}--images"


def _end_helper(lab: str, environment: Mapping[str, str]) -> None:
    """Remove the helper that an interrupted command left at work. Older dockers complain when there is none."""
    argv = ["docker", "rm", "--force", _helper_name(lab)]
    run(argv, timeout=ASK_SECONDS, env=environment, check=False)


def _docker(words: list[str], environment: Mapping[str, str]) -> str:
    return run(["docker", *words], timeout=ASK_SECONDS, env=environment).stdout
