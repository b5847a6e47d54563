"""The guide to the errors, ``docs/troubleshooting.md``, read by id: for ``inv explain``."""

from __future__ import annotations

import difflib
import re

from metallab import errors, paths
from metallab.errors import Entry, LabError


def find(word: str) -> Entry:
    """Return the entry of an id, however it is written (``lab-host-1``, ``HOST-001``).

    Raises LAB-HOST-010 for an id there is not, naming the nearest ones.
    """
    known = {entry.id: entry for entry in errors.catalogue()}
    asked = word.strip().upper()
    parts = re.fullmatch(r"(?:LAB-)?([A-Z]+)-?(\d{1,3})", asked)
    if parts is not None:
        asked = f"LAB-{parts[1]}-{int(parts[2]):03d}"
    if asked in known:
        return known[asked]
    near = difflib.get_close_matches(asked, known, n=3)
    lists = "an id looks like LAB-HOST-001; ./inv explain all lists them"
    fix = f"did you mean {' or '.join(near)}?" if near else lists
    raise LabError(errors.HOST_CHOICE_UNKNOWN, f"no error has the id {word!r}", fix=fix)


def chapters() -> dict[str, str]:
    """Return the guide's chapters by id, as they are written."""
    text = (paths.repo_root() / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^## (\S+)\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL))


def explanation(entry: Entry) -> str:
    """Return all there is to say about an error, for a terminal: title, cause, next step, exit code, its chapter."""
    chapter = chapters()[entry.id].strip().replace("**", "")
    head = [
        f"{entry.id}  {entry.title} (exit code {int(entry.exit_code)})",
        f"  why: {entry.cause}",
        f"  what to do: {entry.fix}",
    ]
    return "\n".join([*head, "", chapter])


def contents() -> list[tuple[str, str, str]]:
    """Return a row for each error: its id, exit code and title."""
    return [(entry.id, str(int(entry.exit_code)), entry.title) for entry in errors.catalogue()]
