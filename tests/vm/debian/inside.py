"""What a user does on the virtual host. Runs there, as root, with Debian's own Python and nothing else.

Every command goes into the report as one line of JSON; what it says while it works goes to the console.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

HOME = Path("/root")
REPO = HOME / "metallab"
LAB_FILE = HOME / "lab.yaml"
PORT = Path("/dev/virtio-ports/metallab.report")
BROUGHT = Path("/var/lib/containerd/metallab")
"""Where make-disk put the cache; its place is in the user's home."""
LAB = """\
name: inside
machines:
  - {name: cp, role: control-plane, host: 10}
  - {name: worker, role: worker, host: 11}
  - {name: client, role: client, host: 200}
"""
NODES = ("cp", "worker")
PROOF_BY = 25 * 60
"""Seconds after boot: where it took longer to get that far, the proof would take what is left of the test's time."""
KUBELET = "/var/lib/kubelet/config.yaml"
MACHINES = ("docker", "ps", "--all", "--format", "{{.Names}} {{.Status}}")


def report(name: str, argv: tuple[str, ...]) -> bool:
    """Run a command, put it into the report, and tell whether it was well."""
    print(f"== {name}", flush=True)
    began = time.monotonic()
    said = []
    with tempfile.TemporaryFile("w+") as output:
        environment = {**os.environ, "LAB_FILE": str(LAB_FILE), "NO_COLOR": "1"}
        with subprocess.Popen(argv, cwd=HOME, env=environment, stdout=output, stderr=subprocess.PIPE, text=True) as run:
            assert run.stderr is not None
            for line in run.stderr:
                print(line, end="", flush=True)
                said.append(line)
        output.seek(0)
        record = {
            "name": name,
            "code": run.returncode,
            "seconds": round(time.monotonic() - began, 1),
            "stdout": output.read(),
            "stderr": "".join(said),
        }
    print(f"== {name}: status {record['code']} after {record['seconds']} s", flush=True)
    with PORT.open("a") as port:
        port.write(json.dumps(record) + "\n")
    return run.returncode == 0


def inv(*words: str) -> tuple[str, ...]:
    return (str(REPO / "inv"), *words)


def look_around() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "kernel", ("uname", "-r")
    yield "cgroup", ("stat", "-f", "-c", "%T", "/sys/fs/cgroup")
    yield "capabilities", ("cat", "/proc/self/status")
    yield "docker", ("docker", "version", "--format", "{{json .Server}}")
    yield "docker info", ("docker", "info", "--format", "{{json .}}")


def look_at_the_lab() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "containers", MACHINES
    yield "namespaces", ("ip", "netns", "list")
    yield "nodes", inv("kubectl", "--", "get", "nodes", "-o", "json")
    for node in NODES:
        yield f"kubelet of {node}", ("docker", "exec", f"metallab-inside_{node}", "cat", KUBELET)
        yield f"cgroup of {node}", ("docker", "exec", f"metallab-inside_{node}", "stat", "-fc%T", "/sys/fs/cgroup")


def prove() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "metallb.install", inv("metallb.install")
    yield "iperf3.deploy", inv("iperf3.deploy")
    yield "lab.status", inv("lab.status", "-o", "json")
    yield "verify", inv("verify", "-o", "json")


def take_down() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "lab.destroy", inv("lab.destroy", "--yes")
    yield "containers left", ("docker", "ps", "--all", "--quiet")
    yield "volumes left", ("docker", "volume", "ls", "--quiet")
    yield "networks left", ("docker", "network", "ls", "--format", "{{.Name}}")
    yield "state left", ("find", str(HOME / ".local"), "-path", "*/metallab/*")


def watch(over: threading.Event) -> None:
    """Say on the console what the nodes' systemd waits for: all there is to see when the test's time runs out."""
    while not over.wait(180):
        for node in NODES:
            show = "systemctl show --property=Id,SubState,NRestarts containerd kubelet; systemctl list-jobs --no-legend"
            subprocess.run(["docker", "exec", f"metallab-inside_{node}", "sh", "-c", show], check=False)


def explain() -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is needed to see why ``lab.up`` failed."""
    yield "containers", MACHINES
    yield "vagrant", ("tail", "-n", "60", str(HOME / ".local/state/metallab/inside/vagrant.log"))
    for node in NODES:
        journal = ("journalctl", "--no-pager", "--lines=80", "--output=short-monotonic")
        yield f"journal of {node}", ("docker", "exec", f"metallab-inside_{node}", *journal)
    yield "load", ("cat", "/proc/loadavg", "/proc/meminfo")


def main() -> None:
    cache = HOME / ".cache"
    cache.mkdir(exist_ok=True)
    BROUGHT.rename(cache / "metallab")
    LAB_FILE.write_text(LAB)
    for name, argv in look_around():
        report(name, argv)
    over = threading.Event()
    threading.Thread(target=watch, args=(over,), daemon=True).start()
    well = report("lab.up", inv("lab.up"))
    over.set()
    if not well:
        for name, argv in explain():
            report(name, argv)
        return
    for name, argv in look_at_the_lab():
        report(name, argv)
    if time.monotonic() < PROOF_BY:
        for name, argv in prove():
            report(name, argv)
    for name, argv in take_down():
        report(name, argv)


if __name__ == "__main__":
    main()
