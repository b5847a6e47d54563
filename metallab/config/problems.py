"""What is wrong with a lab file: one record a problem, and how all of them are shown together."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metallab import errors
from metallab.errors import Entry, LabError

Path = tuple[str | int, ...]
"""The keys and list numbers that lead to a value: ``("machines", 2, "host")``."""
LINES = 100
"""Problems that are told at once; who has more has to see their own file first."""
SHOWN = 60
"""Characters of a value that a message repeats."""


@dataclass(frozen=True, order=True)
class Place:
    """Where something is written in a file; both numbers begin with 1, as editors count."""

    line: int
    column: int


@dataclass(frozen=True)
class Finding:
    """Something wrong with the value at ``path``; ``words`` say what, and what to write instead.

    ``place`` is given where the path alone would not lead there: the key instead of its value, or one key of two.
    """

    entry: Entry
    path: Path
    words: str
    place: Place | None = None


@dataclass(frozen=True)
class Problem:
    """A finding with its place, as a user sees it: ``file:line:column``, or the name of a variable."""

    entry: Entry
    where: str
    key: str
    words: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return printable(f"{self.where}: {key}{self.words} [{self.entry.id}]")


def error_of(problems: Sequence[Problem], where: str) -> LabError:
    """Return the one error that tells all problems. Where they are of one kind, it is that kind's."""
    entries = {problem.entry for problem in problems}
    entry = entries.pop() if len(entries) == 1 else errors.CONFIG_INVALID
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [str(problem) for problem in problems[:LINES]]
    if len(problems) > LINES:
        lines.append(f"and {len(problems) - LINES} more")
    return LabError(entry, count, where=where, detail="\n".join(lines))


def key_of(path: Path) -> str:
    """Return a path as it is written in a message: ``machines[2].host``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_plain(part)}" for part in path).removeprefix(".")


def _plain(part: str) -> str:
    """Return a key, in quotes where it could be mistaken or would move a terminal's cursor."""
    return shorten(part) if re.fullmatch(r"[\w<-]+", part, re.ASCII) else shown(part)


def printable(text: str) -> str:
    """Return a text that is one line and moves no cursor, whatever a file or a variable brought into it."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def shown(value: object) -> str:
    """Return a value as a message repeats it: safe to print, and never long."""
    return shorten(repr(value))


def shorten(text: str) -> str:
    """Return a text cut to what fits into a line."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def closest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """Return the known word that was probably meant, in whatever case it was written."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(word.lower()[:SHOWN], by_lower, n=1, cutoff=likeness)
    return by_lower[found[0]] if found else None
