"""What a bundle is, as data: its artifacts, their versions, and what made them.

``bundle.json`` is this record on disk. Other rooms get a :class:`Bundle` and never look into the cache themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from metallab import errors
from metallab.errors import LabError

Kind = Literal["binary", "cni", "image", "manifest"]
RECORD = "bundle.json"
SCHEMA = 1
CHUNK = 1 << 20


@dataclass(frozen=True)
class Artifact:
    """One file of the bundle.

    ``made_with`` names the tools (keys of the bundle's toolchain) that decide its bytes besides its source; that is
    what lets the lock explain a difference. ``reference`` and ``config_digest`` are an image's; a container runtime
    calls the latter the image id.
    """

    name: str
    kind: Kind
    version: str
    source: str
    path: str
    size: int
    sha256: str
    made_with: tuple[str, ...]
    reference: str = ""
    config_digest: str = ""


@dataclass(frozen=True)
class Versions:
    """The versions other rooms need by name; all of them come from the pins or from kubeadm itself."""

    kubernetes: str
    metallb: str
    etcd_tag: str
    coredns_tag: str
    pause_tag: str


@dataclass(frozen=True)
class Bundle:
    """A complete bundle in the cache."""

    dir: Path
    key: str
    artifacts: tuple[Artifact, ...]
    versions: Versions
    toolchain: Mapping[str, str] = field(default_factory=dict)

    @property
    def made(self) -> datetime:
        """Return when it was made."""
        return datetime.fromtimestamp((self.dir / RECORD).stat().st_mtime, tz=timezone.utc)

    @property
    def binaries(self) -> list[Path]:
        """Return the programs a machine needs on its PATH."""
        return self._paths("binary")

    @property
    def cni_plugins(self) -> list[Path]:
        """Return the CNI plugins."""
        return self._paths("cni")

    @property
    def image_archives(self) -> list[Path]:
        """Return the OCI archives, one for each image."""
        return self._paths("image")

    @property
    def metallb_manifest(self) -> Path:
        """Return MetalLB's own manifest, as its module ships it."""
        return self.dir / self._one("manifest", "metallb-native").path

    @property
    def digest(self) -> str:
        """Return one hash over all artifacts: it changes exactly when a byte of the content does."""
        lines = sorted(f"{artifact.path} {artifact.sha256}" for artifact in self.artifacts)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def image_ref(self, name: str) -> str:
        """Return the full reference of an image, for example of ``iperf3`` or ``etcd``."""
        return self._one("image", name).reference

    def _one(self, kind: Kind, name: str) -> Artifact:
        for artifact in self.artifacts:
            if (artifact.kind, artifact.name) == (kind, name):
                return artifact
        raise KeyError(f"the bundle has no {kind} {name}")

    def _paths(self, kind: Kind) -> list[Path]:
        return [self.dir / artifact.path for artifact in self.artifacts if artifact.kind == kind]


def describe(
    folder: Path, path: str, name: str, kind: Kind, version: str, source: str, made_with: tuple[str, ...]
) -> Artifact:
    """Return the record of the file ``path`` that lies in the bundle's ``folder``."""
    file = folder / path
    return Artifact(name, kind, version, source, path, file.stat().st_size, sha256_of(file), made_with)


def to_dict(bundle: Bundle) -> dict[str, Any]:
    """Return the record as it is written, which is also what ``bundle.list -o json`` prints."""
    return {
        "schema": SCHEMA,
        "key": bundle.key,
        "versions": asdict(bundle.versions),
        "toolchain": dict(bundle.toolchain),
        "artifacts": [asdict(artifact) for artifact in bundle.artifacts],
    }


def rows(bundle: Bundle) -> list[tuple[str, ...]]:
    """Return one line of words for each artifact: kind, name, version, megabytes, start of the hash."""
    return [
        (artifact.kind, artifact.name, artifact.version, f"{artifact.size / 1e6:.1f}", artifact.sha256[:12])
        for artifact in bundle.artifacts
    ]


def save(bundle: Bundle) -> None:
    """Write the record into the bundle's folder."""
    (bundle.dir / RECORD).write_text(json.dumps(to_dict(bundle), indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> Bundle | None:
    """Return the bundle in ``folder``, or None when there is none.

    Every file is checked to be there in its recorded size; hashing a gigabyte each time would be too slow.
    Raises :class:`LabError` (BUNDLE_CORRUPT) when the record or a file is damaged.
    """
    path = folder / RECORD
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _corrupt(path, f"it cannot be read: {error}") from error
    bundle = _parse(content, path)
    for artifact in bundle.artifacts:
        file = folder / artifact.path
        size = file.stat().st_size if file.is_file() else -1
        if size != artifact.size:
            found = "is missing" if size < 0 else f"has {size} bytes instead of {artifact.size}"
            raise _corrupt(file, f"the file {found}")
    return bundle


def _parse(content: Any, path: Path) -> Bundle:  # noqa: ANN401 - a damaged file can hold anything
    try:
        if content["schema"] != SCHEMA:
            raise _corrupt(path, f"its schema is {content['schema']!r}, this program reads {SCHEMA}")
        artifacts = tuple(
            Artifact(**{**entry, "made_with": tuple(entry["made_with"])}) for entry in content["artifacts"]
        )
        versions = Versions(**content["versions"])
        return Bundle(path.parent, content["key"], artifacts, versions, dict(content["toolchain"]))
    except (KeyError, TypeError) as error:
        raise _corrupt(path, f"the record lacks or misspells something: {error}") from error


def _corrupt(path: Path, what: str) -> LabError:
    return LabError(errors.BUNDLE_CORRUPT, f"{path.name}: {what}", where=str(path))


def sha256_of(path: Path) -> str:
    """Return the hash of a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
