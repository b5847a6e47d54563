"""The lab in somebody's own kubeconfig: added and taken out, with everything else left as it was."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from metallab import errors, steps
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Event, Events, Kind
from metallab.host.provider import Choice
from metallab.machines import kubeconfig
from metallab.machines.labdir import LabDir
from metallab.site import Site

DATA = Path(__file__).parent.parent / "data" / "kubeconfig"
GOOD, BAD = sorted((DATA / "good").iterdir()), sorted((DATA / "bad").iterdir())
LAB = Lab(name="mine")
LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}


def named(path: Path) -> str:
    return path.stem


def meaning(text: str) -> Any:
    """Return the scalars as they are written, each with its type: a yes that became a "yes" is another value."""

    def plain(node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return [(plain(key), plain(value)) for key, value in node.value]
        if isinstance(node, yaml.SequenceNode):
            return [plain(item) for item in node.value]
        return (node.tag.rpartition(":")[2], node.value)

    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return None if node is None else {key[1]: value for key, value in plain(node)}


def of_others(text: str) -> Any:
    """Return what a kubeconfig says besides the lab's entries."""
    said = meaning(text) or {}
    for key in LISTS:
        listed = said.get(key)
        if isinstance(listed, list):
            said[key] = [item for item in listed if {k[1]: v for k, v in item}["name"][1] != "lab-mine"]
    return said


@pytest.fixture
def labdir(tmp_path: Path) -> LabDir:
    made = LabDir(tmp_path / "state" / "mine")
    made.path.mkdir(parents=True)
    shutil.copy(DATA / "own.kubeconfig", made.kubeconfig)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".kube" / "config"


def given(file: Path, source: Path) -> bytes:
    file.parent.mkdir(parents=True)
    shutil.copy(source, file)
    return file.read_bytes()


def entries(file: Path) -> dict[str, Any]:
    """Return the lab's entries by list."""
    said = yaml.safe_load(file.read_text())
    return {key: found[inner] for key, inner in LISTS.items() for found in said[key] if found["name"] == "lab-mine"}


@pytest.mark.parametrize("source", GOOD, ids=named)
def test_merging_adds_three_entries_and_changes_nothing_else(labdir: LabDir, file: Path, source: Path) -> None:
    before = given(file, source).decode()
    assert kubeconfig.merge(LAB, labdir, file)
    after = file.read_text()
    mark = [{"name": "metallab", "extension": {"folder": str(labdir.path)}}]
    assert entries(file) == {
        "clusters": {
            "certificate-authority-data": "T1VSIENB",
            "server": "https://192.168.96.10:6443",
            "extensions": mark,
        },
        "users": {"client-certificate-data": "T1VSIENFUlQ=", "client-key-data": "T1VSIEtFWQ==", "extensions": mark},
        "contexts": {"cluster": "lab-mine", "user": "lab-mine", "extensions": mark},
    }
    for key, value in (meaning(before) or {}).items():
        if key in LISTS:
            others = [] if value == ("null", "null") else value
            assert of_others(after)[key] == others, key
        else:
            assert meaning(after)[key] == value, key
    assert "current-context" in after if "current-context" in before else "current-context" not in after
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["config"]


@pytest.mark.parametrize("source", GOOD, ids=named)
def test_merging_twice_changes_nothing_and_removing_gives_back_what_was(
    labdir: LabDir, file: Path, source: Path
) -> None:
    before = given(file, source).decode()
    kubeconfig.merge(LAB, labdir, file)
    merged = file.read_bytes()
    assert not kubeconfig.merge(LAB, labdir, file)
    assert file.read_bytes() == merged
    assert kubeconfig.remove(LAB, labdir, file)
    left = of_others(file.read_text())
    for key, value in (meaning(before) or {}).items():
        assert left[key] == ([] if value == ("null", "null") else value), key
    assert not kubeconfig.remove(LAB, labdir, file)


@pytest.mark.parametrize("source", BAD, ids=named)
def test_a_file_that_is_not_understood_is_left_alone(labdir: LabDir, file: Path, source: Path) -> None:
    before = given(file, source)
    for change in (kubeconfig.merge, kubeconfig.remove):
        with pytest.raises(LabError) as caught:
            change(LAB, labdir, file)
        assert caught.value.entry is errors.KUBECONFIG_UNREADABLE
        assert caught.value.where == str(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["config"]


def test_without_a_file_one_is_made_for_its_owner_only(labdir: LabDir, file: Path) -> None:
    assert not kubeconfig.remove(LAB, labdir, file)
    assert not file.exists()
    assert kubeconfig.merge(LAB, labdir, file)
    assert yaml.safe_load(file.read_text())["kind"] == "Config"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]


def test_a_lab_made_anew_replaces_its_entries_and_keeps_the_users_namespace(labdir: LabDir, file: Path) -> None:
    kubeconfig.merge(LAB, labdir, file)
    file.write_text(
        file.read_text().replace("cluster: lab-mine\n", "cluster: lab-mine\n    namespace: metallb-system\n")
    )
    labdir.kubeconfig.write_text(labdir.kubeconfig.read_text().replace("T1VSIENB", "TkVXIENB"))
    assert kubeconfig.merge(LAB, labdir, file)
    found = entries(file)
    assert found["clusters"]["certificate-authority-data"] == "TkVXIENB"
    assert found["contexts"]["namespace"] == "metallb-system"
    assert len(yaml.safe_load(file.read_text())["clusters"]) == 1


@pytest.mark.parametrize("key", LISTS)
def test_an_entry_of_that_name_that_is_not_this_labs_stays(labdir: LabDir, file: Path, key: str) -> None:
    before = given(file, GOOD[0])
    other = LabDir(labdir.path.with_name("other"))
    other.path.mkdir()
    shutil.copy(labdir.kubeconfig, other.kubeconfig)
    for foreign in (None, other):
        if foreign is None:
            text = f"apiVersion: v1\nkind: Config\n{key}:\n- name: lab-mine\n  {LISTS[key]}: {{}}\n"
            file.write_text(text)
        else:
            file.write_bytes(before)
            kubeconfig.merge(LAB, foreign, file)
            text = file.read_text()
        with pytest.raises(LabError) as caught:
            kubeconfig.merge(LAB, labdir, file)
        assert caught.value.entry is errors.KUBECONFIG_TAKEN
        assert not kubeconfig.remove(LAB, labdir, file)
        assert file.read_text() == text


def test_a_current_context_that_is_the_labs_is_emptied_with_it(labdir: LabDir, file: Path) -> None:
    given(file, DATA / "good" / "kind-and-minikube.kubeconfig")
    kubeconfig.merge(LAB, labdir, file)
    file.write_text(file.read_text().replace("current-context: kind-kind", "current-context: lab-mine"))
    kubeconfig.remove(LAB, labdir, file)
    assert yaml.safe_load(file.read_text())["current-context"] == ""


def test_a_link_stays_a_link(labdir: LabDir, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles"
    target.write_bytes((DATA / "good" / "json.kubeconfig").read_bytes())
    file.parent.mkdir(parents=True)
    file.symlink_to(target)
    kubeconfig.merge(LAB, labdir, file)
    assert file.is_symlink()
    assert "lab-mine" in target.read_text()


def test_kubectls_lock_is_honoured_and_not_taken_away(
    labdir: LabDir, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "LOCK_SECONDS", 0.1)
    before = given(file, GOOD[0])
    lock = file.with_name("config.lock")
    lock.touch()
    for change in (kubeconfig.merge, kubeconfig.remove):
        with pytest.raises(LabError) as caught:
            change(LAB, labdir, file)
        assert caught.value.entry is errors.KUBECONFIG_LOCKED
        assert str(lock) in caught.value.detail
    assert lock.exists()
    assert file.read_bytes() == before


def test_a_folder_in_the_files_place_is_an_error_and_no_traceback(labdir: LabDir, file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(LabError) as caught:
        kubeconfig.merge(LAB, labdir, file)
    assert caught.value.entry is errors.KUBECONFIG_UNREADABLE


def test_without_a_cluster_there_is_nothing_to_merge(labdir: LabDir, file: Path) -> None:
    labdir.kubeconfig.unlink()
    for ask in (lambda: kubeconfig.merge(LAB, labdir, file), lambda: kubeconfig.require(LAB, labdir)):
        with pytest.raises(LabError) as caught:
            ask()
        assert caught.value.entry is errors.CLUSTER_UNREACHABLE
    assert not file.exists()


def test_the_users_file_is_the_one_kubectl_would_write_to(tmp_path: Path) -> None:
    assert kubeconfig.user_file("", tmp_path) == tmp_path / ".kube" / "config"
    assert kubeconfig.user_file(f"/a{os.pathsep}/b", tmp_path) == Path("/a")
    assert kubeconfig.user_file(f"{os.pathsep}/b", tmp_path) == Path("/b")


def test_destroy_takes_the_lab_out_of_every_file_it_was_merged_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(Site, "of", classmethod(_site_of(Site.of, monkeypatch)))
    labdir = LabDir.of(LAB)
    labdir.prepare(LAB)
    shutil.copy(DATA / "own.kubeconfig", labdir.kubeconfig)
    files = [tmp_path / name for name in ("one", "two", "spoilt")]
    shutil.copy(GOOD[0], files[0])
    for file in files:
        kubeconfig.merge(LAB, labdir, file)
    files[2].write_text("spoilt: [")
    seen: list[Event] = []
    steps.tear_down(LAB, Events(seen.append))
    assert [("lab-mine" in file.read_text(), file.exists()) for file in files[:2]] == [(False, True), (False, True)]
    assert files[2].read_text() == "spoilt: ["
    assert [event.text for event in seen if event.kind is Kind.WARNING] == [
        next(event.text for event in seen if str(files[2]) in event.text)
    ]
    assert not labdir.path.exists()


def _site_of(real: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lab whose machines were never made: there is nothing a daemon would have to be asked for."""
    monkeypatch.setattr("metallab.site.choose", lambda _lab: Choice("docker", "none needed"))
    monkeypatch.setattr("metallab.providers.docker.Docker.clean", lambda _self, _here: None)
    return lambda _cls, lab: real(lab)


def test_the_list_of_files_is_kept_once_each(labdir: LabDir, file: Path) -> None:
    kubeconfig.merge(LAB, labdir, file)
    kubeconfig.merge(LAB, labdir, file)
    assert json.loads(labdir.merged.read_text()) == [str(file)]
