"""What the doctor works with: the case he is given, a check, and what came of it.

A check has two halves. ``look`` reads this host and changes nothing; a ``judge_…`` function beside it is pure and turns
what was read into a :class:`Verdict`, so that every decision is tested from captured facts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from metallab.config import Lab
from metallab.errors import Entry, LabError
from metallab.host.provider import Choice

State = Literal["ok", "warn", "fail", "unseen"]
MARKS = {"ok": "✓", "warn": "!", "fail": "✗", "unseen": "?"}
PROVIDERS = ("docker", "libvirt", "virtualbox")
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Verdict:
    """How one thing stands: what was seen, the command that mends it, and the error ``lab.up`` would end with.

    ``unseen`` is for a check that could not be made; it is never taken for a good one.
    """

    state: State
    seen: str
    fix: str = ""
    entry: Entry | None = None


def ok(seen: str) -> Verdict:
    """Return that all is well."""
    return Verdict("ok", seen)


def warn(seen: str, fix: str = "") -> Verdict:
    """Return what may go wrong, and how to mend it."""
    return Verdict("warn", seen, fix)


def fail(entry: Entry, seen: str, fix: str | None = None) -> Verdict:
    """Return what keeps a lab from running; the catalogue's own next step where ``fix`` is left out."""
    return Verdict("fail", seen, entry.fix if fix is None else fix, entry)


def unseen(why: str, fix: str = "") -> Verdict:
    """Return that nobody looked, and why."""
    return Verdict("unseen", f"not looked at: {why}", fix)


def refused(error: LabError) -> Verdict:
    """Return an error that a check of another module raised as a verdict."""
    return fail(error.entry, error.what, error.fix)


@dataclass(frozen=True)
class Case:
    """What is examined: a lab, and the provider that would make it.

    ``choice`` is how that provider would run here; where it cannot, it is None and ``refusal`` says why. ``exists``
    says that the lab has machines already, ``bundled`` when the bundle was made (None: there is none yet), ``known``
    which labs have a folder here. ``root`` is where the host's files are.
    """

    lab: Lab
    provider: str
    choice: Choice | None = None
    refusal: LabError | None = None
    exists: bool = False
    bundled: datetime | None = None
    known: frozenset[str] = frozenset()
    root: Path = Path("/")

    @property
    def on_the_host(self) -> bool:
        """Tell whether the machines are made on a daemon of the host's, in the host's own network."""
        return self.choice is not None and self.choice.sandbox is None

    def read(self, path: str) -> str | None:
        """Return the text of a file of the host, None where there is none or it is closed to this user."""
        try:
            return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def number(self, *paths: str) -> int | None:
        """Return the number in the first of these files that holds one; None where none does (``max``: no limit)."""
        texts = ((self.read(path) or "").strip() for path in paths)
        return next((int(text) for text in texts if text.isdigit()), None)


Look = Callable[[Case], "Verdict | None"]
"""Makes a check; None where it has nothing to do with this host or this lab."""


@dataclass(frozen=True)
class Check:
    """One thing to look at: its id for good, how, and whether it counts for a lab that has machines, too."""

    id: str
    look: Look
    again: bool = False


@dataclass(frozen=True)
class Finding:
    """What came of a check, and for which providers it counts."""

    id: str
    providers: tuple[str, ...]
    verdict: Verdict

    @property
    def state(self) -> State:
        """Return how it stands."""
        return self.verdict.state

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        verdict = self.verdict
        return {
            "id": self.id,
            "state": verdict.state,
            "providers": list(self.providers),
            "seen": verdict.seen,
            "fix": verdict.fix,
            "error": verdict.entry.id if verdict.entry is not None else None,
        }
