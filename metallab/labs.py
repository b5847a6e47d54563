"""Every lab of this user on this host, by the folders they keep: several may be up side by side, each its own world."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metallab import paths, providers
from metallab.errors import LabError
from metallab.host.daemons import DOCKER, LIBVIRT
from metallab.host.sandbox import Sandbox
from metallab.machines import inventory
from metallab.machines.labdir import LabDir

SCHEMA = "metallab.labs/1"
"""Changes when a reader of the old form could misread the new one."""
COLUMNS = ("lab", "provider", "daemon", "network", "running", "address", "lab file", "state")


@dataclass(frozen=True)
class Known:
    """A lab: what its folder says of it. ``daemon`` is ``sandbox`` when the lab runs its own, else ``host``.

    ``running`` is None when nobody could be asked, ``file`` and ``address`` when the folder does not say. ``damaged``
    says what is wrong with the folder, or why its machines are not known.
    """

    name: str
    folder: str
    provider: str | None = None
    daemon: str | None = None
    network: str | None = None
    running: int | None = None
    machines: int | None = None
    address: str | None = None
    file: str | None = None
    damaged: str = ""

    def row(self) -> tuple[str, ...]:
        """Return the cells of a table; what is not known is a question mark."""
        running = "?" if self.running is None else str(self.running)
        told = (self.name, self.provider, self.daemon, self.network, f"{running} of {self.machines or '?'}")
        file = None if self.file is None else _shown(Path(self.file))
        return (*(cell or "?" for cell in (*told, self.address, file)), self.state)

    @property
    def state(self) -> str:
        """Return it in a word or two."""
        if self.damaged:
            return f"damaged: {self.damaged}"
        if self.running == self.machines:
            return "up"
        return "off" if self.running == 0 else "in part"


def known() -> tuple[Known, ...]:
    """Return the labs, by name. Each is asked side by side; none makes another one wait."""
    folders = sorted(folder for folder in _folders(paths.state_dir()) if folder.is_dir())
    with ThreadPoolExecutor(thread_name_prefix="lab") as pool:
        return tuple(pool.map(_look, map(LabDir, folders)))


def _folders(state: Path) -> list[Path]:
    try:
        return [*state.iterdir()]
    except FileNotFoundError:
        return []


def _look(labdir: LabDir) -> Known:
    name, folder = labdir.path.name, str(labdir.path)
    try:
        made = inventory.recorded(labdir)
    except PermissionError:
        return Known(name, folder, damaged="its folder belongs to somebody else")
    if made is None:
        there = labdir.inventory.exists()
        what = "its inventory cannot be read" if there else "it was never made to its end"
        return Known(name, folder, damaged=f"{what} (./inv lab.destroy --yes clears it)")
    machines = _machines(labdir)
    origin = _origin(labdir)
    running, problem = _running(name, made, machines)
    return Known(
        name=name,
        folder=folder,
        provider=made["provider"],
        daemon="sandbox" if _is_own(name, made["environment"]) else "host",
        network=str(made["network"]),
        running=None if running is None else len(running),
        machines=len(machines),
        address=origin.get("address"),
        file=origin.get("file"),
        damaged="a restore was interrupted" if labdir.restoring.exists() else problem,
    )


def _running(
    name: str, made: Mapping[str, Any], machines: Sequence[Mapping[str, Any]]
) -> tuple[frozenset[str] | None, str]:
    """Return the machines that run, or None and why they are not known. A sandbox that is not there runs none."""
    if _is_own(name, made["environment"]) and not any(Sandbox(name, kind).exists() for kind in (DOCKER, LIBVIRT)):
        return frozenset(), ""
    try:
        return providers.of(made["provider"]).running(machines, made["environment"]), ""
    except LabError as error:
        return None, error.what
    except LookupError as error:
        return None, f"its inventory has no {error}"


def _is_own(name: str, environment: Mapping[str, str]) -> bool:
    return any(dict(environment) == Sandbox(name, kind).environment for kind in (DOCKER, LIBVIRT))


def _machines(labdir: LabDir) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = json.loads(labdir.inventory.read_text(encoding="utf-8"))["machines"]
    return found


def _origin(labdir: LabDir) -> dict[str, str]:
    """Return the lab's file and its shared address, as far as the folder says; a lab of an earlier version does not."""
    try:
        record = json.loads(labdir.record.read_text(encoding="utf-8"))
        return {"file": str(record["file"]), "address": str(record["address"])}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _shown(file: Path) -> str:
    """Return a path as people write it, and whether it is still there."""
    home = Path.home()
    short = f"~/{file.relative_to(home)}" if file.is_relative_to(home) else str(file)
    return short if file.exists() else f"{short} (gone)"
