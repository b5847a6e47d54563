"""The papers are true as far as a machine can tell: their commands and their links exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tasks
from metallab import paths

ROOT = paths.repo_root()
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMES = set(tasks.ns.task_names)


def named(paper: Path) -> str:
    return paper.name


@pytest.mark.parametrize("paper", PAPERS, ids=named)
def test_commands_exist_with_the_options_shown(paper: Path) -> None:
    for line in re.findall(r"\./inv ((?:--debug )?[a-z0-9.]+[^\n`#;]*)", paper.read_text(encoding="utf-8")):
        words = line.split(" -- ")[0].split()
        name = next(word for word in words if not word.startswith("-")).rstrip('.,:)"')
        assert name in NAMES, line
        flags = {flag for argument in tasks.ns[name].get_arguments() for flag in argument.names}
        for word in words:
            if word.startswith("--") and word not in ("--debug", "--help"):
                assert word.lstrip("-").rstrip(".,:)]") in {flag.replace("_", "-") for flag in flags}, line


@pytest.mark.parametrize("paper", PAPERS, ids=named)
def test_links_lead_somewhere(paper: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", paper.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (paper.parent / target).exists(), target


def test_the_readme_has_a_place_for_a_real_run() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.index("<!-- begin: a real run's output") < text.index("<!-- end -->")


def test_every_module_has_its_place_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in (ROOT / "metallab").iterdir():
        if path.name.startswith("_"):
            continue
        assert path.name in text or f"metallab/{path.name}/" in text
