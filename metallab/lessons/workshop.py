"""The evening before a workshop: every lesson played by its solution on the lab, with the times it took."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Events
from metallab.host import capacity
from metallab.lessons import play
from metallab.lessons.format import Lesson
from metallab.site import Site


@dataclass(frozen=True)
class Rehearsal:
    """A lesson as it was played: the seconds of its start and of each step's solution, and what went wrong, if any."""

    lesson: Lesson
    start_seconds: float
    step_seconds: tuple[float, ...]
    trouble: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether every step was solved."""
        return not self.trouble

    @property
    def words(self) -> str:
        """Return how it went."""
        return self.trouble or f"{len(self.step_seconds)} steps"


@dataclass(frozen=True)
class Memory:
    """MiB: what lab.yaml gives each machine, what this host has, and what of it can be had at the moment."""

    machines: Mapping[str, int]
    total: int
    available: int


def memory(lab: Lab) -> Memory:
    """Return the memory of the lab's machines, which virtual ones take whole and containers as they need it."""
    total, available = capacity.memory()
    return Memory({machine.name: machine.memory for machine in lab.machines}, total, available)


def rehearse(lab: Lab, site: Site, lessons: Sequence[Lesson], events: Events) -> tuple[Rehearsal, ...]:
    """Play lessons one after the other. One that fails is kept with its reason, and the next one is played."""
    return tuple(_rehearse(lab, site, lesson, events) for lesson in lessons)


def _rehearse(lab: Lab, site: Site, lesson: Lesson, events: Events) -> Rehearsal:
    events.note(f"lesson {lesson.number}: {lesson.settings.title}")
    began = time.monotonic()
    start, steps = 0.0, list[float]()
    try:
        play.start(lab, site, lesson.name, events, again=True)
        start = time.monotonic() - began
        for _ in lesson.steps:
            began = time.monotonic()
            play.solve(site, events)
            steps.append(time.monotonic() - began)
    except LabError as error:
        where = f"step {len(steps) + 1}" if start else "its start"
        return Rehearsal(lesson, start, tuple(steps), f"{where}: {error.what} ({error.entry.id})")
    return Rehearsal(lesson, start, tuple(steps))
