"""The record of what a drill has broken, in a file of the lab's own folder.

It is written before, so that whoever comes next can undo it, also when the cluster does not answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from metallab import errors
from metallab.errors import LabError
from metallab.machines.labdir import LabDir


@dataclass(frozen=True)
class Record:
    """A drill that has begun. ``drill`` is the id of what is broken, empty when only the echo was brought along."""

    drill: str
    facts: Mapping[str, str]


def write(labdir: LabDir, drill: str, facts: Mapping[str, str]) -> None:
    """Write down what is going to be broken, or with an empty ``drill`` that nothing is any more."""
    labdir.write_secret(labdir.drill, json.dumps({"drill": drill, "facts": dict(facts)}) + "\n")


def read(labdir: LabDir) -> Record | None:
    """Return the record, None when no drill has begun. Raises LAB-DRL-003 for one that cannot be read."""
    try:
        known = json.loads(labdir.drill.read_text(encoding="utf-8"))
        return Record(str(known["drill"]), {str(name): str(value) for name, value in known["facts"].items()})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = "the record of what a drill has broken cannot be read"
        raise LabError(errors.DRILL_RECORD, what, where=str(labdir.drill)) from error


def close(labdir: LabDir) -> None:
    """Remove the record: nothing is broken, and nothing brought along is left."""
    labdir.drill.unlink(missing_ok=True)
