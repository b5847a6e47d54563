"""The story of a learner: start, look, check, a hint, the solution, once more from the beginning.

Each command first looks how far the lesson is, so that running it again after an interruption goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from metallab import errors, lock
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Events
from metallab.lessons import base, learner, progress, scripts
from metallab.lessons.checks import Verdict, judge
from metallab.lessons.format import MORE, AnnouncedCheck, AnswerCheck, Check, Lesson, Step, find, shelf, values
from metallab.lessons.progress import Progress
from metallab.lessons.world import World
from metallab.proof.adapter import RealCluster
from metallab.proof.subject import Subject
from metallab.run import pace, wait
from metallab.site import Site

PATIENCE_SECONDS = 3.0
"""How long a check that does not hold is asked again: a change takes a moment to get through."""
PATIENT_SECONDS = 60.0
"""The same for a start that was just made and for a solution that was just played."""
SLOWEST = 5.0
"""So many times slower than an ordinary machine a lab is waited for."""
ANNOUNCED = AnnouncedCheck(check="announced", address="{VIP}", by="elected")
TAKE_UP_SECONDS = 1.0
"""How long a solution waits between the last change it made and the first look at it."""


def start(lab: Lab, site: Site, which: str, events: Events, *, again: bool = False) -> tuple[Lesson, Progress]:
    """Bring the lab to a lesson's start, or go on with it where it is going on already.

    ``again`` starts anew, and so does a lesson that was passed.

    Raises LAB-LSN-001 for a lesson there is not, LAB-LSN-006 where the lab is too small, LAB-LSN-005 when the lab does
    not get where the lesson starts.
    """
    lesson = find(which)
    refuse_small(lab, lesson)
    with _one_at_a_time(site):
        known = progress.load(site.labdir)
        going_on = known.current == lesson.name and known.ready and step_of(lesson, known) is not None
        if going_on and not again:
            return lesson, known
        begun = known.begin(lesson)
        progress.save(site.labdir, begun)
        base.restore_machines(lab, site, events)
        # A proof that runs now would see half of it.
        with lock.held(site.labdir.lock, f"the lab {lab.name}"):
            base.restore_cluster(site, shelf(), events)
            base.furnish(site, lesson, events)
            if lesson.settings.example:
                _await(ANNOUNCED, world(site, {}), events, "the shared address to be announced")
            facts = _set_the_start(site, lesson, events)
        for check in lesson.settings.begins:
            _await(check, world(site, facts), events, f"the start of {lesson.name}")
        base.wait_for_account(site.cluster, learner.ACCOUNT)
        learner.give(site.labdir, site.cluster)
        begun = replace(begun, ready=True, facts=facts)
        progress.save(site.labdir, begun)
    return lesson, begun


def reset(lab: Lab, site: Site, events: Events) -> tuple[Lesson, Progress]:
    """Bring back the start of the lesson that is going on. Raises LAB-LSN-002 when none is."""
    known = progress.load(site.labdir)
    if not known.current:
        raise LabError(errors.LESSON_NONE, "no lesson was started on this lab")
    return start(lab, site, known.current, events, again=True)


def where(site: Site) -> tuple[Lesson, Progress]:
    """Return the lesson that is going on and how far it is. Raises LAB-LSN-002, LAB-LSN-005."""
    known = progress.going_on(site.labdir)
    return find(known.current), known


def step_of(lesson: Lesson, known: Progress) -> Step | None:
    """Return the step somebody is at, None when the lesson is passed."""
    return lesson.steps[known.step - 1] if known.step <= len(lesson.steps) else None


def check(
    site: Site, events: Events, answer: str = "", *, patience: float | None = None
) -> tuple[Lesson, Step | None, list[Verdict]]:
    """Judge the step somebody is at, up to the first thing that does not hold; one that is passed is kept as passed.

    Returns no step and no verdict when the whole lesson was passed before. ``patience`` is in seconds of an ordinary
    machine; without it, it is three of the learner's own.
    """
    if patience is None:
        patience = PATIENCE_SECONDS / pace.factor()
    with _one_at_a_time(site):
        lesson, known = where(site)
        step = step_of(lesson, known)
        if step is None:
            return lesson, None, []
        verdicts = _judge(site, step, known, events, answer, patience)
        if not verdicts[-1].trouble:
            progress.save(site.labdir, known.pass_step())
    return lesson, step, verdicts


def hint(site: Site) -> tuple[Lesson, Step | None, int]:
    """Return the step somebody is at and how many hints of it are shown now: one more than before, while there are."""
    with _one_at_a_time(site):
        lesson, known = where(site)
        step = step_of(lesson, known)
        if step is None:
            return lesson, None, 0
        shown = min(known.hints + 1, len(step.hints))
        progress.save(site.labdir, replace(known, hints=shown))
    return lesson, step, shown


def solve(site: Site, events: Events) -> tuple[Lesson, Step | None, str]:
    """Play the solution of the step somebody is at, and check it; return what it answered, if it had to.

    Raises LAB-LSN-004 when it does not solve the step.
    """
    lesson, known = where(site)
    step = step_of(lesson, known)
    if step is None:
        return lesson, None, ""
    with events.step(f"solution of step {step.number}: {step.title}") as doing:
        printed = scripts.play(site, step.solution, {**values(site.lab), **known.facts}, doing.progress)
    answer = scripts.answer(printed) if asks(step) else ""
    wait.pause(TAKE_UP_SECONDS)
    _, _, verdicts = check(site, events, answer, patience=_patient(PATIENT_SECONDS))
    if verdicts and verdicts[-1].trouble:
        what = f"step {step.number} is not solved: {verdicts[-1].words}"
        raise LabError(errors.LESSON_SCRIPT_FAILED, what, where=str(step.solution), detail=printed)
    return lesson, step, answer


def asks(step: Step) -> bool:
    """Tell whether a step wants an answer."""
    return any(isinstance(check, AnswerCheck) for check in step.checks)


def refuse_small(lab: Lab, lesson: Lesson) -> None:
    """Refuse a lab that has not what a lesson needs. Raises LAB-LSN-006."""
    need, have = lesson.settings.workers, len(lab.workers)
    if have < need:
        what = f"{lesson.name} needs {need} workers, lab.yaml has {have}"
        raise LabError(errors.LESSON_TOO_SMALL, what)
    room = lab.pool.last - lab.pool.first + 1
    if room < MORE + 2:
        what = f"{lesson.name} needs a pool of {MORE + 2} addresses, lab.yaml has {room}"
        raise LabError(errors.LESSON_TOO_SMALL, what)


def world(site: Site, facts: Mapping[str, str], answer: str = "") -> World:
    """Return what a check may ask of a lab."""
    nodes = {node.name: site.runner(node) for node in site.lab.nodes}
    side = RealCluster(site.lab, site.cluster, {})
    subject = Subject(site.lab, site.runner(site.lab.client), nodes, side, site.choice.provider)
    return World(subject, site.cluster, {**values(site.lab), **facts}, answer)


def _judge(site: Site, step: Step, known: Progress, events: Events, answer: str, patience: float) -> list[Verdict]:
    """Judge the checks in order and stop at the first that does not hold: what follows would follow from it."""
    verdicts: list[Verdict] = []
    seen = world(site, known.facts, answer)
    with events.step(f"step {step.number}: {step.title}") as looking:
        for item in step.checks:
            verdicts.append(judge(item, seen, patience=patience, say=looking.progress))
            if verdicts[-1].trouble:
                looking.fail(verdicts[-1].words)
                break
        else:
            looking.result(f"{len(verdicts)} of {len(verdicts)} checks hold")
    return verdicts


def _set_the_start(site: Site, lesson: Lesson, events: Events) -> dict[str, str]:
    script = lesson.start
    if script is None:
        return {}
    # Said in few words: what is set may be what has to be found.
    with events.step("the lesson's start"):
        printed = scripts.play(site, script, values(site.lab))
    return scripts.facts(printed, lesson.settings.facts, script)


def _patient(seconds: float) -> float:
    """Return seconds of an ordinary machine, so that no wait gets longer than the slowest lab needs.

    A machine's measured pace may be that of its worst moment.
    """
    return seconds * min(pace.factor(), SLOWEST) / pace.factor()


def _await(check: Check, seen: World, events: Events, what: str) -> None:
    with events.step(what) as step:
        verdict = judge(check, seen, patience=_patient(PATIENT_SECONDS), say=step.progress)
        if verdict.trouble:
            step.fail(verdict.words)
    if verdict.trouble:
        raise LabError(errors.LESSON_NOT_AT_START, verdict.words)


@contextmanager
def _one_at_a_time(site: Site) -> Iterator[None]:
    folder = progress.folder(site.labdir)
    with lock.held(folder / "lock", f"the lesson on the lab {site.lab.name}"):
        yield
