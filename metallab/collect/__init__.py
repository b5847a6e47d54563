"""A bug report: what a lab and its host say of themselves, in one archive, without what is secret.

It is made for the day nothing works: everything is asked for itself and within a time, and what could not be had is a
line of the manifest.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from metallab.cluster.api import Cluster
from metallab.collect import archive, sources
from metallab.collect.archive import Part
from metallab.collect.gather import Group, gather
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Events
from metallab.machines.labdir import LabDir
from metallab.overview import Observer
from metallab.redaction import of_key, of_url
from metallab.run import pace
from metallab.run.ssh import SshRunner
from metallab.site import Site, existing

TOTAL_SECONDS = 60.0
MOST_SECONDS = 300.0
"""Emulated machines are given more time, but nobody waits longer for a bug report."""


def report(lab: Lab, folder: Path, events: Events) -> tuple[Path, dict[str, Any]]:
    """Write the report of a lab into ``folder``; return the archive and its manifest. Raises LAB-MACH-020 only."""
    began, now = time.monotonic(), datetime.now(timezone.utc)
    secrets: set[str] = {*_of_this_host(LabDir.of(lab))}
    with events.step("collect") as step:
        try:
            here, problem = existing(lab), ""
        except LabError as error:
            here, problem = None, error.what
        seconds = min(pace.scaled(TOTAL_SECONDS), MOST_SECONDS)
        counted = _Counter()

        def tell(part: Part) -> None:
            step.progress(part.path, done=counted.next())

        parts = gather([*_groups(lab, here, secrets)], seconds, tell)
        about = {
            "lab": lab.name,
            "made": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seconds": round(time.monotonic() - began, 1),
            "provider": f"{here.choice.provider}: {here.choice.reason}" if here is not None else None,
            "problem": problem,
            "versions": _versions(parts),
        }
        cleaned = list(archive.clean(parts, secrets))
        contents = archive.manifest(cleaned, about)
        file = folder / f"metallab-{lab.name}-{now.strftime('%Y%m%dT%H%M%SZ')}.tar.gz"
        archive.write(file, cleaned, contents, now.timestamp())
        counts = contents["counts"]
        step.result(f"{counts['collected']} parts, {counts['failed']} failed, {counts['left out']} left out")
    return file, contents


def _groups(lab: Lab, here: Site | None, secrets: set[str]) -> Iterator[Group]:
    yield Group(sources.host(lab))
    yield Group(sources.folder(lab, LabDir.of(lab)))
    if here is None:
        return
    api = Cluster(here.labdir.kubeconfig, read_seconds=sources.READ_SECONDS, busy_seconds=sources.BUSY_SECONDS)
    yield Group([sources.status(Observer(here))])
    yield Group([sources.secrets(api, secrets.update), *sources.cluster(api)])
    for machine in here.lab.machines:
        runner = here.runner(machine)
        found = sources.machine(machine, runner, is_node=machine in here.lab.nodes)
        yield Group(found, _Door(runner).refusal)


def _versions(parts: Sequence[Part]) -> dict[str, str | None]:
    """Return what runs, as the status says; nothing where that failed."""
    seen = next((part.text for part in parts if part.path == sources.STATUS and part.state == "collected"), None)
    return {} if seen is None else dict(json.loads(seen)["versions"])


class _Door:
    """Asks once whether a machine lets us in, so that a dead one costs one wait and not one for each part."""

    def __init__(self, runner: SshRunner) -> None:
        self._runner = runner

    def refusal(self) -> str:
        """Return why the machine cannot be asked, or nothing."""
        try:
            return "" if self._runner.answers(sources.ANSWER_SECONDS) else "no SSH"
        except LabError as error:
            return error.what


class _Counter:
    """Counts from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def next(self) -> int:
        """Return the next number, from 1."""
        with self._lock:
            self._count += 1
            return self._count


def _of_this_host(labdir: LabDir) -> Iterator[str]:
    """Yield the secrets that this host knows: the lab's keys, its kubeconfig's, and passwords of proxies."""
    for file in (labdir.login_key, labdir.host_key):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            yield from of_key(file.read_text(encoding="ascii"))
    with contextlib.suppress(OSError, UnicodeDecodeError):
        words = labdir.kubeconfig.read_text(encoding="utf-8").split()
        yield from (value for key, value in itertools.pairwise(words) if key in ("client-key-data:", "token:"))
    for name, value in os.environ.items():
        if name.lower().endswith("_proxy"):
            yield from of_url(value)
