"""How long certificates last, read from what a node's files hold (made for this, with chosen ends)."""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml

from metallab.cluster import certificates
from metallab.cluster.certificates import Certificate
from metallab.run import local

TEXT = (Path(__file__).parent.parent / "data" / "cluster" / "certificates.txt").read_text()
NOW = datetime(2026, 11, 27, 12, 0, tzinfo=timezone.utc)


def test_every_file_tells_its_first_certificates_end() -> None:
    found = list(certificates.parse(TEXT, "cp", NOW))
    assert found == [
        Certificate("API server", "cp", "2027-01-01T00:00:00Z", 34),
        Certificate("etcd", "cp", "2026-12-20T00:00:00Z", 22),
        Certificate("kubelet to API server", "cp", "2026-11-01T00:00:00Z", -27),
    ]
    assert [(one.ends_soon, one.is_over) for one in found] == [(False, False), (True, False), (True, True)]
    assert [str(one) for one in found] == [
        "API server on cp: 34 days left",
        "etcd on cp: 22 days left",
        "kubelet to API server on cp: ended 27 days ago",
    ]


def test_a_node_without_files_tells_nothing() -> None:
    assert list(certificates.parse("", "cp", NOW)) == []
    assert list(certificates.parse("== /var/lib/kubelet/pki/kubelet.crt\n", "cp", NOW)) == []


def test_a_damaged_certificate_is_an_error_and_not_zero_days() -> None:
    damaged = TEXT.replace("MII", "MIX", 1)
    with pytest.raises(ValueError, match=r"\S"):
        list(certificates.parse(damaged, "cp", NOW))


def test_the_script_sends_certificates_and_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = TEXT.split("== ")[3].partition("\n")[2]
    both = tmp_path / "kubelet-client-current.pem"
    both.write_text(f"{pem}-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----\n")
    monkeypatch.setattr(certificates, "FILES", {str(both): "kubelet", str(tmp_path / "none"): "none"})

    class Here:
        name = "w1"
        run = staticmethod(local.run)

    (found,) = certificates.of_node(Here(), NOW)
    assert (found.name, found.where, found.days_left) == ("kubelet", "w1", -27)
    said = local.run(["sh", "-c", certificates.SCRIPT, "sh", *certificates.FILES], timeout=5).stdout
    assert "PRIVATE" not in said
    assert "c2VjcmV0" not in said


@pytest.mark.parametrize(
    "text",
    ["", "users: []", "users:\n- user: {token: x}", "[", "users:\n- user: {client-certificate-data: '!'}", "- a"],
)
def test_a_kubeconfig_without_a_certificate_tells_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    assert certificates.of_kubeconfig(file, NOW) == ()
    file.write_text(text)
    assert certificates.of_kubeconfig(file, NOW) == ()


def test_the_admins_certificate_is_in_the_kubeconfig(tmp_path: Path) -> None:
    pem = TEXT.split("== ")[1].partition("\n")[2]
    data = base64.b64encode(pem.encode()).decode()
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump({"users": [{"name": "a", "user": {"client-certificate-data": data}}]}))
    assert certificates.of_kubeconfig(file, NOW) == (Certificate("admin", "kubeconfig", "2027-01-01T00:00:00Z", 34),)
