"""Makes the images: which files, under which name. The recipe says what goes in, this module puts it there.

No registry is named here. Kubernetes' image names are asked of the kubeadm just built, MetalLB's are read from its
own manifest, and our own images are ``localhost/metallab/...``; so names are always exactly what will be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from metallab.bundle import debian, oci, pins, recipe, record
from metallab.bundle.oci import Member
from metallab.bundle.parts import Program
from metallab.bundle.recipe import Image
from metallab.bundle.record import Artifact
from metallab.run.local import run

OWN_PREFIX = "localhost/metallab"
KUBEADM_TIMEOUT = 60
# uid and gid 0 and nobody get names, /tmp is writable: what a distroless image has, and nothing more.
COMMON = (
    Member("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n"),
    Member("etc/passwd", 0o644, b"root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"),
    Member("tmp", 0o1777),
)


def kubeadm_names(kubeadm: Path, kubernetes: str) -> dict[str, str]:
    """Return short name -> reference of every image this kubeadm will ask for."""
    arguments = ("config", "images", "list", "--kubernetes-version", kubernetes)
    return parse_names(run([kubeadm, *arguments], timeout=KUBEADM_TIMEOUT).stdout)


def parse_names(listing: str) -> dict[str, str]:
    """Read ``kubeadm config images list``: one reference a line; the last element of its path is the short name."""
    references = listing.split()
    return {reference.rpartition(":")[0].rpartition("/")[2]: reference for reference in references}


def metallb_names(manifest: Path) -> dict[str, str]:
    """Return ``metallb-<container>`` -> reference for every container of MetalLB's manifest."""
    names = {}
    for item in yaml.safe_load_all(manifest.read_text()):
        template = (item or {}).get("spec", {}).get("template", {})
        for container in template.get("spec", {}).get("containers", []):
            names[f"metallb-{container['name']}"] = container["image"]
    return names


def tag(version: str) -> str:
    """Return a version as an image tag, where only letters, digits, ``_``, ``.`` and ``-`` may stand."""
    return re.sub(r"[^\w.-]", "-", version, flags=re.ASCII)


def tag_of(reference: str) -> str:
    """Return the tag of an image reference."""
    return reference.rpartition(":")[2]


def reference(name: str, version: str, asked: Mapping[str, str]) -> str:
    """Return the full name of an image of the recipe.

    ``asked`` holds the names kubeadm and MetalLB use. etcd and CoreDNS keep that repository but get the tag of what
    was really built; kubeadm's configuration is given the same tags.
    """
    if name not in asked:
        return f"{OWN_PREFIX}/{name}:{tag(version)}"
    own_tags = {"etcd": f"{version.removeprefix('v')}-0", "coredns": version}
    return f"{asked[name].rpartition(':')[0]}:{own_tags.get(name, tag_of(asked[name]))}"


def make(
    image: Image, reference: str, version: str, programs: Mapping[str, Program], debian_dir: Path, bundle_dir: Path
) -> Artifact:
    """Write one image into the bundle and return the record of it."""
    compiled = [(programs[name], path) for name, path in image.programs]
    carried = debian.carried(debian_dir, image.debian)
    members = [
        *COMMON,
        *(Member(path, 0o755, program.path) for program, path in compiled),
        *(Member(file.path, _mode(debian_dir / file.file), debian_dir / file.file) for file in carried),
    ]
    settings = oci.Settings(reference, pins.architecture(), image.entrypoint, image.command, image.user)
    path = f"images/{image.name}.tar"
    config_digest = oci.write(members, settings, bundle_dir / path)
    made_with = {tool for program, _ in compiled for tool in program.made_with}
    made_with |= {"arch", *(f"debian/{file.package}" for file in carried)}
    source = compiled[0][0].source if compiled else f"Debian {recipe.DEBIAN_SUITE}"
    artifact = record.describe(bundle_dir, path, image.name, "image", version, source, tuple(sorted(made_with)))
    return replace(artifact, reference=reference, config_digest=config_digest)


def _mode(file: Path) -> int:
    return 0o755 if file.stat().st_mode & 0o111 else 0o644
