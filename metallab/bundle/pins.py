"""The pins: which version of everything, read from the committed files in ``bundle/``.

A version stands in exactly one place, the ``go.mod`` of its folder. The key of a bundle is the hash of all that the
repository decides about its content, so finding a bundle needs neither Go nor any other program.
"""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from metallab import errors, paths
from metallab.errors import LabError

# Python files whose text decides bytes of the bundle; a change in one makes another bundle.
DECIDING = ("recipe", "parts", "gobuild", "cbuild", "debian", "elf", "oci", "images")
GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, order=True)
class GoVersion:
    """A Go release, ordered; ``1.26`` counts as ``1.26.0``."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> GoVersion:
        """Read ``go1.26.8``, ``1.26.0`` or ``1.26rc1`` (as 1.26.0)."""
        match = re.match(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?", text.strip())
        if match is None:
            raise ValueError(f"not a Go version: {text!r}")
        major, minor, patch = match.groups(default="0")
        return cls(int(major), int(minor), int(patch))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def folder() -> Path:
    """Return the folder with the pins."""
    return paths.repo_root() / "bundle"


def lock_file() -> Path:
    """Return the lock: every artifact's size and hash, as built by whoever changed the pins."""
    return folder() / "bundle.lock.json"


def architecture() -> str:
    """Return this host's architecture in Go's words; the lab's machines have the same one."""
    machine = platform.machine()
    if machine not in GOARCH:
        known = ", ".join(GOARCH)
        raise LabError(errors.BUNDLE_BUILD_FAILED, f"no bundle for {machine}", fix=f"use a host with one of: {known}")
    return GOARCH[machine]


def module_version(go_mod: str, module: str) -> str:
    """Return the version ``go_mod`` (the text of a go.mod) requires of ``module``."""
    match = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", go_mod, re.MULTILINE)
    if match is None:
        raise LabError(errors.BUNDLE_BUILD_FAILED, f"go.mod does not require {module}", fix="restore bundle/ from git")
    return match[1]


def go_line(go_mod: str) -> GoVersion:
    """Return the oldest Go that the text of a go.mod accepts."""
    match = re.search(r"^go\s+(\S+)", go_mod, re.MULTILINE)
    if match is None:
        raise LabError(errors.BUNDLE_BUILD_FAILED, "a go.mod has no go line", fix="restore bundle/ from git")
    return GoVersion.parse(match[1])


def version_of(name: str, module: str) -> str:
    """Return the version of ``module`` that ``bundle/<name>/go.mod`` pins."""
    return module_version((folder() / name / "go.mod").read_text(), module)


def oldest_go() -> GoVersion:
    """Return the oldest Go that can build every module."""
    return max(go_line(path.read_text()) for path in folder().glob("*/go.mod"))


def module_hash(name: str) -> str:
    """Return the hash of one module's requirements."""
    return _hash([folder() / name / "go.mod", folder() / name / "go.sum"])


def code_of(*names: str) -> str:
    """Return the hash of modules of this package, for parts that they decide."""
    return _hash([Path(__file__).with_name(f"{name}.py") for name in names])


def key(arch: str | None = None) -> str:
    """Return the key of the bundle these pins describe, for this host's architecture or another one.

    The Go that compiles is not part of it, only what the modules ask of it: an upgrade of the host's Go must not
    turn a finished bundle into a missing one. The record says which Go it was, and the lock compares.
    """
    pinned = sorted(path for path in folder().rglob("*") if path.is_file() and path != lock_file())
    return _hash(pinned, extra=f"{arch or architecture()} {code_of(*DECIDING)}")[:16]


def _hash(files: list[Path], extra: str = "") -> str:
    digest = hashlib.sha256(extra.encode())
    for path in files:
        content = path.read_bytes()
        digest.update(f"\n{path.parent.name}/{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
