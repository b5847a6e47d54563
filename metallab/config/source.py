"""Where the values of a lab were written: in its file, or in variables, which go before the file."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metallab.config.document import Document, Misread, Scalar
from metallab.config.problems import Finding, Path, Place, Problem, closest, key_of

VARIABLES: Mapping[str, str] = {
    "LAB_NAME": "name",
    "LAB_PROVIDER": "provider",
    "LAB_NETWORK": "network",
    "LAB_POOL": "pool",
    "LAB_SHARED_ADDRESS": "sharedAddress",
    "LAB_PODS": "pods",
    "LAB_SERVICES": "services",
}
"""The variables that go before lab.yaml, and the key each stands for. An empty one is as good as none."""
LAB_FILE = "LAB_FILE"
"""Names the file itself; see ``paths.lab_file``."""
LIKENESS = 0.8
"""How close a variable's name must come to one of ours to be taken for a slip; others' variables begin so, too."""


@dataclass(frozen=True)
class Source:
    """All that was written of a lab. ``variables`` are those that are set, by the key each stands for."""

    where: str
    document: Document
    variables: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, where: str, document: Document, environ: Mapping[str, str]) -> Source:
        """Return what the document and the variables of ``environ`` say."""
        named = {key: (name, environ[name]) for name, key in VARIABLES.items() if environ.get(name)}
        return cls(where, document, named)

    def data(self) -> dict[str, Any]:
        """Return the values written, those of variables in place of the file's."""
        return {**(self.document.data or {}), **{key: _value(key, text) for key, (_, text) in self.variables.items()}}

    def place(self, path: Path) -> tuple[Place, str] | None:
        """Return where a value is written, to sort by and to show; None for one that is a default."""
        if path and path[0] in self.variables:
            return Place(0, list(VARIABLES.values()).index(str(path[0]))), self.variables[str(path[0])][0]
        found = self.document.place(path)
        return None if found is None else (found, self.shown(found))

    def shown(self, place: Place) -> str:
        """Return a place in the file as editors and terminals understand it."""
        return f"{self.where}:{place.line}:{place.column}"

    def scalar(self, path: Path) -> Scalar | None:
        """Return how a value is written in the file; None where it is a list or a mapping, or not from the file."""
        return None if path and path[0] in self.variables else self.document.scalars.get(path)

    def blame(self, *paths: Path) -> Path:
        """Return of several values that do not go together the one written last: there the user was at work."""

        def written(path: Path) -> Place:
            if path and path[0] in self.variables:
                return Place(sys.maxsize, 0)
            return self.document.place(path) or Place(0, 0)

        return max(paths, key=written)

    def problems(self, findings: list[Finding]) -> list[Problem]:
        """Return the findings with their places, in the order they are written."""
        placed: dict[tuple[Place, Path, str], tuple[str, Finding]] = {}
        for finding in findings:
            place, text = self.place(finding.path) or (Place(1, 1), self.where)
            if finding.place is not None:
                place, text = finding.place, self.shown(finding.place)
            placed.setdefault((place, finding.path, finding.words), (text, finding))
        ordered = sorted(placed.items(), key=lambda item: item[0][0])
        return [Problem(found.entry, text, key_of(found.path), found.words) for _, (text, found) in ordered]


def _value(key: str, text: str) -> object:
    """Return a variable's text as the value its key takes; text stays text, whatever YAML would make of it."""
    if key != "sharedAddress" or not re.fullmatch(r"-?[0-9]{1,9}", text):
        return text
    return int(text) if str(int(text)) == text else Misread(text, "a number with zeros before it", str(int(text)))


def slips(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that looks like a slip of the pen for one of ours.

    Only a warning: what begins with ``LAB_`` may belong to another program.
    """
    ours = {name.removeprefix("LAB_"): name for name in (LAB_FILE, *VARIABLES)}
    found = []
    for name in sorted(environ):
        if not name.startswith("LAB_") or name in ours.values():
            continue
        meant = closest(name.removeprefix("LAB_"), ours, likeness=LIKENESS)
        if meant is not None:
            found.append(f"the variable {name} means nothing to the lab; did you mean {ours[meant]}?")
    return found
