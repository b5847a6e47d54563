"""``inv lesson.…``: learn the lab's subject on the lab, a step at a time."""

from __future__ import annotations

from pathlib import Path

from metallab import console, paths
from metallab.errors import ExitCode
from metallab.tasks._task import Session, finish, task

COLUMNS = ("lesson", "title", "minutes", "passed")
NAME_HELP = "its number or its name"


@task(long=True, positional=["lesson"], help={"lesson": NAME_HELP})
def start(session: Session, lesson: str) -> None:
    """Start a lesson, or go on with it, and show the step you are at. Example: ./inv lesson.start 1."""
    from metallab.lessons import play, progress, words
    from metallab.site import existing

    site = existing(session.lab)
    before = progress.load(site.labdir)
    found, known = play.start(session.lab, site, lesson, session.events)
    if (before.current, before.ready) != (found.name, True):
        console.markdown(words.intro(site.lab, found))
        console.line("")
    console.markdown(words.now(site.lab, found, known))


@task(help={"answer": "what the step asks for", "step": "succeed, too, when this step was passed before"})
def check(session: Session, answer: str = "", step: int = 0) -> None:
    """Check the step you are at; it says what is wrong. Example: ./inv lesson.check --answer worker-1."""
    from metallab.lessons import play, words
    from metallab.site import existing

    site = existing(session.lab)
    if 0 < step < play.where(site)[1].step:
        return
    lesson, done, verdicts = play.check(site, session.events, answer)
    if done is not None and verdicts[-1].trouble:
        console.line(f"✗ {verdicts[-1].words}")
        finish(int(ExitCode.CHECK_FAILED))
    if done is not None:
        console.line(f"✓ step {done.number} is passed\n")
    console.markdown(words.now(site.lab, lesson, play.where(site)[1]))


@task
def hint(session: Session) -> None:
    """Show a hint for the step you are at; each time one more, from vague to exact. Example: ./inv lesson.hint."""
    from metallab.lessons import play, words
    from metallab.site import existing

    site = existing(session.lab)
    lesson, step, shown = play.hint(site)
    if step is None:
        console.line(f"{lesson.name} is passed")
    else:
        console.markdown(words.hints(site.lab, step, shown))


@task(help={"all": "all steps that are left"})
def solve(session: Session, all: bool = False) -> None:  # noqa: A002 - the flag's name
    """Show and do the step you are at, and check it. Example: ./inv lesson.solve."""
    from metallab.lessons import play, words
    from metallab.site import existing

    site = existing(session.lab)
    while True:
        lesson, known = play.where(site)
        step = play.step_of(lesson, known)
        if step is not None:
            console.markdown(words.solution(step))
        _, _, answer = play.solve(site, session.events)
        if answer:
            console.line(f"answer: {answer}")
        lesson, known = play.where(site)
        if not all or play.step_of(lesson, known) is None:
            break
    console.markdown(words.now(site.lab, lesson, known))


@task(long=True)
def reset(session: Session) -> None:
    """Bring back the start of the lesson that is going on. Example: ./inv lesson.reset."""
    from metallab.lessons import play, words
    from metallab.site import existing

    site = existing(session.lab)
    lesson, known = play.reset(session.lab, site, session.events)
    console.markdown(words.now(site.lab, lesson, known))


@task
def status(session: Session) -> None:
    """Show the step you are at, and its text again. Example: ./inv lesson.status."""
    from metallab.lessons import play, words
    from metallab.site import existing

    site = existing(session.lab)
    console.markdown(words.now(site.lab, *play.where(site)))


@task(help={"port": "port of this host's loopback (a free one)"})
def serve(session: Session, port: int = 0) -> None:
    """Serve the lessons as pages, with terminals, until Ctrl-C. Example: ./inv lesson.serve --port 8080."""
    from metallab.classroom import server, xterm
    from metallab.classroom.desk import Desk
    from metallab.site import existing

    # Both before this process enters the lab's network, which has neither this loopback nor a way out.
    taken, terminal = server.bind(port), xterm.fetched(session.events)
    desk = Desk(existing(session.lab))

    def ready(link: str) -> None:
        console.line(link)
        session.events.note("open this link on this host; Ctrl-C ends the pages, and no lesson")

    server.serve(desk, taken, terminal, ready)


@task
def kubectl(session: Session) -> None:
    """Run kubectl as the learner: one namespace, for hours. Example: ./inv lesson.kubectl -- get services."""
    from metallab import bundle as bundles
    from metallab.lessons import learner
    from metallab.machines import access
    from metallab.site import existing

    kubeconfig = learner.require(existing(session.lab).labdir)
    access.become_kubectl(bundles.require().dir / "bin" / "kubectl", kubeconfig, session.remainder)


@task(positional=["lesson"], help={"lesson": NAME_HELP, "to": "folder (beside the reports)"})
def export(session: Session, lesson: str, to: str = "") -> None:
    """Write a lesson as a Killercoda scenario. Example: ./inv lesson.export 1 --to killercoda."""
    from metallab.lessons import format as lessons
    from metallab.lessons import killercoda

    folder = Path(to) if to else paths.reports_dir() / session.lab.name / "killercoda"
    console.line(str(killercoda.export(lessons.find(lesson), session.lab, folder)))


@task
def list(session: Session) -> None:  # noqa: A001 - the task is called so
    """List the lessons, how long they take, and how far you were. Example: ./inv lesson.list."""
    from metallab.lessons import format as lessons
    from metallab.lessons import progress, words
    from metallab.machines.labdir import LabDir

    known = progress.load(LabDir.of(session.lab))
    console.table("", COLUMNS, [words.row(lesson, known) for lesson in lessons.shelf()])
