"""What the pages say, as HTML: the shelf, a lesson, and the part of it that changes. markdown-it's one home.

Whoever writes a lesson may write Markdown, and no HTML: it is shown as text.
"""

from __future__ import annotations

import functools
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from metallab.classroom.desk import Desk, Place, mark
from metallab.config import Lab
from metallab.lessons import play
from metallab.lessons.format import Lesson, Step, fill, values
from metallab.proof.report import html

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
HEADINGS = 2
"""How much smaller a heading of a text is than it says: the page has its own title."""


@dataclass(frozen=True)
class Card:
    """A lesson on the shelf."""

    lesson: Lesson
    passed: int
    going_on: bool

    @property
    def done(self) -> bool:
        """Tell whether every step was passed once."""
        return self.passed == len(self.lesson.steps)


@dataclass(frozen=True)
class Pane:
    """A lesson as far as the learner is: HTML of its texts, and what can be done about the step.

    ``text`` is the step's, or the end's when the lesson is passed and ``step`` None.
    """

    lesson: Lesson
    step: Step | None
    mark: str
    intro: str
    text: str
    question: str
    hints: tuple[str, ...]


def shelf(desk: Desk) -> str:
    """Return the page of all lessons."""
    lessons, known = desk.shelf()
    cards = [
        Card(one, min(known.passed.get(one.name, 0), len(one.steps)), known.ready and one.name == known.current)
        for one in lessons
    ]
    return _render("shelf.html.j2", lab=desk.lab, cards=cards)


def lesson(desk: Desk, *, terminals: bool) -> str:
    """Return the page of the lesson that is going on; that of all lessons when none is."""
    place = desk.place()
    if place.lesson is None:
        return shelf(desk)
    machines: Sequence[str] = desk.machines if terminals else ()
    return _render("lesson.html.j2", lab=desk.lab, pane=_pane(desk.lab, place.lesson, place), machines=machines)


def pane(desk: Desk) -> str:
    """Return the part of a lesson's page that changes as the learner gets on; nothing when no lesson is going on."""
    place = desk.place()
    return "" if place.lesson is None else _render("pane.html.j2", pane=_pane(desk.lab, place.lesson, place))


def refused() -> str:
    """Return the page for somebody without the link's token."""
    return _render("refused.html.j2")


def style() -> str:
    """Return the style of the pages: that of a report's page, and what only these have."""
    return (html.TEMPLATES / "page.css").read_text(encoding="utf-8") + (STATIC / "classroom.css").read_text(
        encoding="utf-8"
    )


def script() -> str:
    """Return the pages' program."""
    return (STATIC / "classroom.js").read_text(encoding="utf-8")


def markdown(text: str) -> str:
    """Return Markdown as HTML. What looks like HTML in it is text."""
    made = _markdown()
    place: dict[str, object] = {}
    tokens = made.parse(text, place)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + HEADINGS)}"
    return str(made.renderer.render(tokens, made.options, place))


def _inline(text: str) -> str:
    """Return a line of Markdown as HTML for where no paragraph may be."""
    return str(_markdown().renderInline(text))


def _pane(lab: Lab, lesson: Lesson, place: Place) -> Pane:
    # What a start has set is not among these values: it may be what has to be found.
    shown, step = values(lab), play.step_of(lesson, place.known)
    hints = step.hints[: place.known.hints] if step is not None else ()
    return Pane(
        lesson=lesson,
        step=step,
        mark=mark(place.known),
        intro=markdown(fill(lesson.intro, shown)),
        text=markdown(fill(lesson.finish if step is None else step.text, shown)),
        question=_inline(fill(step.question, shown)) if step is not None else "",
        hints=tuple(markdown(fill(hint, shown)) for hint in hints),
    )


def _render(template: str, **values: object) -> str:
    return html.render(TEMPLATES / template, **values)


@functools.cache
def _markdown() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False})
    made.add_render_rule("fence", _fence)
    made.add_render_rule("link_open", _link)
    return made


def _fence(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, object]
) -> str:
    """Draw what is to be typed: long lines scroll, also for those who have no mouse."""
    inner = RendererHTML.fence(self, tokens, index, options, env)
    return inner.replace("<pre>", '<pre tabindex="0" role="group" aria-label="To type">', 1)


def _link(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, object]
) -> str:
    """Open what a lesson points to beside it, and do not say where the reader came from."""
    token = tokens[index].copy(attrs={**tokens[index].attrs, "target": "_blank", "rel": "noopener noreferrer"})
    return self.renderToken([token], 0, options, env)
