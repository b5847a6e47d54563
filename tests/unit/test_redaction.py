"""Secrets are blotted out, and nothing else."""

from __future__ import annotations

import pytest

from metallab.redaction import redact

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("kubeadm join --token abcdef.0123456789abcdef now", "kubeadm join --token (token) now"),
        (f"a\n{KEY}\nb", "a\n(key)\nb"),
        (KEY[:60], "(key)"),
        ("Bearer eyJhbGciOi.eyJpc3Mi.c2ln-_x!", "Bearer (token)!"),
        ("get http://me:pass@proxy:3128/x", "get http://me:(password)@proxy:3128/x"),
        ("client-key-data: LS0tLS1CRUdJTg==", "client-key-data: (secret)"),
        ("METALLAB_HOST_KEY=LS0tLS1C", "METALLAB_HOST_KEY=(secret)"),
        ('{"password": "x1"}', '{"password": (secret)'),
        ("sudo_password=hunter2 next", "sudo_password=(secret) next"),
    ],
)
def test_a_secret_is_blotted_out(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "exit status 1 from: kubectl get nodes",
        "the token is gone",
        "worker-1.lab 192.168.96.11:6443",
        "http://proxy:3128/x@y",
        "certificate-authority-data: LS0t",
        "registry.k8s.io/pause:3.10",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text
