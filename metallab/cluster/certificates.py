"""How long the cluster's certificates last. kubeadm's are good for a year; a lab that is older stops working one day.

They are read as files over SSH, one command a node: so they are known also when the API server is down, which may be
because they have ended. Private keys stay where they are. The only home of cryptography, which paramiko brings along.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from metallab.run.result import Runner

if TYPE_CHECKING:
    from cryptography import x509

SOON_DAYS = 30
READ_SECONDS = 5.0
FILES = {
    "/etc/kubernetes/pki/apiserver.crt": "API server",
    "/etc/kubernetes/pki/apiserver-kubelet-client.crt": "API server to kubelets",
    "/etc/kubernetes/pki/etcd/server.crt": "etcd",
    "/var/lib/kubelet/pki/kubelet-client-current.pem": "kubelet to API server",
    "/var/lib/kubelet/pki/kubelet.crt": "kubelet",
}
"""What the cluster stands still without, where a node has it (kubeadm's and the kubelet's own paths)."""
SCRIPT = """\
for file; do
    [ -r "$file" ] || continue
    echo "== $file"
    sed -n '/-BEGIN CERTIFICATE-/,/-END CERTIFICATE-/p' "$file"
done
"""
"""The kubelet keeps its key in the certificate's file: only the certificate is sent."""
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Certificate:
    """A certificate: whose, on which machine, when it ends (UTC, ISO 8601), and the days until then, negative after."""

    name: str
    where: str
    ends: str
    days_left: int

    @property
    def is_over(self) -> bool:
        """Tell whether nobody accepts it any more."""
        return self.days_left < 0

    @property
    def ends_soon(self) -> bool:
        """Tell whether it should be renewed now."""
        return self.days_left < SOON_DAYS

    def __str__(self) -> str:
        days = "1 day" if abs(self.days_left) == 1 else f"{abs(self.days_left)} days"
        return f"{self.name} on {self.where}: " + (f"ended {days} ago" if self.is_over else f"{days} left")


def of_node(runner: Runner, now: datetime) -> tuple[Certificate, ...]:
    """Read the certificates of one node. Raises what the runner raises."""
    result = runner.run(["sh", "-c", SCRIPT, "sh", *FILES], timeout=READ_SECONDS)
    return tuple(parse(result.stdout, runner.name, now))


def of_kubeconfig(file: Path, now: datetime) -> tuple[Certificate, ...]:
    """Read the admin's certificate from the lab's kubeconfig; nothing when there is none."""
    try:
        users = yaml.safe_load(file.read_text(encoding="utf-8"))["users"]
        text = base64.b64decode(users[0]["user"]["client-certificate-data"]).decode("ascii")
    except (OSError, yaml.YAMLError, LookupError, TypeError, binascii.Error, UnicodeDecodeError):
        return ()
    return tuple(_certificate("admin", "kubeconfig", text, now) for text in PEM.findall(text)[:1])


def parse(text: str, where: str, now: datetime) -> Iterator[Certificate]:
    """Read what the script printed: the first certificate of each file is the file's own."""
    for part in text.split("== ")[1:]:
        path, _, content = part.partition("\n")
        found = PEM.search(content)
        if found is not None:
            yield _certificate(FILES[path.strip()], where, found.group(), now)


def _certificate(name: str, where: str, pem: str, now: datetime) -> Certificate:
    from cryptography import x509  # noqa: PLC0415 - a tenth of a second that most commands do not need

    read: x509.Certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
    ends = read.not_valid_after_utc
    return Certificate(name, where, ends.strftime("%Y-%m-%dT%H:%M:%SZ"), (ends - now).days)
