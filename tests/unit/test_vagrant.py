"""Vagrant: its home, its boxes, and what is done when several of it are in each other's way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from metallab import errors
from metallab.errors import LabError
from metallab.events import Event, Events, Kind
from metallab.machines import vagrant as room
from metallab.machines.labdir import LabDir
from metallab.machines.vagrant import LOCKED, RACE, TAKEN, TRIES, Vagrant
from metallab.run import pace

# Keeps every call, with what of its environment matters; `up` says what is in $HERE/says, a line a try, until there is
# none left; `box add` lays the box where this version of Vagrant does.
FAKE_VAGRANT = """\
#!/bin/sh
echo "$*" >>"$HERE/calls"
echo "$DOCKER_HOST|$VAGRANT_HOME|$VAGRANT_VAGRANTFILE" >>"$HERE/variables"
case "$*" in
"--no-color up "*)
    [ -s "$HERE/says" ] || exit 0
    head -n 1 "$HERE/says" >&2
    sed -i 1d "$HERE/says"
    exit 1 ;;
*" box add "*)
    [ ! -e "$HERE/refuse" ] || { echo "The checksum of the downloaded box did not match" >&2; exit 1; }
    box="$VAGRANT_HOME/boxes/metallab/0.1.2/$LAYOUT"
    mkdir -p "$box"
    echo '{}' >"$box/metadata.json" ;;
esac
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "vagrant").write_text(FAKE_VAGRANT)
    (tools / "vagrant").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("HERE", str(tmp_path))
    monkeypatch.setenv("LAYOUT", "libvirt")
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "users"))
    # Not the checkout's own lab, whose .vagrant lies in the checkout and may be in use.
    monkeypatch.setenv("LAB_FILE", str(tmp_path / "lab.yaml"))
    monkeypatch.setattr(room, "LOCKED_SECONDS", 0.01)
    return tmp_path


@pytest.fixture
def vagrant(here: Path) -> Vagrant:
    (here / "lab").mkdir()
    return Vagrant(LabDir(here / "lab"), {"DOCKER_HOST": "unix:///lab.sock"})


def calls(here: Path) -> list[str]:
    file = here / "calls"
    return file.read_text().splitlines() if file.exists() else []


# -- its home --------------------------------------------------------------------------------------------------


def test_a_lab_s_home_has_the_user_s_boxes_and_plugins(here: Path, vagrant: Vagrant) -> None:
    users = here / "users"
    (users / "gems").mkdir(parents=True)
    (users / "plugins.json").write_text('{"installed": {}}')
    home = vagrant.home
    assert home == here / "lab" / "vagrant.d"
    assert home.stat().st_mode & 0o077 == 0
    assert {path.name: path.readlink() for path in home.iterdir()} == {
        name: users / name for name in ("boxes", "gems", "plugins.json")
    }
    assert vagrant.variables["VAGRANT_HOME"] == str(home)
    assert vagrant.home == home, "and again"


def test_a_user_without_plugins_has_none_and_gets_a_place_for_boxes(here: Path, vagrant: Vagrant) -> None:
    assert [path.name for path in vagrant.home.iterdir()] == ["boxes"]
    assert (here / "users" / "boxes").is_dir()
    (here / "users" / "plugins.json").write_text("{}")
    assert (vagrant.home / "plugins.json").is_symlink(), "one that is installed later is seen"


def test_without_a_variable_the_user_s_home_is_the_usual_one(
    here: Path, vagrant: Vagrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAGRANT_HOME")
    monkeypatch.setenv("HOME", str(here))
    assert (vagrant.home / "boxes").readlink() == here / ".vagrant.d" / "boxes"


def test_what_an_earlier_version_made_gives_way_to_the_user_s(here: Path, vagrant: Vagrant) -> None:
    own = here / "lab" / "vagrant.d"
    (own / "boxes" / "old").mkdir(parents=True)
    (own / "plugins.json").write_text("{}")
    (here / "users").mkdir()
    (here / "users" / "plugins.json").write_text('{"installed": {"vagrant-libvirt": {}}}')
    assert "vagrant-libvirt" in json.loads((vagrant.home / "plugins.json").read_text())["installed"]
    assert (own / "boxes").is_symlink()


def test_removing_the_lab_leaves_the_user_s_boxes(here: Path, vagrant: Vagrant) -> None:
    box = here / "users" / "boxes" / "metallab" / "0.1.2" / "libvirt"
    box.mkdir(parents=True)
    assert (vagrant.home / "boxes" / "metallab").is_dir()
    record = Path(vagrant.variables["VAGRANT_DOTFILE_PATH"])
    assert record.parent == here / "lab"
    record.mkdir()
    vagrant.forget()
    assert not record.exists()
    vagrant.labdir.remove()
    assert not (here / "lab").exists()
    assert box.is_dir()


# -- boxes -----------------------------------------------------------------------------------------------------


def add(vagrant: Vagrant) -> list[Event]:
    seen: list[Event] = []
    with Events(seen.append).step("box in Vagrant") as step:
        vagrant.add_box("metallab", "0.1.2", "libvirt", Path("/box/libvirt.json"), step)
    return seen


@pytest.mark.parametrize("layout", ["libvirt", "amd64/libvirt"])
def test_a_box_is_added_once_and_found_in_either_layout(
    here: Path, vagrant: Vagrant, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    monkeypatch.setenv("LAYOUT", layout)
    add(vagrant)
    words = "box add --provider libvirt --box-version 0.1.2 /box/libvirt.json"
    assert calls(here) == [f"--no-color {words}"]
    folder = vagrant.home / "boxes" / "metallab" / "0.1.2" / layout
    assert vagrant.box_folder("metallab", "0.1.2", "libvirt") == folder
    assert add(vagrant)[-1].kind is Kind.SKIPPED
    assert len(calls(here)) == 1


def test_a_box_is_added_without_reading_the_lab_s_vagrantfile(here: Path, vagrant: Vagrant) -> None:
    add(vagrant)
    (line,) = (here / "variables").read_text().splitlines()
    assert line == f"unix:///lab.sock|{here}/lab/vagrant.d|no-Vagrantfile"
    vagrant.up("cp", lambda _line: None, seconds=10, leftovers=[], new=False)
    assert (here / "variables").read_text().splitlines()[1].endswith("|")


def test_the_oldest_versions_go_and_the_box_s_other_files_stay(here: Path, vagrant: Vagrant) -> None:
    folder = here / "users" / "boxes" / "metallab"
    for age, old in enumerate(("0.1.1", "0.1.0", "0.1.9")):
        (folder / old / "libvirt").mkdir(parents=True)
        os.utime(folder / old, (1e9 - age, 1e9 - age))
    (folder / "metadata_url").write_text("file:///box/libvirt.json")
    (here / "users" / "boxes" / "somebody" / "1.0").mkdir(parents=True)
    add(vagrant)
    assert sorted(path.name for path in folder.iterdir()) == ["0.1.1", "0.1.2", "metadata_url"]
    assert (here / "users" / "boxes" / "somebody" / "1.0").is_dir()


def test_a_box_vagrant_refuses_is_said_in_its_words_and_older_ones_stay(here: Path, vagrant: Vagrant) -> None:
    old = here / "users" / "boxes" / "metallab" / "0.1.1" / "libvirt"
    old.mkdir(parents=True)
    (here / "refuse").touch()
    with pytest.raises(LabError) as caught:
        add(vagrant)
    assert caught.value.entry.id == "LAB-BOX-001"
    assert "checksum" in caught.value.detail
    assert old.is_dir()


@pytest.mark.parametrize(("version", "provider"), [("0.1.3", "libvirt"), ("0.1.2", "virtualbox")])
def test_a_box_of_another_version_or_provider_is_not_there(vagrant: Vagrant, version: str, provider: str) -> None:
    add(vagrant)
    assert vagrant.box_folder("metallab", version, provider) is None


# -- up --------------------------------------------------------------------------------------------------------


def up(here: Path, vagrant: Vagrant, *says: str) -> list[str]:
    (here / "says").write_text("".join(f"{line}\n" for line in says))
    told: list[str] = []
    leftovers = [["touch", str(here / "removed")], ["false"]]
    vagrant.up("cp", told.append, seconds=10, leftovers=leftovers, new=False)
    return told


@pytest.mark.parametrize(("new", "words"), [(True, "up cp --provision"), (False, "up cp")])
def test_a_machine_that_never_let_us_in_is_provisioned(here: Path, vagrant: Vagrant, new: bool, words: str) -> None:  # noqa: FBT001
    vagrant.up("cp", lambda _line: None, seconds=10, leftovers=[], new=new)
    assert calls(here) == [f"--no-color {words}"]


@pytest.mark.parametrize("words", [*RACE, LOCKED, *TAKEN])
def test_another_vagrant_in_the_way_is_tried_again(here: Path, vagrant: Vagrant, words: str) -> None:
    told = up(here, vagrant, f"An error: {words} 0123", f"{words}.")
    assert calls(here) == ["--no-color up cp"] * 3
    assert told.count("another vagrant was in the way; once more") == 2
    assert (here / "removed").exists() is (words in TAKEN)


def test_any_other_failure_is_the_machine_s_own(here: Path, vagrant: Vagrant) -> None:
    with pytest.raises(LabError) as caught:
        up(here, vagrant, "There is no such image")
    assert (caught.value.entry.id, caught.value.where) == ("LAB-MACH-001", "cp")
    assert caught.value.detail == "There is no such image"
    assert len(calls(here)) == 1
    assert not (here / "removed").exists()


def test_trying_again_ends(here: Path, vagrant: Vagrant) -> None:
    with pytest.raises(LabError):
        up(here, vagrant, *[RACE[0]] * (TRIES + 1))
    assert len(calls(here)) == TRIES


def test_everything_vagrant_says_is_kept(here: Path, vagrant: Vagrant) -> None:
    up(here, vagrant, f"{TAKEN[0]} 0123")
    assert vagrant.labdir.vagrant_log.read_text().splitlines() == [
        "$ vagrant up cp",
        f"{TAKEN[0]} 0123",
        "$ vagrant up cp",
    ]


@pytest.mark.parametrize(("force", "said"), [(False, "halt cp"), (True, "halt --force cp")])
def test_a_machine_is_powered_off_in_order_or_by_its_plug(here: Path, vagrant: Vagrant, force: bool, said: str) -> None:  # noqa: FBT001
    (here / "tools" / "vagrant").write_text("#!/bin/sh\nexit 0\n")
    vagrant.halt("cp", print, force=force)
    assert vagrant.labdir.vagrant_log.read_text() == f"$ vagrant {said}\n"


# -- what it says badly ----------------------------------------------------------------------------------------


def test_a_vagrant_that_cannot_tell_is_an_error_with_its_own_words(here: Path, vagrant: Vagrant) -> None:
    (here / "tools" / "vagrant").write_text("#!/bin/sh\necho 'The plugins failed to load' >&2\nexit 1\n")
    for ask in (vagrant.states, lambda: vagrant.halt("client", print)):
        with pytest.raises(LabError) as caught:
            ask()
        assert caught.value.entry is errors.VAGRANT_FAILED
        assert caught.value.detail == "The plugins failed to load"


def test_a_vagrant_that_hangs_is_ended_at_the_pace_of_the_machines(
    here: Path, vagrant: Vagrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "TELL_SECONDS", 0.2)
    pace.settle([5.0])
    (here / "tools" / "vagrant").write_text("#!/bin/sh\necho 'waiting for the daemon' >&2\nsleep 60\n")
    with pytest.raises(LabError) as caught:
        vagrant.states()
    assert caught.value.entry is errors.HOST_COMMAND_TIMED_OUT
    assert caught.value.what.startswith("no end after 1 s: vagrant status")
    assert caught.value.detail == "waiting for the daemon"


def test_the_machines_states_are_vagrant_s_own(here: Path, vagrant: Vagrant) -> None:
    said = "1,cp,provider-name,docker\\n1,cp,state,running\\n1,client,provider-name,docker\\n1,client,state,stopped\\n"
    script = f'#!/bin/sh\necho "$* in $VAGRANT_HOME, $DOCKER_HOST" >"$HERE/asked"; printf "{said}"\n'
    (here / "tools" / "vagrant").write_text(script)
    assert vagrant.states() == {"cp": "running", "client": "stopped"}
    asked = f"status --machine-readable in {here}/lab/vagrant.d, unix:///lab.sock\n"
    assert (here / "asked").read_text() == asked


@pytest.mark.parametrize("said", ["\\377\\376", "1,client", "1,,,,\\n2"])
def test_what_the_library_cannot_read_never_reaches_the_user_raw(here: Path, vagrant: Vagrant, said: str) -> None:
    (here / "tools" / "vagrant").write_text(f"#!/bin/sh\nprintf '{said}'\n")
    with pytest.raises(LabError) as caught:
        vagrant.states()
    assert caught.value.entry is errors.VAGRANT_FAILED
