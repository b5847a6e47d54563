"""Image archives: the same bytes for the same input, digests that verify, and the name a runtime will use."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from metallab.bundle import oci
from metallab.bundle.oci import Member, Settings

SETTINGS = Settings("registry.example/tools/echo:v1", "amd64", ("/echo",), ("hello",), "65534:65534")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "echo"
    path.write_bytes(b"\x7fELF not really")
    return path


def members(program: Path) -> list[Member]:
    return [Member("usr/bin/echo", 0o755, program), Member("etc/passwd", 0o644, b"root:x:0:0\n"), Member("tmp", 0o1777)]


def read(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        files = [(info.name, tar.extractfile(info)) for info in tar if info.isfile()]
        return {name: stream.read() for name, stream in files if stream is not None}


def blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    content = files[f"blobs/{descriptor['digest'].replace(':', '/')}"]
    assert descriptor["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert descriptor["size"] == len(content)
    return content


def test_equal_input_gives_equal_bytes_whatever_the_order_the_owner_and_the_time(program: Path, tmp_path: Path) -> None:
    first = oci.write(members(program), SETTINGS, tmp_path / "first.tar")
    os.utime(program, (1, 1))
    program.chmod(0o600)
    second = oci.write(reversed(members(program)), SETTINGS, tmp_path / "second.tar")
    assert first == second
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()


def test_every_digest_leads_to_what_it_names(program: Path, tmp_path: Path) -> None:
    config_digest = oci.write(members(program), SETTINGS, tmp_path / "image.tar")
    files = read(tmp_path / "image.tar")
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    manifest = json.loads(blob(files, json.loads(files["index.json"])["manifests"][0]))
    assert manifest["config"]["digest"] == config_digest
    config = json.loads(blob(files, manifest["config"]))
    layer = blob(files, manifest["layers"][0])
    # Not compressed, so the layer's digest is that of its content too.
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        names = tar.getnames()
        assert names == sorted(names) == ["etc", "etc/passwd", "tmp", "usr", "usr/bin", "usr/bin/echo"]
        assert {(info.uid, info.gid, info.mtime, info.uname) for info in tar} == {(0, 0, 0, "")}
        assert tar.getmember("tmp").mode == 0o1777
        assert tar.getmember("usr/bin/echo").mode == 0o755


def test_the_index_names_the_image_as_the_runtime_will_be_asked_for_it(program: Path, tmp_path: Path) -> None:
    oci.write(members(program), SETTINGS, tmp_path / "image.tar")
    descriptor = json.loads(read(tmp_path / "image.tar")["index.json"])["manifests"][0]
    assert descriptor["annotations"] == {
        "io.containerd.image.name": "registry.example/tools/echo:v1",
        "org.opencontainers.image.ref.name": "v1",
    }
    assert descriptor["platform"] == {"architecture": "amd64", "os": "linux"}


def test_the_config_says_how_to_start(program: Path, tmp_path: Path) -> None:
    oci.write(members(program), SETTINGS, tmp_path / "image.tar")
    files = read(tmp_path / "image.tar")
    manifest = json.loads(blob(files, json.loads(files["index.json"])["manifests"][0]))
    start = json.loads(blob(files, manifest["config"]))["config"]
    assert (start["Entrypoint"], start["Cmd"], start["User"]) == (["/echo"], ["hello"], "65534:65534")


def test_nothing_but_the_archive_is_left_behind(program: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    oci.write(members(program), SETTINGS, out / "image.tar")
    with pytest.raises(FileNotFoundError):
        oci.write([Member("x", 0o755, tmp_path / "not there")], SETTINGS, out / "broken.tar")
    assert [path.name for path in out.iterdir()] == ["image.tar"]
