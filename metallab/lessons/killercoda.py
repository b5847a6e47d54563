"""A lesson as a scenario in Killercoda's form: index.json, a text and a verify script for each step.

A scenario's machine is one that has this checkout and a lab on it; the verify scripts ask the lab's own checks, so that
there is one judge. What the form is: github.com/killercoda/scenario-examples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from metallab.config import Lab
from metallab.lessons.format import Lesson, Step, fill, values
from metallab.lessons.play import asks

BACKEND = "ubuntu-4GB"
"""The image of the scenario's machine; exchange it for one that has the lab."""
ANSWER_FILE = "~/answer"
"""Where a learner writes what a step asks for: a verify script has no input."""
SCRIPT_MODE = 0o755


def export(lesson: Lesson, lab: Lab, to: Path) -> Path:
    """Write the scenario into a folder of the lesson's name under ``to``, and return that folder."""
    folder = to / lesson.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in scenario(lesson, lab).items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        if path.suffix == ".sh":
            path.chmod(SCRIPT_MODE)
    return folder


def scenario(lesson: Lesson, lab: Lab) -> Mapping[str, str]:
    """Return the files of the scenario, name -> text."""
    known = values(lab)
    settings = lesson.settings
    index = {
        "title": settings.title,
        "description": settings.summary,
        "time": f"{settings.minutes} minutes",
        "details": {
            "intro": {"title": "Before you begin", "text": "intro.md", "background": "start.sh"},
            "steps": [
                {"title": step.title, "text": f"step{step.number}.md", "verify": f"verify{step.number}.sh"}
                for step in lesson.steps
            ],
            "finish": {"title": "Why it is so", "text": "finish.md"},
        },
        "backend": {"imageid": BACKEND},
    }
    files = {
        "index.json": json.dumps(index, indent=2, ensure_ascii=False) + "\n",
        "intro.md": fill(lesson.intro, known),
        "start.sh": _script(f"./inv lesson.start {lesson.number}"),
        "finish.md": f"{fill(lesson.finish, known).rstrip()}\n\n{links(lesson)}\n",
    }
    for step in lesson.steps:
        files[f"step{step.number}.md"] = _text(step, known)
        files[f"verify{step.number}.sh"] = _verify(step)
    return files


def links(lesson: Lesson) -> str:
    """Return the lesson's links as a Markdown list."""
    return "\n".join(f"- [{name}]({link})" for name, link in lesson.settings.links.items())


def _text(step: Step, known: Mapping[str, str]) -> str:
    parts = [fill(step.text, known).rstrip()]
    if step.question:
        question = fill(step.question, known)
        parts.append(f"**{question}** Write the answer into `{ANSWER_FILE}`.")
    for number, words in enumerate(step.hints, start=1):
        parts.append(f"<details><summary>Hint {number}</summary>\n\n{fill(words, known)}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _verify(step: Step) -> str:
    answer = f' --answer "$(cat {ANSWER_FILE})"' if asks(step) else ""
    return _script(f"./inv lesson.check --step {step.number}{answer}")


def _script(command: str) -> str:
    return f'#!/bin/bash\n# METALLAB is the checkout.\ncd "${{METALLAB:-/root/metallab}}" && exec {command}\n'
