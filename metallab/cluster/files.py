"""Files on a machine: which of them differ from what they should be, and all of them written in one go.

Contents travel over the runner's standard input only, so that a secret is never in an argument, a log or a shared
folder.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from metallab.run.result import Runner

SECONDS = 30.0
PUBLIC, SECRET = 0o644, 0o600


def differing(runner: Runner, contents: Mapping[str, str]) -> list[str]:
    """Return the paths whose content on the machine is another than given here, or that do not exist."""
    there = fingerprints(runner, list(contents))
    return [path for path, text in contents.items() if there.get(path) != fingerprint(text)]


def fingerprint(text: str) -> str:
    """Return what :func:`fingerprints` says of a file with this content."""
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprints(runner: Runner, paths: list[str]) -> dict[str, str]:
    """Return path -> SHA-256 of those of the files that exist."""
    # A missing file makes the exit status 1, which is an answer here.
    listing = runner.run(["sha256sum", "--", *paths], timeout=SECONDS, check=False).stdout
    pairs = (line.split("  ", 1) for line in listing.splitlines())
    return {path: digest for digest, path in pairs}


def write(runner: Runner, contents: Mapping[str, str], mode: int = PUBLIC) -> None:
    """Write files, and the folders they lie in, with one command. Root owns them."""
    archive = pack(contents, mode)
    runner.run(["tar", "--extract", "--no-same-owner", "--directory=/", "--file=-"], timeout=SECONDS, input=archive)


def pack(contents: Mapping[str, str], mode: int) -> bytes:
    """Return a tar archive of files given as path -> text."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, text in contents.items():
            data = text.encode()
            entry = tarfile.TarInfo(str(PurePosixPath(path).relative_to("/")))
            entry.size = len(data)
            entry.mode = mode
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def remove(runner: Runner, paths: list[str]) -> None:
    """Remove files, which need not exist."""
    runner.run(["rm", "--force", "--", *paths], timeout=SECONDS)
