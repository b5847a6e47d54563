"""A bug report of a real lab whose API server is dead, full of planted secrets: it is made, and holds none of them."""

from __future__ import annotations

import gzip
import json
import tarfile
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import User

pytestmark = pytest.mark.timeout(600)
TOKEN = "c4nary.0123456789abcdef"  # noqa: S105 - planted
CANARIES = {
    "bootstrap token in a journal": f"kubeadm join 192.168.96.10:6443 --token {TOKEN}",
    "certificate key in a journal": "Using certificate key: " + "c4" * 32,
    "basic auth in a journal": "Authorization: Basic YzRuYXJ5OmJhc2ljLWF1dGgtaW4tYS1sb2c=",
    "proxy password in a journal": "proxyconnect tcp: http://someone:c4nary/pr0xy@proxy.invalid:3128",
    "bearer token in a journal": "Bearer eyJhbGciOiJSUzI1NiJ9.eyJjNG5hcnkiOnRydWV9.c2lnbmF0dXJl",
}
PLANT = """
set -eu
systemctl stop kubelet
mkdir -p /var/log/pods/canary/c
for said; do
    echo "$said" | systemd-cat --identifier=kubelet
    echo "$said" >>/var/log/pods/canary/c/0.log
done
pkill -9 kube-apiserver
"""
SECRETS = (
    TOKEN,
    "c4" * 32,
    "YzRuYXJ5OmJhc2ljLWF1dGgtaW4tYS1sb2c",
    "c4nary/pr0xy",
    "eyJjNG5hcnkiOnRydWV9",
    "c4nary-password-in-vagrant.log",
    "c4nary%40variable",
)


@pytest.fixture(scope="module")
def lab(user: User) -> User:
    """A lab of one worker: a report asks every machine the same."""
    machines = "".join(
        f"  - {{name: {name}, role: {role}, host: {host}}}\n"
        for name, role, host in (("cp", "control-plane", 10), ("w1", "worker", 11), ("client", "client", 200))
    )
    user.lab_file.write_text(f"name: e2e\nmachines:\n{machines}")
    user.inv("lab.up")
    return user


def test_with_the_api_server_dead_there_is_a_report_and_no_canary_in_it(lab: User, tmp_path: Path) -> None:
    state = lab.state / "metallab" / "e2e"
    with (state / "vagrant.log").open("a") as log:
        log.write("password: c4nary-password-in-vagrant.log\n")
    # The kubelet first: it removes logs of pods it does not know.
    lab.inv("lab.ssh", "cp", "--", "sudo", "sh", "-c", PLANT, "sh", *CANARIES.values())
    someone = User(
        lab.lab_file, lab.state, extra=(("HTTPS_PROXY", "http://someone:c4nary%40variable@proxy.invalid:3128"),)
    )
    began = time.monotonic()
    done = someone.inv("collect", "--to", str(tmp_path))
    assert time.monotonic() - began < 120
    file = Path(done.stdout.strip())
    assert file.parent == tmp_path
    assert file.stat().st_mode & 0o777 == 0o600

    with tarfile.open(file) as archive:
        texts = {}
        for member in archive.getmembers():
            stream = archive.extractfile(member)
            assert stream is not None
            texts[member.name.partition("/")[2]] = stream.read().decode()
    parts = {part["path"]: part for part in json.loads(texts["manifest.json"])["parts"]}
    assert parts["cluster/pod.json"]["state"] == "failed"
    assert "no answer from" in parts["cluster/pod.json"]["why"]
    for path in (
        "machines/cp/pod-logs.txt",
        "machines/cp/journal-kubelet.txt",
        "machines/w1/nft.txt",
        "lab/vagrant.log",
    ):
        assert parts[path]["state"] == "collected", parts[path]
    assert "kube-apiserver" in texts["machines/cp/pod-logs.txt"]
    assert json.loads(texts["status.json"])["broken"].startswith("cluster: no answer from")
    assert parts["machines/cp/pod-logs.txt"]["redacted"] >= len(CANARIES)

    whole = gzip.decompress(file.read_bytes()).decode(errors="replace")
    keys = [line for name in ("id_ed25519", "host_ed25519") for line in (state / "ssh" / name).read_text().splitlines()]
    kubeconfig = (state / "kubeconfig").read_text().split("client-key-data: ")[1].split()[0]
    secrets = [*SECRETS, kubeconfig[:200], *(line for line in keys if len(line) > 20 and "-----" not in line)]
    assert [secret for secret in secrets if secret in whole] == []
    assert "PRIVATE KEY" not in whole


def test_the_lab_goes_on_afterwards(lab: User) -> None:
    lab.inv("lab.up")
    assert lab.json("lab.status", expect=1)["broken"] == "MetalLB is not installed (./inv metallb.install)"
