"""Run named jobs in threads, each as soon as the ones it needs are done. The order is data and can be read.

The first failure stops new jobs from starting; those already running end by themselves and are waited for, so that
nothing goes on behind the user's back. Ctrl-C asks them to stop (``run.cancel``).
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from metallab.events import Events, Step
from metallab.run import cancel

Do = Callable[[Step], None]
"""What a job does; it reports through its step."""


@dataclass(frozen=True)
class Job:
    """One step of a workflow: the title a user sees, what it does, and the titles of the jobs it needs done before."""

    title: str
    do: Do
    after: tuple[str, ...] = ()


def perform(jobs: Sequence[Job], events: Events) -> None:
    """Run the jobs, side by side where nothing forbids it. Raises the first error; needs no job order in ``jobs``.

    Raises ValueError when a job needs one that is not there, graphlib.CycleError when they need each other.
    """
    by_title = {job.title: job for job in jobs}
    missing = {need for job in jobs for need in job.after} - by_title.keys()
    if missing:
        raise ValueError(f"no job is called {', '.join(sorted(missing))}")
    order = graphlib.TopologicalSorter({job.title: job.after for job in jobs})
    order.prepare()
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
