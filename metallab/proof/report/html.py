"""A report as one HTML page that needs nothing else: no network, no script, no font. jinja2's one home."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from metallab.proof.records import Report
from metallab.proof.report import acts, rates, words
from metallab.proof.report.rates import Group
from metallab.proof.report.tracks import Track
from metallab.proof.report.view import WORDS, view

TEMPLATES = Path(__file__).parent / "templates"


def page(report: Report) -> str:
    """Return the page of a report: the same text for the same report, whenever and wherever it is made."""
    return render(TEMPLATES / "page.html.j2", view=view(report))


def render(template: Path, **values: object) -> str:
    """Return the page that a template makes of these values; it may use the macros and the style of a proof's page."""
    return _environment(template.parent).get_template(template.name).render(style=_style(), policy=_policy(), **values)


@functools.cache
def _environment(folder: Path) -> Environment:
    made = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(duration=words.duration, plot=_plot, left_out=rates.left_out, n=_number, shares=_shares)
    made.globals.update(words=WORDS, count=words.count, letter=acts.letter)
    return made


def _visible(value: object) -> object:
    """Make what programs printed readable before it is escaped; what is markup already is left alone."""
    return words.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _number(value: float) -> str:
    """Return a coordinate."""
    return f"{value:.4g}"


def _plot(group: Group) -> Markup:
    # A few commands draw; the others shall not wait for matplotlib, which takes half a second.
    from metallab.proof.report import plots  # noqa: PLC0415

    lines = [plots.Line(run.style, run.flow.intervals) for run in group.shown]
    return Markup(plots.throughput(lines, group.offered))  # noqa: S704 - no text of the report's is in it


def _shares(tracks: Sequence[Track], marks: Sequence[float]) -> Markup:
    from metallab.proof.report import plots  # noqa: PLC0415 - as above

    return Markup(plots.shares(tracks, marks))  # noqa: S704 - no text of the report's is in it


@functools.cache
def _style() -> Markup:
    return Markup((TEMPLATES / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file


@functools.cache
def _policy() -> str:
    """Return the content security policy: nothing may be loaded or run, and this one style sheet applies."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
