"""How a container of the box becomes a machine, and the image in the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from metallab import errors
from metallab.box import docker, volumes
from metallab.box.record import Box
from metallab.bundle import Artifact, Bundle, Versions
from metallab.errors import LabError
from metallab.events import Event, Kind, Step
from metallab.run import capabilities

DATA = Path(__file__).parent.parent / "data" / "box"
BOX = Box("0123456789abcdef", Path("/nowhere/0123456789abcdef"), {})
# Answers like docker; every call is a line of $HERE/calls, what exists are lines of $HERE/images.
FAKE_DOCKER = """\
#!/bin/sh
echo "$*" >>"$HERE/calls"
case "$1 $2" in
"image inspect") grep -qx "$3" "$HERE/images" ;;
"image ls") cat "$HERE/images" ;;
"import "* | "run "*) [ ! -e "$HERE/full" ] || { echo "no space left on device" >&2; exit 1; } ;;
"volume inspect") echo "/data/volumes/metallab-seed-0123456789abcdef/_data" ;;
"volume ls") [ ! -e "$HERE/volumes" ] || cat "$HERE/volumes" ;;
esac
"""


def values(args: tuple[str, ...], flag: str) -> list[str]:
    return [args[index + 1] for index, word in enumerate(args) if word == flag]


def test_with_a_full_bounding_set_nothing_is_dropped() -> None:
    args = docker.create_args(Path("/lab/env"), None, bounding_set=capabilities.NAMES)
    assert values(args, "--cap-add") == ["ALL"]
    assert "--cap-drop" not in args
    assert "--privileged" not in args


def test_exactly_the_capabilities_the_host_lacks_are_dropped() -> None:
    status = (DATA / "status-without-sys-resource.txt").read_text()
    args = docker.create_args(Path("/lab/env"), None, bounding_set=capabilities.bounding_set(status))
    assert values(args, "--cap-drop") == ["SYS_RESOURCE"]


def test_only_a_node_gets_images() -> None:
    client = docker.create_args(Path("/lab/env"), None, bounding_set=capabilities.NAMES)
    node = docker.create_args(Path("/lab/env"), "/lab/images", bounding_set=capabilities.NAMES)
    assert "--volume" not in client
    assert values(node, "--volume") == ["/lab/images:/var/lib/containerd"]
    assert values(node, "--env-file") == ["/lab/env"]


@pytest.fixture
def daemon(tmp_path: Path) -> Path:
    program = tmp_path / "docker"
    program.write_text(FAKE_DOCKER)
    program.chmod(0o755)
    (tmp_path / "images").write_text("")
    return tmp_path


def leading_to(daemon: Path) -> dict[str, str]:
    return {"PATH": f"{daemon}:/usr/bin:/bin", "HERE": str(daemon)}


def ensure(daemon: Path) -> tuple[str, list[Event], list[str]]:
    events: list[Event] = []
    step = Step("machine image", events.append)
    name = docker.ensure_image(BOX, leading_to(daemon), step)
    step._end(None)
    return name, events, (daemon / "calls").read_text().splitlines()


def test_an_image_that_is_there_is_not_imported(daemon: Path) -> None:
    (daemon / "images").write_text(f"{docker.image_name(BOX)}\n")
    name, events, calls = ensure(daemon)
    assert calls == [f"image inspect {name}"]
    assert events[-1].kind is Kind.SKIPPED


def test_a_new_image_replaces_older_ones_of_ours(daemon: Path) -> None:
    (daemon / "images").write_text("metallab/box:older\n")
    name, _, calls = ensure(daemon)
    assert name == "metallab/box:0123456789abcdef"
    imported = next(call for call in calls if call.startswith("import"))
    assert f'ENTRYPOINT ["{docker.ENTRY}"]' in imported
    assert imported.endswith(f"{BOX.root_tar} {name}")
    assert calls[-1] == "image rm metallab/box:older"


def test_a_failed_import_says_dockers_words(daemon: Path) -> None:
    (daemon / "full").touch()
    with pytest.raises(LabError) as caught:
        ensure(daemon)
    assert caught.value.entry is errors.BOX_BUILD_FAILED
    assert "no space left on device" in caught.value.detail


BUNDLE = Bundle(
    Path("/cache/bundle"),
    "key",
    (Artifact("pause", "image", "3", "m", "images/pause.tar", 1, "a", (), reference="pause:3"),),
    Versions("v1", "v1", "1", "1", "1"),
)


def fill(daemon: Path) -> list[str]:
    step = Step("machine images", lambda _event: None)
    names = ("metallab-two-cp", "metallab-two-node")
    volumes.fill(BOX, BUNDLE, "metallab/box:0", "two", names, leading_to(daemon), step)
    return (daemon / "calls").read_text().splitlines()


def test_every_node_gets_a_volume_of_its_own_that_the_lab_can_find_again(daemon: Path) -> None:
    calls = fill(daemon)
    assert calls[:3] == [
        "volume create metallab-seed-0123456789abcdef",
        "volume create --label metallab.lab=two metallab-two-cp",
        "volume create --label metallab.lab=two metallab-two-node",
    ]
    helper = calls[-1]
    assert "--volume /data/volumes:/volumes --volume /cache/bundle/images:/images:ro" in helper
    assert "--name metallab-two--images " in helper
    assert calls[-2] == "rm --force metallab-two--images", "one that was left at work would get in the way"
    seed, *machines = helper.split()[-3:]
    assert seed == "metallab-seed-0123456789abcdef/_data"
    assert machines == ["metallab-two-cp/_data", "metallab-two-node/_data"]


def test_volumes_that_cannot_be_filled_say_why(daemon: Path) -> None:
    (daemon / "full").touch()
    with pytest.raises(LabError) as caught:
        fill(daemon)
    assert caught.value.entry is errors.BOX_BUILD_FAILED
    assert "no space left on device" in caught.value.detail


def test_only_the_volumes_of_the_lab_are_removed(daemon: Path) -> None:
    volumes.remove("two", leading_to(daemon))
    (daemon / "volumes").write_text("metallab-two-cp\nmetallab-two-node\n")
    volumes.remove("two", leading_to(daemon))
    calls = (daemon / "calls").read_text().splitlines()
    ending, listing = "rm --force metallab-two--images", "volume ls --quiet --filter label=metallab.lab=two"
    assert calls == [ending, listing, ending, listing, "volume rm --force metallab-two-cp metallab-two-node"]
