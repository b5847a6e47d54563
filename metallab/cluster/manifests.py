"""Manifests as parsed objects: read from plain YAML, changed by kind and name, never by text."""

from __future__ import annotations

from pathlib import Path

import yaml

from metallab import errors, paths
from metallab.cluster.api import Object
from metallab.errors import LabError


def read(path: Path) -> list[Object]:
    """Return the objects of one YAML file. Raises LAB-CLUS-005 when it can't be read."""
    try:
        return [item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item]
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise LabError(errors.CLUSTER_MANIFEST, f"cannot read it: {error}", where=str(path)) from error


def folder(name: str) -> list[Object]:
    """Return the objects of ``manifests/<name>``, in the order its kustomization names the files."""
    base = paths.repo_root() / "manifests" / name
    (kustomization,) = read(base / "kustomization.yaml")
    return [item for file in kustomization["resources"] for item in read(base / file)]


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Return the one object of that kind and name. Raises LAB-CLUS-005 when the manifest has none."""
    for item in objects:
        if item["kind"] == kind and item["metadata"]["name"] == name:
            return item
    raise LabError(errors.CLUSTER_MANIFEST, f"there is no {kind} {name} among the manifests")
