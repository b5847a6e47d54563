"""A report as one HTML page that needs nothing else: no network, no script, no font. jinja2's one home."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from metallab.proof.records import Report
from metallab.proof.report import acts, rates, words
from metallab.proof.report.rates import Group
from metallab.proof.report.view import WORDS, view

TEMPLATES = Path(__file__).parent / "templates"


def page(report: Report) -> str:
    """Return the page of a report: the same text for the same report, whenever and wherever it is made."""
    return _environment().get_template("page.html.j2").render(view=view(report), style=_style(), policy=_policy())


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(duration=words.duration, plot=_plot, left_out=rates.left_out, n=_number)
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


@functools.cache
def _style() -> Markup:
    return Markup((TEMPLATES / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file


@functools.cache
def _policy() -> str:
    """Return the content security policy: nothing may be loaded or run, and this one style sheet applies."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
