"""What the operating system refuses, provoked for real: no imitation of an error, but the error."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab import errors, lock, paths, refusals
from metallab.cluster.kubeadm import authority_of
from metallab.config import Lab
from metallab.errors import LabError
from metallab.machines.labdir import LabDir
from metallab.run.local import run
from metallab.run.result import ToolMissing

FULL = Path("/dev/full")


def refusal_of(error: BaseException) -> LabError:
    refused = refusals.of(error)
    assert refused is not None
    return refused


def test_a_full_disk_is_no_mistake_of_ours() -> None:
    with pytest.raises(OSError, match="No space left") as caught, FULL.open("w", encoding="utf-8") as file:
        file.write("x")
    assert refusal_of(caught.value).entry is errors.HOST_DISK_FULL


def test_a_full_disk_behind_a_command_s_output_is_told() -> None:
    """The log of what vagrant says, say: the command itself must not wait for ever to be read."""

    def log(_line: str) -> None:
        with FULL.open("w", encoding="utf-8") as file:
            file.write("x")

    with pytest.raises(OSError, match="No space left") as caught:
        run(["sh", "-c", "yes | head -n 100000"], timeout=20, on_line=log)
    assert refusal_of(caught.value).entry is errors.HOST_DISK_FULL


def test_a_state_folder_that_is_none_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    with (
        pytest.raises(OSError, match="Not a directory") as caught,
        lock.held(tmp_path / "state" / "lab" / "lock", "it"),
    ):
        pass
    refused = refusal_of(caught.value)
    assert refused.entry is errors.HOST_FILE
    assert str(tmp_path / "state") in refused.where
    assert refused.what == f"Not a directory: {refused.where}"


@contextlib.contextmanager
def no_longer_root() -> Iterator[None]:
    """Be an ordinary user for the block: root may read and write everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_somebody_else_s_folder_is_told_with_its_name(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    locked = lock.held(tmp_path / "lab" / "lock", "it")
    with no_longer_root(), pytest.raises(PermissionError) as caught, locked:
        pass
    assert refusal_of(caught.value).entry is errors.HOST_FILE


LIMITS = """
import resource, sys
from metallab import refusals
resource.setrlimit(getattr(resource, sys.argv[1]), (int(sys.argv[2]), int(sys.argv[2])))
kept = []
try:
    while True:
        kept.append(open("/dev/null") if sys.argv[1] == "RLIMIT_NOFILE" else bytearray(1 << 26))
except (OSError, MemoryError) as error:
    kept.clear()
    print(refusals.of(error).entry.id)
"""


@pytest.mark.parametrize(("limit", "value"), [("RLIMIT_NOFILE", 32), ("RLIMIT_AS", 1 << 29)])
def test_no_more_files_and_no_more_memory_are_told(limit: str, value: int) -> None:
    argv = [sys.executable, "-c", LIMITS, limit, str(value)]
    done = subprocess.run(argv, cwd=paths.repo_root(), capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == errors.HOST_EXHAUSTED.id


def test_no_more_threads_is_told() -> None:
    assert refusal_of(RuntimeError("can't start new thread")).entry is errors.HOST_EXHAUSTED


@pytest.mark.parametrize(
    "error", [RuntimeError("odd"), ValueError("odd"), OSError("odd"), ConnectionResetError(104, "x")]
)
def test_anything_else_is_a_mistake_of_ours(error: Exception) -> None:
    assert refusals.of(error) is None


def test_a_file_that_is_no_program_is_a_missing_tool(tmp_path: Path) -> None:
    (tmp_path / "docker").write_bytes(b"\x00\x01")
    (tmp_path / "docker").chmod(0o755)
    with pytest.raises(ToolMissing) as caught:
        run([tmp_path / "docker"], timeout=5)
    assert caught.value.what == f"{tmp_path / 'docker'} cannot be run: Exec format error"
    with pytest.raises(ToolMissing, match="cannot be run: Permission denied"):
        run([tmp_path], timeout=5)


def test_a_note_of_the_lab_that_is_no_text_any_more_is_told_with_its_file(tmp_path: Path) -> None:
    labdir = LabDir(tmp_path)
    labdir.note_image("client", "metallab/restored:x")
    (note,) = (tmp_path / "machines" / "client").iterdir()
    note.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError) as caught:
        labdir.image_of("client")
    assert caught.value.entry is errors.HOST_FILE_DAMAGED
    assert caught.value.where == str(note)
    assert labdir.image_of("worker-1") is None


@pytest.mark.parametrize("text", ["", "[", "clusters: []", "clusters: [{}]", "3", "clusters: [1, 2]"])
def test_a_kubeconfig_without_an_authority_is_told(text: str) -> None:
    with pytest.raises(LabError) as caught:
        authority_of(text)
    assert caught.value.entry is errors.HOST_FILE_DAMAGED


@pytest.mark.parametrize("text", ["", "ssh-ed25519\n", "\u00e9 x"])
def test_a_damaged_key_of_the_lab_is_told_with_its_file(tmp_path: Path, text: str) -> None:
    labdir = LabDir(tmp_path)
    labdir.prepare(Lab())
    public = labdir.host_key.with_suffix(".pub")
    public.write_text(text, encoding="utf-8")
    with pytest.raises(LabError) as caught:
        labdir.prepare(Lab())
    assert caught.value.entry is errors.HOST_FILE_DAMAGED
    assert caught.value.where == str(public)
