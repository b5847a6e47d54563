"""Compiles the programs of one pinned Go module."""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from metallab import errors, paths
from metallab.bundle import pins
from metallab.bundle.recipe import GoModule
from metallab.bundle.toolchain import Go
from metallab.errors import LabError
from metallab.events import Step
from metallab.run.local import run
from metallab.run.result import CommandFailed, OnLine

# The cold compile of kubernetes takes ten minutes on two cores; this is for a slow host, not a forecast.
TIMEOUT = 3 * 3600


def environment(*, cgo: bool) -> dict[str, str]:
    """Return the variables that make a build the same everywhere.

    Where modules come from and how they are checked (GOPROXY, GOSUMDB, ...) stays as the user has set it.
    """
    go = paths.cache_dir() / "go"
    return {
        "GOCACHE": str(go / "build"),
        "GOMODCACHE": str(go / "mod"),
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOEXPERIMENT": "",
        "GOOS": "linux",
        "GOARCH": pins.architecture(),
        "GOAMD64": "v1",
        "GOARM64": "v8.0",
        "CGO_ENABLED": "1" if cgo else "0",
        "CGO_CFLAGS": "-O2",
        "CGO_LDFLAGS": "",
        "CC": "gcc",
    }


def build(module: GoModule, go: Go, out: Path, step: Step) -> None:
    """Compile every program of ``module`` into the folder ``out``, and copy the module's ``files`` there."""
    packages = [program.package for program in module.programs]
    tags = ",".join(module.tags)
    counter = _Counter(step)
    needed = _go(go, module, "list", "-deps", "-tags", tags, *packages, on_line=counter.downloading)
    counter.expect(needed.split())
    flags = ["-v", "-trimpath", "-tags", tags, *_mode(module), "-o", f"{out}/"]
    _go(go, module, "build", *flags, *packages, on_line=counter.compiled)
    for program in module.programs:
        (out / default_name(program.package)).rename(out / program.name)
    if module.files:
        source = Path(_go(go, module, "list", "-m", "-f", "{{.Dir}}", module.module).strip())
        for file in module.files:
            shutil.copyfile(source / file, out / PurePosixPath(file).name)


def _go(go: Go, module: GoModule, *words: str, on_line: OnLine | None = None) -> str:
    """Run ``go`` in the folder of a module's pins and return what it prints."""
    folder = pins.folder() / module.name
    argv = [str(go.program), *words]
    try:
        return run(argv, timeout=TIMEOUT, env=environment(cgo=module.cgo), cwd=folder, on_line=on_line).stdout
    except CommandFailed as error:
        what = f"go {words[0]} of {module.name} failed"
        raise LabError(errors.BUNDLE_BUILD_FAILED, what, where=str(folder), detail=error.detail) from error


def default_name(package: str) -> str:
    """Return the file name ``go build`` gives a package: its last element that is not a major version."""
    head, tail = posixpath.split(package)
    return posixpath.basename(head) if re.fullmatch(r"v\d+", tail) else tail


def link_flags(module: GoModule, version: str) -> str:
    """Return the value of ``-ldflags``: no symbol tables, and the version stamps."""
    major, minor, *_ = version.removeprefix("v").split(".")
    words: Mapping[str, str] = {"version": version, "major": major, "minor": minor}
    stamps = [f"-X {variable}={value.format_map(words)}" for variable, value in module.stamps]
    # With cgo the link is runc's own static-pie one: no libc or libseccomp is asked of the machine.
    static = ["-linkmode external", "-extldflags -static-pie"] if module.cgo else []
    return " ".join(["-s -w", *stamps, *static])


def _mode(module: GoModule) -> list[str]:
    version = pins.version_of(module.name, module.module)
    mode = ["-buildmode=pie"] if module.cgo else []
    return [*mode, "-ldflags", link_flags(module, version)]


class _Counter:
    """Turns the lines of ``go`` into progress: modules downloaded, then packages compiled of those needed."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._needed: set[str] = set()
        self._done = 0

    def expect(self, packages: list[str]) -> None:
        self._needed = set(packages)

    def downloading(self, line: str) -> None:
        if line.startswith("go: downloading "):
            self._step.progress(line.removeprefix("go: "))

    def compiled(self, line: str) -> None:
        if line in self._needed:
            self._done += 1
            self._step.progress(f"compiled {line}", self._done, len(self._needed))
