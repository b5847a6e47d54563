"""Real parts without any machine: an API server on the loopback (the bundle's own, with etcd), and a Chromium."""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from metallab import bundle as bundles
from metallab.bundle import Bundle
from metallab.cluster.api import Cluster
from metallab.run.local import run
from metallab.run.wait import NotYet, until
from tests.integration.chromium import Browser, started

TOKEN = "integration-only-token"  # noqa: S105 - of an API server that lives for one test run
START_SECONDS = 60


@dataclass(frozen=True)
class ApiServer:
    """A running API server: its kubeconfig, its process, and the bundle it is from."""

    kubeconfig: Path
    bundle: Bundle
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    found = bundles.find()
    if found is None:
        pytest.skip("needs the bundle: ./inv bundle.build")
    return found


@pytest.fixture(scope="session")
def apiserver(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("apiserver")
    with contextlib.ExitStack() as stack:
        etcd = _start_etcd(bundle, folder, stack)
        port = _free_port()
        process = _start_apiserver(bundle, folder, etcd, port, stack)
        server = ApiServer(_kubeconfig(folder, port), bundle, process)
        _await_ready(server, folder)
        yield server


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def cluster(apiserver: ApiServer) -> Cluster:
    return Cluster(apiserver.kubeconfig)


def _start_etcd(bundle: Bundle, folder: Path, stack: contextlib.ExitStack) -> str:
    client, peer = f"http://127.0.0.1:{_free_port()}", f"http://127.0.0.1:{_free_port()}"
    argv: list[str | Path] = [
        _program(bundle, "etcd", folder),
        f"--data-dir={folder / 'etcd-data'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        "--unsafe-no-fsync",
    ]
    _start(argv, folder / "etcd.log", stack)
    return client


def _start_apiserver(
    bundle: Bundle, folder: Path, etcd: str, port: int, stack: contextlib.ExitStack
) -> subprocess.Popen[bytes]:
    key = folder / "service-account.key"
    run(["openssl", "genrsa", "-out", key, "2048"], timeout=30)
    tokens = folder / "tokens.csv"
    tokens.write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    argv: list[str | Path] = [
        _program(bundle, "kube-apiserver", folder),
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://integration",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        # There is no controller-manager that would make the accounts this plugin asks for.
        "--disable-admission-plugins=ServiceAccount",
        # Nothing is ever sent to a service's address: it would leave this host.
        "--enable-aggregator-routing=true",
        "--endpoint-reconciler-type=none",
    ]
    return _start(argv, folder / "apiserver.log", stack)


def _await_ready(server: ApiServer, folder: Path) -> None:
    cluster = Cluster(server.kubeconfig)

    def check() -> None:
        if server.process.poll() is not None:
            pytest.fail("kube-apiserver ended: " + (folder / "apiserver.log").read_text()[-2000:])
        if not cluster.healthz():
            raise NotYet("not ready")

    until(check, timeout=START_SECONDS, what="kube-apiserver")


def _kubeconfig(folder: Path, port: int) -> Path:
    authority = folder / "certificates" / "apiserver.crt"
    until(lambda: _there(authority), timeout=START_SECONDS, what="the API server's certificate")
    data = base64.b64encode(authority.read_bytes()).decode()
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": data}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"token": TOKEN}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config, width=1_000_000))
    return path


def _there(path: Path) -> None:
    if not path.exists():
        raise NotYet(f"no {path.name}")


def _program(bundle: Bundle, name: str, folder: Path) -> Path:
    """Take a program out of its image: the one big layer of the archive holds it under usr/local/bin."""
    archive = next(path for path in bundle.image_archives if path.stem == name)
    with tarfile.open(archive) as images:
        layer = max(images.getmembers(), key=lambda member: member.size)
        with tarfile.open(fileobj=images.extractfile(layer)) as files:
            (folder / name).write_bytes(_content(files, f"usr/local/bin/{name}"))
    (folder / name).chmod(0o755)
    return folder / name


def _content(archive: tarfile.TarFile, path: str) -> bytes:
    stream = archive.extractfile(path)
    assert stream is not None
    return stream.read()


def _start(argv: list[str | Path], log: Path, stack: contextlib.ExitStack) -> subprocess.Popen[bytes]:
    output = stack.enter_context(log.open("wb"))
    process = subprocess.Popen(argv, stdout=output, stderr=output, cwd=log.parent)
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
