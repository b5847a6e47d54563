"""Writes OCI image archives: the same input gives the same bytes.

The layout is the OCI image-spec's (``oci-layout``, ``index.json``, ``blobs/``) in one tar, which ``ctr images import``
and every other OCI tool reads. Layers are not compressed: they are imported on the same host, where unpacking is
what takes time.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from metallab.bundle.record import sha256_of

EPOCH = "1970-01-01T00:00:00Z"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
# containerd names the imported image by the first; the second is the OCI way to say the tag.
NAME_ANNOTATION = "io.containerd.image.name"
TAG_ANNOTATION = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Member:
    """One entry of a layer: a folder when it has no content, else a file (of a path on disk, or of bytes)."""

    path: str
    mode: int
    content: Path | bytes | None = None


@dataclass(frozen=True)
class Settings:
    """How a container of the image starts."""

    reference: str
    architecture: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    user: str


def write(members: Iterable[Member], settings: Settings, out: Path) -> str:
    """Write a one-layer image to ``out`` and return its config digest (what containerd calls the image id)."""
    layer = out.with_name(out.name + ".layer")
    try:
        write_layer(members, layer)
        layer_digest = f"sha256:{sha256_of(layer)}"
        config = _json(_config(settings, layer_digest))
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": _descriptor(CONFIG_TYPE, config),
                "layers": [{"mediaType": LAYER_TYPE, "digest": layer_digest, "size": layer.stat().st_size}],
            }
        )
        small = [
            Member(_blob(_digest(config)), 0o644, config),
            Member(_blob(_digest(manifest)), 0o644, manifest),
            Member("index.json", 0o644, _json(_index(settings, manifest))),
            Member("oci-layout", 0o644, _json({"imageLayoutVersion": "1.0.0"})),
        ]
        write_layer([*small, Member(_blob(layer_digest), 0o644, layer)], out)
    finally:
        layer.unlink(missing_ok=True)
    return _digest(config)


def write_layer(members: Iterable[Member], out: Path) -> None:
    """Write a tar whose bytes depend on nothing but ``members``: sorted, all of root, all of 1970."""
    entries = {member.path: member for member in members}
    for path in list(entries):
        for parent in PurePosixPath(path).parents:
            if parent.name:
                entries.setdefault(str(parent), Member(str(parent), 0o755))
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as tar:
        for _, member in sorted(entries.items()):
            _add(tar, member)


def _add(tar: tarfile.TarFile, member: Member) -> None:
    info = tarfile.TarInfo(member.path)
    info.mode = member.mode
    info.mtime = 0
    if member.content is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
        return
    stream: IO[bytes]
    with io.BytesIO(member.content) if isinstance(member.content, bytes) else member.content.open("rb") as stream:
        info.size = len(member.content) if isinstance(member.content, bytes) else member.content.stat().st_size
        tar.addfile(info, stream)


def _config(settings: Settings, layer_digest: str) -> dict[str, Any]:
    start: dict[str, Any] = {
        "User": settings.user,
        "Env": [f"PATH={PATH}"],
        "Entrypoint": list(settings.entrypoint),
        "WorkingDir": "/",
    }
    if settings.command:
        start["Cmd"] = list(settings.command)
    return {
        "created": EPOCH,
        "architecture": settings.architecture,
        "os": "linux",
        "config": start,
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created": EPOCH, "created_by": "metallab"}],
    }


def _index(settings: Settings, manifest: bytes) -> dict[str, Any]:
    descriptor = {
        **_descriptor(MANIFEST_TYPE, manifest),
        "annotations": {
            NAME_ANNOTATION: settings.reference,
            TAG_ANNOTATION: settings.reference.rpartition(":")[2],
        },
        "platform": {"architecture": settings.architecture, "os": "linux"},
    }
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [descriptor]}


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
