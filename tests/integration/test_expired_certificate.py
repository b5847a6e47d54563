"""The expired certificate of a drill, made by the bundle's own kubeadm, shown to somebody who looks, and taken back."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml

from metallab.bundle import Bundle
from metallab.cluster import certificates, kubeadm_config
from metallab.config import Lab
from metallab.drills.faults import certificate_expired
from metallab.run.local import run

NAMES = ("apiserver.crt", "apiserver.key")


class Folder:
    """A certificates' folder as kubeadm makes it, on which the drill's scripts are played."""

    def __init__(self, path: Path, programs: Path) -> None:
        self.path, self.work = path / "pki", path / "work"
        self._environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
        self.settings = yaml.safe_dump(
            {
                "apiVersion": kubeadm_config.KUBEADM,
                "kind": "ClusterConfiguration",
                "kubernetesVersion": "v1.37.2",
                "apiServer": {"certSANs": ["127.0.0.1", "lab.example"]},
                "certificatesDir": str(self.path),
            }
        )
        config = path / "kubeadm.yaml"
        config.write_text(self.settings)
        for part in ("ca", "apiserver"):
            run(["kubeadm", "init", "phase", "certs", part, "--config", config], timeout=30, env=self._environment)

    def play(self, script: str, text: str = "") -> None:
        for place, here in ((certificate_expired.PKI, self.path), (certificate_expired.WORK, self.work)):
            script = script.replace(place, str(here))
        run(["sh", "-eu", "-c", script], timeout=30, input=text, env=self._environment)

    def contents(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.path.iterdir()}

    def named(self) -> str:
        """Return the names the certificate is for, as openssl prints them."""
        argv = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(self.path / NAMES[0])]
        return run(argv, timeout=10).stdout

    def shown(self) -> str:
        """Serve with it, connect, and return what a client that trusts the authority says; nothing when it is well."""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(self.path / NAMES[0], self.path / NAMES[1])
        client = ssl.create_default_context(cafile=str(self.path / "ca.crt"))
        near, far = socket.socketpair()

        def serve() -> None:
            try:
                server.wrap_socket(far, server_side=True).close()
            except OSError:  # the client does not like what it sees, and hangs up
                far.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            client.wrap_socket(near, server_hostname="lab.example").close()
        except ssl.SSLCertVerificationError as error:
            return str(error.verify_message)
        finally:
            near.close()
            thread.join(timeout=10)
        return ""


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Folder:
    program = next(path for path in bundle.binaries if path.name == "kubeadm")
    return Folder(tmp_path, program.parent)


def test_it_is_the_real_one_but_for_its_end_and_goes_without_a_trace(folder: Folder) -> None:
    before = folder.contents()
    assert folder.shown() == ""
    config = kubeadm_config.short_lived(Lab(name="x"), folder.settings, str(folder.work))
    for _ in range(2):  # a second time changes nothing about the original
        folder.play(certificate_expired.MAKE, config)
        assert {name: folder.contents()[f"{name}{certificate_expired.KEPT}"] for name in NAMES} == {
            name: before[name] for name in NAMES
        }
    time.sleep(2.1)
    assert folder.shown() == "certificate has expired"
    assert "lab.example" in folder.named()
    text = f"== /etc/kubernetes/pki/apiserver.crt\n{(folder.path / 'apiserver.crt').read_text()}"
    (read,) = certificates.parse(text, "control-plane", datetime.now(timezone.utc))
    assert read.is_over
    folder.play(certificate_expired.UNDO)
    assert folder.contents() == before
    assert folder.shown() == ""
    assert not folder.work.exists()
