"""How far a learner is, kept in the lab's folder: it ends with the lab, and a learner can leave and come back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from metallab import errors
from metallab.errors import LabError
from metallab.lessons.format import Lesson
from metallab.machines.labdir import LabDir


@dataclass(frozen=True)
class Progress:
    """The lesson that is going on and how far it is.

    ``ready`` is False while its start is being made: an interruption leaves it so. ``step`` counts from 1; beyond the
    last one the lesson is passed. ``hints`` were shown of this step. ``facts`` are what the start set. ``passed`` is
    lesson -> how many of its steps were ever passed.
    """

    current: str = ""
    ready: bool = False
    step: int = 1
    hints: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    passed: Mapping[str, int] = field(default_factory=dict)

    def begin(self, lesson: Lesson) -> Progress:
        """Return the progress of somebody whose start of a lesson is being made."""
        return Progress(current=lesson.name, passed=self.passed)

    def pass_step(self) -> Progress:
        """Return the progress after the step was passed."""
        best = max(self.step, self.passed.get(self.current, 0))
        return replace(self, step=self.step + 1, hints=0, passed={**self.passed, self.current: best})


def folder(labdir: LabDir) -> Path:
    """Return where lessons keep what is theirs."""
    return labdir.path / "lessons"


def load(labdir: LabDir) -> Progress:
    """Return the progress; that of somebody new where there is none, or none that can be read."""
    try:
        kept: dict[str, Any] = json.loads((folder(labdir) / "progress.json").read_text(encoding="utf-8"))
        found = Progress(**kept)
    except (OSError, ValueError, TypeError):
        return Progress()
    types = {"current": str, "ready": bool, "step": int, "hints": int, "facts": dict, "passed": dict}
    return found if all(isinstance(getattr(found, name), kind) for name, kind in types.items()) else Progress()


def save(labdir: LabDir, progress: Progress) -> None:
    """Keep the progress, whole or not at all. Only its owner can read it: facts are what a learner has to find."""
    labdir.write_secret(folder(labdir) / "progress.json", json.dumps(asdict(progress), indent=2) + "\n")


def going_on(labdir: LabDir) -> Progress:
    """Return the progress of the lesson that is going on. Raises LAB-LSN-002 without one, LAB-LSN-005 half started."""
    progress = load(labdir)
    if not progress.current:
        raise LabError(errors.LESSON_NONE, "no lesson was started on this lab")
    if not progress.ready:
        fix = f"run: ./inv lesson.start {progress.current.partition('-')[0]}"
        raise LabError(errors.LESSON_NOT_AT_START, f"the start of {progress.current} was not finished", fix=fix)
    return progress
