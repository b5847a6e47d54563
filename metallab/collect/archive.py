"""The archive of a bug report: every part without its secrets, a manifest that says what is there and what is not."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from metallab import errors
from metallab.errors import LabError
from metallab.redaction import redacted

SCHEMA = "metallab.collect/1"
"""Changes when a reader of the old form could misread the new one."""
MANIFEST = "manifest.json"
MOST_BYTES = 2**20
"""Of the end of one part. A report is sent by mail."""

State = Literal["collected", "failed", "left out"]


@dataclass(frozen=True)
class Part:
    """One part of a report: where it lies in the archive, from where it is and how it was asked for, and what came.

    ``failed`` may still have a text, what the question said before it failed. ``redacted`` counts the places taken out,
    ``cut`` says that only the end is there.
    """

    path: str
    where: str
    how: str
    state: State
    why: str = ""
    seconds: float = 0.0
    bytes: int = 0
    sha256: str = ""
    redacted: int = 0
    cut: bool = False
    text: str = ""


def clean(parts: Sequence[Part], known: Collection[str]) -> Iterator[Part]:
    """Yield the parts without what is secret, measured. The reason why one failed is cleaned, too: it quotes."""
    for part in parts:
        found, why, how = redacted(part.text, known), redacted(part.why, known), redacted(part.how, known)
        data = found.text.encode()
        kept = data if len(data) <= MOST_BYTES else data[-MOST_BYTES:].partition(b"\n")[2]
        yield replace(
            part,
            text=kept.decode(errors="replace"),
            why=why.text,
            how=how.text,
            bytes=len(kept),
            sha256=hashlib.sha256(kept).hexdigest() if kept else "",
            redacted=found.count + why.count + how.count,
            cut=len(kept) < len(data),
        )


def manifest(parts: Sequence[Part], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is in the archive, and what is not and why."""
    told = [{key: value for key, value in asdict(part).items() if key != "text"} for part in parts]
    counts = {state: sum(part.state == state for part in parts) for state in get_args(State)}
    return {"schema": SCHEMA, **about, "counts": counts, "parts": told}


def write(file: Path, parts: Sequence[Part], contents: Mapping[str, Any], when: float) -> None:
    """Write the archive whole or not at all, readable by its owner only. Raises LAB-MACH-020."""
    draft = file.with_name(f".{file.name}.new")
    top = file.name.removesuffix(".tar.gz")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:gz") as archive:
                _add(archive, f"{top}/{MANIFEST}", json.dumps(contents, indent=1) + "\n", when)
                for part in parts:
                    if part.text:
                        _add(archive, f"{top}/{part.path}", part.text, when)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise LabError(errors.COLLECT_UNWRITABLE, f"cannot write the archive: {error}", where=str(file)) from error


def _add(archive: tarfile.TarFile, path: str, text: str, when: float) -> None:
    data = text.encode()
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode, entry.mtime = len(data), 0o600, int(when)
    archive.addfile(entry, io.BytesIO(data))
