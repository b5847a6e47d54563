"""xterm.js, the terminal in the pages: fetched once by npm, by the hashes of its lock file, and kept in the cache.

A room without internet needs it fetched before: ``workshop.check`` does that the evening before.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from metallab import lock, paths
from metallab.errors import LabError
from metallab.events import Events
from metallab.run.local import run

PINS = Path(__file__).with_name("npm")
"""``package.json`` and ``package-lock.json``; the lock file holds the SHA-512 of every package."""
FILES = {
    "xterm.js": "@xterm/xterm/lib/xterm.js",
    "xterm.css": "@xterm/xterm/css/xterm.css",
    "addon-fit.js": "@xterm/addon-fit/lib/addon-fit.js",
}
"""Name in the pages -> file below ``node_modules``."""
FETCH_SECONDS = 180.0
WITHOUT = "the pages will have no terminals (./inv lab.ssh MACHINE is the same)"


def fetched(events: Events) -> Path | None:
    """Return the folder that holds :data:`FILES`, fetched now if it was not before; None, and a warning, without it."""
    here = _folder()
    if here.is_dir():
        return here
    try:
        with lock.held(here.with_suffix(".lock"), "the terminal of the pages"), events.step("terminal of the pages"):
            if not here.is_dir():
                _fetch(here)
    except LabError as error:
        events.warn(f"{WITHOUT}: {error.what}; it is fetched once, by npm (Debian's package npm)")
        return None
    return here


def _folder() -> Path:
    """Return where it is kept: by the content of the lock file."""
    digest = hashlib.sha256((PINS / "package-lock.json").read_bytes()).hexdigest()
    return paths.cache_dir() / "xterm" / digest[:16]


def _fetch(here: Path) -> None:
    """Have npm fetch and check the packages, and keep the few files that are needed, all of them or none.

    Raises LabError when npm is missing or cannot: :class:`metallab.run.result.ToolMissing` and its kin.
    """
    with tempfile.TemporaryDirectory(dir=here.parent) as name:
        work, kept = Path(name), Path(name, "kept")
        for pin in PINS.iterdir():
            shutil.copy(pin, work)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], timeout=FETCH_SECONDS, cwd=work)
        kept.mkdir(mode=0o755)
        for name_there, source in FILES.items():
            shutil.copyfile(work / "node_modules" / source, kept / name_there)
        os.replace(kept, here)  # noqa: PTH105 - a rename that is whole or does not happen
