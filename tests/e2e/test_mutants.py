"""Twelve labs that are broken for real, one after another: ``verify`` has to name what is wrong, in the right words.

Each is broken and mended around one run of ``verify``; at the end the lab has to be proven again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import REPO, User

pytestmark = pytest.mark.timeout(1800)
TCP, UDP = "iperf3-server-tcp", "iperf3-server-udp"
VIP, CLIENT = "192.168.96.70", "192.168.96.200"
NOWHERE = "10.244.9.9"


@pytest.fixture(scope="module")
def lab(user: User) -> User:
    """A lab with everything deployed."""
    user.inv("lab.up")
    user.inv("metallb.install")
    user.inv("iperf3.deploy")
    return user


def on(user: User, machine: str, *words: str) -> str:
    return user.inv("lab.ssh", machine, "--", "sudo", *words).stdout.strip()


def await_that(what: str, check: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(1)


def annotate(user: User, service: str, name: str, value: str) -> None:
    user.kubectl("annotate", "--overwrite", "service", service, f"metallb.io/{name}={value}")


def address_of(user: User, service: str) -> str:
    return user.kubectl("get", "service", service, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")


@contextlib.contextmanager
def wrong_address(user: User) -> Iterator[None]:
    for service in (TCP, UDP):
        annotate(user, service, "loadBalancerIPs", "192.168.96.71")
    for service in (TCP, UDP):
        await_that("the other address", lambda service=service: address_of(user, service) == "192.168.96.71")  # type: ignore[misc]
    yield
    user.inv("iperf3.deploy")


@contextlib.contextmanager
def tcp_only(user: User) -> Iterator[None]:
    user.kubectl("delete", "service", UDP)
    yield
    user.inv("iperf3.deploy")


@contextlib.contextmanager
def udp_only(user: User) -> Iterator[None]:
    user.kubectl("delete", "service", TCP)
    yield
    user.inv("iperf3.deploy")


@contextlib.contextmanager
def client_without_iperf3(user: User) -> Iterator[None]:
    on(user, "client", "mv", "/usr/bin/iperf3", "/usr/bin/iperf3.away")
    yield
    on(user, "client", "mv", "/usr/bin/iperf3.away", "/usr/bin/iperf3")


@contextlib.contextmanager
def ssh_down(user: User) -> Iterator[None]:
    # Nobody can mend it from outside, so the machine does so by itself.
    soon = ("--on-active=25", "--timer-property=AccuracySec=1s")
    on(user, "client", "systemd-run", *soon, "systemctl", "start", "ssh")
    on(user, "client", "systemctl", "stop", "ssh")
    yield
    await_that("SSH to the client", lambda: "client" not in user_status(user))


def user_status(user: User) -> str:
    """Return the first broken layer, empty when there is none."""
    import subprocess  # noqa: PLC0415 - its exit code is not of interest here

    argv: list[str | Path] = [REPO / "inv", "lab.status", "-o", "json"]
    done = subprocess.run(argv, env=user.environment, capture_output=True, text=True, check=False, timeout=60)
    return str(json.loads(done.stdout)["broken"])


@contextlib.contextmanager
def speakers_killed(user: User) -> Iterator[None]:
    nobody = [{"op": "add", "path": "/spec/template/spec/nodeSelector/nobody", "value": "here"}]
    speaker = ("-n", "metallb-system", "daemonset/speaker")
    user.kubectl("patch", *speaker, "--type=json", f"--patch={json.dumps(nobody)}")
    user.kubectl("-n", "metallb-system", "wait", "--for=delete", "pod", "-l", "component=speaker", "--timeout=90s")
    yield
    gone = [{"op": "remove", "path": "/spec/template/spec/nodeSelector/nobody"}]
    user.kubectl("patch", *speaker, "--type=json", f"--patch={json.dumps(gone)}")
    user.inv("metallb.install")


@contextlib.contextmanager
def pool_empty(user: User) -> Iterator[None]:
    user.inv("iperf3.delete")
    user.kubectl("-n", "metallb-system", "delete", "ipaddresspool", "lab")
    user.kubectl("apply", "-k", str(REPO / "manifests" / "iperf3"))
    user.kubectl("rollout", "status", "deployment/iperf3-server", "--timeout=60s")
    yield
    user.inv("metallb.install")
    user.inv("iperf3.deploy")


@contextlib.contextmanager
def wrong_key(user: User) -> Iterator[None]:
    annotate(user, UDP, "allow-shared-ip", "somebody-else")
    await_that("the address to be taken away", lambda: address_of(user, UDP) == "")
    yield
    user.inv("iperf3.deploy")


@contextlib.contextmanager
def another_namespace(user: User) -> Iterator[None]:
    user.inv("iperf3.delete")
    user.kubectl("create", "namespace", "elsewhere")
    file = user.lab_file.with_name("elsewhere.yaml")
    objects = [
        yaml.safe_load((REPO / "manifests" / "iperf3" / f"{name}.yaml").read_text())
        for name in ("deployment", "service-tcp", "service-udp")
    ]
    for item in objects:
        item["metadata"]["namespace"] = "elsewhere"
    file.write_text(yaml.safe_dump_all(objects))
    user.kubectl("apply", "-f", str(file))
    user.kubectl("-n", "elsewhere", "rollout", "status", "deployment/iperf3-server", "--timeout=60s")
    yield
    user.kubectl("delete", "namespace", "elsewhere", "--timeout=90s")
    user.inv("iperf3.deploy")


@contextlib.contextmanager
def second_answer(user: User) -> Iterator[None]:
    on(user, "control-plane", "ip", "address", "add", f"{VIP}/32", "dev", "eth1")
    yield
    on(user, "control-plane", "ip", "address", "delete", f"{VIP}/32", "dev", "eth1")


@contextlib.contextmanager
def two_replicas(user: User) -> Iterator[None]:
    user.kubectl("scale", "deployment/iperf3-server", "--replicas=2")
    user.kubectl("rollout", "status", "deployment/iperf3-server", "--timeout=60s")
    yield
    user.kubectl("scale", "deployment/iperf3-server", "--replicas=1")
    user.kubectl("rollout", "status", "deployment/iperf3-server", "--timeout=60s")
    ended = "{.items[*].metadata.deletionTimestamp}"
    pods = ("get", "pods", "-l", "app=iperf3-server", "-o", f"jsonpath={ended}")
    await_that("the second server to be gone", lambda: user.kubectl(*pods) == "")


@contextlib.contextmanager
def stale_flow(user: User) -> Iterator[None]:
    there = ("--orig-src", CLIENT, "--orig-dst", VIP, "--sport", "40000", "--dport", "5201")
    back = ("--reply-src", NOWHERE, "--reply-dst", CLIENT, "--reply-port-src", "5201", "--reply-port-dst", "40000")
    flow = ("-p", "tcp", "--state", "ESTABLISHED", "--timeout", "600")
    on(user, "worker-1", "conntrack", "--create", *flow, *there, *back)
    yield
    on(user, "worker-1", "conntrack", "--delete", "-p", "tcp", *there)


@dataclass(frozen=True)
class Mutant:
    """A broken lab, and what verify has to say: its exit code, the check, its verdict, words in what it saw."""

    make: Callable[[User], contextlib.AbstractContextManager[None]]
    code: int
    check: str
    verdict: str
    words: str


MUTANTS = (
    Mutant(wrong_address, 1, "address", "fail", f"{TCP} has 192.168.96.71; {UDP} has 192.168.96.71"),
    Mutant(tcp_only, 1, "address", "fail", f"{UDP} does not exist"),
    Mutant(udp_only, 1, "address", "fail", f"{TCP} does not exist"),
    Mutant(client_without_iperf3, 1, "tcp", "not-run", "iperf3 is not installed on client"),
    Mutant(ssh_down, 1, "tcp", "not-run", "no SSH to client"),
    Mutant(speakers_killed, 1, "metallb", "fail", "speaker 0/0 ready"),
    Mutant(pool_empty, 1, "address", "fail", f"{TCP} has no address (there is no address pool)"),
    Mutant(wrong_key, 1, "address", "fail", f"{UDP} has no address (AllocationFailed: "),
    Mutant(another_namespace, 1, "address", "fail", f"{TCP} is in the namespace elsewhere, not in default"),
    Mutant(second_answer, 1, "one-mac", "fail", "= control-plane"),
    Mutant(two_replicas, 1, "server", "fail", "control and data connections may reach different ones"),
    Mutant(stale_flow, 3, "flows", "pass", f"TCP from {CLIENT}:40000 to {NOWHERE} on worker-1"),
)


def check_of(report: Any, name: str) -> Any:
    return next(check for check in report["checks"] if check["id"] == name)


def failed(report: Any) -> list[str]:
    return [check["id"] for check in report["checks"] if check["verdict"] == "fail"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.make.__name__)
def test_a_broken_lab_is_named(lab: User, mutant: Mutant) -> None:
    with mutant.make(lab):
        report = lab.json("verify", expect=mutant.code)
    check = check_of(report, mutant.check)
    assert check["verdict"] == mutant.verdict
    assert mutant.words in check["seen"] + check["reason"]
    # The first thing that is wrong is the thing that was broken.
    if mutant.verdict == "fail":
        assert failed(report)[0] == mutant.check
    else:
        assert failed(report) == []
    assert check_of(report, "as-found")["verdict"] == "pass"


def test_a_proof_that_was_killed_is_healed_by_the_next_one(lab: User) -> None:
    lab.interrupt("verify", at="without it iperf3 -u cannot connect", seconds=0, number=signal.SIGKILL)
    done = lab.inv("verify", expect=(0, 3))
    assert f"an earlier proof was interrupted: {TCP} put back" in done.stderr


def test_two_commands_do_not_work_on_one_lab(lab: User) -> None:
    with (lab.state / "metallab" / "e2e" / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert "LAB-HOST-007" in lab.inv("verify", expect=10).stderr


def test_in_the_end_the_lab_is_proven(lab: User) -> None:
    report = lab.proof()
    assert report["seconds"] < 1.6 * report["least"], "the proof wastes time of its own"


def test_required_ids_and_chosen_ones(lab: User) -> None:
    report = lab.json("verify", "--only", "tcp")
    assert [check["id"] for check in report["checks"]] == ["nodes", "address", "server", "tcp"]
    assert "--only: there is no check nowhere" in lab.inv("verify", "--only", "nowhere", expect=10).stderr
    assert "no-tcp" in lab.inv("verify", "--list").stdout
