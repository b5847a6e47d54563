"""Building the box: the command line, its progress, and what a failure leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metallab import box as boxes
from metallab import errors
from metallab.box import record, seed
from metallab.box.build import MIRROR_VARIABLE, _machine_part, _sweep, root_argv, show_phase
from metallab.bundle import Artifact, Bundle, Versions
from metallab.errors import LabError
from metallab.events import Event, Kind, Step, silent


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "bundle"
    for path in ("bin/containerd", "bin/ctr", "cni/bridge", "images/pause.tar"):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\necho no such kernel >&2\nexit 1\n")
        file.chmod(0o755)
    artifacts = (
        Artifact("containerd", "binary", "v2", "m", "bin/containerd", 1, "a", ()),
        Artifact("ctr", "binary", "v2", "m", "bin/ctr", 1, "a", ()),
        Artifact("bridge", "cni", "v1", "m", "cni/bridge", 1, "a", ()),
        Artifact("pause", "image", "3", "m", "images/pause.tar", 1, "a", (), reference="registry.example/pause:3"),
    )
    return Bundle(folder, "key", artifacts, Versions("v1", "v1", "1", "1", "1"))


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def argv_of(*, as_root: bool = True, mirror: str | None = None) -> list[str]:
    folders = (Path("/my box/root.tar"), Path("/my checkout/provision"), Path("/my box/bundle"))
    return root_argv(*folders, pause_image="p/pause:3", as_root=as_root, mirror=mirror)


def test_without_a_mirror_none_is_named() -> None:
    assert argv_of()[-2:] == [record.SUITE, "/my box/root.tar"]
    assert not any("://" in word for word in argv_of())


def test_a_mirror_that_was_named_comes_last() -> None:
    assert argv_of(mirror="http://mirror.example/debian")[-1] == "http://mirror.example/debian"


def test_what_the_scripts_need_is_copied_in_and_out_again() -> None:
    variables = "METALLAB_STAGE=root METALLAB_BUNDLE_DIR=/bundle METALLAB_PAUSE_IMAGE=p/pause:3"
    hooks = [word.removeprefix("--customize-hook=") for word in argv_of() if word.startswith("--customize-hook=")]
    assert hooks == [
        "copy-in '/my checkout/provision' '/my box/bundle' /",
        f'chroot "$1" env -i {variables} /provision/run',
        'rm -r "$1/provision" "$1/bundle"',
    ]


def test_without_root_it_is_made_in_a_user_namespace() -> None:
    as_root, as_user = argv_of(), argv_of(as_root=False)
    assert as_root[: len(seed.APART)] == list(seed.APART)
    assert "--mode=root" in as_root
    assert as_user[:2] == ["mmdebstrap", "--mode=unshare"]
    assert as_user[2:] == as_root[len(seed.APART) + 2 :]


def test_progress_tells_phases_and_not_every_package() -> None:
    events: list[Event] = []
    step = Step("machine image", events.append)
    for line in (
        "I: automatically chosen mode: root",
        "I: extracting archives...",
        "Selecting previously unselected package less.",
        " 40% [######       ]",
        "changed: user vagrant",
        "W: Download is performed unsandboxed as root",
    ):
        show_phase(line, step)
    assert [event.text for event in events] == ["automatically chosen mode: root", "extracting archives"]
    assert {event.kind for event in events} == {Kind.PROGRESS}


def test_a_box_that_was_not_built_is_missed(bundle: Bundle) -> None:
    assert boxes.find(bundle) is None
    with pytest.raises(LabError) as caught:
        boxes.require(bundle)
    assert caught.value.entry is errors.BOX_MISSING


def test_a_user_gets_a_root_and_no_seed(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    put_on_path(tmp_path / "tools", monkeypatch, "mmdebstrap", '#!/bin/sh\nfor out; do :; done\necho root >"$out"\n')
    box = boxes.build(bundle, silent())
    assert box.seed is None
    assert box.root_tar.read_text() == "root\n"
    assert boxes.find(bundle) == box


def test_a_failing_mmdebstrap_leaves_nothing_half_made(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(seed, "APART", ())
    put_on_path(tmp_path / "tools", monkeypatch, "mmdebstrap", "#!/bin/sh\necho E: no mirror >&2\nexit 1\n")
    left_by_a_kill = record.home() / "0123.tmp" / "mmdebstrap.chroot"
    left_by_a_kill.mkdir(parents=True)
    with pytest.raises(LabError) as caught:
        boxes.build(bundle, silent())
    assert caught.value.entry is errors.BOX_BUILD_FAILED
    assert "E: no mirror" in caught.value.detail
    assert MIRROR_VARIABLE in caught.value.fix
    assert [path.name for path in record.home().iterdir() if path.name != "0123.tmp"] == [".lock"]


def test_images_that_cannot_be_unpacked_say_why(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed, "APART", ())
    step = Step("images", lambda _event: None)
    with pytest.raises(LabError) as caught:
        seed.make(bundle, tmp_path / "seed", step)
    assert caught.value.entry is errors.BOX_BUILD_FAILED
    assert "no such kernel" in caught.value.detail


def test_programs_are_laid_out_as_the_scripts_expect(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "unfinished").mkdir()
    part = _machine_part(bundle, tmp_path / "unfinished")
    files = sorted(str(path.relative_to(part)) for path in part.rglob("*") if path.is_file())
    assert files == ["bin/containerd", "bin/ctr", "cni/bridge"]


def test_old_boxes_and_leavings_are_swept(bundle: Bundle) -> None:
    assert bundle.key
    for age, key in enumerate(("newest", "newer", "old")):
        folder = record.home() / key
        folder.mkdir(parents=True)
        (folder / record.RECORD).write_text("{}")
        os.utime(folder / record.RECORD, (1000 - age, 1000 - age))
    (record.home() / "killed.tmp").mkdir()
    _sweep()
    assert sorted(path.name for path in record.home().iterdir()) == ["newer", "newest"]
