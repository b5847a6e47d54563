"""Host packages: what is missing on a PATH made for the test, and what is said and done about it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from metallab.errors import LabError
from metallab.events import Event, Events, Kind
from metallab.host import packages, provider
from metallab.host.packages import (
    DAEMON_PACKAGES,
    FOR_A_LAB,
    FOR_TESTS,
    LIBVIRT_PACKAGES,
    PACKAGES,
    Package,
    Purpose,
    describe,
    ensure,
    missing,
    read_cost,
    require,
)

APT = """#!/bin/sh
# Stands for apt-get: writes what it is asked, says what apt says, and "installs" by linking programs.
echo "$(basename "$0") $*" >>"$APT_LOG"
case "$*" in
update) exit "${APT_UPDATE_STATUS:-0}" ;;
*--assume-no*)
    echo "Need to get 1,234 kB of archives."
    echo "After this operation, 5,678 kB of additional disk space will be used."
    exit 1 ;;
*install*)
    echo "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded."
    [ -z "$APT_BROKEN" ] || { echo "E: Unable to locate package" >&2; exit 100; }
    echo "Setting up vagrant (2.3.4) ..."
    for name in $APT_GIVES; do printf '#!/bin/sh\\n' >"$APT_FOLDER/$name"; chmod +x "$APT_FOLDER/$name"; done ;;
esac
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one empty folder, with nothing but what a test puts there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(packages, "SYSTEM_FOLDERS", ())
    monkeypatch.setenv("APT_LOG", str(tmp_path / "apt.log"))
    monkeypatch.setenv("APT_FOLDER", str(folder))
    (tmp_path / "apt.log").touch()
    return folder


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> None:
    (folder / name).write_text(text, encoding="utf-8")
    (folder / name).chmod(0o755)


def link(folder: Path, *names: str) -> None:
    for name in names:
        real = shutil.which(name, path="/usr/bin:/bin")
        assert real is not None
        (folder / name).symlink_to(real)


def apt(folder: Path, monkeypatch: pytest.MonkeyPatch, *gives: str) -> None:
    link(folder, "sh", "basename", "chmod")
    program(folder, "apt-get", APT)
    program(folder, "apt-cache", APT)
    monkeypatch.setenv("APT_GIVES", " ".join(gives))


def asked(folder: Path) -> list[str]:
    return (folder.parent / "apt.log").read_text(encoding="utf-8").splitlines()


def all_but(folder: Path, *lacking: str) -> None:
    """Put every program of the table on the PATH, except some."""
    for package in (*PACKAGES, *DAEMON_PACKAGES, *LIBVIRT_PACKAGES):
        if package.kind == "program" and package.need not in lacking:
            program(folder, package.need)


def needs(found: tuple[Package, ...]) -> set[str]:
    return {package.need for package in found}


def collect() -> tuple[list[Event], Events]:
    seen: list[Event] = []
    return seen, Events(seen.append)


# -- what is missing -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("path")
def test_on_an_empty_path_every_program_is_missing() -> None:
    programs = {package.need for package in PACKAGES if package.kind == "program"}
    assert programs <= needs(missing(*FOR_TESTS, "virtualbox"))
    assert programs - needs(missing(*FOR_TESTS)) == {"VBoxManage"}


@pytest.mark.usefixtures("path")
def test_a_lab_needs_nothing_that_only_tests_need() -> None:
    assert not {"iperf3", "arping", "openssl"} & needs(missing())
    assert {"iperf3", "arping", "openssl"} <= needs(missing("test"))


@pytest.mark.usefixtures("path")
def test_user_namespaces_are_for_users_and_for_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "newuidmap" not in needs(missing())
    assert "newuidmap" in needs(missing(*FOR_TESTS))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "newuidmap" in needs(missing("box"))
    assert "newuidmap" not in needs(missing("lab"))


@pytest.mark.usefixtures("path")
def test_without_a_daemon_the_lab_s_own_is_needed_and_only_for_machines() -> None:
    assert {"dockerd", "iptables"} <= needs(missing("lab", "docker"))
    assert {"libvirtd", "iptables"} <= needs(missing("lab", "libvirt"))
    assert not {"dockerd", "libvirtd", "vagrant"} & needs(missing("bundle"))


def test_where_a_daemon_answers_none_is_needed(path: Path) -> None:
    program(path, "docker", "#!/bin/sh\necho 27.5.1\n")
    program(path, "virsh", "#!/bin/sh\necho Running against daemon: 9.0.0\n")
    assert not {"dockerd", "iptables", "docker"} & needs(missing("lab", "docker"))
    assert not {"libvirtd", "iptables", "virsh"} & needs(missing("lab", "libvirt"))


OF_A_PROVIDER = {"docker": {"docker", "dockerd"}, "libvirt": {"virsh", "libvirtd"}, "virtualbox": {"VBoxManage"}}


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("purpose", ["docker", "libvirt", "virtualbox"])
def test_a_lab_needs_its_own_provider_s_programs_only(purpose: Purpose) -> None:
    own = OF_A_PROVIDER[purpose]
    others = set[str]().union(*OF_A_PROVIDER.values()) - own
    assert own <= needs(missing(*FOR_A_LAB, purpose))
    assert not others & needs(missing(*FOR_A_LAB, purpose))


@pytest.mark.usefixtures("path")
def test_what_two_purposes_need_is_named_once() -> None:
    named = [package.need for package in missing(*FOR_TESTS)]
    assert sorted(set(named)) == sorted(named)


def test_a_plugin_is_the_distribution_s_or_the_user_s_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = Package("vagrant-libvirt", ("vagrant-libvirt",), "", ("libvirt",), "plugin")
    gems, home = path.parent / "gems", path.parent / "vagrant.d"
    monkeypatch.setattr(provider, "DISTRIBUTION_GEMS", gems)
    monkeypatch.setenv("VAGRANT_HOME", str(home))
    assert not plugin.present()
    (gems / "vagrant-libvirt-0.11.2").mkdir(parents=True)
    assert (plugin.present(), provider.vagrant_libvirt()) == (True, "0.11.2")
    home.mkdir()
    (home / "plugins.json").write_text('{"installed": {"vagrant-libvirt": {"installed_gem_version": "0.12.2"}}}')
    assert provider.vagrant_libvirt() == "0.12.2"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"installed": {}}', '{"installed": {"vagrant-libvirt": 3}}'])
def test_a_record_of_plugins_without_ours_is_none(path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(provider, "DISTRIBUTION_GEMS", path.parent / "gems")
    monkeypatch.setenv("VAGRANT_HOME", str(path))
    (path / "plugins.json").write_text(text)
    assert provider.vagrant_libvirt() is None


def test_a_file_is_looked_for_where_it_is_used(path: Path) -> None:
    loader = Package(str(path / "boot.img"), ("grub-pc-bin",), "", ("disk",), "file")
    assert not loader.present()
    (path / "boot.img").touch()
    assert loader.present()


def test_a_program_that_is_there_is_not_missing(path: Path) -> None:
    program(path, "vagrant")
    assert "vagrant" not in needs(missing("lab"))


def test_headers_are_asked_from_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no compiler on this host")
    there = Package("stdlib.h", ("libc6-dev",), "", ("bundle",), "header")
    nowhere = Package("no/such/header.h", ("x",), "", ("bundle",), "header")
    assert there.present()
    assert not nowhere.present()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert not there.present(), "without a compiler there is no telling"


def test_certificates_are_looked_for_where_go_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificates = Package("certificates", ("ca-certificates",), "", ("bundle",), "certificates")
    monkeypatch.setattr(packages, "CERTIFICATES", (str(tmp_path / "none"), str(tmp_path / "some")))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert not certificates.present()
    (tmp_path / "some").touch()
    assert certificates.present()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    assert not certificates.present()


@pytest.mark.usefixtures("path")
def test_require_names_everything_with_its_package_and_reason() -> None:
    with pytest.raises(LabError) as caught:
        require("bundle", provider="libvirt")
    assert caught.value.entry.id == "LAB-HOST-001"
    assert "mmdebstrap" in caught.value.what
    assert "libseccomp-dev: runc with seccomp" in caught.value.detail
    assert caught.value.fix == "run: ./inv setup --provider libvirt"


def test_the_table_says_for_everything_which_package_and_why() -> None:
    for package in (*PACKAGES, *DAEMON_PACKAGES, *LIBVIRT_PACKAGES):
        line = describe([package])
        assert package.need in line
        assert package.debian[0] in line
        assert package.why in line
        assert package.purposes


# -- what is done about it -------------------------------------------------------------------------------------


def test_nothing_missing_is_nothing_done(path: Path) -> None:
    all_but(path)
    program(path, "docker", "#!/bin/sh\necho 27.5.1\n")
    seen, events = collect()
    ensure(events, yes=False, purposes=("lab", "docker"))
    assert [event.kind for event in seen] == [Kind.STARTED, Kind.SKIPPED]


def test_without_apt_the_programs_are_named(path: Path) -> None:
    all_but(path, "vagrant")
    _, events = collect()
    with pytest.raises(LabError) as caught:
        ensure(events, yes=True, purposes=("lab",))
    assert caught.value.entry.id == "LAB-HOST-006"
    assert caught.value.what == "missing on this host: vagrant"


def test_without_consent_nothing_is_installed_and_everything_was_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt(path, monkeypatch)
    all_but(path, "vagrant")
    seen, events = collect()
    with pytest.raises(LabError) as caught:
        ensure(events, yes=False, purposes=("lab",))
    assert caught.value.entry.id == "LAB-HOST-008"
    assert "--yes" in caught.value.fix
    assert "vagrant: makes and ends the machines" in seen[0].text
    assert asked(path) == []


def test_the_question_tells_what_and_how_much_and_no_is_no(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt(path, monkeypatch)
    all_but(path, "vagrant")
    questions: list[str] = []

    def no(question: str) -> bool:
        questions.append(question)
        return False

    _, events = collect()
    with pytest.raises(LabError) as caught:
        ensure(events, yes=False, purposes=("lab",), ask=no)
    assert caught.value.entry.id == "LAB-HOST-008"
    assert questions == ["Install vagrant with apt-get (1,234 kB to download, 5,678 kB on disk)?"]
    assert not any(line.startswith("apt-get install --yes") for line in asked(path))


def test_only_root_can_install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt(path, monkeypatch)
    all_but(path, "vagrant")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    _, events = collect()
    with pytest.raises(LabError) as caught:
        ensure(events, yes=True, purposes=("lab",))
    assert caught.value.entry.id == "LAB-HOST-003"
    assert "apt-get install --no-install-recommends vagrant" in caught.value.fix


def test_with_consent_lists_are_read_and_just_the_missing_is_installed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt(path, monkeypatch, "vagrant")
    all_but(path, "vagrant")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages, "HALF_DONE", path / "none")
    seen, events = collect()
    ensure(events, yes=True, purposes=("lab",))
    first, second = asked(path)
    assert first == "apt-get update"
    assert second.startswith("apt-get install --yes --no-install-recommends ")
    assert second.endswith(" vagrant")
    assert (seen[-1].kind, seen[-1].text) == (Kind.DONE, "vagrant")
    counted = [event for event in seen if event.done is not None]
    assert [(event.done, event.total) for event in counted] == [(1, 2)]


def test_an_installation_that_was_interrupted_is_finished_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt(path, monkeypatch, "vagrant")
    all_but(path, "vagrant")
    program(path, "dpkg", APT)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    journal = path.parent / "updates"
    journal.mkdir()
    (journal / "0001").touch()
    monkeypatch.setattr(packages, "HALF_DONE", journal)
    ensure(collect()[1], yes=True, purposes=("lab",))
    assert asked(path)[1] == "dpkg --configure -a"


@pytest.mark.parametrize("variable", ["APT_BROKEN", "APT_UPDATE_STATUS"])
def test_an_apt_that_fails_is_one_clear_error(path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    apt(path, monkeypatch, "vagrant")
    all_but(path, "vagrant")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages, "HALF_DONE", path / "none")
    monkeypatch.setenv(variable, "100")
    with pytest.raises(LabError) as caught:
        ensure(collect()[1], yes=True, purposes=("lab",))
    assert caught.value.entry.id == "LAB-HOST-001"
    assert "apt-get" in caught.value.fix


def test_what_apt_installed_is_looked_for_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt(path, monkeypatch)
    all_but(path, "vagrant")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages, "HALF_DONE", path / "none")
    with pytest.raises(LabError) as caught:
        ensure(collect()[1], yes=True, purposes=("lab",))
    assert caught.value.what == "installed, but still not found: vagrant"


# -- apt's own words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("", ""),
        ("E: Unable to locate package x\n", ""),
        ("Need to get 0 B/12.3 MB of archives.\n", " (0 B to download)"),
        (
            "Need to get 33.1 MB of archives.\nAfter this operation, 158 MB of additional disk space will be used.\n",
            " (33.1 MB to download, 158 MB on disk)",
        ),
    ],
)
def test_sizes_are_read_from_apt(text: str, cost: str) -> None:
    assert read_cost(text) == cost


def test_real_apt_is_understood() -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("no apt on this host")
    known = packages._known(Package("x", ("no-such-package-anywhere", "coreutils"), "", ("lab",)))
    assert known == "coreutils"
