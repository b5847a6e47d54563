"""Compiles the one C program of the bundle: pause, which holds a pod's namespaces open."""

from __future__ import annotations

from pathlib import Path

from metallab import errors
from metallab.errors import LabError
from metallab.run.local import run
from metallab.run.result import CommandFailed

TIMEOUT = 120


def build_pause(source: Path, version: str, out: Path) -> None:
    """Compile ``pause`` from its source in the pinned kubernetes module, with the flags of its own Makefile."""
    # gcc writes the source's name into the program only with -g; no build id, so that equal input is equal output.
    flags = ["-Os", "-Wall", "-static", "-s", "-Wl,--build-id=none", f"-DVERSION=v{version}"]
    try:
        run(["gcc", *flags, "-o", out / "pause", source], timeout=TIMEOUT)
    except CommandFailed as error:
        raise LabError(errors.BUNDLE_BUILD_FAILED, "gcc could not build pause", detail=error.detail) from error
