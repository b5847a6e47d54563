"""The Kubernetes API's client where it cannot do its work: what the package throws never reaches the user raw."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab import errors
from metallab.cluster.api import ApiUnreachable, Cluster
from metallab.errors import LabError

NOBODY = "https://127.0.0.1:1"
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: lab
clusters: [{{name: lab, cluster: {{server: "{server}"}}}}]
users: [{{name: admin, user: {{}}}}]
contexts: [{{name: lab, context: {{cluster: lab, user: admin}}}}]
"""


class Page(http.server.BaseHTTPRequestHandler):
    """A proxy's page where the API server should be."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"\xff<html>Welcome</html>")

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as served:
        threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def cluster(folder: Path, text: str) -> Cluster:
    (folder / "kubeconfig").write_text(text, encoding="latin-1")
    return Cluster(folder / "kubeconfig")


def test_an_answer_that_is_no_json_is_told_as_such(tmp_path: Path, server: str) -> None:
    with pytest.raises(ApiUnreachable, match="its answer is no JSON: ") as caught:
        cluster(tmp_path, KUBECONFIG.format(server=server)).version()
    assert caught.value.entry is errors.CLUSTER_UNREACHABLE
    assert "Welcome" in caught.value.what


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "a: [1",
        "3",
        "clusters: 3",
        "\xff\xfe",
        "current-context: lab\ncontexts: []\nclusters: []\n",
        KUBECONFIG.format(server=NOBODY).replace("user: {}", "user: {client-certificate-data: '%'}"),
        KUBECONFIG.format(server=NOBODY).replace("server: ", "certificate-authority: /nowhere/ca.crt, server: "),
        KUBECONFIG.format(server=NOBODY).replace(f'server: "{NOBODY}"', "server: 3"),
        KUBECONFIG.format(server="http://[::bad"),
        KUBECONFIG.format(server="nonsense://x"),
        KUBECONFIG.format(server="http://a..b"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_told_as_such(tmp_path: Path, text: str) -> None:
    with pytest.raises(LabError) as caught:
        cluster(tmp_path, text).version()
    assert caught.value.entry is errors.CLUSTER_UNREACHABLE


def test_no_kubeconfig_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ApiUnreachable, match="no usable kubeconfig"):
        Cluster(tmp_path / "kubeconfig").version()
