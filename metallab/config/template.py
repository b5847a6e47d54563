"""The lab file to begin with: every key, its default, and what it is for."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = Path(__file__).with_name("template.yaml")


def template(schema: str) -> str:
    """Return a lab file that holds the default lab. ``schema`` is the path or URL its first line tells editors."""
    return f"# yaml-language-server: $schema={schema}\n{TEMPLATE.read_text(encoding='utf-8')}"
