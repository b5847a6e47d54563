"""Run named jobs in threads, each as soon as the ones it needs are done. The order is data and can be read.

The first failure stops new jobs from starting; those already running end by themselves and are waited for, so that
nothing goes on behind the user's back. Ctrl-C asks them to stop (``run.cancel``).

The same list tells beforehand what would be done (:func:`foresee`): a job looks at its own part, and touches nothing.
"""

from __future__ import annotations

import enum
import graphlib
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from metallab.errors import LabError
from metallab.events import Events, Step
from metallab.run import cancel

Do = Callable[[Step], None]
"""What a job does; it reports through its step."""


class Act(enum.Enum):
    """What would be done about a step."""

    SKIP = "skip"
    """It is as it should be."""
    MAKE = "make"
    GO_ON = "go on"
    """It was made before, and is off, half done, or not what it should be: that is mended."""
    WAIT = "wait"
    BLOCKED = "blocked"
    """The command would end here with an error."""


@dataclass(frozen=True)
class Outlook:
    """What would be done about a step, and why."""

    step: str
    act: Act
    words: str


Look = Callable[[bool], tuple[Act, str]]
"""Tells what a job would do. It is told whether all the job needs is there already: only then can that be asked."""


@dataclass(frozen=True)
class Job:
    """One step of a workflow: the title a user sees, what it does, and the titles of the jobs it needs done before.

    ``look`` tells what it would do; a job without one changes nothing anybody would miss.
    """

    title: str
    do: Do
    after: tuple[str, ...] = ()
    look: Look | None = None


def _ordered(jobs: Sequence[Job]) -> graphlib.TopologicalSorter[str]:
    """Return the order of the jobs. Raises ValueError when one needs what is not there, CycleError for a loop."""
    missing = {need for job in jobs for need in job.after} - {job.title for job in jobs}
    if missing:
        raise ValueError(f"no job is called {', '.join(sorted(missing))}")
    order = graphlib.TopologicalSorter({job.title: job.after for job in jobs})
    order.prepare()
    return order


def foresee(jobs: Sequence[Job]) -> list[Outlook]:
    """Return what :func:`perform` would do, in an order in which it could; jobs are asked side by side.

    A job that cannot even be looked at is blocked; everything after it is told without asking.
    """
    by_title, order = {job.title: job for job in jobs}, _ordered(jobs)
    seen: dict[str, Outlook] = {}

    def look(title: str) -> Outlook | None:
        job = by_title[title]
        if job.look is None:
            return None
        ready = all(seen[need].act is Act.SKIP for need in job.after if need in seen)
        try:
            return Outlook(title, *job.look(ready))
        except LabError as error:
            return Outlook(title, Act.BLOCKED, error.what)

    with ThreadPoolExecutor(max_workers=max(1, len(jobs)), thread_name_prefix="look") as pool:
        while order.is_active():
            titles = order.get_ready()
            seen |= {outlook.step: outlook for outlook in pool.map(look, titles) if outlook is not None}
            order.done(*titles)
    return [*seen.values()]


def perform(jobs: Sequence[Job], events: Events) -> None:
    """Run the jobs, side by side where nothing forbids it. Raises the first error; needs no job order in ``jobs``.

    Raises ValueError when a job needs one that is not there, graphlib.CycleError when they need each other.
    """
    by_title, order = {job.title: job for job in jobs}, _ordered(jobs)
    running: dict[Future[None], str] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(max_workers=max(1, len(jobs)), thread_name_prefix="job") as pool:
        try:
            while order.is_active():
                if failure is None:
                    for title in order.get_ready():
                        running[pool.submit(_do, by_title[title], events)] = title
                if not running:
                    break
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    order.done(running.pop(future))
                    failure = failure or future.exception()
        except KeyboardInterrupt:
            cancel.request()
            pool.shutdown(wait=True, cancel_futures=True)
            cancel.reset()
            raise
    if failure is not None:
        raise failure


def _do(job: Job, events: Events) -> None:
    with events.step(job.title) as step:
        job.do(step)
