"""Reading JSON strictly: every value asked for by its path, and a missing or odd one is an error, never 0."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from metallab import errors
from metallab.errors import LabError

SHOWN = 400
"""Characters of unreadable output kept as evidence."""


def loads(text: str, what: str) -> Node:
    """Parse JSON text. ``what`` names its origin in errors. Raises LAB-PRF-001 when it is not JSON."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is empty" if not text.strip() else f"not JSON: {error}"
        raise LabError(errors.PROOF_UNREADABLE, f"{what}: {reason}", detail=_excerpt(text)) from error
    return Node(value, "", what)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _excerpt(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


@dataclass(frozen=True)
class Node:
    """A value inside a JSON document, and the path that led to it."""

    value: Any
    path: str
    what: str

    def has(self, key: str) -> bool:
        """Tell whether this is an object with that key."""
        return isinstance(self.value, dict) and key in self.value

    def __getitem__(self, key: str) -> Node:
        path = f"{self.path}.{key}" if self.path else key
        if not isinstance(self.value, dict):
            raise self._refuse("should be an object")
        if key not in self.value:
            raise Node(None, path, self.what)._refuse("is missing")  # noqa: SLF001 - the same class
        return Node(self.value[key], path, self.what)

    def items(self) -> list[Node]:
        """Return the members of a list."""
        if not isinstance(self.value, list):
            raise self._refuse("should be a list")
        return [Node(item, f"{self.path}[{index}]", self.what) for index, item in enumerate(self.value)]

    def text(self) -> str:
        """Return a string."""
        if not isinstance(self.value, str):
            raise self._refuse("should be text")
        return self.value

    def integer(self, minimum: int | None = 0) -> int:
        """Return a whole number, by default not a negative one."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self._refuse("should be a whole number")
        if minimum is not None and self.value < minimum:
            raise self._refuse(f"should be at least {minimum}")
        return self.value

    def number(self) -> float:
        """Return a number that is finite and not negative."""
        if not isinstance(self.value, (int, float)) or isinstance(self.value, bool):
            raise self._refuse("should be a number")
        try:
            value = float(self.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value) or value < 0:
            raise self._refuse("should be a finite number, 0 or more")
        return value

    def refuse(self, reason: str) -> NoReturn:
        """Say that this value cannot be used. Raises LAB-PRF-001 with its path."""
        raise self._refuse(reason)

    def _refuse(self, reason: str) -> LabError:
        path = self.path or "the document"
        found = "" if reason == "is missing" else f" (it is {_excerpt(repr(self.value))})"
        return LabError(errors.PROOF_UNREADABLE, f"{self.what}: {path} {reason}{found}")
