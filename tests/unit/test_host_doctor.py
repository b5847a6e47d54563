"""The doctor's decisions as a table of situations, and what becomes of them: one error, a choice, an exit code."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from metallab import bundle as bundles
from metallab import errors, paths
from metallab.config import Lab, parse
from metallab.errors import LabError
from metallab.host import capacity, doctor, packages, provider
from metallab.host.doctor import (
    Case,
    Diagnosis,
    Finding,
    Known,
    checks,
    docker,
    hypervisors,
    kernel,
    leftovers,
    limits,
    machine,
    network,
    tools,
)
from metallab.host.doctor.kernel import Tried
from metallab.host.doctor.machine import Need, Space
from metallab.host.doctor.records import Check, Verdict, fail, ok, unseen, warn
from metallab.host.provider import Choice, Made
from metallab.host.sandbox import Sandbox
from metallab.run import capabilities

DATA = Path(__file__).parent.parent / "data" / "host"
MODULES = {
    "docker": docker,
    "hypervisors": hypervisors,
    "kernel": kernel,
    "leftovers": leftovers,
    "limits": limits,
    "machine": machine,
    "network": network,
    "tools": tools,
}
SITUATIONS: list[dict[str, Any]] = yaml.safe_load((DATA / "situations.yaml").read_text(encoding="utf-8"))
LAB = Lab(name="unit-doctor")


def read(value: Any) -> Any:
    """Return a fact as it is, or what a file of captured output holds."""
    if isinstance(value, dict) and set(value) == {"file"}:
        text = (DATA / value["file"]).read_text(encoding="utf-8")
        return json.loads(text) if value["file"].endswith(".json") else text
    return value


def space(place: Mapping[str, Any]) -> Space:
    return Space(**{**place, "needed": Need(place["needed"], 20_000)})


RECORDS: Mapping[str, Callable[[Any], tuple[str, Any]]] = {
    "without": lambda names: ("bounding", set(capabilities.NAMES) - set(names)),
    "places": lambda places: ("places", [None if place is None else space(place) for place in places]),
    "tried": lambda tried: ("tried", Tried(**tried)),
}
"""Facts that are records: under which name, and how they are made of plain values."""


def judge(situation: Mapping[str, Any]) -> Verdict:
    module, name = situation["judge"].split(".")
    facts = dict(
        RECORDS[key](value) if key in RECORDS else (key, read(value)) for key, value in situation["facts"].items()
    )
    if name == "judge_no_daemon":
        facts["error"] = LabError(errors.PROVIDER_NONE, facts["error"])
    verdict: Verdict = getattr(MODULES[module], name)(**facts)
    return verdict


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation["situation"])
def test_a_situation_comes_to_its_finding(situation: Mapping[str, Any]) -> None:
    verdict = judge(situation)
    assert verdict.state == situation["state"], verdict
    for words in situation.get("seen", []):
        assert words in verdict.seen
    for words in situation.get("fix", []):
        assert words in verdict.fix
    assert (verdict.entry.id if verdict.entry is not None else None) == situation.get("error")


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation["situation"])
def test_what_is_bad_comes_with_what_to_do_and_says_so_in_one_line(situation: Mapping[str, Any]) -> None:
    verdict = judge(situation)
    assert (verdict.state == "fail") == (verdict.entry is not None)
    assert verdict.fix or verdict.state != "fail"
    assert "\n" not in verdict.seen


def test_no_situation_is_told_twice() -> None:
    told = [(situation["judge"], situation["situation"]) for situation in SITUATIONS]
    assert len(set(told)) == len(told)


def test_every_judge_has_a_situation_in_which_it_is_not_content() -> None:
    judges = {
        f"{name}.{each}" for name, module in MODULES.items() for each in vars(module) if each.startswith("judge_")
    }
    # Their facts are records of other modules; their tests are below.
    judges -= {"tools.judge_packages", "tools.judge_box"}
    assert {situation["judge"] for situation in SITUATIONS if situation["state"] != "ok"} == judges


# -- parsers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("20.10.24+dfsg1", (20, 10, 24)),
        ("7.2.10r174163", (7, 2, 10)),
        ("6.12.38+deb13-amd64", (6, 12, 38)),
        ("10.4", (10, 4)),
        ("?", None),
        ("", None),
    ],
)
def test_versions_are_read_as_programs_write_them(text: str, version: tuple[int, ...] | None) -> None:
    assert tools.version_in(text) == version


@pytest.mark.parametrize(
    ("conf", "version", "nft", "backend"),
    [
        ("", "9.0.0", True, "iptables"),
        ("", "10.4.0", True, "nftables"),
        ("", "10.4.0", False, "iptables"),
        ('#firewall_backend = "nftables"\n', "11.3.0", True, "nftables"),
        ('firewall_backend = "iptables"\n', "11.3.0", True, "iptables"),
        ("", "?", True, "iptables"),
    ],
)
def test_libvirt_s_firewall_is_what_it_is_told_else_what_its_version_takes(
    conf: str,
    version: str,
    nft: bool,  # noqa: FBT001
    backend: str,
) -> None:
    assert network.backend(conf, version, nft=nft) == backend


@pytest.mark.parametrize(("conf", "on"), [("ENABLED=yes\n", True), ("# ENABLED=yes\nENABLED=no\n", False), ("", False)])
def test_ufw_says_itself_whether_it_is_on(conf: str, on: bool) -> None:  # noqa: FBT001
    assert network.enables_ufw(conf) is on


def test_mounts_below_the_lab_s_folders_are_found_with_their_spaces() -> None:
    mounts = "x /c/lab/a\\040b tmpfs rw 0 0\nx /c/laboratory tmpfs rw 0 0\nx /c/lab tmpfs rw 0 0\n"
    assert leftovers.mounted(mounts, ["/c/lab"]) == ["/c/lab/a b"]


def test_a_try_that_the_script_did_not_make_is_an_error_and_not_a_good_one() -> None:
    with pytest.raises(KeyError):
        kernel.judge_tries({"new": "something new"}, Tried({"bridge": None}))


# -- what is read of a host, as files --------------------------------------------------------------------------


def on(root: Path, files: Mapping[str, str], **about: Any) -> Case:
    """Return a case on a host that has these files and no others."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return Case(LAB, about.pop("provider", "docker"), root=root, **about)


def verdict_of(check: Check, case: Case) -> Verdict:
    verdict = check.look(case)
    assert verdict is not None
    return verdict


def test_a_host_without_proc_is_not_taken_for_a_good_one(tmp_path: Path) -> None:
    looks = (machine.MEMORY_SHARED, limits.CGROUPS, limits.CAPABILITIES, limits.LIMITS, leftovers.FOLDERS)
    assert {verdict_of(check, on(tmp_path, {})).state for check in looks} == {"unseen"}


def test_memory_is_what_the_kernel_says_is_available(tmp_path: Path) -> None:
    case = on(tmp_path, {"proc/meminfo": "MemTotal: 4096000 kB\nMemAvailable: 512000 kB\n"})
    verdict = verdict_of(machine.MEMORY_SHARED, case)
    assert (verdict.state, verdict.seen) == ("fail", "500 MiB free, the containers take about 1150 MiB")


@pytest.mark.parametrize(
    "files",
    [
        {"memory.max": "1073741824\n", "memory.current": "536870912\n"},
        {"memory/memory.limit_in_bytes": "1073741824\n", "memory/memory.usage_in_bytes": "536870912\n"},
    ],
)
def test_inside_a_container_memory_is_what_that_may_have(tmp_path: Path, files: Mapping[str, str]) -> None:
    case = on(tmp_path, {"proc/meminfo": "MemAvailable: 8192000 kB\n"})
    assert verdict_of(machine.MEMORY_SHARED, case).state == "ok"
    on(tmp_path, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert verdict_of(machine.MEMORY_SHARED, case).seen.startswith("512 MiB free")


def test_inside_a_container_there_are_as_many_processes_as_that_may_have(tmp_path: Path) -> None:
    files = {"proc/sys/fs/file-nr": "900\t0\t2466186\n", "proc/loadavg": "0.1 0.1 0.1 1/100 77\n"}
    files |= {"proc/sys/kernel/pid_max": "4194304\n", "proc/sys/kernel/threads-max": "120000\n"}
    case = on(tmp_path, {**files, "sys/fs/cgroup/pids.max": "max\n"})
    assert verdict_of(limits.LIMITS, case).state == "ok"
    on(tmp_path, {"sys/fs/cgroup/pids.max": "1000\n"})
    assert verdict_of(limits.LIMITS, case).seen == "900 of 1000 processes are left"


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        # QEMU 7.2, -cpu qemu64 and -cpu Nehalem, the ones that matter among others
        (
            "fpu de pse tsc msr pae sse sse2 ht syscall nx lm nopl cpuid pni cx16 hypervisor lahf_lm svm",
            "fail",
        ),
        ("fpu sse sse2 syscall nx lm nopl pni ssse3 cx16 sse4_1 sse4_2 popcnt hypervisor lahf_lm", "ok"),
    ],
)
def test_a_processor_without_what_packages_are_built_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, state: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1})
    case = on(tmp_path, {"proc/cpuinfo": f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: spectre_v1\n"})
    assert verdict_of(machine.PROCESSORS, case).state == state


@pytest.mark.parametrize("accelerated", [True, False])
def test_the_doctor_says_what_emulation_costs_in_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, accelerated: bool
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 33554432 kB\nMemAvailable: 33554432 kB\n")
    monkeypatch.setattr(capacity, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1})
    choice = Choice("libvirt", "as told", accelerated=accelerated)
    verdict = verdict_of(machine.MEMORY_APART, on(tmp_path, {}, provider="libvirt", choice=choice))
    assert verdict.state == "ok"
    assert verdict.seen.endswith("as lab.yaml asks for") is accelerated
    assert ("worker-1 1 of 2" in verdict.seen) is not accelerated
    (tmp_path / "meminfo").write_text("MemTotal: 6291456 kB\nMemAvailable: 6291456 kB\n")
    verdict = verdict_of(machine.MEMORY_APART, on(tmp_path, {}, provider="libvirt", choice=choice))
    assert verdict.state == "warn"
    assert "worker-1 gets " in verdict.seen
    assert ("worker-1 1 of 2" in verdict.seen) is not accelerated


def test_capabilities_are_those_of_the_bounding_set(tmp_path: Path) -> None:
    status = (DATA.parent / "cluster" / "proc-self-status.txt").read_text(encoding="ascii")
    assert "CAP_SYS_RESOURCE" in verdict_of(limits.CAPABILITIES, on(tmp_path, {"proc/self/status": status})).seen


def test_the_control_groups_of_this_captured_host_are_good(tmp_path: Path) -> None:
    mounts = (DATA / "mounts-v1.txt").read_text(encoding="ascii")
    assert verdict_of(limits.CGROUPS, on(tmp_path, {"proc/mounts": mounts})).state == "ok"


def test_of_a_lab_that_has_machines_no_more_is_asked(tmp_path: Path) -> None:
    case = on(tmp_path, {"proc/meminfo": "MemAvailable: 1024 kB\n"}, exists=True)
    assert {verdict_of(check, case).state for check in (limits.INOTIFY, machine.MEMORY_SHARED)} == {"ok"}


def test_selinux_is_looked_for_where_it_is(tmp_path: Path) -> None:
    assert verdict_of(limits.SECURITY, on(tmp_path, {"sys/fs/selinux/enforce": "1"})).state == "warn"


def test_sandboxes_of_labs_nobody_knows_are_named(tmp_path: Path) -> None:
    case = on(
        tmp_path, {"run/netns/metallab-old": "", "run/netns/other": "", "run/metallab/unit-doctor/docker.pid": ""}
    )
    verdict = verdict_of(leftovers.SANDBOXES, case)
    assert verdict.seen == "a network namespace of old, of which there is no lab folder here"


def test_a_lab_folder_without_machines_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "state" / "metallab" / "half").mkdir(parents=True)
    (tmp_path / "state" / "metallab" / "whole").mkdir()
    case = on(tmp_path, {"proc/self/mounts": ""}, known=frozenset({"whole"}))
    assert "the folders of half have no machines" in verdict_of(leftovers.FOLDERS, case).seen


def test_kvm_is_loaded_when_the_module_of_this_processor_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, VBoxManage="echo 7.0.20r163906")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "here", "6.12.1-amd64", "", "x86_64")))
    assert verdict_of(hypervisors.VIRTUALBOX_KVM, on(tmp_path, {})).seen == "KVM is not loaded"
    files = {"sys/module/kvm_intel/refcnt": "0", "sys/module/kvm/parameters/enable_virt_at_load": "Y\n"}
    assert verdict_of(hypervisors.VIRTUALBOX_KVM, on(tmp_path, files)).state == "fail"


def test_firewalld_is_a_program_that_runs(tmp_path: Path) -> None:
    assert network._runs(on(tmp_path, {"proc/77/comm": "firewalld\n"}), "firewalld")
    assert not network._runs(on(tmp_path, {"proc/78/comm": "systemd\n"}), "ufw")


# -- programs that are asked -----------------------------------------------------------------------------------


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Make a PATH of these programs and nothing else; a script may call what sh itself knows."""
    path = folder / "bin"
    path.mkdir(exist_ok=True)
    for name, script in scripts.items():
        (path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("VAGRANT_HOME", str(folder / "vagrant.d"))
    monkeypatch.setattr(provider, "DISTRIBUTION_GEMS", folder / "gems")


def says(name: str) -> str:
    text = (DATA / name).read_text(encoding="utf-8")
    return f"while read -r line; do echo \"$line\"; done <<'END'\n{text}END"


HOSTS = Choice("docker", "a Docker daemon answers")


def test_vagrant_is_asked_for_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch)
    case = on(tmp_path, {}, provider="libvirt")
    assert verdict_of(tools.VAGRANT, case).seen == "vagrant is not installed"
    programs(tmp_path, monkeypatch, vagrant="echo Vagrant 2.4.0")
    assert verdict_of(tools.VAGRANT, case).entry is errors.PROVIDER_VERSIONS
    (tmp_path / "gems" / "vagrant-libvirt-0.12.2").mkdir(parents=True)
    assert verdict_of(tools.VAGRANT, case).state == "ok"
    programs(
        tmp_path, monkeypatch, vagrant=f"{says('vagrant-broken-plugin.txt')} >&2\nexit 1".replace("END >&2", "END")
    )
    assert verdict_of(tools.VAGRANT, case).entry is errors.HOST_TOOL_MISSING


def a_docker(info: str, endpoint: str) -> str:
    """Return a docker program whose daemon says ``info`` and is reached at ``endpoint``."""
    return f'if [ "$1" = context ]; then echo "{endpoint}"; exit; fi\n{info}'


def test_a_docker_daemon_is_asked_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    programs(tmp_path, monkeypatch, docker=a_docker(says("docker-info.json"), "unix:///var/run/docker.sock"))
    case = on(tmp_path, {}, choice=HOSTS)
    assert verdict_of(docker.DAEMON, case).seen == "a Docker daemon answers (version 20.10.24+dfsg1, overlay2)"
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    assert "tcp://192.0.2.1:2375" in verdict_of(docker.DAEMON, case).seen
    monkeypatch.delenv("DOCKER_HOST")
    programs(tmp_path, monkeypatch, docker=a_docker(says("docker-info.json"), "ssh://me@elsewhere"))
    assert verdict_of(docker.DAEMON, case).entry is errors.PROVIDER_ELSEWHERE
    programs(tmp_path, monkeypatch, docker="echo template: bad")
    assert verdict_of(docker.DAEMON, case).seen == "not looked at: docker info says: template: bad"


def test_who_may_not_use_the_daemon_is_told_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DATA / "docker-version-refused.txt").read_text(encoding="utf-8").strip()
    programs(tmp_path, monkeypatch, docker=f"echo '{text}' >&2; exit 1")
    case = on(tmp_path, {}, refusal=LabError(errors.PROVIDER_NONE, "no Docker daemon answers"))
    assert "usermod -aG docker" in verdict_of(docker.DAEMON, case).fix


def test_the_disk_of_docker_is_where_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, docker=f"echo '{json.dumps({'DockerRootDir': str(tmp_path)})}'")
    assert str(tmp_path) in verdict_of(docker.DISK, on(tmp_path, {}, choice=HOSTS)).seen
    programs(tmp_path, monkeypatch, docker="echo '{}'")
    assert verdict_of(docker.DISK, on(tmp_path, {}, choice=HOSTS)).state == "unseen"


def test_packages_that_are_missing_are_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, docker="exit 1")
    monkeypatch.setattr("metallab.host.packages.SYSTEM_FOLDERS", ())
    made = datetime.now(timezone.utc)
    lacking = verdict_of(tools.PACKAGES, on(tmp_path, {}, bundled=made))
    assert lacking.entry is errors.HOST_PACKAGES_MISSING
    assert "vagrant" in lacking.seen
    assert "gcc" not in lacking.seen, "the bundle is made"
    assert lacking.fix == "./inv setup --provider docker"
    assert "gcc" in verdict_of(tools.PACKAGES, on(tmp_path, {})).seen


def test_what_only_a_box_is_made_with_may_be_missing() -> None:
    (mke2fs,) = (package for package in packages.PACKAGES if package.need == "mke2fs")
    verdict = tools.judge_packages((), (mke2fs,), provider="libvirt")
    assert (verdict.state, verdict.seen.split(": ")[1], verdict.fix) == (
        "warn",
        "mke2fs",
        "./inv setup --provider libvirt",
    )
    assert tools.judge_packages((mke2fs,), (mke2fs,), provider="libvirt").state == "fail"
    assert tools.judge_packages((), (), provider="libvirt").state == "ok"


def test_virtualbox_s_own_warning_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, VBoxManage=says("vboxmanage-no-module.txt"))
    assert "vboxdrv kernel module is not loaded" in verdict_of(hypervisors.VIRTUALBOX, on(tmp_path, {})).seen


def test_a_container_is_not_made_from_a_box(tmp_path: Path) -> None:
    assert tools.BOX.look(on(tmp_path, {})) is None
    lab = parse("box: {name: debian/bookworm64, suite: bookworm}")
    verdict = verdict_of(tools.BOX, Case(lab, "docker"))
    assert (verdict.entry, "debian/bookworm64" in verdict.seen) == (errors.PROVIDER_UNSUPPORTED, True)


def test_a_route_of_the_host_s_into_the_lab_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    route = json.dumps([{"dst": "192.168.0.0/16", "dev": "vpn0"}, {"dst": "10.0.0.0/8", "dev": "vpn1"}])
    programs(tmp_path, monkeypatch, ip=f"echo '{route}'", docker="exit 1")
    case = on(tmp_path, {}, choice=HOSTS)
    verdict = verdict_of(network.LAB_NETWORK, case)
    assert (verdict.entry, "vpn0" in verdict.seen) == (errors.PROVIDER_ADDRESS_TAKEN, True)
    assert "vpn1" in verdict_of(network.CLUSTER_NETWORKS, case).seen
    sandboxed = on(tmp_path, {}, choice=Choice("docker", "", Sandbox("unit-doctor")))
    assert verdict_of(network.LAB_NETWORK, sandboxed).state == "ok"


def test_a_port_that_somebody_listens_on_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        monkeypatch.setattr("metallab.host.virtualbox.SSH_PORT", port)
        case = on(tmp_path, {}, provider="virtualbox", choice=Choice("virtualbox", ""))
        assert f"in use on 127.0.0.1: {port}" in verdict_of(network.PORTS, case).seen
    assert network.is_free(port)


def test_machines_of_labs_that_are_gone_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on_libvirt = on(tmp_path, {}, provider="libvirt", choice=Choice("libvirt", ""), known=frozenset({"unit"}))
    programs(tmp_path, monkeypatch, virsh="echo metallab-unit_client; echo; echo metallab-gone_client; echo other")
    verdict = verdict_of(leftovers.DOMAINS, on_libvirt)
    assert verdict.seen.endswith(": metallab-gone_client")
    assert verdict.fix.splitlines()[0] == "virsh --connect qemu:///system destroy metallab-gone_client"
    programs(tmp_path, monkeypatch, virsh="exit 1", VBoxManage=says("vms.txt"))
    assert verdict_of(leftovers.DOMAINS, on_libvirt).state == "unseen"
    on_virtualbox = on(tmp_path, {}, provider="virtualbox", choice=Choice("virtualbox", ""), known=frozenset({"unit"}))
    assert verdict_of(leftovers.MACHINES, on_virtualbox).seen.endswith(": metallab-gone_worker-1")
    on_docker = on(tmp_path, {}, choice=Choice("docker", "", Sandbox("unit-doctor")))
    assert leftovers.CONTAINERS.look(on_docker) is None, "a daemon of the lab's own has no machines of others"


def test_a_libvirtd_is_asked_for_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    programs(tmp_path, monkeypatch, virsh="echo Using library: libvirt 9.0.0; echo Running against daemon: 9.0.0")
    case = on(tmp_path, {}, provider="libvirt", choice=Choice("libvirt", ""))
    assert verdict_of(hypervisors.LIBVIRTD, case).seen == "libvirtd 9.0.0 answers"
    silent = on(tmp_path, {}, provider="libvirt", refusal=LabError(errors.PROVIDER_NONE, "no libvirtd answers"))
    verdict = verdict_of(hypervisors.LIBVIRTD, silent)
    assert (verdict.entry, "usermod -aG libvirt" in verdict.fix) == (errors.PROVIDER_NONE, True)


def test_proxies_are_those_of_this_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert verdict_of(network.PROXIES, on(tmp_path, {})).state == "ok"
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert verdict_of(network.PROXIES, on(tmp_path, {})).state == "warn"
    monkeypatch.setenv("NO_PROXY", "192.168.96.0/24")
    assert verdict_of(network.PROXIES, on(tmp_path, {})).state == "ok"


# -- what follows ----------------------------------------------------------------------------------------------


def finding(name: str, verdict: Verdict, *providers: str) -> Finding:
    return Finding(name, providers or doctor.PROVIDERS, verdict)


DISK = fail(errors.HOST_DISK, "0.1 GiB free", "df -h /")
CLOCK = fail(errors.HOST_CLOCK, "it is 1970", "date --set now")


def test_nothing_that_fails_is_no_error() -> None:
    assert doctor.refusal([finding("a", ok("x")), finding("b", warn("y")), finding("c", unseen("z"))], LAB) is None


def test_one_failure_is_its_own_error() -> None:
    error = doctor.refusal([finding("host.clock", ok("x")), finding("host.disk", DISK)], LAB)
    assert error is not None
    assert (error.entry, error.what, error.fix) == (errors.HOST_DISK, "0.1 GiB free", "df -h /")
    assert "host.disk" in error.where


def test_several_failures_are_one_error_with_all_of_them() -> None:
    error = doctor.refusal([finding("host.disk", DISK), finding("host.clock", CLOCK)], LAB)
    assert error is not None
    assert error.entry is errors.HOST_UNFIT
    assert error.what == "2 things keep the lab unit-doctor from running here"
    for words in ("host.disk (LAB-HOST-022): 0.1 GiB free", "df -h /", "host.clock (LAB-HOST-026)", "date --set now"):
        assert words in error.detail


def check(name: str, *verdicts: Verdict | LabError | None, again: bool = False) -> Check:
    """Return a check that comes out as told, one verdict a provider."""
    answers = dict(zip(doctor.PROVIDERS, verdicts * 3 if len(verdicts) == 1 else verdicts, strict=True))

    def look(case: Case) -> Verdict | None:
        answer = answers[case.provider]
        if isinstance(answer, LabError):
            raise answer
        return answer

    return Check(name, look, again)


def test_equal_findings_of_several_providers_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    one = check("one", ok("same"), ok("same"), warn("other"))
    for name in doctor.PROVIDERS:
        monkeypatch.setitem(checks.CHECKS, name, (one, check("none", None)))
        monkeypatch.setitem(checks.ON_REQUEST, name, ())
    found = checks.examine_all({name: Case(LAB, name) for name in doctor.PROVIDERS})
    assert [(each.providers, each.state) for each in found] == [
        (("docker", "libvirt"), "ok"),
        (("virtualbox",), "warn"),
    ]


def test_an_error_inside_a_check_is_a_failure_of_that_check_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = check("broken", LabError(errors.HOST_COMMAND_FAILED, "exit status 1"))
    monkeypatch.setitem(checks.CHECKS, "docker", (broken, check("other", ok("fine"))))
    assert [each.state for each in doctor.examine(Case(LAB, "docker"))] == ["fail", "ok"]


def test_a_lab_that_has_machines_is_not_examined_again(monkeypatch: pytest.MonkeyPatch) -> None:
    some = (check("once", DISK), check("always", ok("fine"), again=True))
    monkeypatch.setitem(checks.CHECKS, "docker", some)
    assert [each.id for each in doctor.examine(Case(LAB, "docker", exists=True))] == ["always"]
    assert len(doctor.examine(Case(LAB, "docker"))) == 2


@pytest.mark.parametrize("name", doctor.PROVIDERS)
def test_of_a_lab_that_has_machines_little_is_looked_at_again(name: str) -> None:
    assert len([each for each in checks.CHECKS[name] if each.again]) <= 2


def test_ids_are_stable_words_with_a_dot_and_name_one_check_each() -> None:
    every = {each for name in doctor.PROVIDERS for each in (*checks.CHECKS[name], *checks.ON_REQUEST[name])}
    names = [each.id for each in every]
    assert len(set(names)) == len(names)
    areas = {"docker", "host", "kernel", "leftover", "libvirt", "network", "tool", "virtualbox"}
    assert {name.split(".")[0] for name in names} == areas
    assert all(name.replace("-", "").replace(".", "").isalpha() and name.islower() for name in names)


def test_every_check_is_in_the_papers_and_no_other() -> None:
    paper = (paths.repo_root() / "docs" / "providers.md").read_text(encoding="utf-8")
    table = paper.split("## What the doctor looks at")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = [name for row in rows for name in re.findall(r"`([a-z.-]+)`", row)]
    every = {each.id for name in doctor.PROVIDERS for each in (*checks.CHECKS[name], *checks.ON_REQUEST[name])}
    assert sorted(told) == sorted(every)


def test_of_a_provider_that_is_asked_for_its_own_answer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the lab is on another one: what would this one need?"""
    monkeypatch.setitem(checks.CHECKS, "libvirt", ())
    monkeypatch.setitem(checks.ON_REQUEST, "libvirt", ())
    monkeypatch.setattr(provider, "fresh", lambda lab: Choice(lab.provider, "fits"))
    made = Made("docker", {}, accelerated=True, network=LAB.network)
    found = doctor.diagnose(LAB.model_copy(update={"provider": "libvirt"}), Known(made))
    assert (found.asked, found.choice) == (("libvirt",), Choice("libvirt", "fits"))


def diagnosis(*found: Finding, choice: Choice | None, asked: tuple[str, ...] = doctor.PROVIDERS) -> Diagnosis:
    return Diagnosis(LAB, found, asked, choice, "for a reason")


def test_what_another_provider_lacks_keeps_no_lab_from_running() -> None:
    lacking = finding("libvirt.plugin", fail(errors.PROVIDER_UNSUPPORTED, "no plugin"), "libvirt")
    seen = diagnosis(lacking, choice=HOSTS)
    assert seen.error() is None
    assert seen.to_dict()["failures"] == {"docker": [], "libvirt": ["libvirt.plugin"], "virtualbox": []}


def test_the_exit_code_is_the_one_lab_up_would_end_with() -> None:
    seen = diagnosis(finding("host.disk", DISK), choice=HOSTS)
    assert seen.to_dict()["error"] == "LAB-HOST-022"
    nothing = diagnosis(finding("docker.daemon", fail(errors.PROVIDER_NONE, "silent"), "docker"), choice=None)
    assert (nothing.to_dict()["error"], nothing.to_dict()["provider"]) == ("LAB-PROV-001", None)
    old = finding("docker.daemon", fail(errors.PROVIDER_VERSIONS, "too old"), "docker")
    assert diagnosis(old, choice=None, asked=("docker",)).to_dict()["error"] == "LAB-PROV-010"


def test_each_provider_is_asked_for_itself_and_the_choice_is_auto_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fresh(lab: Lab) -> Choice:
        if lab.provider == "libvirt":
            raise LabError(errors.PROVIDER_NONE, "no libvirtd answers")
        return Choice("docker" if lab.provider == "auto" else lab.provider, "fits")

    monkeypatch.setattr(provider, "fresh", fresh)
    seen: dict[str, Case] = {}
    for name in doctor.PROVIDERS:
        remember = Check("x.y", lambda case: seen.update({case.provider: case}))
        monkeypatch.setitem(checks.CHECKS, name, (remember,))
        monkeypatch.setitem(checks.ON_REQUEST, name, ())
    found = doctor.diagnose(LAB, Known(labs=frozenset({"other"})))
    assert found.choice == Choice("docker", "fits")
    assert found.asked == doctor.PROVIDERS
    assert seen["libvirt"].choice is None
    assert seen["libvirt"].refusal is not None
    assert seen["virtualbox"].choice == Choice("virtualbox", "fits")
    assert seen["docker"].known == {"other"}
    assert doctor.diagnose(LAB.model_copy(update={"provider": "docker"}), Known()).asked == ("docker",)


def test_a_bundle_knows_when_it_was_made(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").touch()
    os.utime(tmp_path / "bundle.json", (1_800_000_000, 1_800_000_000))
    bundle = bundles.Bundle(tmp_path, "", (), bundles.Versions("", "", "", "", ""))
    assert bundle.made == datetime(2027, 1, 15, 8, 0, tzinfo=timezone.utc)
