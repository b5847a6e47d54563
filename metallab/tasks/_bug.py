"""What is said of a mistake of our own, and of any error with ``--debug``: all a report needs, and no secrets."""

from __future__ import annotations

import contextlib
import platform
import re
import shlex
import sys
import traceback
from importlib import metadata

from metallab import paths
from metallab.errors import LabError

ASK_SECONDS = 5.0


def report(error: BaseException) -> str:
    """Return a mistake of our own as lines to be reported: the traceback, the versions, the command line.

    What follows ``--`` on the command line is the user's own and stays out.
    """
    from metallab.redaction import redact

    own = [*sys.argv[1:], "--"]
    words = own[: own.index("--")]
    rest = " -- …" if "--" in sys.argv else ""
    lines = [
        story(error),
        f"✗ this is a mistake in metallab itself ({type(error).__name__}: {redact(str(error))})",
        f"  metallab: {_version()}",
        f"  python: {platform.python_version()}, invoke {metadata.version('invoke')}",
        f"  system: {platform.platform()}",
        f"  command: ./inv {redact(shlex.join(_without_search_root(words)))}{rest}",
        "  what to do: please report it with all these lines, and the archive that ./inv collect makes",
    ]
    return "\n".join(lines)


def story(error: BaseException) -> str:
    """Return the traceback of an error with its causes."""
    from metallab.redaction import redact

    return redact("".join(traceback.format_exception(type(error), error, error.__traceback__))).rstrip()


def _without_search_root(words: list[str]) -> list[str]:
    """Return the words the user typed: the launcher puts ``--search-root FOLDER`` before them."""
    return words[2:] if words[:1] == ["--search-root"] else words


def _version() -> str:
    """Return the newest version the changelog names, and the commit where git can tell."""
    from metallab.run.local import run

    with contextlib.suppress(OSError, ValueError):
        text = (paths.repo_root() / "CHANGELOG.md").read_text(encoding="utf-8")
        found = re.search(r"^## \[([^]]+)\]", text, re.MULTILINE)
        commit = ""
        with contextlib.suppress(LabError):
            words = ["git", "describe", "--always", "--dirty"]
            commit = run(words, timeout=ASK_SECONDS, cwd=paths.repo_root(), check=False).stdout.strip()
        return " ".join(word for word in (found[1] if found else "", commit) if word)
    return "unknown"
