"""The records of a lab's snapshots: what is kept, since when, of which machines. How, is the provider's.

A record is written last and removed first, so that what is half made or half removed never looks whole.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from metallab import errors
from metallab.config import Lab
from metallab.errors import LabError
from metallab.machines.labdir import LabDir


@dataclass(frozen=True)
class Snapshot:
    """One snapshot: its name, when it was made (UTC, ISO 8601), of which machines, and how these were laid out.

    ``layout`` is what must not have changed in lab.yaml since: the machines carry it within them.
    """

    name: str
    made: str
    machines: tuple[str, ...]
    layout: str


def layout(lab: Lab) -> str:
    """Return what a machine knows of its lab, as one line: names, roles and addresses."""
    machines = [f"{machine.name}/{machine.role}/{machine.host}" for machine in lab.machines]
    return " ".join([*machines, *map(str, (lab.network, lab.pods, lab.services))])


def recorded(labdir: LabDir) -> tuple[Snapshot, ...]:
    """Return every whole snapshot of a lab, the oldest first."""
    found = (_read(folder) for folder in labdir.snapshots.glob("*"))
    return tuple(sorted((one for one in found if one is not None), key=lambda one: (one.made, one.name)))


def require(labdir: LabDir, name: str) -> Snapshot:
    """Return a snapshot by its name. Raises LAB-MACH-010."""
    known = recorded(labdir)
    for snapshot in known:
        if snapshot.name == name:
            return snapshot
    names = ", ".join(snapshot.name for snapshot in known)
    fix = f"the snapshots are: {names}" if known else "there is none yet; ./inv lab.snapshot.save NAME makes one"
    raise LabError(errors.SNAPSHOT_UNKNOWN, f"no snapshot is called {name!r}", fix=fix)


def begin(labdir: LabDir, name: str) -> None:
    """Make the folder of a snapshot that is about to be made; without a record it is nobody's yet."""
    (labdir.snapshots / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def record(labdir: LabDir, snapshot: Snapshot) -> None:
    """Say that a snapshot is whole."""
    labdir.write_secret(_file(labdir.snapshots / snapshot.name), json.dumps(asdict(snapshot), indent=2) + "\n")


def disown(labdir: LabDir, name: str) -> bool:
    """Remove a snapshot's record before its parts go; tell whether anything of it was there."""
    folder = labdir.snapshots / name
    _file(folder).unlink(missing_ok=True)
    return folder.exists()


def forget(labdir: LabDir, name: str) -> None:
    """Remove a snapshot's folder with all that is in it."""
    disown(labdir, name)
    shutil.rmtree(labdir.snapshots / name, ignore_errors=True)


def _file(folder: Path) -> Path:
    return folder / "record.json"


def _read(folder: Path) -> Snapshot | None:
    try:
        known = json.loads(_file(folder).read_text(encoding="utf-8"))
        return Snapshot(folder.name, str(known["made"]), tuple(map(str, known["machines"])), str(known["layout"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
