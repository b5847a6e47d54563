"""Secrets blotted out of what is shown or reported: tokens, private keys, passwords."""

from __future__ import annotations

import re

RULES = (
    (re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), "(token)"),  # a bootstrap token; kubeadm prints the one it was given
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), "(key)"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "(token)"),  # a JSON web token, as a service account has
    (re.compile(r"(?i)(://[^\s/:@]+):[^\s/@]+@"), r"\1:(password)@"),
    (
        re.compile(r"(?i)\b((?:client-key-data|(?:[\w-]*[_-])?(?:host_key|token|password|secret))['\"]?\s*[=:]\s*)\S+"),
        r"\1(secret)",
    ),
)


def redact(text: str) -> str:
    """Return ``text`` with what must stay secret replaced by a word in brackets."""
    for pattern, word in RULES:
        text = pattern.sub(word, text)
    return text
