"""What a learner at the pages can do, and what they are told: the same as by ``inv lesson.…``, a thing at a time.

Nothing of the web is in here. Everything that takes time is called from one thread at a time by whoever serves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from metallab import refusals
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Event, Events, Kind
from metallab.graph.picture import live, told
from metallab.graph.svg import svg
from metallab.lessons import play, progress
from metallab.lessons.format import Lesson, shelf
from metallab.lessons.progress import Progress
from metallab.overview import Observer
from metallab.run.ssh import Shell
from metallab.site import Site

Tone = Literal["good", "bad", "trouble"]
"""A check that holds, one that does not, and what could not be done at all."""


@dataclass(frozen=True)
class Said:
    """How something came out, in words; ``fix`` is what to do next, ``id`` the error's in the catalogue."""

    tone: Tone
    words: str
    fix: str = ""
    id: str = ""


@dataclass(frozen=True)
class Place:
    """Where the learner is: the lesson that is going on, if one is, and how far it is."""

    lesson: Lesson | None
    known: Progress


@dataclass(frozen=True)
class View:
    """The lab as it was seen a moment ago: a drawing (SVG), the same in a line of words, and when (host's clock)."""

    drawing: str
    words: str
    when: str


def mark(known: Progress) -> str:
    """Return what differs between two places of a learner: a page that shows another one is old."""
    return f"{known.current}/{known.step}/{known.hints}"


def trouble(error: LabError) -> Said:
    """Return an error of the catalogue as what a learner is told."""
    where = f" ({error.where})" if error.where else ""
    return Said("trouble", f"{error.what}{where}", error.fix, error.entry.id)


class Desk:
    """A learner's place at one lab. ``tell`` is given a line whenever something long gets further."""

    def __init__(self, site: Site, tell: Callable[[str], None] = lambda _line: None) -> None:
        self.site = site
        self.tell = tell
        self._observer = Observer(site)

    @property
    def lab(self) -> Lab:
        """Return the lab."""
        return self.site.lab

    @property
    def machines(self) -> Sequence[str]:
        """Return the machines that a terminal can be had on, the client first: most is typed there."""
        names = [machine.name for machine in self.lab.machines]
        return sorted(names, key=lambda name: name != self.lab.client.name)

    def shelf(self) -> tuple[tuple[Lesson, ...], Progress]:
        """Return every lesson, and how far the learner is."""
        return shelf(), progress.load(self.site.labdir)

    def place(self) -> Place:
        """Return where the learner is; what is half started is nowhere."""
        lessons, known = self.shelf()
        here = next((one for one in lessons if one.name == known.current and known.ready), None)
        return Place(here, known)

    def mark(self) -> str:
        """Return the mark of where the learner is, without reading a lesson: it is asked every few seconds."""
        return mark(progress.load(self.site.labdir))

    def start(self, which: str) -> Said:
        """Bring the lab to a lesson's start, or go on with it."""

        def do(events: Events) -> Said:
            lesson, _ = play.start(self.lab, self.site, which, events)
            return Said("good", f"The lab is ready for lesson {lesson.number}.")

        return self._doing(do)

    def reset(self) -> Said:
        """Bring back the start of the lesson that is going on."""

        def do(events: Events) -> Said:
            play.reset(self.lab, self.site, events)
            return Said("good", "The lab is at the lesson's start again.")

        return self._doing(do)

    def check(self, answer: str) -> Said:
        """Check the step the learner is at."""

        def do(events: Events) -> Said:
            _, step, verdicts = play.check(self.site, events, answer)
            if step is None:
                return Said("good", "The lesson is passed.")
            if verdicts[-1].trouble:
                return Said("bad", verdicts[-1].words)
            return Said("good", f"Step {step.number} is passed.")

        return self._doing(do)

    def hint(self) -> Said:
        """Show one more hint of the step the learner is at."""

        def do(_events: Events) -> Said:
            _, step, shown = play.hint(self.site)
            if step is None:
                return Said("good", "The lesson is passed.")
            return Said("good", f"Hint {shown} of {len(step.hints)}.")

        return self._doing(do)

    def view(self) -> View:
        """Look at the lab: who announces what. Takes a second, more where machines are silent."""
        when = datetime.now().astimezone().strftime("%H:%M:%S")
        picture = live(self.lab, self._observer.look(), when)
        return View(svg(picture), ". ".join((picture.note, *told(picture))), when)

    def shell(self, machine: str, columns: int, rows: int) -> Shell:
        """Open a login shell on a machine. Raises LabError when it cannot be reached."""
        return self.site.runner(self.lab.machine(machine)).shell(columns, rows)

    def _doing(self, do: Callable[[Events], Said]) -> Said:
        try:
            return do(Events(self._hear))
        except LabError as error:
            return trouble(error)
        except Exception as caught:
            refused = refusals.of(caught)
            if refused is None:
                raise
            return trouble(refused)

    def _hear(self, event: Event) -> None:
        if event.kind is Kind.STARTED:
            self.tell(event.step)
        elif event.kind is Kind.PROGRESS:
            self.tell(f"{event.step}: {event.text}")
