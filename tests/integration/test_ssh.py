"""SSH to a machine that is gone without a word: whoever waits for it is told in time.

In a network namespace of its own, whose loopback then loses every packet.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metallab import paths

SECONDS = 120
SILENT = 3
RULES = """\
table ip lost {
    chain sent {
        type filter hook output priority 0; policy drop;
    }
}
"""
STORY = f"""
import subprocess, sys, threading, time
from pathlib import Path
from metallab.config import Lab
from metallab.machines.labdir import LabDir
from metallab.run import ssh
from tests.integration.ssh_machine import machine

ssh.SILENT_SECONDS, ssh.KEEPALIVE_SECONDS = {SILENT}.0, 1.0
lab, labdir = Lab.model_validate({{"network": "127.0.96.0/24"}}), LabDir(Path(sys.argv[1]) / "lab")
labdir.prepare(lab)
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
address = lab.address(lab.client)
with machine(str(address), labdir):
    shell = ssh.SshRunner("client", address, labdir.login).shell(80, 24)
    while b"$" not in shell.read():
        pass
    subprocess.run(["nft", "-f", sys.argv[2]], check=True)
    began = time.monotonic()
    while shell.read():
        pass
    print(f"{{time.monotonic() - began:.1f}}")
"""


@pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft: ./inv test --yes")
def test_a_connection_that_nobody_acknowledges_breaks(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text(RULES, encoding="ascii")
    argv = ["unshare", "--net", "--", sys.executable, "-c", STORY, str(tmp_path), str(rules)]
    done = subprocess.run(argv, cwd=paths.repo_root(), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert SILENT - 1 < float(done.stdout) < SILENT + 20
