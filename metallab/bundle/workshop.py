"""Where parts of a bundle are made, each once: a part is a folder in the cache, named by the hash of its inputs.

A part appears whole or not at all, so an interrupted build goes on after the last finished part. Parts outlive the
bundle they were made for: a change of an image does not link kubernetes again.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from metallab import paths
from metallab.events import Events, Step

KEEP_BUNDLES = 3
PARTS = "parts"


def home() -> Path:
    """Return the folder of all bundles and their parts."""
    return paths.cache_dir() / "bundle"


class Workshop:
    """Makes parts and counts them: ``total`` is how many there will be."""

    def __init__(self, events: Events, total: int, *, rebuild: bool = False) -> None:
        self.used: set[str] = set()
        self._events = events
        self._total = total
        self._rebuild = rebuild
        self._number = 0

    def part(self, name: str, title: str, inputs: Iterable[str], make: Callable[[Path, Step], None]) -> Path:
        """Return the folder of a part, calling ``make`` with an empty one unless it is there already."""
        digest = hashlib.sha256("\n".join(inputs).encode()).hexdigest()
        folder = home() / PARTS / f"{name}-{digest[:16]}"
        with self.step(title) as step:
            self.used.add(folder.name)
            if folder.is_dir() and not self._rebuild:
                step.skip("already made")
                return folder
            with fresh(folder) as unfinished:
                make(unfinished, step)
        return folder

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Open the next counted step."""
        self._number += 1
        with self._events.step(f"bundle {self._number}/{self._total}: {title}") as step:
            yield step


@contextlib.contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``folder`` when the block ends well, and vanishes when it does not."""
    unfinished = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def sweep(used_parts: Iterable[str]) -> None:
    """Remove parts the newest bundle does not use, and all but the newest few bundles (half-made ones go first)."""
    keep = set(used_parts)
    for part in (home() / PARTS).iterdir():
        if part.name not in keep:
            shutil.rmtree(part, ignore_errors=True)
    bundles = [folder for folder in home().iterdir() if folder.is_dir() and folder.name != PARTS]
    bundles.sort(key=lambda folder: (folder.suffix != ".tmp", folder.stat().st_mtime), reverse=True)
    for folder in bundles[KEEP_BUNDLES:]:
        shutil.rmtree(folder, ignore_errors=True)
