"""Which files a dynamically linked program needs: its loader and, recursively, its shared libraries.

Only what is read from the ELF headers; nothing is executed (as ``ldd`` would do), so a foreign root works too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from metallab import errors
from metallab.errors import LabError

MAX_LINKS = 40


@dataclass(frozen=True)
class Needs:
    """What one ELF file asks for: the program loader's path (programs only) and library names."""

    loader: str | None
    libraries: tuple[str, ...]


def needs(path: Path) -> Needs:
    """Read what the ELF file at ``path`` asks for; a file that is not ELF asks for nothing."""
    with path.open("rb") as stream:
        try:
            elf = ELFFile(stream)
        except ELFError:
            return Needs(None, ())
        loaders = [segment.get_interp_name() for segment in elf.iter_segments() if isinstance(segment, InterpSegment)]
        sections = [section for section in elf.iter_sections() if isinstance(section, DynamicSection)]
        tags: list[Any] = [tag for section in sections for tag in section.iter_tags("DT_NEEDED")]
        # The attribute is there for this kind of tag only, which the library's types do not tell.
        libraries = tuple(str(tag.needed) for tag in tags)
    return Needs(loaders[0] if loaders else None, libraries)


def closure(root: Path, programs: tuple[str, ...]) -> dict[str, Path]:
    """Return ``programs`` and all they need, as path inside the root (no leading slash) -> real file under ``root``.

    A library is returned under the name by which it is asked for, so no symbolic links have to be carried along.
    """
    found: dict[str, Path] = {}
    loaders: set[str] = set()
    waiting = list(programs)
    while waiting:
        inside = waiting.pop()
        if inside in found:
            continue
        found[inside] = locate(root, inside)
        wanted = needs(found[inside])
        if wanted.loader is not None:
            loaders.add(PurePosixPath(wanted.loader).name)
            waiting.append(wanted.loader.lstrip("/"))
        # libc names the loader as a library; it is in memory by then.
        waiting += [_library(root, name, inside) for name in wanted.libraries if name not in loaders]
    return dict(sorted(found.items()))


def locate(root: Path, inside: str) -> Path:
    """Return the real file behind ``inside``, following symbolic links as if ``root`` were ``/``."""
    waiting = list(PurePosixPath(inside).parts)
    here: list[str] = []
    links = 0
    while waiting:
        part = waiting.pop(0)
        if part == "..":
            here = here[:-1]
            continue
        path = root.joinpath(*here, part)
        if not path.is_symlink():
            here.append(part)
            continue
        links += 1
        if links > MAX_LINKS:
            raise _missing(inside, f"a loop of symbolic links at {path}")
        target = PurePosixPath(path.readlink())
        here = [] if target.is_absolute() else here
        waiting = [*(part for part in target.parts if part != "/"), *waiting]
    result = root.joinpath(*here)
    if not result.is_file():
        raise _missing(inside, f"no such file under {root}")
    return result


def _library(root: Path, name: str, wanted_by: str) -> str:
    """Return the path of a library as glibc's loader would find it without a cache: the default folders, in order."""
    multiarch = [path.name for path in sorted(root.glob("usr/lib/*-linux-gnu*"))]
    folders = [f"{top}/{triplet}" for triplet in multiarch for top in ("lib", "usr/lib")]
    for folder in (*folders, "lib64", "usr/lib64", "lib", "usr/lib"):
        try:
            locate(root, f"{folder}/{name}")
        except LabError:
            continue
        return f"{folder}/{name}"
    raise _missing(name, f"{wanted_by} needs it")


def _missing(name: str, why: str) -> LabError:
    return LabError(errors.BUNDLE_BUILD_FAILED, f"cannot find {name}: {why}")
