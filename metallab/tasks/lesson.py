"""``inv lesson.…``: learn the lab's subject on the lab, a step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metallab import bundle as bundles
from metallab import console, paths
from metallab.errors import ExitCode
from metallab.lessons import format as lessons
from metallab.lessons import killercoda, learner, play, progress
from metallab.lessons.format import Lesson, Step
from metallab.lessons.progress import Progress
from metallab.machines import access
from metallab.machines.labdir import LabDir
from metallab.site import Site, existing
from metallab.tasks._task import Session, finish, task

WORDS = (
    "`kubectl` stands for `./inv kubectl --`, `learner` for `./inv lesson.kubectl --`, `on X` for `./inv lab.ssh X --`."
)
COLUMNS = ("lesson", "title", "minutes", "passed")


@task(long=True, positional=["lesson"], help={"lesson": "its number or its name"})
def start(session: Session, lesson: str) -> None:
    """Start a lesson, or go on with it, and show the step you are at. Example: ./inv lesson.start 1."""
    site = existing(session.lab)
    before = progress.load(site.labdir)
    found, known = play.start(session.lab, site, lesson, session.events)
    if (before.current, before.ready) != (found.name, True):
        _show_intro(site, found)
    _show_step(site, found, known)


@task(help={"answer": "what the step asks for", "step": "succeed, too, when this step was passed before"})
def check(session: Session, answer: str = "", step: int = 0) -> None:
    """Check the step you are at; it says what is wrong. Example: ./inv lesson.check --answer worker-1."""
    site = existing(session.lab)
    if 0 < step < play.where(site)[1].step:
        return
    lesson, done, verdicts = play.check(site, session.events, answer)
    if done is not None and verdicts[-1].trouble:
        console.line(f"✗ {verdicts[-1].words}")
        finish(int(ExitCode.CHECK_FAILED))
    if done is not None:
        console.line(f"✓ step {done.number} is passed\n")
    _show_step(site, lesson, play.where(site)[1])


@task
def hint(session: Session) -> None:
    """Show a hint for the step you are at; each time one more, from vague to exact. Example: ./inv lesson.hint."""
    site = existing(session.lab)
    lesson, step, shown = play.hint(site)
    if step is None:
        console.line(f"{lesson.name} is passed")
        return
    known = lessons.values(site.lab)
    for number, words in enumerate(step.hints[:shown], start=1):
        console.markdown(f"**Hint {number} of {len(step.hints)}.** {lessons.fill(words, known)}")


@task(help={"all": "all steps that are left"})
def solve(session: Session, all: bool = False) -> None:  # noqa: A002 - the flag's name
    """Show and do the step you are at, and check it. Example: ./inv lesson.solve."""
    site = existing(session.lab)
    while True:
        lesson, known = play.where(site)
        step = play.step_of(lesson, known)
        if step is not None:
            console.markdown(f"{WORDS}\n\n```sh\n{step.solution.read_text(encoding='utf-8').rstrip()}\n```")
        _, _, answer = play.solve(site, session.events)
        if answer:
            console.line(f"answer: {answer}")
        lesson, known = play.where(site)
        if not all or play.step_of(lesson, known) is None:
            break
    _show_step(site, lesson, known)


@task(long=True)
def reset(session: Session) -> None:
    """Bring back the start of the lesson that is going on. Example: ./inv lesson.reset."""
    site = existing(session.lab)
    lesson, known = play.reset(session.lab, site, session.events)
    _show_step(site, lesson, known)


@task
def status(session: Session) -> None:
    """Show the step you are at, and its text again. Example: ./inv lesson.status."""
    site = existing(session.lab)
    lesson, known = play.where(site)
    _show_step(site, lesson, known)


@task
def kubectl(session: Session) -> None:
    """Run kubectl as the learner: one namespace, for hours. Example: ./inv lesson.kubectl -- get services."""
    site = existing(session.lab)
    kubeconfig = learner.require(site.labdir)
    access.become_kubectl(bundles.require().dir / "bin" / "kubectl", kubeconfig, session.remainder)


@task(positional=["lesson"], help={"lesson": "its number or its name", "to": "folder (beside the reports)"})
def export(session: Session, lesson: str, to: str = "") -> None:
    """Write a lesson as a Killercoda scenario. Example: ./inv lesson.export 1 --to killercoda."""
    folder = Path(to) if to else paths.reports_dir() / session.lab.name / "killercoda"
    written = killercoda.export(lessons.find(lesson), session.lab, folder)
    console.line(str(written))


@task
def list(session: Session) -> None:  # noqa: A001 - the task is called so
    """List the lessons, how long they take, and how far you were. Example: ./inv lesson.list."""
    known = progress.load(LabDir.of(session.lab))
    console.table("", COLUMNS, [_row(lesson, known) for lesson in lessons.shelf()])


def _row(lesson: Lesson, known: Progress) -> tuple[str, str, str, str]:
    passed = known.passed.get(lesson.name, 0)
    mark = f"{passed} of {len(lesson.steps)}{' (going on)' if known.current == lesson.name else ''}"
    return str(lesson.number), lesson.settings.title, str(lesson.settings.minutes), mark


def _show_intro(site: Site, lesson: Lesson) -> None:
    known = lessons.values(site.lab)
    console.markdown(f"# Lesson {lesson.number}: {lesson.settings.title}\n\n{lessons.fill(lesson.intro, known)}")
    if lesson.settings.access == "namespace":
        console.markdown(f"\nFor this lesson `./inv lesson.kubectl` is enough ({learner.kubeconfig_of(site.labdir)}).")
    console.line("")


def _show_step(site: Site, lesson: Lesson, known: Progress) -> None:
    # What a start has set is not among these values: it may be what has to be found.
    step, shown = play.step_of(lesson, known), lessons.values(site.lab)
    if step is None:
        text = f"## Passed\n\n{lessons.fill(lesson.finish, shown).rstrip()}\n\n{killercoda.links(lesson)}"
    else:
        text = step_text(step, len(lesson.steps), shown)
    console.markdown(text)


def step_text(step: Step, count: int, known: Mapping[str, str]) -> str:
    """Return a step as Markdown, with its question and how to have it checked."""
    parts = [f"## Step {step.number} of {count}: {step.title}", lessons.fill(step.text, known).rstrip()]
    if step.question:
        parts.append(f"**{lessons.fill(step.question, known)}**")
    how = "./inv lesson.check --answer …" if step.question else "./inv lesson.check"
    parts.append(f"Then `{how}`. Stuck: `./inv lesson.hint`.")
    return "\n\n".join(parts)
