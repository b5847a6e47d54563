"""Where the lab keeps things: caches and state outside the repository, by the XDG base directory rules."""

from __future__ import annotations

import os
from pathlib import Path


def repo_root() -> Path:
    """Return the checkout this package lies in."""
    return Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """Return the cache: bundle, box and compilers. It can be deleted at any time and is made again."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """Return the state: one folder a lab, with its keys, kubeconfig and sandbox. ``lab.destroy`` removes it."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def reports_dir() -> Path:
    """Return where reports are kept, by lab. They outlive the lab they are about."""
    state = state_dir()
    return state.with_name(f"{state.name}-reports")


def lab_file() -> Path:
    """Return the lab file: the one the variable LAB_FILE names, else the ``lab.yaml`` of the checkout."""
    return Path(os.environ.get("LAB_FILE") or repo_root() / "lab.yaml")


def is_own_file() -> bool:
    """Tell whether the lab file is the checkout's, which need not be there, and none that LAB_FILE names."""
    return not os.environ.get("LAB_FILE") or os.path.realpath(lab_file()) == str(repo_root() / "lab.yaml")


def is_own_lab() -> bool:
    """Tell whether the lab is the checkout's own: a bare ``vagrant`` typed there must find its machines.

    One that LAB_NAME names is another lab beside it, whose machines Vagrant must not take for that one's.
    """
    return is_own_file() and not os.environ.get("LAB_NAME")


def _xdg(variable: str, default: str) -> Path:
    base = os.environ.get(variable, "")
    # The specification says a relative path is to be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / default
    return root / "metallab"
