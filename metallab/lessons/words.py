"""What a learner reads, as Markdown: a lesson's beginning, a step, the end."""

from __future__ import annotations

from collections.abc import Mapping

from metallab.config import Lab
from metallab.lessons import killercoda
from metallab.lessons.format import Lesson, Step, fill, values
from metallab.lessons.play import step_of
from metallab.lessons.progress import Progress

STAND_FOR = "`kubectl`, `learner` and `on X` stand for `./inv kubectl`, `./inv lesson.kubectl` and `./inv lab.ssh X`."


def row(lesson: Lesson, known: Progress) -> tuple[str, str, str, str]:
    """Return a lesson as a row of the list: number, title, minutes, how many steps were passed."""
    passed = known.passed.get(lesson.name, 0)
    mark = f"{passed} of {len(lesson.steps)}{' (going on)' if known.current == lesson.name else ''}"
    return str(lesson.number), lesson.settings.title, str(lesson.settings.minutes), mark


def intro(lab: Lab, lesson: Lesson) -> str:
    """Return what comes before the first step."""
    parts = [f"# Lesson {lesson.number}: {lesson.settings.title}", fill(lesson.intro, values(lab)).rstrip()]
    if lesson.settings.access == "namespace":
        parts.append("For this lesson `./inv lesson.kubectl` is enough.")
    return "\n\n".join(parts) + "\n"


def now(lab: Lab, lesson: Lesson, known: Progress) -> str:
    """Return the step somebody is at, or the end of a lesson that is passed."""
    # What a start has set is not among these values: it may be what has to be found.
    at, shown = step_of(lesson, known), values(lab)
    if at is not None:
        return step(at, len(lesson.steps), shown)
    return f"## Passed\n\n{fill(lesson.finish, shown).rstrip()}\n\n{killercoda.links(lesson)}"


def step(at: Step, count: int, known: Mapping[str, str]) -> str:
    """Return a step, with its question and how to have it checked."""
    parts = [f"## Step {at.number} of {count}: {at.title}", fill(at.text, known).rstrip()]
    if at.question:
        parts.append(f"**{fill(at.question, known)}**")
    how = "./inv lesson.check --answer …" if at.question else "./inv lesson.check"
    parts.append(f"Then `{how}`. Stuck: `./inv lesson.hint`.")
    return "\n\n".join(parts)


def hints(lab: Lab, at: Step, shown: int) -> str:
    """Return the hints of a step that are shown by now."""
    known = values(lab)
    lines = [
        f"**Hint {number} of {len(at.hints)}.** {fill(text, known)}"
        for number, text in enumerate(at.hints[:shown], start=1)
    ]
    return "\n\n".join(lines)


def solution(at: Step) -> str:
    """Return a step's solution as it is played."""
    return f"{STAND_FOR}\n\n```sh\n{at.solution.read_text(encoding='utf-8').rstrip()}\n```"
