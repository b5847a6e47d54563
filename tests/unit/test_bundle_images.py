"""Names of images, from captured outputs; and one image made of a real program."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from metallab.bundle import debian, images, pins
from metallab.bundle.parts import Program
from metallab.bundle.recipe import Image

DATA = Path(__file__).parent.parent / "data" / "bundle"
ASKED = {
    **images.parse_names((DATA / "kubeadm-images.txt").read_text()),
    **images.metallb_names(DATA / "metallb-native-part.yaml"),
}


def test_kubeadm_is_asked_for_its_names() -> None:
    assert ASKED["kube-apiserver"] == "registry.example/kube-apiserver:v1.37.2"
    assert ASKED["coredns"] == "registry.example/coredns/coredns:v1.14.6"
    assert ASKED["pause"] == "registry.example/pause:3.10.2"


def test_metallb_is_asked_for_its_names() -> None:
    assert ASKED["metallb-controller"] == "registry.example/metallb/controller:v0.15.2"
    assert ASKED["metallb-speaker"] == "registry.example/metallb/speaker:v0.15.2"


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("kube-proxy", "v1.37.2", "registry.example/kube-proxy:v1.37.2"),
        ("etcd", "v3.7.3", "registry.example/etcd:3.7.3-0"),
        ("coredns", "v1.15.0", "registry.example/coredns/coredns:v1.15.0"),
        ("pause", "3.10.2", "registry.example/pause:3.10.2"),
        ("metallb-speaker", "v0.15.2", "registry.example/metallb/speaker:v0.15.2"),
        ("iperf3", "3.12-1+deb12u2", "localhost/metallab/iperf3:3.12-1-deb12u2"),
        ("agnhost", "v1.37.2", "localhost/metallab/agnhost:v1.37.2"),
    ],
)
def test_an_image_is_named_as_it_will_be_asked_for_and_tagged_with_what_was_built(
    name: str, version: str, expected: str
) -> None:
    assert images.reference(name, version, ASKED) == expected


@pytest.mark.parametrize(("version", "tag"), [("3.12-1+deb12u2", "3.12-1-deb12u2"), ("2:1.0~rc1", "2-1.0-rc1")])
def test_a_debian_version_becomes_a_tag(version: str, tag: str) -> None:
    assert images.tag(version) == tag


def test_an_image_holds_its_programs_and_says_what_made_it(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "echo").write_bytes(b"program")
    carried = tmp_path / "debian"
    (carried / "files").mkdir(parents=True)
    (carried / "files/nft").write_bytes(b"nft")
    (carried / "files/nft").chmod(0o755)
    entry = {"path": "usr/sbin/nft", "file": "files/nft", "package": "nftables", "version": "1.0.6-2"}
    (carried / debian.INDEX).write_text(json.dumps({"usr/sbin/nft": [entry]}))
    programs = {"echo": Program("echo", "image", tmp_path / "echo", "v1", "example.org/echo@v1", ("arch", "go"))}
    image = Image("echo", (("echo", "echo"),), debian=("usr/sbin/nft",), entrypoint=("/echo",))
    made = images.make(image, "registry.example/echo:v1", "v1", programs, carried, tmp_path)
    assert made.made_with == ("arch", "debian/nftables", "go")
    assert (made.path, made.source, made.version) == ("images/echo.tar", "example.org/echo@v1", "v1")
    with tarfile.open(tmp_path / made.path) as tar:
        (config_name,) = [name for name in tar.getnames() if name.endswith(made.config_digest.partition(":")[2])]
        stream = tar.extractfile(config_name)
        assert stream is not None
        assert json.load(stream)["architecture"] == pins.architecture()
    assert debian.versions(carried) == {"nftables": "1.0.6-2"}
