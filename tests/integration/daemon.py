"""A daemon for tests: one that the lab starts for itself, with a cache of its own, and ended whatever happens."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab.events import silent
from metallab.host import sandbox
from metallab.host.sandbox import Sandbox


@contextlib.contextmanager
def started(made: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, *, batch: bool = False) -> Iterator[Sandbox]:
    """Start it; what it writes is in ``folder``."""
    if shutil.which(made.daemon.program) is None:
        pytest.skip(f"needs {made.daemon.program}: ./inv setup")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    try:
        with silent().step("daemon") as step:
            sandbox.start(made, folder / "daemon.log", step, batch=batch)
        yield made
    finally:
        sandbox.stop(made)
